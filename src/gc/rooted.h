/* SPDX-License-Identifier: MIT
 * What a root is called: the ranges that gc/roots.h tells, each with its kind and whose it is. In a snapshot. */
#ifndef GLEANER_ROOTED_H
#define GLEANER_ROOTED_H

#include "gc/graph.h"
#include "gc/roots.h"
#include "gc/snapshot.h"

enum rooted_kind {
  ROOTED_REGISTERS,  /* of a thread */
  ROOTED_STACK,      /* from a thread's stack pointer up */
  ROOTED_TLS,        /* of a thread: thread-local storage, and what the C library keeps beside it */
  ROOTED_GLOBAL,     /* a module's writable segment */
  ROOTED_MAPPING,    /* other memory that is not of the heap */
  ROOTED_DECLARED,   /* added by the program */
  ROOTED_KEPT,       /* of ours, for the program: arguments of its callbacks and the like */
  ROOTED_KERNEL,     /* what the kernel will give back */
  ROOTED_DEAD_STACK, /* below a thread's stack pointer: nothing that lives, but a collection looks at it */
  rooted_kinds,
};

struct rooted_range {
  enum rooted_kind kind;
  const struct world_thread *thread; /* NULL: no thread's */
  const char *mapping;               /* of a MAPPING: its name, "" when it has none */
  uintptr_t lo, hi;                  /* as this process can read it */
  uintptr_t copied;                  /* where the program has lo; 0: there */
};

/* Calls each for every root. 0, or an errno value when roots are missing; what was told is right all the same. */
int rooted_each(const struct snapshot *snapshot, enum roots_purpose purpose,
                void (*each)(const struct rooted_range *range, void *arg), void *arg);

/* As graph_words, for a range; also words that setjmp mangled. */
void rooted_words(const struct rooted_range *range, graph_word *each, void *arg);

#endif
