/* SPDX-License-Identifier: MIT
 * Scouts. See scout.h for why; must not mark anything that the marker has not come to. */
#include "config.h"

#include "gc/scout.h"

#include "base/bits.h"
#include "os/memory.h"

#include <string.h>

enum {
  scouts_most = 32,
  scouts_candidates = 16,
  scouts_segments = 1 << 16,
  scouts_hash = 2 * scouts_segments,
  scouts_chunk = 4096,
  scouts_piece = 1 << 20,   /* chunks are mapped so many bytes at a time */
  scouts_reserve = 2,       /* chunks that one step may need: its words, at most mark_chunk / 8 */
  scouts_misses = 4096,     /* so many picks in vain: nearly all is marked */
  scouts_patience = 1 << 16, /* objects looked into twice before scouts are given up as useless */
  scouts_ahead = 16,        /* log entries */
  scouts_log_share = 4,     /* logs take at most this part of the heap */
};

struct scouts_log {
  struct scouts_log *next;
  size_t count;
  /* each a word in the region, or a state's address */
  uintptr_t entry[(scouts_chunk - 2 * sizeof(uintptr_t)) / sizeof(uintptr_t)];
};

struct segment {
  uint8_t *start; /* state of its first object */
  struct scouts_log *first, *last;
  struct scout *scout; /* NULL: complete */
};

struct scout {
  struct segment *segment;
  uint64_t object; /* painted and noted, not yet looked into; 0: none */
  uint32_t ncandidates;
  uint8_t *probe; /* where a new segment may begin */
  const struct unit *probe_unit;
  struct {
    struct mark_state at;
    uintptr_t word;
  } candidate[scouts_candidates];
};

struct scouts {
  bool on; /* going ahead; else only their segments are of use */
  uint64_t random;
  size_t nsegments, misses, converted, again;
  struct scouts_log *spare; /* free chunks */
  size_t nspare, mapped;
  void *pieces; /* each leads to the next */
  struct scout scout[scouts_most];
  struct segment segment[scouts_segments];
  uint32_t hash[scouts_hash]; /* segment number + 1, by start */
};

static size_t scouts_bytes(void) { return bits_align_up(sizeof(struct scouts), os_page_size); }

void scouts_begin(struct marker *m) {
  m->scouts_tried = true;
  m->scouts = os_memory_map(scouts_bytes());
  if (!m->scouts) return;
  m->scouted = MARK_SCOUTED;
  m->scouts->on = true;
  m->scouts->random = 1;
}

/* --- logs --- */

/* The first chunk of a piece only leads to the next piece. */
static bool scouts_supply(struct marker *m) {
  struct scouts *all = m->scouts;
  if (likely(all->nspare >= scouts_reserve)) return true;
  if (all->mapped > m->limit / scouts_log_share) return false;
  char *piece = os_memory_map(scouts_piece);
  if (!piece) return false;
  *(void **)piece = all->pieces;
  all->pieces = piece;
  all->mapped += scouts_piece;
  for (size_t at = scouts_chunk; at < scouts_piece; at += scouts_chunk) {
    struct scouts_log *log = (void *)(piece + at);
    log->next = all->spare;
    all->spare = log;
    all->nspare++;
  }
  return true;
}

ALWAYS_INLINE void scouts_note(struct scouts *all, struct segment *segment, uintptr_t entry) {
  enum { room = sizeof segment->last->entry / sizeof segment->last->entry[0] };
  struct scouts_log *log = segment->last;
  if (unlikely(!log || log->count == room)) {
    log = all->spare;
    all->spare = log->next;
    all->nspare--;
    log->next = NULL;
    log->count = 0;
    if (segment->last)
      segment->last->next = log;
    else
      segment->first = log;
    segment->last = log;
  }
  log->entry[log->count++] = entry;
}

/* --- segments --- */

static uint32_t *scouts_place(struct scouts *all, const uint8_t *start) {
  size_t at = (size_t)bits_mix((uintptr_t)start) % scouts_hash;
  while (all->hash[at] && all->segment[all->hash[at] - 1].start != start) at = (at + 1) % scouts_hash;
  return &all->hash[at];
}

static uint64_t scouts_random(struct scouts *all) { return bits_mix(all->random++); }

static bool scouts_may_visit(uint64_t object) {
  uint64_t length = object & UNITS_LENGTH;
  return length != 0 && length * sizeof(uintptr_t) <= mark_chunk;
}

/* Picks 64 slots at random, and asks for their states. */
static void scouts_pick(struct marker *m, struct scout *scout) {
  size_t at = scouts_random(m->scouts) % (m->limit >> block_unit_shift);
  const struct unit *unit = &m->units[at];
  m->scouts->misses++;
  if (!unit->inverse || !scouts_may_visit(unit->object)) return;
  uint32_t groups = (atomic_load(&region.blocks[at])->nslots + block_group - 1) / block_group;
  scout->probe_unit = unit;
  scout->probe = unit->state + scouts_random(m->scouts) % groups * block_group;
  __builtin_prefetch(scout->probe, 1);
}

static void scouts_visit(struct scout *scout, uint64_t object) {
  scout->object = object;
  __builtin_prefetch((void *)units_address(object));
}

/* Begins a segment at one of the slots picked before, if one of them is live and nobody was there. */
static void scouts_found(struct scouts *all, struct scout *scout) {
  uint8_t *state = scout->probe, *end = state + block_group;
  scout->probe = NULL;
  while (state < end && *state != STATE_LIVE) state++;
  if (state == end || all->nsegments == scouts_segments) return;
  all->misses = 0;
  *state |= MARK_SCOUTED | MARK_START;
  struct segment *segment = &all->segment[all->nsegments++];
  *segment = (struct segment){.start = state, .scout = scout};
  *scouts_place(all, state) = (uint32_t)all->nsegments;
  scout->segment = segment;
  scouts_visit(scout, mark_object_of(scout->probe_unit, (uint64_t)(state - scout->probe_unit->state)));
}

