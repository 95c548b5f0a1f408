/* SPDX-License-Identifier: MIT
 * The readable range that holds a stack. A thread may have several stacks: its own, one for signals,
 * coroutines'. Must not know what is on them. */
#ifndef GLEANER_RANGE_H
#define GLEANER_RANGE_H

#include "base/base.h"

enum { range_cached = 4 };

struct range {
  uintptr_t lo, hi;
  bool steady; /* a thread's own stack: it stays as it is */
};

static inline bool range_holds(const struct range *range, uintptr_t address) {
  return address - range->lo < range->hi - range->lo;
}

/* The range around a stack pointer: from cached[range_cached], which a thread keeps for itself, or from the
 * kernel's list of mappings, which takes tens of microseconds. Where that cannot be read, a cautious guess. */
struct range range_of(struct range *cached, uintptr_t sp);

/* The same without trusting what is cached: a stack's addresses may have been unmapped, and be another's
 * now. */
struct range range_look(struct range *cached, uintptr_t sp);

#endif
