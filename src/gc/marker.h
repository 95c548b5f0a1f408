/* SPDX-License-Identifier: MIT
 * The inside of the marker, shared by mark.c and scout.c alone: its data, and the few functions of the hot
 * path. */
#ifndef GLEANER_MARKER_H
#define GLEANER_MARKER_H

#include "gc/mark.h"

struct scouts;

enum {
  mark_state_ring = 64,  /* powers of two */
  mark_object_ring = 32,
  mark_chunk = 4096,     /* bytes of an object looked at in one go, so that the stack stays small */
  mark_paged = 1 << 18,  /* a larger object may have pages that were never touched */
  mark_first_stack = 1 << 20,
  mark_holes_max = 4096,
  mark_lone_most = 4096, /* objects in a row that came alone, */
  mark_lone_ns = 100,    /* each after more than this time, */
  mark_lone_windows = 8, /* and that so many times on end: then scouts are sent */
};

/* What the loop needs to know of a unit, in half a cache line: the descriptors lie scattered among state bytes,
 * and going through them costs a list two misses more for each object. All 0: no block there, so that no state
 * is ever found. */
struct mark_unit {
  uintptr_t start; /* of its block */
  uint8_t *state;
  uint32_t inverse;   /* 0: large */
  uint32_t slot_size; /* 0: large */
  bool scanned;
};

struct mark_state { /* a candidate, its state byte under way */
  uint8_t *state;
  const struct mark_unit *unit;
};

struct mark_span { /* an object, or a part of one, to be looked into */
  uintptr_t lo;
  size_t size; /* the top bit: a large object of which only touched pages count */
};
#define MARK_PAGED ((size_t)1 << 63)
#define MARK_SEGMENT ((size_t)1 << 62) /* lo is the number of a segment: see scout.h */

/* States of scouted objects, while marking with STATE_MARK only: see scout.h. */
enum { MARK_SCOUTED = STATE_LOST, MARK_START = STATE_ENTRY };

struct mark_hole {
  uintptr_t lo, hi;
};

struct marker {
  /* constant during a search */
  uintptr_t base;
  size_t limit; /* bytes of the region that were ever used */
  struct mark_unit *units;
  struct mark_colour colour;
  bool unaligned, no_scouts;
  uint64_t guard;    /* of mangled words; 0: unknown */
  size_t nholes;     /* parts of objects that cannot be read in place */
  struct mark_hole *holes;
  size_t most_bytes; /* of the stack */

  bool overflow;
  struct mark_span *stack, *top, *end;
  uint32_t state_head, state_tail, object_head, object_tail; /* tail - head entries are under way */
  struct mark_state states[mark_state_ring];
  struct mark_span objects[mark_object_ring];

  struct scouts *scouts; /* NULL: none are out */
  bool scouts_tried;
  bool lone_eager;          /* send them however fast it goes */
  uint32_t lone, lone_most; /* steps with hardly anything under way; how many make a window */
  uint32_t lone_windows;    /* slow ones, on end */
  uint64_t lone_since;
  char buffer[mark_chunk]; /* a copy of what cannot be read in place */
};

#define ALWAYS_INLINE static inline __attribute__((always_inline))

bool mark_grow_slow(struct marker *m);
/* In scout.c: the marker has come to a scouted object, whose state was old and is painted now. True if it
 * begins a segment, which has been put on the stack: then its contents need no look. */
bool scouts_meet(struct marker *m, uint8_t old, uint8_t *state);

ALWAYS_INLINE void mark_push(struct marker *m, uintptr_t lo, size_t size) {
  if (unlikely(m->top == m->end) && !mark_grow_slow(m)) {
    m->overflow = true;
    return;
  }
  *m->top++ = (struct mark_span){lo, size};
}

/* --- a candidate --- */

ALWAYS_INLINE void mark_take(struct marker *m, struct mark_state candidate) {
  uint8_t state = *candidate.state;
  if ((state & m->colour.mask) != m->colour.want) return;
  *candidate.state = state ^ m->colour.paint;
  const struct mark_unit *unit = candidate.unit;
  if (!unit->scanned) return;
  if (unlikely(state & MARK_SCOUTED) && m->scouts && scouts_meet(m, state, candidate.state)) return;
  if (likely(unit->slot_size)) {
    uintptr_t slot = (uintptr_t)(candidate.state - unit->state);
    mark_push(m, unit->start + slot * unit->slot_size, unit->slot_size);
    return;
  }
  size_t size = region_find(unit->start)->size;
  mark_push(m, unit->start, size >= mark_paged ? size | MARK_PAGED : size);
}

/* sparse: little is under way, so the object is asked for at once. */
ALWAYS_INLINE void mark_word(struct marker *m, uintptr_t word, bool sparse) {
  uintptr_t offset = word - m->base;
  if (likely(offset >= m->limit)) return;
  const struct mark_unit *unit = &m->units[offset >> block_unit_shift];
  if (unlikely(!unit->inverse) && !(unit->state && block_contains(region_find(unit->start), word))) return;
  /* In the tail of a block of slots the state is ABSENT. */
  struct mark_state candidate = {unit->state + ((word - unit->start) * unit->inverse >> 32), unit};
  __builtin_prefetch(candidate.state, 1);
  if (sparse) __builtin_prefetch((void *)word);
  if (m->state_tail - m->state_head == mark_state_ring)
    mark_take(m, m->states[m->state_head++ % mark_state_ring]);
  m->states[m->state_tail++ % mark_state_ring] = candidate;
}

#endif
