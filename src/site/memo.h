/* SPDX-License-Identifier: MIT
 * Remembered walks: what a thread's walk from one start read, and the stack it gave. Must not know how
 * frames are walked.
 *
 * A walk is a function of its start and of the stack words it read, in that order. So if the start is the
 * same, and each word still has its value, the stack is the same: exact, not likely. The words are compared
 * in the order of the walk, so that none is read which a walk would not read now.
 *
 *   ways   position of an entry in the ring, and some bits of its hash; four ways a set
 *   ring   | pc | sp | fp | id, epoch | count, fp_used | word ... |  oldest entries are overwritten
 *   word   | distance from the last word's place, in words : 17 | value : 47 |
 *
 * A memo belongs to one thread at a time. */
#ifndef GLEANER_MEMO_H
#define GLEANER_MEMO_H

#include "site/site.h"

enum {
  memo_sets = 1024,
  memo_ways = 4, /* one start may have several walks */
  memo_ring_words = 48 * 1024,
  memo_header = 5,
  memo_words_max = 1024, /* of one walk */
  memo_reach =
      memo_ring_words - memo_header - memo_words_max, /* what a walk being recorded cannot have overwritten */
  memo_value_bits = 47,
};

struct memo_way {
  uint32_t tag;
  uint32_t position; /* in words, modulo 2^32 */
};

struct memo {
  struct memo_way ways[memo_sets * memo_ways];
  uint64_t ready; /* words of the ring that have memory */
  uint64_t head;  /* where the next entry begins, in words; 0 before the first, which lies a ring further */
  /* the walk that is being recorded */
  uint64_t *record;
  uint32_t count;
  bool recording;
  uintptr_t last; /* place of the last word */
  uint64_t ring[memo_ring_words];
};

static inline uint64_t memo_hash(uintptr_t pc, uintptr_t sp) {
  return (pc + sp * 0x9e3779b97f4a7c15u) * 0xd6e8feb86659fd93u;
}

/* A word as it is remembered: where it lies, if the one before it lay at place; and its value. */
static inline uintptr_t memo_place(uintptr_t place, uint64_t word) {
  return place + (uintptr_t)((int64_t)word >> memo_value_bits) * 8;
}
static inline uint64_t memo_value(uint64_t word) { return word & (((uint64_t)1 << memo_value_bits) - 1); }

/* The id for this start, if its walk is remembered and nothing has changed since; else 0. One load and
 * compare a word. */
static inline uint32_t memo_find(const struct memo *memo, const struct site_start *start, uint32_t epoch) {
  uint64_t hash = memo_hash(start->pc, start->sp);
  const struct memo_way *way = &memo->ways[(hash >> 40) % memo_sets * memo_ways];
  for (int i = 0; i < memo_ways; i++, way++) {
    if (way->tag != (uint32_t)hash) continue;
    uint32_t age = (uint32_t)memo->head - way->position;
    if (age - 1 >= memo_reach) continue;
    const uint64_t *entry = &memo->ring[way->position % memo_ring_words];
    if (entry[0] != start->pc || entry[1] != start->sp || entry[3] >> 32 != epoch) continue;
    if (entry[4] >> 32 && entry[2] != start->fp) continue;
    const uint64_t *word = entry + memo_header, *end = word + (uint32_t)entry[4];
    for (uintptr_t place = start->sp; word < end; word++) {
      place = memo_place(place, *word);
      if (*(const uint64_t *)place != memo_value(*word)) break;
    }
    if (word == end) return (uint32_t)entry[3];
  }
  return 0;
}

/* Recording a walk: begin, each word that it reads, keep (or nothing). */
void memo_begin(struct memo *memo, const struct site_start *start);

static inline void memo_read(struct memo *memo, uintptr_t place, uint64_t value) {
  int64_t distance = (int64_t)(place - memo->last) / 8;
  if (unlikely(value >> memo_value_bits ||
               distance != (int64_t)((uint64_t)distance << memo_value_bits) >> memo_value_bits ||
               memo->count == memo_words_max)) {
    memo->recording = false;
    return;
  }
  memo->record[memo_header + memo->count++] = (uint64_t)distance << memo_value_bits | value;
  memo->last = place;
}

/* This walk is not to be remembered. */
static inline void memo_drop(struct memo *memo) { memo->recording = false; }

/* fp_used: the start's fp counted. */
void memo_keep(struct memo *memo, const struct site_start *start, bool fp_used, uint32_t id, uint32_t epoch);

#endif
