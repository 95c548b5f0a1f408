/* SPDX-License-Identifier: MIT
 * Sweeping: sixteen state bytes at a time. Must not know what reachable means, or which thread is stopped.
 *
 *   v            sixteen states
 *   covered      live, not frozen, of an age that the collection looks at
 *   marked       covered, and of the other colour than sweep_colour
 *   minor        covered & !marked -> FREE          marked -> colour back, one age older
 *   full, later  live & age >= 1 & of the other colour -> FREE      (each by compare-exchange)
 *
 * Cost: some ten instructions for sixteen slots. */
#include "config.h"

#include "heap/sweep.h"

#include "base/bits.h"
#include "heap/cache.h"
#include "heap/heap.h"

#include <emmintrin.h>
#include <string.h>

enum { sweep_lanes = 16, sweep_lanes_in_group = block_group / sweep_lanes };

uint8_t sweep_colour;
uint8_t sweep_policies[kind_count] = {[KIND_SCANNED] = SWEEP_NEVER,
                                      [KIND_UNCOLLECTABLE] = SWEEP_NEVER,
                                      [KIND_UNCOLLECTABLE_POINTER_FREE] = SWEEP_NEVER};
void (*sweep_tell)(struct block *block, uint32_t slot);
bool sweep_poison;

/* --- sixteen states --- */

/* A large object has one state, and no room behind it. */
static __m128i sweep_load(const struct block *block, uint32_t at) {
  if (block->slot_size) return _mm_load_si128((const __m128i *)(block->state + at));
  return _mm_set_epi8(-128, -128, -128, -128, -128, -128, -128, -128, -128, -128, -128, -128, -128, -128, -128,
                      (char)block->state[0]);
}

static void sweep_store(struct block *block, uint32_t at, __m128i v) {
  if (block->slot_size) _mm_store_si128((__m128i *)(block->state + at), v);
  else block->state[0] = (uint8_t)_mm_cvtsi128_si32(v);
}

static __m128i sweep_all(uint8_t byte) { return _mm_set1_epi8((char)byte); }

/* Which of them have (state & mask) == want: all bits of their byte. */
static __m128i sweep_match(__m128i v, uint8_t mask, uint8_t want) {
  return _mm_cmpeq_epi8(_mm_and_si128(v, sweep_all(mask)), sweep_all(want));
}

static __m128i sweep_covered(__m128i v, unsigned generation) {
  static const uint8_t older[] = {STATE_AGE, STATE_AGE_2, 0};
  return sweep_match(v, STATE_OWNED | STATE_FROZEN | older[generation], STATE_LIVE);
}

static __m128i sweep_marked(__m128i v) { return sweep_match(v, STATE_MARK, sweep_colour ^ STATE_MARK); }

static uint32_t sweep_mask(__m128i lanes) { return (uint32_t)_mm_movemask_epi8(lanes); }

/* How many lanes are set: adds to two sums. */
static __m128i sweep_add(__m128i sums, __m128i lanes) {
  const __m128i zero = _mm_setzero_si128();
  return _mm_add_epi64(sums, _mm_sad_epu8(_mm_sub_epi8(zero, lanes), zero));
}

static uint32_t sweep_sum(__m128i sums) {
  return (uint32_t)(_mm_cvtsi128_si64(sums) + _mm_cvtsi128_si64(_mm_unpackhi_epi64(sums, sums)));
}

#define SWEEP_EACH(at, block, groups)                                                                        \
  for (uint64_t left_ = (groups); left_; left_ &= left_ - 1)                                                 \
    for (uint32_t at = (uint32_t)bits_lowest(left_) * block_group, end_ = at + block_group;                 \
         at < end_ && at < (block)->nslots; at += sweep_lanes)

static uint64_t sweep_all_groups(const struct block *block) {
  uint32_t groups = (block->nslots + block_group - 1) / block_group;
  return groups >= 64 ? ~(uint64_t)0 : ((uint64_t)1 << groups) - 1;
}

uint64_t sweep_groups(const struct block *block, unsigned generation) {
  return generation == 0 ? block->young : sweep_all_groups(block);
}

