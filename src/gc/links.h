/* SPDX-License-Identifier: MIT
 * Links: words of the program's that become zero when an object dies (libgc's disappearing links). Knows where the words are and what they wait
 * for; what is in them is the program's affair.
 *
 * kind: WATCH_LINK, zero before finalizers are chosen, or WATCH_LONG_LINK, zero when nothing can bring the object back. A word may be one of each.
 * All is under the watch lock. */
#ifndef GLEANER_LINKS_H
#define GLEANER_LINKS_H

#include "gc/watch.h"

enum links_result { LINKS_DONE, LINKS_TWICE, LINKS_NO_MEMORY, LINKS_NONE };

/* The eight bytes at the address wait for the object, which the caller holds: where it begins, or into it; what is no object of the heap never
 * dies. LINKS_TWICE: they waited before, and now for this one. */
enum links_result links_add(uintptr_t at, enum watch_kind kind, uintptr_t object);
/* LINKS_NONE: they do not wait. */
enum links_result links_remove(uintptr_t at, enum watch_kind kind);
/* LINKS_TWICE: those at the other address wait already, and nothing was changed. */
enum links_result links_move(uintptr_t at, uintptr_t to, enum watch_kind kind);
size_t links_count(void);
/* Whether the word there is one: it may hold a pointer, and yet does not keep the object. */
bool links_is(uintptr_t at);

/* --- for settle.c --- */

/* World stopped. Those of the kind whose objects have died become zero; then it stays so, or they are put back. */
void links_note(enum watch_kind kind, unsigned generation);
void links_commit(unsigned generation);
void links_forget(void);
/* The program running: the object is at its end; all: long ones become zero, too, and those that lie in it are forgotten. */
void links_freed(uintptr_t object, bool all);

#endif
