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

/* Bytes as in heap_in_use. */
struct sweep_counts {
  uint64_t objects, bytes;   /* given up */
  uint64_t survived, survived_bytes; /* of those looked at, live still */
  uint64_t promoted_bytes;   /* of these, now of age 2 and not before */
  uint64_t suspects, suspect_bytes;  /* unreachable, and spared this once */
};

/* --- with the world stopped and the heap lock held: a collection of a generation, for each block that has such objects --- */

/* A colour for what is new, so that it is like all others; aged: and age 1. Which groups may hold new objects is forgotten, but for those
 * that are being handed out. */
void sweep_colour_new(struct block *block, bool aged);

/* What is new was reached: it is of age 1 and marked. */
void sweep_reach_new(struct block *block);

/* The groups of the block that a collection of the generation looks at: all, or those that may hold new objects. */
uint64_t sweep_groups(const struct block *block, unsigned generation);

/* After marking, where the policy is SWEEP_SUSPECT: what was not marked and is not suspect yet becomes so, and is marked;
 * what was reached is no longer suspect. Then each is told of the suspects that are marked: what they lead to is spared as well. */
void sweep_question(struct block *block, uint64_t groups, unsigned generation, struct sweep_counts *counts);
void sweep_spared_each(struct block *block, uint64_t groups, unsigned generation,
                       void (*each)(struct block *block, uint32_t slot, void *arg), void *arg);

/* How many objects that are suspects already were not reached this time either. */
uint32_t sweep_count_condemned(const struct block *block, uint64_t groups, unsigned generation);

/* Whether a slot is alive for this collection: older than what it looks at, or marked. */
bool sweep_is_reached(uint8_t state, unsigned generation);

/* Ends a minor collection: what was not marked is given up, the rest is older by one. Returns the REGION_AGE_ bits that hold then. A large
 * object that is given up is told by *gone, for the caller to unmake. */
uint8_t sweep_minor(struct block *block, uint64_t groups, unsigned generation, struct sweep_counts *counts, bool *gone);

/* Ends one that has failed: as if nothing had been marked. */
void sweep_forget(struct block *block, uint64_t groups, unsigned generation);

/* Ends the marking of a full one: from now on what is not of the colour is garbage. */
void sweep_begin(void);

/* Held slots come one collection closer to being free. */
void sweep_release_held(struct block *block);

/* --- while the program runs --- */

/* Sweeps so many units more. True while there is something left to claim. Any number of threads; takes the heap lock for a moment
 * where a large object is given up. */
bool sweep_some(uint32_t units);
/* This thread is at it: also in a handler that has interrupted it. */
bool sweep_is_mine(void);
/* Nothing is left, and nobody is still at it. */
bool sweep_is_done(void);
/* The counts of the whole sweep, to be read when it is done. */
void sweep_totals(struct sweep_counts *counts);
/* In the child, which owns mine (or NULL): what a thread that is not there any more had claimed is swept, and what it had given up and not
 * told yet is found. */
struct cache;
void sweep_fork_child(struct cache *mine);

/* An object is about to be given up: its block and slot. Called with any number of threads running, or the world stopped; must
 * not allocate. What is known beside the slot is known still. NULL: nobody wants to know. */
extern void (*sweep_tell)(struct block *block, uint32_t slot);

/* Reclaimed slots are filled with a pattern and held back for some collections. */
extern bool sweep_poison;
enum { sweep_pattern = 0xdb };

#endif
