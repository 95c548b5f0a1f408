/* SPDX-License-Identifier: MIT
 * A heap dump, read: objects numbered from 0 in the order of addresses, what they lead to, roots, threads. The form of the file is
 * told in report/dump.h. Arrays are as large as the dump says; a file that says nonsense is refused.
 *
 * Memory for ten million objects with two edges each: some 300 MB, and the file. */
#ifndef GLEANER_DUMPED_H
#define GLEANER_DUMPED_H

#include "report/dump.h"
#include "report/model.h"

enum { dumped_none = UINT32_MAX };

struct dumped_block {
  uint64_t start, size; /* of a slot, or of the large object */
  uint32_t first, count; /* objects */
  size_t record;        /* where they begin in the file */
  size_t rank;          /* of its first word in the table of slots */
  uint32_t slots;       /* up to the last object's */
  uint8_t kind;
  bool large, notes;
};

struct dumped_root {
  int kind, thread; /* thread: index, -1: none */
  uint64_t lo, size;
  const char *name;
  size_t first, count; /* of root_edges */
  size_t record;
};

struct dumped_root_edge {
  uint64_t at;
  uint32_t object;
};

struct dumped_frame {
  uint64_t sp, pc;
};

struct dumped_thread {
  long tid;
  unsigned flags;
  uint64_t sp, tcb;
  const char *name;
  size_t frame_count;
  struct dumped_frame *frames; /* innermost first */
};

struct dumped_site {
  uint32_t id;
  size_t first, count; /* of model.frames */
};

struct dumped {
  struct model model; /* modules, and the frames of sites */
  const char *program, *mode, *error; /* error: why the file cannot be read, one line without its name */
  long pid, time;
  uint64_t region;
  bool malloc_kept; /* malloc'ed memory is not given up when nothing leads to it */
  int roots_missing; /* an errno value: not all roots are there */

  uint32_t count;       /* objects */
  uint64_t *address;
  uint32_t *size;       /* as asked for, where that was recorded; UINT32_MAX: see dumped_size */
  uint32_t *site;       /* of the first site_objects; see dumped_site_of */
  uint32_t site_objects; /* 0: they were not recorded */
  uint8_t *flags;       /* DUMP_AGE and so on */
  uint64_t edge_count;
  uint64_t *edges_from; /* count + 1: edges[edges_from[i] .. edges_from[i + 1]) are of object i */
  uint32_t *edges;

  struct dumped_block *blocks;
  struct dumped_root *roots;
  struct dumped_root_edge *root_edges;
  struct dumped_thread *threads;
  struct dumped_site *sites; /* in rising order of ids */
  size_t block_count, root_count, root_edge_count, thread_count, site_count;
  size_t block_room, root_room, thread_room, site_room, slot_word_room;

  /* the file, and where the reader is */
  const uint8_t *bytes;
  size_t length, at;
  uint32_t *unit_blocks; /* block of a unit + 1, from first_unit on; 0: none */
  uint64_t first_unit, unit_count;
  struct dumped_slots {
    uint64_t bits;
    uint32_t before; /* objects of the block in words before this one */
  } *slot_words;
  size_t slot_word_count;
  char message[160];
};

/* Reads a whole file. False: dumped->error tells why. */
bool dumped_read(struct dumped *dumped, int fd);
/* The same of bytes in memory, which stay the caller's. */
bool dumped_parse(struct dumped *dumped, const void *bytes, size_t length);

/* The object that the address is in, or dumped_none. */
uint32_t dumped_find(const struct dumped *dumped, uint64_t address);
const struct dumped_block *dumped_block_of(const struct dumped *dumped, uint32_t object);
uint64_t dumped_size(const struct dumped *dumped, uint32_t object);
unsigned dumped_kind(const struct dumped *dumped, uint32_t object);
const struct dumped_site *dumped_site_of(const struct dumped *dumped, uint32_t object); /* NULL: unknown */
const char *dumped_kind_name(unsigned kind);

/* Where in object from the first word lies that leads to object to, as an address; 0: nowhere. */
uint64_t dumped_edge_at(struct dumped *dumped, uint32_t from, uint32_t to);

/* The module that holds the address now, or -1. */
int dumped_module_at(const struct dumped *dumped, uint64_t address);

/* Whether the object is a root by itself: it may not be given up whatever leads to it. owned: malloc'ed ones count where they are kept. */
bool dumped_is_kept(const struct dumped *dumped, uint32_t object, bool owned);

#endif
