/* SPDX-License-Identifier: MIT
 * The marker: paints what can be reached. Conservative: any word that points into a slot, at its start or
 * inside, keeps it. Knows words, slots and state bytes; knows nothing of roots, threads or leaks.
 *
 * The world is stopped and the heap lock held from mark_begin to mark_end. One marker: the seam towards
 * parallel workers is struct marker in mark.c, which holds all that one of them needs. */
#ifndef GLEANER_MARK_H
#define GLEANER_MARK_H

#include "heap/block.h"

/* A slot is taken when (state & mask) == want, and its state becomes state | paint. paint is part of mask and
 * not of want, so that nothing is taken twice; mask and want hold STATE_LIVE. */
struct mark_colour {
  uint8_t mask, want, paint;
};

struct mark_options {
  bool unaligned;      /* a pointer may begin at any byte, not only at a word */
  uint32_t scouts_after; /* objects that came alone before scouts are sent (scout.h), 0: as is best */
  size_t most_pending; /* entries of the stack, at most 65536; 0: no limit. Tests make it overflow */
};

/* 0, or ENOMEM. mark_end also after a failure. */
int mark_begin(const struct mark_options *options);
void mark_end(void);

/* From now on. */
void mark_use(struct mark_colour colour);

/* Takes what the words of [lo, hi) point to, and all that is reachable from there. Every page must be
 * readable. */
void mark_range(uintptr_t lo, uintptr_t hi);

/* The same for words that setjmp has mangled, as the C library does it on x86-64. */
void mark_mangled(uintptr_t lo, uintptr_t hi);

/* Takes what is reachable from the contents of the slot; the slot itself only if something leads back to it. */
void mark_contents(struct block *block, uint32_t slot);

#endif
