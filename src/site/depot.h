/* SPDX-License-Identifier: MIT
 * Every stack once, named by an id. Must not know where stacks come from.
 *
 * Stacks share their outer parts: a stack is a frame inside another stack, down to the empty one of its epoch.
 *
 *   root(epoch) <- _start <- main <- parse <- xmalloc      each a node, and an id
 *                                 <- print <- xmalloc
 *
 * Finding takes no lock; a new node takes one. */
#ifndef GLEANER_DEPOT_H
#define GLEANER_DEPOT_H

#include "site/site.h"

/* The empty stack of an epoch: no id that names a stack. */
static inline uint32_t depot_root(uint32_t epoch) { return epoch | 0x80000000u; }

/* The stack of a frame, whose caller is the stack outer (an id, or a root). 0 when memory is refused. */
uint32_t depot_push(uint32_t outer, uintptr_t pc);

/* A whole stack, innermost frame first. */
uint32_t depot_enter(const uintptr_t *pc, uint32_t count, uint32_t epoch);

/* Written into one of a few buffers, which later calls use again: see site_stack. */
const struct site_stack *depot_stack(uint32_t id);
uint32_t depot_count(void);
void depot_fork_child(void);

#endif
