/* SPDX-License-Identifier: MIT
 * The list of what a collector found to be garbage and did not reclaim (Python's gc.garbage): objects with ordered finalizers that lead to
 * themselves, and what leads from there to more of the kind; with GARBAGE_SAVE all that would have been reclaimed. What is on the list lives.
 *
 * Under the watch lock. Grows with the world stopped, by memory straight from the kernel; where that is refused an object is not
 * listed, and lives until the next collection finds it. */
#ifndef GLEANER_GARBAGE_H
#define GLEANER_GARBAGE_H

#include "base/base.h"

enum {
  GARBAGE_SAVE = 1, /* all that would be reclaimed is put there instead */
  GARBAGE_TELL = 2, /* what is found to be garbage is noted, with its size, for who tells of it */
};
extern _Atomic unsigned garbage_wants;

size_t garbage_count(void);
uintptr_t garbage_get(size_t n); /* 0 beyond the end */
void garbage_clear(void);
/* The program frees the object. Looks at all of the list if the object may be there. */
void garbage_drop(uintptr_t object);

/* What the last collection noted; the last one first. uncollectable: it was listed because of its finalizer. */
struct garbage_note {
  uintptr_t object;
  size_t size : 63;
  bool uncollectable : 1;
};
/* Takes up to most notes away; how many. None is left when fewer than that are returned. Once a collection has begun they are those of that one. */
size_t garbage_take_notes(struct garbage_note *notes, size_t most);
/* How many cycles were found since the last call for the first time, and how many objects were listed because of them. */
size_t garbage_take_stuck(size_t *listed);

/* --- in a collection: see settle.h --- */

void garbage_roots(void (*root)(uintptr_t lo, uintptr_t hi, void *arg), void *arg);
void garbage_begin(void);
/* How many it has put on the list. */
size_t garbage_found(void);
/* An object that will never be due. False: there was no room. */
bool garbage_add_stuck(uintptr_t object, bool first);
/* After finalizers: all that was not reached. True: something was marked. */
bool garbage_mark(unsigned generation);
void garbage_forget(void);

#endif
