/* SPDX-License-Identifier: MIT
 * Toggle references (libgc's): references from outside to objects, each strong or weak, which is asked anew before each collection. Knows what the
 * answer was; must not know who is asked.
 *
 * Under the watch lock. An entry that is over stays in the list until toggle_tidy, so that who goes through it may give up the lock. */
#ifndef GLEANER_TOGGLE_H
#define GLEANER_TOGGLE_H

#include "gc/watch.h"

enum toggle_state { TOGGLE_DROP, TOGGLE_STRONG, TOGGLE_WEAK };

struct toggle;

/* False: no memory. */
bool toggle_add(uintptr_t object, enum toggle_state state);
struct toggle *toggle_next(const struct toggle *toggle); /* NULL: the first one */
uintptr_t toggle_object(const struct toggle *toggle);    /* 0: it is over */
void toggle_set(struct toggle *toggle, enum toggle_state state);
/* By who goes through the list, before that. */
void toggle_tidy(void);

/* --- for settle.c --- */

void toggle_roots(unsigned generation);
bool toggle_is_strong(const struct watch *watch); /* of an entry of that kind */
void toggle_commit(unsigned generation);
void toggle_drop(struct watch *watch);

#endif
