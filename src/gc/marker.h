/* SPDX-License-Identifier: MIT
 * The inside of the marker, shared by mark.c, workers.c, concurrent.c and scout.c alone: its data, and the few functions
 * of the hot path.
 *
 * An object under way is one word (heap/units.h); so is a part of one. With UNITS_LARGE its length is not there but at
 * its block; MARK_SEGMENT tells the number of a segment (scout.h) in the place of an address. */
#ifndef GLEANER_MARKER_H
#define GLEANER_MARKER_H

#include "gc/mark.h"
#include "heap/units.h"

struct scouts;

enum {
  mark_state_ring = 64, /* powers of two */
  mark_object_ring = 32,
  mark_ahead_words = 16, /* of an object, asked for at once: two lines */
  mark_chunk = 4096,    /* bytes of an object looked at in one go, so that the stack stays small */
  mark_paged = 1 << 18, /* a larger object may have pages that were never touched */
  mark_first_stack = 1 << 20,
  mark_most = 32,        /* markers */
  mark_first_later = 1 << 16,
  mark_attend_every = 32, /* objects */
  mark_lone_most = 4096, /* objects in a row that came alone, */
  mark_lone_ns = 100,    /* each after more than this time, */
  mark_lone_windows = 8, /* and that so many times on end: then scouts are sent */
};

#define MARK_SEGMENT ((uint64_t)3)

/* States of scouted objects, while marking with STATE_MARK only: see scout.h. */
enum { MARK_SCOUTED = STATE_LOST, MARK_START = STATE_ENTRY };

struct mark_state { /* a candidate, its state byte under way */
  uint8_t *state;
  uint64_t object;
};

struct mark_later {
  uintptr_t lo, hi;
};

struct marker {
  /* the same for all, and constant while they are at work */
  uintptr_t base;
  size_t limit; /* bytes of the region that were ever used */
  const struct unit *units;
  struct mark_colour colour;
  uint8_t scouted;        /* MARK_SCOUTED when scouts are out, STATE_LIVE when somebody is told of all, else 0 */
  bool unaligned, odd;    /* odd: objects cannot simply be read word by word */
  bool exact;             /* see mark_options */
  bool running;
  bool failed;            /* something could not be read */
  bool overflow;          /* something was painted and is not on the stack */
  uint64_t *stack, *bottom, *top, *end; /* [bottom, top) waits; what is given away is taken from the bottom */
  size_t mapped;          /* bytes of the stack */
  size_t most;            /* entries of the stack; 0: no limit */

  uint32_t patience;      /* counts objects, for mark_attend_every */
  uint32_t state_head, state_tail, object_head, object_tail; /* tail - head entries are under way */
  struct mark_state states[mark_state_ring];
  uint64_t objects[mark_object_ring];

  struct mark_later *later; /* parts of objects that cannot be read in place, while the program runs */
  size_t later_count, later_mapped; /* parts; bytes */
  struct mark_later *aside; /* objects that a procedure of the program is to mark, with their types */
  size_t aside_count, aside_mapped;

  struct scouts *scouts; /* NULL: none are out */
  bool scouts_tried;
  bool lone_eager;          /* send them however fast it goes */
  uint32_t lone, lone_most; /* steps with hardly anything under way; how many make a window */
  uint32_t lone_windows;    /* slow ones, on end */
  uint64_t lone_since;
  _Alignas(64) char buffer[mark_chunk]; /* a copy of what cannot be read in place */
};

/* Nonzero: every marker is to call workers_attend now and then. */
extern _Atomic uint32_t mark_attention;

/* The markers: 0 is the one of the thread that tells ranges. */
struct marker *mark_marker(unsigned number);
/* Goes on until nothing is left on this marker, or workers_attend says that it should stop; then all it has is on its
 * stack. */
