/* SPDX-License-Identifier: MIT
 * The table of units: what a conservative search must know of the block at an address, in half a cache line a unit. The
 * descriptors lie scattered among state bytes, and going through them costs two misses more for each object.
 *
 * It is made at the first search and kept up to date from then on, so that a search of little need not walk over all
 * blocks. Derived data: the block map alone is the truth. All under the heap lock; the entries are read by whoever
 * searches, with the world stopped or while they are pinned.
 *
 * Pinned, the entries stay as they are, and what they tell of stays where it is: a block in the table that is unmade
 * is unmade later, and does not shrink. What is made meanwhile is not in the table, and may go again at once. */
#ifndef GLEANER_UNITS_H
#define GLEANER_UNITS_H

#include "heap/block.h"

/* An object that may hold pointers, as one word:
 *
 *   | 37 bits: (address - region.base) / 8 | 27 bits: its length in words, which is even, or UNITS_LARGE |
 *
 * The length of one that holds none is 0. */
enum { units_length_bits = 27 };
#define UNITS_LENGTH (((uint64_t)1 << units_length_bits) - 1)
#define UNITS_LARGE ((uint64_t)1)
#define UNITS_TYPED ((uint64_t)5) /* in the place of a length: its type tells, of whatever size it is */

struct unit {
  uint8_t *state;   /* of slot 0 of the block; NULL: no block */
  uint64_t object;  /* slot 0 */
  uint64_t step;    /* from one slot's object to the next one's; of a large object: bytes of the unit that belong to it */
  uint32_t inverse; /* as in the block; 0: large, or no block */
  uint32_t skip;    /* bytes of the block that lie before this unit */
};

/* Up to date from now on. 0 or ENOMEM. */
int units_begin(void);
/* One entry a unit, as many as region.used; after units_begin. It never moves. */
const struct unit *units_table(void);

static inline uint64_t units_object(uintptr_t address, uint64_t words) {
  return (address - region.base) / sizeof(uintptr_t) << units_length_bits | words;
}
static inline uintptr_t units_address(uint64_t object) {
  return region.base + (object >> units_length_bits) * sizeof(uintptr_t);
}

void units_pin(void);
void units_unpin(void);
bool units_are_pinned(void);
/* After units_unpin: unmakes what was to be unmade meanwhile. */
void units_unmake_deferred(void);

/* For the block layer. Units [at, at + count) belong to the block from now on, or to none (NULL). */
void units_note(const struct block *block, size_t at, size_t count);
/* The block must stay for now; it is unmade later. False: it need not. */
bool units_defer(struct block *block);
/* Whether each entry tells what the block map tells, as far as it should by now. */
bool units_check(void);
/* The region has shrunk. */
void units_limit_span(void);
/* In a fork child where the map had to be repaired, and, after that, in any. */
void units_lose(void);
void units_fork_child(void);

#endif