/* --- going on --- */

/* Looks into the object, and asks for the states of what it leads to. */
static void scouts_look(struct marker *m, struct scout *scout) {
  const uintptr_t *word = (const uintptr_t *)units_address(scout->object), *end = word + (scout->object & UNITS_LENGTH);
  scout->object = 0;
  for (; word < end; word++) {
    uintptr_t offset = *word - m->base;
    if (likely(offset >= m->limit)) continue;
    const struct unit *unit = &m->units[offset >> block_unit_shift];
    if (!unit->state) continue;
    if (!unit->inverse || scout->ncandidates == scouts_candidates) {
      scouts_note(m->scouts, scout->segment, *word);
      continue;
    }
    uint64_t slot = (offset % block_unit + unit->skip) * unit->inverse >> 32;
    __builtin_prefetch(unit->state + slot, 1);
    __builtin_prefetch((void *)*word);
    scout->candidate[scout->ncandidates].at = (struct mark_state){unit->state + slot, mark_object_of(unit, slot)};
    scout->candidate[scout->ncandidates++].word = *word;
  }
}

/* Takes one of the candidates; those that others have seen are noted. The segment is complete when there is
 * none. */
static void scouts_choose(struct marker *m, struct scout *scout) {
  while (scout->ncandidates > 0) {
    uint32_t last = --scout->ncandidates;
    uint8_t *state = scout->candidate[last].at.state;
    uint64_t object = scout->candidate[last].at.object;
    if (!(*state & STATE_LIVE) || (*state & STATE_MARK)) continue;
    if ((*state & MARK_SCOUTED) || !scouts_may_visit(object)) {
      scouts_note(m->scouts, scout->segment, scout->candidate[last].word);
      continue;
    }
    *state |= MARK_SCOUTED;
    scouts_note(m->scouts, scout->segment, (uintptr_t)state);
    scouts_visit(scout, object);
    return;
  }
  scout->segment->scout = NULL;
  scout->segment = NULL;
}

void scouts_step(struct marker *m) {
  struct scouts *all = m->scouts;
  if (!all->on) return;
  for (struct scout *scout = all->scout; scout < all->scout + scouts_most; scout++) {
    if (unlikely(!scouts_supply(m) || all->misses > scouts_misses)) {
      all->on = false;
      return;
    }
    if (scout->object)
      scouts_look(m, scout);
    else if (scout->segment)
      scouts_choose(m, scout);
    else if (scout->probe)
      scouts_found(all, scout);
    else
      scouts_pick(m, scout);
  }
}

/* --- the marker comes --- */

bool scouts_meet(struct marker *m, uint8_t old, uint8_t *state) {
  struct scouts *all = m->scouts;
  if (old & MARK_START) {
    mark_push(m, (uint64_t)(*scouts_place(all, state) - 1) << units_length_bits | MARK_SEGMENT);
    return true;
  }
  if (++all->again > scouts_patience && all->again > all->converted) all->on = false;
  return false;
}

static void scouts_mark_log(struct marker *m, const struct scouts_log *log) {
  for (size_t i = 0; i < log->count; i++) {
    if (i + scouts_ahead < log->count) __builtin_prefetch((void *)log->entry[i + scouts_ahead], 1);
    uintptr_t entry = log->entry[i];
    if (entry - m->base < m->limit)
      mark_offset(m, entry - m->base, false, false, false);
    else
      *(uint8_t *)entry |= STATE_MARK;
  }
  m->scouts->converted += log->count;
}

void scouts_mark_segment(struct marker *m, size_t number) {
  struct scouts *all = m->scouts;
  struct segment *segment = &all->segment[number];
  struct scout *scout = segment->scout;
  struct scouts_log *next;
  for (struct scouts_log *log = segment->first; log; log = next) {
    next = log->next;
    scouts_mark_log(m, log);
    log->next = all->spare;
    all->spare = log;
    all->nspare++;
  }
  segment->first = segment->last = NULL;
  segment->scout = NULL;
  if (!scout) return;
  /* The marker goes on where the scout is. */
  if (scout->object) mark_push(m, scout->object);
  for (uint32_t i = 0; i < scout->ncandidates; i++) mark_word_told(m, scout->candidate[i].word);
  scout->object = 0;
  scout->ncandidates = 0;
  scout->segment = NULL;
}

/* Byte by byte: a thread that could not be stopped may be writing the neighbours. */
static void scouts_wipe(struct block *block) {
  const uint64_t painted = (MARK_SCOUTED | MARK_START) * 0x0101010101010101u;
  for (uint32_t slot = 0; block->slot_size && slot < block->nslots; slot += sizeof(uint64_t)) {
    uint64_t x;
    memcpy(&x, block->state + slot, sizeof x);
    for (unsigned i = 0; (x & painted) && i < sizeof x; i++)
      if (block->state[slot + i] & (MARK_SCOUTED | MARK_START))
        block->state[slot + i] &= (uint8_t)~(MARK_SCOUTED | MARK_START);
  }
}

void scouts_end(struct marker *m) {
  struct scouts *all = m->scouts;
  struct block *block;
  for (size_t unit = 0; all && (block = region_next(&unit)) != NULL; unit += block->units) scouts_wipe(block);
  while (all && all->pieces) {
    void *piece = all->pieces;
    all->pieces = *(void **)piece;
    os_memory_unmap(piece, scouts_piece);
  }
  if (all) os_memory_unmap(all, scouts_bytes());
  m->scouts = NULL;
  m->scouted = 0;
}