void mark_run(struct marker *m);
void mark_push_slow(struct marker *m, uint64_t object);
/* A word of an object, or of what counts like one, that was found by other means than by looking at it. */
void mark_word_told(struct marker *m, uintptr_t word);
/* A part of an object, of any size: when its turn comes. */
void mark_part(struct marker *m, uintptr_t lo, size_t size);
/* For typed.c. False: no memory; there are none. */
bool mark_put_aside(struct marker *m, uintptr_t start, uintptr_t type);
/* For concurrent.c. The program runs from now on, or no longer. */
void mark_in_background(bool running);
/* After that: what all markers have left is marker 0's, and the heap is as it is now. 0 or an errno value. */
int mark_renew(void);
/* While all of them pause. */
void mark_add_hole(uintptr_t lo, uintptr_t hi);
/* In scout.c: the marker has come to a scouted object, whose state was old and is painted now. True if it
 * begins a segment, which has been put on the stack: then its contents need no look. */
bool scouts_meet(struct marker *m, uint8_t old, uint8_t *state);

struct mark_state;
/* The same, or somebody is told of the object. */
bool mark_meet(struct marker *m, uint8_t old, const struct mark_state *candidate);

#define ALWAYS_INLINE static inline __attribute__((always_inline))

ALWAYS_INLINE void mark_push(struct marker *m, uint64_t object) {
  if (unlikely(m->top == m->end)) {
    mark_push_slow(m, object);
    return;
  }
  *m->top++ = object;
}

ALWAYS_INLINE uint64_t mark_object_of(const struct unit *unit, uint64_t slot) { return unit->object + slot * unit->step; }

/* --- a candidate --- */

/* The program hands out and frees meanwhile, and other markers are at work. What is new is never garbage: it is left to
 * the end of the collection. */
ALWAYS_INLINE bool mark_exchange(struct marker *m, uint8_t *at, uint8_t *state) {
  do
    if ((*state & m->colour.mask) != m->colour.want || *state == STATE_LIVE) return false;
  while (!atomic_compare_exchange_weak_explicit((_Atomic uint8_t *)at, state, *state ^ m->colour.paint,
                                                memory_order_relaxed, memory_order_relaxed));
  return true;
}

ALWAYS_INLINE void mark_take(struct marker *m, struct mark_state candidate, bool running) {
  uint8_t state = *(volatile uint8_t *)candidate.state;
  if ((state & m->colour.mask) != m->colour.want) return;
  if (running && !mark_exchange(m, candidate.state, &state)) return;
  if (!running) *candidate.state = state ^ m->colour.paint;
  if (unlikely(state & m->scouted) && mark_meet(m, state, &candidate)) return;
  if (candidate.object & UNITS_LENGTH) mark_push(m, candidate.object);
}

/* By how many bytes a word may lead beyond an object's beginning where it must be exact; the last entry is for all that are greater. */
extern _Atomic uint8_t mark_displacements[mark_displacements_most + 1];

ALWAYS_INLINE bool mark_is_exact(const struct unit *unit, uint64_t slot, uintptr_t offset) {
  uintptr_t displacement = offset - (mark_object_of(unit, slot) >> units_length_bits) * sizeof(uintptr_t);
  if (displacement > mark_displacements_most) displacement = mark_displacements_most;
  return atomic_load_explicit(&mark_displacements[displacement], memory_order_relaxed);
}

/* offset: of the word in the region, below the limit. sparse: little is under way, so the object is asked for at once. exact: it must lead to the
 * beginning, or to a known displacement; a constant wherever it matters, as running is. */
ALWAYS_INLINE void mark_offset(struct marker *m, uintptr_t offset, bool sparse, bool running, bool exact) {
  const struct unit *unit = &m->units[offset >> block_unit_shift];
  uint64_t place = offset % block_unit;
  if (unlikely(!unit->inverse) && place >= unit->step) return; /* behind a large object, or no block */
  uint64_t slot = (place + unit->skip) * unit->inverse >> 32;  /* in the tail of a block the state is ABSENT */
  if (exact && !mark_is_exact(unit, slot, offset)) return;
  struct mark_state candidate = {unit->state + slot, mark_object_of(unit, slot)};
  __builtin_prefetch(candidate.state, 1);
  if (sparse) __builtin_prefetch((void *)(m->base + offset));
  if (m->state_tail - m->state_head == mark_state_ring)
    mark_take(m, m->states[m->state_head++ % mark_state_ring], running);
  m->states[m->state_tail++ % mark_state_ring] = candidate;
}

#endif
