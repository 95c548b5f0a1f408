/* SPDX-License-Identifier: MIT
 * Every stack once, named by an id. Must not know where stacks come from.
 *
 * Reading takes no lock; entering takes none but the arena's. A thread that vanishes at any point (fork) leaves at most
 * an id behind that names nothing, or a stack that is there twice. */
#ifndef GLEANER_DEPOT_H
#define GLEANER_DEPOT_H

#include "site/site.h"

/* The id of a stack, from 1; 0 when memory is refused. */
uint32_t depot_enter(const uintptr_t *pc, uint32_t count, uint32_t epoch);

const struct site_stack *depot_stack(uint32_t id);
uint32_t depot_count(void);

#endif
