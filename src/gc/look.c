/* SPDX-License-Identifier: MIT
 * Looking into parts of blocks. Must not know which generation is being collected. */
#include "config.h"

#include "gc/look.h"

#include "base/bits.h"

#include <emmintrin.h>
#include <string.h>

enum { look_lanes = 16, look_word = sizeof(uintptr_t) };

/* --- slots by their state --- */

static __m128i look_all(uint8_t byte) { return _mm_set1_epi8((char)byte); }

/* Which of sixteen slots are wanted. */
static uint32_t look_match(__m128i v, const struct look_wanted *wanted) {
  const __m128i zero = _mm_setzero_si128();
  __m128i live = _mm_cmpeq_epi8(_mm_and_si128(v, look_all(STATE_OWNED)), look_all(STATE_LIVE));
  __m128i none = _mm_cmpeq_epi8(_mm_and_si128(_mm_xor_si128(v, look_all(wanted->flip)), look_all(wanted->any)), zero);
  if (wanted->new_too) none = _mm_andnot_si128(_mm_cmpeq_epi8(_mm_and_si128(v, look_all(STATE_AGE)), zero), none);
  return (uint32_t)_mm_movemask_epi8(_mm_andnot_si128(none, live));
}

/* Slots [from, to) are wanted; those of the next call may follow at once. */
struct look_run {
  const struct block *block;
  uintptr_t lo, hi; /* bounds of what is told */
  uint32_t from, to;
  bool any;
  look_part *each;
  void *arg;
};

static void look_flush(struct look_run *run) {
  if (run->from == run->to) return;
  uintptr_t lo = block_slot_address(run->block, run->from);
  uintptr_t hi = run->block->slot_size ? block_slot_address(run->block, run->to) : lo + run->block->size;
  if (lo < run->lo) lo = run->lo;
  if (hi > run->hi) hi = run->hi;
  if (lo < hi) run->each(lo, hi, run->arg);
  run->any = true;
}

static void look_add(struct look_run *run, uint32_t from, uint32_t to) {
  if (from != run->to) {
    look_flush(run);
    run->from = from;
  }
  run->to = to;
}

static void look_lane(struct look_run *run, uint32_t at, uint32_t slots) {
  while (slots) {
    uint32_t first = bits_lowest(slots), after = bits_lowest(~(uint64_t)(slots >> first)) + first;
    look_add(run, at + first, at + after);
    slots = after >= look_lanes ? 0 : slots >> after << after;
  }
}

static uint32_t look_large_state(const struct block *block, const struct look_wanted *wanted) {
  return look_match(_mm_cvtsi32_si128(block->state[0]), wanted) & 1;
}

bool look_parts(const struct block *block, uintptr_t lo, uintptr_t hi, uintptr_t slack, const struct look_wanted *wanted,
                look_part *each, void *arg) {
  struct look_run run = {.block = block, .lo = lo - slack, .hi = hi + slack, .each = each, .arg = arg};
  if (!block->slot_size) {
    if (look_large_state(block, wanted) && lo < block->start + block->size) look_add(&run, 0, 1);
    look_flush(&run);
    return run.any;
  }
  uint32_t first = block_slot(block, lo), last = block_slot(block, hi - 1);
  if (last >= block->nslots) last = block->nslots - 1;
  for (uint32_t at = first & ~(uint32_t)(look_lanes - 1); at <= last; at += look_lanes) {
    uint32_t slots = look_match(_mm_load_si128((const __m128i *)(block->state + at)), wanted);
    if (at < first) slots = slots >> (first - at) << (first - at);
    if (last - at < look_lanes - 1) slots &= (2u << (last - at)) - 1;
    look_lane(&run, at, slots);
  }
  look_flush(&run);
  return run.any;
}

uint32_t look_count(const struct block *block, const struct look_wanted *wanted) {
  uint32_t count = 0;
  if (!block->slot_size) return look_large_state(block, wanted);
  for (uint32_t at = 0; at < block->nslots; at += look_lanes)
    count += bits_count(look_match(_mm_load_si128((const __m128i *)(block->state + at)), wanted));
  return count;
}

/* --- words --- */

static unsigned look_age(uintptr_t word) {
  uintptr_t offset = word - region.base;
  if (likely(offset >= atomic_load_explicit(&region.used, memory_order_relaxed) << block_unit_shift)) return look_none;
  if (!atomic_load_explicit(&region.ages[offset >> block_unit_shift], memory_order_relaxed)) return look_none;
  const struct block *block = region_find(word);
  if (!block || !block_contains(block, word)) return look_none;
  uint8_t state = block->state[block_slot(block, word)];
  if (!state_is_live(state) || state & (STATE_AGE_2 | STATE_FROZEN)) return look_none;
  return state & STATE_AGE_1 ? 1 : 0;
}

struct look_found {
  unsigned youngest;
  size_t step;
};

static void look_ages(uintptr_t lo, uintptr_t hi, void *arg) {
  struct look_found *found = arg;
  for (; lo + look_word <= hi && found->youngest > 0; lo += found->step) {
    uintptr_t word;
    memcpy(&word, (const void *)lo, sizeof word);
    unsigned age = look_age(word);
    if (age < found->youngest) found->youngest = age;
  }
}

unsigned look_youngest(const struct block *block, uintptr_t page, uintptr_t slack) {
  static const struct look_wanted all = {.any = STATE_LIVE};
  struct look_found found = {look_none, slack ? 1 : look_word};
  look_parts(block, page, page + look_page, slack, &all, look_ages, &found);
  return found.youngest;
}

/* --- change --- */

/* Sums of sums, so that places count: two additions for sixteen bytes, on four chains. */
uint16_t look_print(uintptr_t page) {
  const __m128i *at = (const __m128i *)page, *end = at + look_page / sizeof *at;
  __m128i sum[4], sums[4];
  for (int i = 0; i < 4; i++) sum[i] = sums[i] = _mm_set1_epi32(0x9e3779b9 >> i);
  for (; at < end; at += 4)
    for (int i = 0; i < 4; i++) {
      sum[i] = _mm_add_epi64(sum[i], _mm_load_si128(at + i));
      sums[i] = _mm_add_epi64(_mm_add_epi64(sums[i], sums[i]), sum[i]);
    }
  uint64_t word[8], print = 0;
  for (int i = 0; i < 4; i++) _mm_storeu_si128((__m128i *)&word[2 * i], _mm_add_epi64(sums[i], sum[i]));
  for (int i = 0; i < 8; i++) print = bits_mix(print ^ word[i]);
  return (uint16_t)print;
}