/* As heap_in_use counts it: a large object has all of its units. */
static size_t sweep_slot_bytes(const struct block *block) {
  return block->slot_size ? block->slot_size : (size_t)block->units * block_unit;
}

/* --- before and after marking --- */

static void sweep_change_new(struct block *block, uint8_t with) {
  const __m128i change = sweep_all(with);
  SWEEP_EACH(at, block, block->young) {
    __m128i v = sweep_load(block, at), new = sweep_match(v, 0xff, STATE_LIVE);
    if (sweep_mask(new)) sweep_store(block, at, _mm_or_si128(v, _mm_and_si128(new, change)));
  }
}

static void sweep_forget_young(struct block *block) {
  if (block->slot_size) cache_forget_young(block);
  else block->young = 0;
}

void sweep_colour_new(struct block *block, bool aged) {
  sweep_change_new(block, (uint8_t)(sweep_colour | (aged ? STATE_AGE_1 : 0)));
  if (aged) sweep_forget_young(block);
}

void sweep_reach_new(struct block *block) {
  sweep_change_new(block, (uint8_t)((sweep_colour ^ STATE_MARK) | STATE_AGE_1));
  sweep_forget_young(block);
}

void sweep_question(struct block *block, uint64_t groups, unsigned generation, struct sweep_counts *counts) {
  SWEEP_EACH(at, block, groups) {
    __m128i v = sweep_load(block, at), covered = sweep_covered(v, generation), marked = sweep_marked(v);
    __m128i reached = _mm_and_si128(covered, marked);
    __m128i first = _mm_and_si128(_mm_andnot_si128(marked, covered), sweep_match(v, STATE_SUSPECT, 0));
    if (!sweep_mask(covered)) continue;
    v = _mm_andnot_si128(_mm_and_si128(reached, sweep_all(STATE_SUSPECT)), v);
    v = _mm_xor_si128(v, _mm_and_si128(first, sweep_all(STATE_SUSPECT | STATE_MARK)));
    sweep_store(block, at, v);
    uint32_t found = bits_count(sweep_mask(first));
    counts->suspects += found;
    counts->suspect_bytes += found * sweep_slot_bytes(block);
  }
}

void sweep_spared_each(struct block *block, uint64_t groups, unsigned generation,
                       void (*each)(struct block *block, uint32_t slot, void *arg), void *arg) {
  SWEEP_EACH(at, block, groups) {
    __m128i v = sweep_load(block, at), spared = _mm_and_si128(sweep_covered(v, generation), sweep_marked(v));
    uint32_t slots = sweep_mask(_mm_and_si128(spared, sweep_match(v, STATE_SUSPECT, STATE_SUSPECT)));
    for (; slots; slots &= slots - 1) each(block, at + (uint32_t)bits_lowest(slots), arg);
  }
}

uint32_t sweep_count_condemned(const struct block *block, uint64_t groups, unsigned generation) {
  __m128i sum = _mm_setzero_si128();
  SWEEP_EACH(at, block, groups) {
    __m128i v = sweep_load(block, at), missed = _mm_andnot_si128(sweep_marked(v), sweep_covered(v, generation));
    sum = sweep_add(sum, _mm_and_si128(missed, sweep_match(v, STATE_SUSPECT, STATE_SUSPECT)));
  }
  return sweep_sum(sum);
}

bool sweep_is_reached(uint8_t state, unsigned generation) {
  static const uint8_t older[] = {STATE_AGE, STATE_AGE_2, 0};
  if (!state_is_live(state)) return false;
  return state & (STATE_FROZEN | older[generation]) || (state & STATE_MARK) != sweep_colour;
}

/* --- giving up --- */

static uint8_t sweep_dead_state(void) { return sweep_poison ? STATE_HELD | STATE_AGE_2 : STATE_FREE; }

static void sweep_give_up(struct block *block, uint32_t slot) {
  if (sweep_tell) sweep_tell(block, slot);
  block_forget_slot(block, slot);
  if (sweep_poison && block->slot_size && !atomic_load(&block->reprotected))
    memset((void *)block_slot_address(block, slot), sweep_pattern, block->slot_size);
}

static bool sweep_is_told(const struct block *block) { return sweep_tell || sweep_poison || block_has_beside(block); }

