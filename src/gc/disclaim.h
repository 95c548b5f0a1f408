/* SPDX-License-Identifier: MIT
 * Objects whose owner is asked before their memory is used again (libgc's disclaim procedures). Knows when they are dead; must not know who is asked.
 *
 * What is found dead is marked once more, with all that it leads to, until its owner was asked, as an errand. Then it waits no longer, and the next
 * collection that finds it unreachable gives it up; or it waits again, if the owner wants so. Under the watch lock. */
#ifndef GLEANER_DISCLAIM_H
#define GLEANER_DISCLAIM_H

#include "gc/watch.h"

/* Not 0: not yet. With no lock held. */
typedef int disclaim_function(void *object, void *data);

/* Of the object that begins there. data is a root until then. in_order: what it leads to is not asked about before it is gone itself. False: no memory. */
bool disclaim_add(uintptr_t object, disclaim_function *function, void *data, bool in_order);
/* The object is moved. */
void disclaim_move(uintptr_t from, uintptr_t to);

/* --- for settle.c --- */

void disclaim_roots(unsigned generation, void (*root)(uintptr_t lo, uintptr_t hi, void *arg), void *arg);
/* World stopped, finalizers are chosen. True: more was marked. Then it stays so, or not. */
bool disclaim_mark(unsigned generation);
void disclaim_commit(void);
void disclaim_forget(void);
void disclaim_drop(struct watch *watch);

#endif
