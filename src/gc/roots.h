/* SPDX-License-Identifier: MIT
 * The roots: every range of memory in which the program may keep a pointer. Knows mappings, threads and stacks; knows
 * nothing of marking.
 *
 * Of a report: all pages the program wrote, in whatever kind of mapping, whatever the protection is now, and every
 * thread's registers. Taken out, so that they hide no leak: the heap itself and all our own memory, the part of each
 * stack below the stack pointer, and the stacks of threads that have ended. Only what is proven dead is taken out.
 *
 * Of a collection: the same, but for our own memory nothing is taken out. No stack is proven dead below its stack
 * pointer: an alternate signal stack or a coroutine's may lie in the midst of it. What cannot be known or read is an
 * error, after which nothing may be reclaimed. */
#ifndef GLEANER_ROOTS_H
#define GLEANER_ROOTS_H

#include "gc/world.h"

enum roots_purpose {
  ROOTS_REPORT,   /* what is proven dead is taken out, so that it hides no leak */
  ROOTS_ALL,      /* nothing but our own memory is taken out: a missed root would be a use after free */
  ROOTS_DECLARED, /* libgc's: data segments of the loaded modules, stacks, registers, TLS, and what the client added */
};

/* The client's own ranges, for ROOTS_DECLARED (the others see all memory anyway, and skip what was excluded). Any
 * thread, at any time, without a lock held. 0 or ENOMEM. */
int roots_add(uintptr_t lo, uintptr_t hi);
void roots_remove(uintptr_t lo, uintptr_t hi); /* each that lies inside as a whole, as it was added */
int roots_exclude(uintptr_t lo, uintptr_t hi); /* never a root */
void roots_include_all(void);                  /* nothing is excluded any more */

/* A table of ours that holds pointers of the program's, which no other table of ours may: a root for every
 * collection, until it is dropped. In the same way. */
int roots_keep(uintptr_t lo, uintptr_t hi);
void roots_drop(uintptr_t lo, uintptr_t hi);

struct roots_request {
  enum roots_purpose purpose;
  const struct world_thread *threads; /* this one first */
  unsigned count;
  /* ROOTS_DECLARED: */
  bool no_libraries; /* of modules, only the program itself has data segments */
  int (*segment)(const char *name, void *lo, size_t size); /* 0: this one is no root; NULL: all are. Called with the world stopped */
};

/* Calls range(lo, hi, arg) for each root with bounds aligned to words; what cannot be read in place (PROT_NONE,
 * swapped, perhaps beyond the end of a file) is copied first, so the addresses told need not be the program's, and
 * are good during the call alone. The world is stopped, the heap locked. 0, or an errno value when roots are missing:
 * then nothing may be called a leak, and nothing reclaimed. */
int roots_each(const struct roots_request *request, void (*range)(uintptr_t lo, uintptr_t hi, void *arg),
               void *arg);
/* During a call of range: where the program has what is told as a copy; 0: it is none. */
extern uintptr_t roots_copied;
/* The same: it is data, of a module or added by the client; not a stack, registers or storage of a thread, and not unknown (ROOTS_DECLARED alone
 * tells it apart). */
extern bool roots_data;

#endif
