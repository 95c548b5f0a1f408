/* SPDX-License-Identifier: MIT
 * Debug objects: who allocated them, and whether anybody has written before or behind them. libgc's GC_debug_ functions make them.
 *
 *   |file|line, life|size|guard| the program's bytes | guard |        one slot, of any kind
 *   ^ GC_base                  ^ the pointer that the program has
 *
 * That a slot is one is told by a bit beside it (COUNT_DEBUG), never by its contents. Where there are none, nothing costs anything. */
#ifndef GLEANER_LIBGC_DEBUG_H
#define GLEANER_LIBGC_DEBUG_H

#include "api/api.h"
#include "heap/counts.h"

struct debug_header {
  const char *file; /* NULL: not known */
  int32_t line;
  _Atomic uint32_t life; /* number << debug_life_bits | kind << debug_kind_shift | enum debug_life; the number tells two in one place apart */
  size_t size;      /* asked for */
  uintptr_t guard;  /* debug_guard_of */
};

enum debug_life {
  DEBUG_FREED = 1 << 0, /* by the program, and kept to see who writes there still */
  DEBUG_TOLD = 1 << 1,  /* that it is smashed */
};

enum {
  debug_kind_shift = 2, /* libgc's numbers of kinds, 0 to 63 */
  debug_life_bits = 8,
  debug_header_bytes = sizeof(struct debug_header),
  debug_fence_least = 8, /* of the guard behind, which ends at a multiple of it */
  debug_fence = 0xfd,
};

/* What makes an object one, from the call that the program made. */
struct debug_from {
  const char *call, *file;
  int line;
  const struct site_start *start;
};

/* Bytes to allocate for an object of size; SIZE_MAX when there cannot be one. */
size_t debug_total(size_t size);

/* The object, which is at least debug_total(size) bytes and belongs to the caller alone, is a debug object from now on: the pointer for the
 * program. NULL when memory is refused: then it was freed. */
void *debug_dress(void *base, size_t size, unsigned kind, const struct debug_from *from);

/* Of a live debug object, by the program's pointer; NULL: it is none. */
struct debug_header *debug_find(const void *p);
/* Whether the slot is one. */
bool debug_is(const struct block *block, uint32_t slot);

static inline void *debug_pointer(struct debug_header *header) { return header + 1; }

/* The first byte that is not as it was left: of the guards, or, of one that was freed, of what was the program's. NULL: all is well. */
const void *debug_smashed_at(const struct debug_header *header);

/* --- telling: debug_tell.c --- */

/* A line, on standard error. */
void debug_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* An object as the program knows it, for a line: address, where it was allocated, size, kind. It is described by the program's function only
 * where it is alive. */
struct debug_told {
  const void *p;
  size_t size;
  const char *file; /* NULL: not known */
  int line;
  unsigned kind;
  uint32_t site; /* 0: allocations are not recorded */
  bool debug, alive; /* not debug: neither file nor line, and the size is its slot's */
};
enum { debug_text_bytes = 512 };
/* The call stack that allocated it, a frame a line, where that is known. */
void debug_say_stack(const struct debug_told *told);
uint32_t debug_site_of(struct block *block, uint32_t slot);
const char *debug_describe(const struct debug_told *told, char text[debug_text_bytes]);
struct debug_told debug_tell_of(struct debug_header *header);

/* --- debug_check.c --- */

/* From now on collections look at debug objects. Once is enough. */
void debug_begin(void);

/* --- findleak.c --- */

/* Objects that the program frees are to be freed at once, for what is not freed is told. */
bool debug_frees_at_once(void);

#endif
