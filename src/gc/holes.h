/* SPDX-License-Identifier: MIT
 * Parts of the heap that cannot be read in place, because the program took the right to read them away, unmapped them, or mapped a
 * file there, which may be shorter.
 *
 * Knows mappings; knows nothing of marking. Changed while nobody reads: before markers begin, or while they pause. */
#ifndef GLEANER_HOLES_H
#define GLEANER_HOLES_H

#include "base/base.h"

/* Finds those in [lo, hi), with the world stopped. 0 or an errno value. */
int holes_find(uintptr_t lo, uintptr_t hi);
void holes_add(uintptr_t lo, uintptr_t hi);

/* Copies from them. Where nothing is mapped there are zeroes. How much of it; less: what follows cannot be read. */
size_t holes_copy(uintptr_t lo, char *buffer, size_t size);

bool holes_any(void);
bool holes_meet(uintptr_t lo, uintptr_t hi);

/* Ranges that the program is about to make unreadable, or is making so at this moment, count as holes whenever they are
 * looked for. Any thread, without a lock; the number is for holes_expected_over, which is called when it has been done. */
unsigned holes_expect(uintptr_t lo, uintptr_t hi);
void holes_expected_over(unsigned number);
void holes_fork_child(void);

#endif
