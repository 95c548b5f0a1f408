/* SPDX-License-Identifier: MIT
 * The report model: what one record told, ready to be drawn. Grouping and order are decided here; names are
 * filled in by symbols.c, suppressions by suppress.c. It knows nothing of files, formats or the running
 * program.
 *
 * Everything that a model points to lives until the process ends: the tool draws one report and exits. */
#ifndef GLEANER_MODEL_H
#define GLEANER_MODEL_H

#include "base/base.h"

/* RECLAIMED is no leak: of a summary of collections. */
enum model_kind { MODEL_DEFINITE, MODEL_INDIRECT, MODEL_REACHABLE, model_kinds, MODEL_RECLAIMED = model_kinds };

/* What a frame is called. Where functions were inlined, the chain of callers leads to the function that has
 * the frame. Two frames that read the same have the same symbol. */
struct symbol {
  const char *function;        /* demangled; NULL: unknown */
  const char *file;            /* with its directory; NULL: unknown */
  const char *file_shown;      /* the end of file, without the directory that the compiler ran in */
  int line;                    /* 0: unknown */
  uint32_t id;                 /* from 1, in the order in which frames were named */
  const struct symbol *caller; /* what the function was inlined into; NULL: it has the frame itself */
};

struct model_module {
  bool known; /* the record told of it */
  uint64_t lo, hi, bias;
  const char *path;     /* never NULL */
  const char *build_id; /* hex; NULL: none */
  int same;             /* the first module of the same path and build id: one file, loaded twice */
};

struct model_frame {
  uint64_t address;            /* the return address */
  int module;                  /* -1: unknown */
  const struct symbol *symbol; /* NULL until named, and where nothing is known */
};

struct model_stack {
  size_t first, count; /* in model.frames, innermost first */
};

struct model_count {
  uint64_t count, bytes;
};

struct model_leak {
  enum model_kind kind;
  bool cycle;
  bool suppressed;
  struct model_count size;
  struct model_stack stack;
  uint64_t hash; /* of kind, cycle and stack, while grouping */
};

struct model_titled_stack {
  const char *title; /* "freed by" */
  struct model_stack stack;
};

struct model_search {
  bool told;
  uint64_t objects, root_bytes, threads, not_stopped, stop_ns, roots_ns, classify_ns;
};

struct model_generation {
  uint64_t collections, given_up, objects, bytes, time_ns, stopped_ns, pause_50_ns, pause_99_ns, pause_max_ns;
};

struct model_bar {
  uint64_t below_ns, count;
};

struct model_given_up {
  uint64_t count;
  const char *why;
};

enum { model_generations = 8, model_bars = 64, model_reasons = 16 };

/* A summary of collections. */
struct model_collect {
  uint64_t elapsed_ns, stopped_ns, collecting_ns, heap_most, concurrent, markers_most;
  struct model_generation generations[model_generations];
  struct model_bar bars[model_bars]; /* of pauses */
  struct model_given_up given_up[model_reasons];
  unsigned generation_count, bar_count, given_up_count;
  const char *way, *why; /* of write tracking; never NULL */
};

struct model {
  bool misuse; /* a misuse, not leaks */
  bool collected; /* a summary of collections, not leaks */
  struct model_collect collect;
  long pid;
  const char *program; /* never NULL */
  const char *message; /* misuse; never NULL */
  bool totals_told;
  struct model_count totals[model_kinds + 1]; /* by kind, without what is suppressed */
  struct model_count suppressed;
  struct model_search search;
  bool complete;    /* the record had its end */
  size_t bad_lines; /* lines that could not be read */
  size_t module_count, frame_count, leak_count, stack_count;
  size_t module_room, frame_room, leak_room, stack_room;
  struct model_module *modules;
  struct model_frame *frames;
  struct model_leak *leaks;
  struct model_titled_stack *stacks;
};

void model_init(struct model *model);

/* Space for the tool; says so in one line and ends the process when there is none. */
void *model_alloc(size_t size);
void *model_grow(void *array, size_t *room, size_t wanted, size_t item);
char *model_copy(const char *text, size_t length);

/* Appends. The index of a module is given by the record and may leave holes. */
struct model_module *model_module_at(struct model *model, size_t index);
void model_add_frame(struct model *model, uint64_t address, int module);
struct model_leak *model_add_leak(struct model *model);
struct model_titled_stack *model_add_stack(struct model *model);

/* address - bias, or the address itself when the module is unknown. */
uint64_t model_offset(const struct model *model, const struct model_frame *frame);

/* NULL when the module is unknown. */
const struct model_module *model_module_of(const struct model *model, const struct model_frame *frame);

/* Makes one leak of those that have the same kind, cycle flag and stack, and puts them in order: definite,
 * indirect, reachable; the largest first. Frames are the same when they have the same file and line; without
 * these, the same module and offset, so that a library that was loaded twice counts once. It is called again
 * when frames are named: an unrolled loop has several calls, and one line. Totals that the record did not tell
 * are added up. */
void model_group(struct model *model);

/* Is there anything definitely or indirectly lost that is not suppressed? */
bool model_has_lost(const struct model *model);

#endif
