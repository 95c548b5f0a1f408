/* SPDX-License-Identifier: MIT
 * Heap dumps, as the rest of the api sees them. */
#ifndef GLEANER_GC_DUMP_H
#define GLEANER_GC_DUMP_H

#include "base/base.h"

/* From the constructor: makes it known how this process can be asked for a dump. */
void gc_dump_init(void);

/* The process ends: a dump, if that was asked for. */
void gc_dump_exit(void);

/* At a slow path of allocation, no lock held: what was asked for at a bad moment. */
extern _Atomic uint64_t gc_dump_noted;
void gc_dump_noted_slow(void);
static inline void gc_dump_poll(void) {
  if (unlikely(atomic_load_explicit(&gc_dump_noted, memory_order_relaxed))) gc_dump_noted_slow();
}

void gc_dump_fork_child(void);

#endif
