/* SPDX-License-Identifier: MIT
 * Looking at the heap: which objects there are, what leads to them and where they lead. Any word that points into a live object counts as leading
 * to it, as it does for the marker. Knows blocks, states and words; knows nothing of roots or of why somebody asks.
 *
 * All with the world stopped and everything swept (collect_look). Nothing is allocated: what has no room is counted alone. */
#ifndef GLEANER_WINDOW_H
#define GLEANER_WINDOW_H

#include "heap/block.h"

/* Where objects begin: at[0 .. count), as far as there is room for them. Where the list is an object, it is not in it itself. */
struct window_list {
  uintptr_t *at;
  size_t most, count;
};

enum { window_any_age = 3 };

/* All that the collector looks after, of one age or of any; what is frozen is of none. */
void window_objects(unsigned age, struct window_list *list);

/* Addresses, sorted and widened to the objects that they are in. One that is in no live object stands for itself alone. */
struct window_range {
  uintptr_t lo, hi;
};
struct window_targets {
  struct window_range *at;
  size_t count;
};
void window_sort(struct window_targets *targets);

/* All objects in which a word points to one of the targets, each once. unaligned: a pointer may begin at any byte. 0 or an errno
 * value. */
int window_referrers(const struct window_targets *targets, bool unaligned, struct window_list *list);

/* All objects to which a word in the object points, in this order, each as often as it is pointed to. */
int window_referents(uintptr_t object, bool unaligned, struct window_list *list);

#endif
