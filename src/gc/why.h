/* SPDX-License-Identifier: MIT
 * Why an object is alive: the shortest way from a root. In a snapshot. */
#ifndef GLEANER_WHY_H
#define GLEANER_WHY_H

#include "gc/rooted.h"

enum { why_path_most = 1024 };

/* One word that leads on, and to what. */
struct why_step {
  uintptr_t at, object; /* the beginning of the object */
  size_t size;
};

/* In memory that outlives the snapshot. */
struct why_path {
  enum rooted_kind kind; /* of the root; rooted_kinds: there is none, the object is malloc'ed and never given up */
  pid_t thread;          /* whose it is; 0: no thread's */
  uint32_t count;        /* steps; 0: nothing leads to the object */
  uint32_t length;       /* of the whole path, of which the first are told */
  struct why_step step[why_path_most];
};

/* The path to the object that begins at target. What only the stack and registers of the calling thread lead to counts as led to by
 * these when nothing else does, since whoever asks holds the object; dead stacks come after them, and malloc'ed objects that are never given
 * up last. Memory: 8 bytes for each slot of the heap. 0, or ENOMEM, or what else was met. */
int why_find(const struct snapshot *snapshot, enum roots_purpose purpose, uintptr_t target, struct why_path *path);

#endif
