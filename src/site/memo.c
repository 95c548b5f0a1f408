/* SPDX-License-Identifier: MIT
 * Recording walks in a thread's memo. */
#include "config.h"

#include "site/memo.h"

#include "os/memory.h"

#include <string.h>

enum { memo_step = 8 * 1024 /* words of the ring that are made ready at a time */ };

void memo_begin(struct memo *memo, const struct site_start *start) {
  const uint32_t most = memo_header + memo_words_max;
  if (memo->head == 0) memo->head = memo_ring_words;
  uint64_t at = memo->head % memo_ring_words;
  if (at + most > memo_ring_words) memo->head += memo_ring_words - at; /* an entry does not wrap around */
  /* Every 32 GiB of entries positions repeat. */
  if ((uint32_t)(memo->head + most) < (uint32_t)memo->head) {
    memset(memo->ways, 0, sizeof memo->ways);
    memo->head = (memo->head | UINT32_MAX) + 1;
    memo->head += 2 * memo_ring_words - memo->head % memo_ring_words;
  }
  at = memo->head % memo_ring_words;
  if (unlikely(at + most > memo->ready)) {
    os_arena_populate(&memo->ring[memo->ready], memo_step * sizeof memo->ring[0]);
    memo->ready += memo_step;
  }
  memo->record = &memo->ring[at];
  memo->count = 0;
  memo->last = start->sp;
  memo->recording = true;
}

void memo_keep(struct memo *memo, const struct site_start *start, bool fp_used, uint32_t id, uint32_t epoch) {
  if (!memo->recording || id == 0) return;
  uint64_t *entry = memo->record;
  entry[0] = start->pc;
  entry[1] = start->sp;
  entry[2] = start->fp;
  entry[3] = id | (uint64_t)epoch << 32;
  entry[4] = memo->count | (uint64_t)fp_used << 32;
  uint64_t hash = memo_hash(start->pc, start->sp);
  struct memo_way *way = &memo->ways[(hash >> 40) % memo_sets * memo_ways];
  memmove(way + 1, way, (memo_ways - 1) * sizeof *way);
  way[0] = (struct memo_way){(uint32_t)hash, (uint32_t)memo->head};
  memo->head += memo_header + memo->count;
  memo->recording = false;
}