static void sweep_give_up_each(struct block *block, uint32_t at, uint32_t slots) {
  if (likely(!sweep_is_told(block))) return;
  for (; slots; slots &= slots - 1) sweep_give_up(block, at + (uint32_t)bits_lowest(slots));
}

/* The owner learns of what became free; a large object is its block. */
static void sweep_freed(struct block *block, uint32_t slots) {
  if (slots && block->slot_size && !sweep_poison) cache_swept(block, slots);
}

uint8_t sweep_minor(struct block *block, uint64_t groups, unsigned generation, struct sweep_counts *counts, bool *gone) {
  bool never = sweep_policies[block->kind] == SWEEP_NEVER;
  __m128i dead_sum = _mm_setzero_si128(), alive_sum = dead_sum, young_sum = dead_sum;
  SWEEP_EACH(at, block, groups) {
    __m128i v = sweep_load(block, at), covered = sweep_covered(v, generation), marked = sweep_marked(v);
    if (!sweep_mask(covered)) continue;
    __m128i alive = never ? covered : _mm_and_si128(covered, marked), dead = _mm_andnot_si128(alive, covered);
    dead_sum = sweep_add(dead_sum, dead);
    alive_sum = sweep_add(alive_sum, alive);
    young_sum = sweep_add(young_sum, _mm_and_si128(alive, sweep_match(v, STATE_AGE, 0)));
    sweep_give_up_each(block, at, sweep_mask(dead));
    v = _mm_xor_si128(v, _mm_and_si128(_mm_and_si128(alive, marked), sweep_all(STATE_MARK)));
    v = _mm_add_epi8(v, _mm_and_si128(alive, sweep_all(STATE_AGE_1)));
    v = _mm_or_si128(_mm_andnot_si128(dead, v), _mm_and_si128(dead, sweep_all(sweep_dead_state())));
    sweep_store(block, at, v);
  }
  uint32_t dead_count = sweep_sum(dead_sum), survived = sweep_sum(alive_sum), young = sweep_sum(young_sum);
  size_t size = sweep_slot_bytes(block);
  counts->objects += dead_count;
  counts->bytes += dead_count * size;
  counts->survived += survived;
  counts->survived_bytes += survived * size;
  counts->promoted_bytes += (survived - young) * size;
  *gone = !block->slot_size && dead_count && !sweep_poison;
  sweep_freed(block, dead_count);
  sweep_forget_young(block);
  return (uint8_t)((block->young ? REGION_AGE_0 : 0) | (young ? REGION_AGE_1 : 0));
}

/* New ones are new again, all others as they were. */
void sweep_forget(struct block *block, uint64_t groups, unsigned generation) {
  SWEEP_EACH(at, block, groups) {
    __m128i v = sweep_load(block, at), covered = sweep_covered(v, generation);
    if (!sweep_mask(covered)) continue;
    __m128i new = _mm_and_si128(covered, sweep_match(v, STATE_AGE, 0)), old = _mm_andnot_si128(new, covered);
    v = _mm_xor_si128(v, _mm_and_si128(_mm_and_si128(old, sweep_marked(v)), sweep_all(STATE_MARK)));
    v = _mm_or_si128(_mm_andnot_si128(new, v), _mm_and_si128(new, sweep_all(STATE_LIVE)));
    sweep_store(block, at, v);
  }
}

/* What is held loses an age each time; without one it is free. */
void sweep_release_held(struct block *block) {
  uint32_t freed = 0;
  SWEEP_EACH(at, block, sweep_all_groups(block)) {
    __m128i v = sweep_load(block, at), held = sweep_match(v, STATE_OWNED, STATE_HELD);
    if (!sweep_mask(held)) continue;
    __m128i last = _mm_and_si128(held, sweep_match(v, STATE_AGE, 0));
    __m128i later = _mm_andnot_si128(last, held);
    v = _mm_sub_epi8(v, _mm_and_si128(later, sweep_all(STATE_AGE_1)));
    sweep_store(block, at, _mm_andnot_si128(last, v));
    freed += bits_count(sweep_mask(last));
  }
  if (!freed) return;
  if (block->slot_size) cache_swept(block, freed);
  else block_unmake(block);
}

