/* SPDX-License-Identifier: MIT
 * One word beside each slot of a block in which a program counts references, or waits for the end of an object. Made for a block at the first use;
 * where there is none, nothing costs anything but that one pointer is read at the end of a slot.
 *
 *   | pinned | listed | finalized | dying | lent | debug | 26 bits: references beyond the first |
 *
 * A word is 0 when its slot is handed out: whoever ends an object clears it before (block_forget_slot). So the frees of such a block take the slow
 * path (block.quick is NULL there), and sweeps look at it. */
#ifndef GLEANER_COUNTS_H
#define GLEANER_COUNTS_H

#include "heap/block.h"

enum {
  COUNT_LISTED = 1 << 30,    /* gc/watch.h knows of the object */
  COUNT_FINALIZED = 1 << 29, /* its finalizer has been run, or is about to be */
  COUNT_DYING = 1 << 28,     /* its last reference was given back, or it was freed while pinned */
  COUNT_LENT = 1 << 27,      /* its last reference is its finalizer's, which runs */
  COUNT_DEBUG = 1 << 26,     /* it is one of libgc's debug objects */
  COUNT_MOST = (1 << 26) - 1,
  COUNT_BOUND = COUNT_MOST / 2, /* references that may be counted; the other half is room for threads that count up at once */
};
#define COUNT_PINNED ((uint32_t)1 << 31) /* it lives, and stays where it is, though it is freed */

/* Of a slot; NULL where the block has none. Any thread. */
static inline _Atomic uint32_t *counts_find(const struct block *block, uint32_t slot) {
  _Atomic uint32_t *counts = atomic_load_explicit(&block->counts, memory_order_acquire);
  return counts ? &counts[slot] : NULL;
}

/* Of a slot, made if need be. NULL when memory is refused. Takes the heap lock. */
_Atomic uint32_t *counts_make(struct block *block, uint32_t slot);

#endif
