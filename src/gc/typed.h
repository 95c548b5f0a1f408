/* SPDX-License-Identifier: MIT
 * Objects that say where their pointers are: a word beside each (block.types), with libgc's meaning (its gc_mark.h) and tags:
 *
 *   0  length       the bytes that may hold pointers, from the beginning; so 0 is: none
 *   1  bitmap       62 bits, the uppermost for the first word
 *   2  procedure    marks by itself; the last number is ours, and its environment the number of a layout
 *   3  per object   the word that counts is found through the object
 *
 * Procedures of the program run only in the thread that collects, with the world stopped: whoever meets such an object puts it aside, and
 * typed_drain calls them. Their pointers may be disguised, so that no
 * linear scan finds them: typed_look_reached. */
#ifndef GLEANER_TYPED_H
#define GLEANER_TYPED_H

#include "heap/block.h"

enum { TYPED_LENGTH, TYPED_BITMAP, TYPED_PROCEDURE, TYPED_PER_OBJECT, typed_tag_bits = 2, typed_number_bits = 6 };
enum { typed_most_procedures = 1 << typed_number_bits, typed_first_procedure = 8, /* those below are for who knows his number beforehand */
       typed_layouts = typed_most_procedures - 1 };

struct typed_entry { /* libgc's GC_ms_entry */
  uintptr_t start;
  uintptr_t type;
};
typedef struct typed_entry *typed_procedure(uintptr_t *object, struct typed_entry *top, struct typed_entry *limit, uintptr_t environment);

/* A pattern of pointers that does not fit into a word: bits of words, and how often an element of so many bytes follows. */
struct typed_layout {
  size_t words, element, count; /* words of the bitmap; count 1: no array; SIZE_MAX: as many as the object holds */
  uint64_t bits[];              /* lowest first */
};

/* The number of the procedure; 0: there are too many. */
unsigned typed_add_procedure(typed_procedure *procedure);
/* The same by a number that is known beforehand. */
void typed_set_procedure(unsigned number, typed_procedure *procedure);
/* The type of objects of this layout, which is copied; 0: no memory, or there are too many. Any thread. */
uintptr_t typed_add_layout(const struct typed_layout *layout);
const struct typed_layout *typed_layout_of(uintptr_t type); /* NULL: it is another type */

/* --- while marking --- */

struct marker;
/* What this object, whose type is told beside it, points to. */
void typed_look(struct marker *m, uintptr_t object);
/* Within a procedure: a word that may be a pointer to an object, or into one. */
void typed_mark(uintptr_t word);
/* The same for all with procedures that are reached by now: old ones in a collection of the young, and what the program may have changed while it
 * was marked. */
void typed_look_reached(unsigned generation);
/* World stopped, no marker at work: calls what was put aside. True: there was something, and there may be more to mark. */
bool typed_drain(void);
/* Is there anything of this kind? */
bool typed_any(void);

#endif