/* --- after a full collection --- */

static struct {
  _Atomic size_t next, end; /* units; [next, end) is to be claimed */
  _Atomic uint32_t busy;    /* threads that sweep what they claimed */
  _Atomic uint64_t objects, bytes, survived, survived_bytes, promoted_bytes;
} sweep;

void sweep_begin(void) {
  sweep_colour ^= STATE_MARK;
  sweep.objects = sweep.bytes = sweep.survived = sweep.survived_bytes = sweep.promoted_bytes = 0;
  atomic_store(&sweep.next, 0);
  atomic_store(&sweep.end, atomic_load(&region.used));
}

/* Eight at once, where what was looked at is still there and nobody is to be told. Bytes of one word may be changed by one exchange, or
 * each by itself: the processor does either whole. True when it has been done. */
static bool sweep_change_eight(struct block *block, uint32_t at, uint64_t seen, uint64_t lanes, uint8_t to, uint8_t keep) {
  uint64_t all = 0x0101010101010101, want = (seen & (~lanes | (keep * all))) | (lanes & (to * all));
  return atomic_compare_exchange_strong((_Atomic uint64_t *)(void *)&block->state[at], &seen, want);
}

/* Each from what was looked at: meanwhile the program may have freed it, and even handed it out anew. Returns how many were as they
 * had been. */
static uint32_t sweep_change_each(struct block *block, uint32_t at, __m128i v, uint32_t slots, bool give_up) {
  uint8_t seen[sweep_lanes];
  uint32_t changed = 0;
  bool told = give_up && sweep_is_told(block);
  _mm_storeu_si128((__m128i *)seen, v);
  for (; slots; slots &= slots - 1) {
    unsigned lane = bits_lowest(slots);
    uint8_t from = seen[lane], to = told ? STATE_HELD : give_up ? STATE_FREE : (uint8_t)((from & ~STATE_AGE) | STATE_AGE_2);
    if (!atomic_compare_exchange_strong((_Atomic uint8_t *)&block->state[at + lane], &from, to)) continue;
    changed++;
    if (!told) continue;
    sweep_give_up(block, at + lane); /* nobody is handed it out meanwhile */
    atomic_store((_Atomic uint8_t *)&block->state[at + lane], sweep_dead_state());
  }
  return changed;
}

/* The lanes say which. */
static uint32_t sweep_change(struct block *block, uint32_t at, __m128i v, __m128i lanes, bool give_up) {
  uint32_t slots = sweep_mask(lanes), changed = 0;
  if (!block->slot_size || (give_up && sweep_is_told(block))) return sweep_change_each(block, at, v, slots, give_up);
  uint8_t keep = give_up ? 0 : (uint8_t)~STATE_AGE, to = give_up ? sweep_dead_state() : STATE_AGE_2;
  for (unsigned half = 0; half < 2; half++, v = _mm_srli_si128(v, 8), lanes = _mm_srli_si128(lanes, 8)) {
    uint32_t these = slots & (half ? 0xff00u : 0xffu);
    if (!these) continue;
    uint64_t seen = (uint64_t)_mm_cvtsi128_si64(v), which = (uint64_t)_mm_cvtsi128_si64(lanes);
    if (sweep_change_eight(block, at + 8 * half, seen, which, to, keep)) changed += bits_count(these);
    else changed += sweep_change_each(block, at, half ? _mm_slli_si128(v, 8) : v, these, give_up);
  }
  return changed;
}

static void sweep_large(struct block *block) {
  heap_lock();
  if (block->state[0] == STATE_FREE && region_find(block->start) == block) block_unmake(block);
  heap_unlock();
}

