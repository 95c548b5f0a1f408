/* SPDX-License-Identifier: MIT
 * What is asked of a dumped heap: who is reached, by what way, and what hangs on whom. Must not know how it is shown. */
#ifndef GLEANER_HEAP_GRAPH_H
#define GLEANER_HEAP_GRAPH_H

#include "report/dumped.h"

/* What an object is reached from, the first of these that does it. */
enum heap_tier {
  HEAP_FROM_ROOTS,      /* roots, and objects that may not be given up */
  HEAP_FROM_DEAD_STACKS,
  HEAP_FROM_OWNED,      /* malloc'ed memory that is kept whatever leads to it */
  heap_tiers,
  HEAP_UNREACHED = heap_tiers,
};

/* The shortest way to an object. */
struct heap_path {
  enum heap_tier tier;  /* UNREACHED: there is none */
  const struct dumped_root *root; /* NULL: the first object is kept, and no memory leads there */
  uint64_t root_at;     /* the word in the root */
  size_t count;
  uint32_t *objects;    /* from the one that the root leads to, to the one that was asked for */
};

void heap_find_path(const struct dumped *dumped, uint32_t object, struct heap_path *path);

struct heap_retained {
  uint64_t *bytes; /* by object: retained size; of those unreached their own */
  uint32_t *idom;  /* see report/dominators.h */
  uint64_t reached, reached_bytes, unreached, unreached_bytes;
};

void heap_retain(const struct dumped *dumped, struct heap_retained *retained);

#endif
