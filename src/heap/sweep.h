/* SPDX-License-Identifier: MIT
 * Sweeping: marks in, free slots out. Has no idea of reachability.
 *
 * A minor collection sweeps its young groups with the world stopped; that costs by what is young. A full one ends with
 * sweep_begin, and then blocks are swept piece by piece while the program runs: an object of age 1 or more whose mark
 * is not sweep_colour is garbage. Freed slots reach a block's owner as those do that other threads free. */
#ifndef GLEANER_SWEEP_H
#define GLEANER_SWEEP_H

#include "heap/block.h"

/* What the mark of an object of age 1 or more is: 0 or STATE_MARK. Changes with the world stopped. */
extern uint8_t sweep_colour;

/* Which objects the program owns: they are given up only when found unreachable twice. Which are never given up. */
enum sweep_policy { SWEEP_AT_ONCE, SWEEP_SUSPECT, SWEEP_NEVER };
extern uint8_t sweep_policies[kind_count]; /* enum sweep_policy; set once */

struct sweep_counts {
  uint64_t objects, bytes;   /* given up */
  uint64_t survived, survived_bytes; /* of those looked at, live still */
  uint64_t promoted_bytes;   /* of these, now of age 2 and not before */
  uint64_t suspects, suspect_bytes;  /* unreachable, and spared this once */
};

/* An object is about to be given up: its block and slot. Called with any number of threads running, or the world stopped; must
 * not allocate. NULL: nobody wants to know. */
extern void (*sweep_tell)(struct block *block, uint32_t slot);

/* Reclaimed slots are filled with a pattern and held back for some collections. */
extern bool sweep_poison;
enum { sweep_pattern = 0xdb };

#endif
