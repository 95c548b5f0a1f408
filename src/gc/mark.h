/* SPDX-License-Identifier: MIT
 * The marker: paints what can be reached. Conservative: any word that points into a slot, at its start or
 * inside, keeps it, unless words of objects are to be exact. Knows words, slots and state bytes; knows nothing of roots, threads or leaks.
 *
 * The heap lock is held from mark_begin to mark_end, and the world is stopped, unless threads of ours go on marking between
 * two stops (concurrent.h). Ranges are told by one thread. With several markers what was told is only begun with: mark_all brings it to
 * its end, on all of them. With one marker nothing is left to do when a function returns, unless it says otherwise. */
#ifndef GLEANER_MARK_H
#define GLEANER_MARK_H

#include "heap/block.h"

/* A slot is taken when (state & mask) == want, and its state becomes state ^ paint. paint is part of mask, so that
 * nothing is taken twice; mask and want hold STATE_LIVE. */
struct mark_colour {
  uint8_t mask, want, paint;
};

struct mark_options {
  bool unaligned;      /* a pointer may begin at any byte, not only at a word */
  bool exact;          /* words of objects and of mark_data count only where they lead to an object's beginning, or by a known displacement
                          behind it (mark_add_displacement) */
  bool running;        /* the program runs meanwhile: states are changed by atomic exchange, and what is new (exactly LIVE)
                          is not taken */
  bool later;          /* what the ranges lead to waits for mark_all or concurrent_begin */
  bool no_scouts;      /* their paint has another meaning where objects have ages */
  int (*stop)(void);   /* asked again and again while there is work, with one marker alone; not 0: the search ends, incomplete. NULL: nobody */
  unsigned markers;    /* threads that mark, this one included; 0 and 1: this one alone. Fewer when refused */
  uint32_t scouts_after; /* objects that came alone before scouts are sent (scout.h), 0: as is best */
  size_t most_pending; /* entries of the stack, at most 65536; 0: no limit. Tests make it overflow */
};

/* 0, or ENOMEM. mark_end also after a failure. Tables are kept for the next time. */
int mark_begin(const struct mark_options *options);
void mark_end(void);

/* From now on. */
void mark_use(struct mark_colour colour);

/* Takes what the words of [lo, hi) point to, and all that is reachable from there. Every page must be
 * readable. */
void mark_range(uintptr_t lo, uintptr_t hi);

/* The same for memory in which words count as in objects: of mark_options, exact holds. */
void mark_data(uintptr_t lo, uintptr_t hi);

/* From now on, and for ever: so many bytes behind an object's beginning. 0 always is. Those above mark_displacements_most all are, as soon as one is. */
enum { mark_displacements_most = 4096 };
void mark_add_displacement(size_t bytes);
bool mark_is_displacement(size_t bytes);

/* The same for words that setjmp has mangled, as the C library does it on x86-64. */
void mark_mangled(uintptr_t lo, uintptr_t hi);

/* The same for a part of an old object, fast where hardly any word leads to young ones: only words that lead to a unit with
 * one of these REGION_AGE_ bits are looked at; it ends with mark_all. Returns the REGION_AGE_ bits of all units that words led
 * to, also those not asked for. Bounds are multiples of a word. */
uint8_t mark_young(uintptr_t lo, uintptr_t hi, uint8_t ages);

/* Whether all of it can be read in place: the program may have taken the right to parts of its heap away. And whether pointers
 * may begin at any byte (both since mark_begin). */
bool mark_may_read(uintptr_t lo, uintptr_t hi);
bool mark_is_unaligned(void);

/* Takes what is reachable from the contents of the slot; the slot itself only if something leads back to it. With one marker,
 * unless all is to wait, that has been done when it returns. */
void mark_contents(struct block *block, uint32_t slot);

/* Takes this slot, if it is to be taken, as if a word had led to it. What it leads to may have to wait for mark_all. */
void mark_slot(struct block *block, uint32_t slot);

/* It is as if this slot had not been taken, if it was: whatever leads to it later takes it again. */
void mark_untake(struct block *block, uint32_t slot);

/* Until nothing is left to be looked into. */
void mark_all(void);

/* Until told is NULL: told of each object that is taken, where it begins, by the calls above but mark_all. The world is stopped, and
 * mark_all was called before. Slower, by a marker alone. */
void mark_tell(void (*told)(uintptr_t object));

/* Whether everything could be read; if not, something reachable may have been missed. */
bool mark_is_complete(void);
/* It was ended by stop. */
bool mark_was_stopped(void);

/* How many threads mark (since mark_begin). */
unsigned mark_count(void);

#endif