static void sweep_block(struct block *block) {
  bool never = sweep_policies[block->kind] == SWEEP_NEVER;
  __m128i alive_sum = _mm_setzero_si128();
  uint32_t dead_count = 0, promoted = 0;
  SWEEP_EACH(at, block, sweep_all_groups(block)) {
    __m128i v = sweep_load(block, at), live = sweep_match(v, STATE_OWNED | STATE_FROZEN, STATE_LIVE);
    live = _mm_andnot_si128(sweep_match(v, STATE_AGE, 0), live);
    if (!sweep_mask(live)) continue;
    __m128i garbage = never ? _mm_setzero_si128() : _mm_and_si128(live, sweep_marked(v));
    __m128i alive = _mm_andnot_si128(garbage, live);
    __m128i younger = _mm_and_si128(alive, sweep_match(v, STATE_AGE, STATE_AGE_1));
    alive_sum = sweep_add(alive_sum, alive);
    if (sweep_mask(garbage)) {
      dead_count += sweep_change(block, at, v, garbage, true);
      __m128i now = sweep_load(block, at);
      younger = _mm_and_si128(younger, _mm_cmpeq_epi8(now, v)); /* as sweep_change_each would find */
      v = now;
    }
    if (sweep_mask(younger)) promoted += sweep_change(block, at, v, younger, false);
  }
  uint32_t survived = sweep_sum(alive_sum);
  size_t size = sweep_slot_bytes(block);
  atomic_fetch_add(&sweep.objects, dead_count);
  atomic_fetch_add(&sweep.bytes, dead_count * size);
  atomic_fetch_add(&sweep.survived, survived);
  atomic_fetch_add(&sweep.survived_bytes, survived * size);
  atomic_fetch_add(&sweep.promoted_bytes, promoted * size);
  sweep_freed(block, dead_count);
  if (!block->slot_size && dead_count && !sweep_poison) sweep_large(block);
}

static void sweep_units(size_t from, size_t to) {
  for (size_t unit = from; unit < to; unit++) {
    struct block *block = atomic_load_explicit(&region.blocks[unit], memory_order_acquire);
    if (block && block_first_unit(block) == unit) sweep_block(block);
  }
}

static THREAD_LOCAL volatile bool sweep_mine;

bool sweep_is_mine(void) { return sweep_mine; }

bool sweep_some(uint32_t units) {
  if (likely(atomic_load_explicit(&sweep.next, memory_order_relaxed) >= atomic_load(&sweep.end))) return false;
  sweep_mine = true;
  atomic_fetch_add(&sweep.busy, 1);
  /* The end is read after the claim: a thread stopped here may have claimed units of the next sweep, whose end is another. (Units
   * of the last one, seen with the end of the next, are swept twice, which does no harm.) */
  size_t from = atomic_fetch_add(&sweep.next, units), end = atomic_load(&sweep.end);
  if (from < end) sweep_units(from, from + units < end ? from + units : end);
  atomic_fetch_sub(&sweep.busy, 1);
  sweep_mine = false;
  return from + units < end;
}

bool sweep_is_done(void) {
  return atomic_load(&sweep.next) >= atomic_load(&sweep.end) && atomic_load(&sweep.busy) == 0;
}

void sweep_totals(struct sweep_counts *counts) {
  *counts = (struct sweep_counts){
      .objects = sweep.objects,
      .bytes = sweep.bytes,
      .survived = sweep.survived,
      .survived_bytes = sweep.survived_bytes,
      .promoted_bytes = sweep.promoted_bytes,
  };
}

/* A thread was at it: slots that are on their way, and large objects that it had not unmade. */
static void sweep_repair_block(struct block *block) {
  for (uint32_t slot = 0; slot < block->nslots && !sweep_poison; slot++) {
    if (block->state[slot] != STATE_HELD) continue;
    block_forget_slot(block, slot);
    block->state[slot] = STATE_FREE;
  }
  if (!block->slot_size && block->state[0] == STATE_FREE) block_unmake(block);
}

static void sweep_repair(struct cache *mine) {
  struct block *block;
  heap_lock();
  for (size_t unit = 0; (block = region_next(&unit)) != NULL;) {
    size_t units = block->units; /* it may be unmade */
    sweep_repair_block(block);
    unit += units;
  }
  heap_unlock();
  if (mine) cache_recount(mine);
}

/* Whatever another thread had claimed is swept again: that does no harm. */
void sweep_fork_child(struct cache *mine) {
  if (sweep_is_done()) return; /* and marks may be half of the next marking's */
  bool torn = atomic_exchange(&sweep.busy, 0) > 0;
  if (atomic_load(&sweep.end)) atomic_store(&sweep.next, 0);
  if (torn) sweep_repair(mine);
}
