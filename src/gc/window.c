/* SPDX-License-Identifier: MIT
 * Looking at the heap. Must not know what a collection does. */
#include "config.h"

#include "gc/window.h"

#include "gc/graph.h"
#include "heap/counts.h"
#include "heap/sweep.h"

#include <string.h>

static void window_add(struct window_list *list, uintptr_t object) {
  if (object == (uintptr_t)list->at) return;
  if (list->count < list->most) list->at[list->count] = object;
  list->count++;
}

/* Its last reference was given back: there is nothing to hold it by. */
static bool window_is_dying(const struct block *block, uint32_t slot) {
  _Atomic uint32_t *count = counts_find(block, slot);
  return count && atomic_load(count) & COUNT_DYING;
}

static bool window_is_live(const struct block *block, uint32_t slot) {
  return state_is_live(block->state[slot]) && !window_is_dying(block, slot);
}

/* The live object that an address is in. */
static bool window_find(uintptr_t address, struct block **block, uint32_t *slot) {
  *block = region_find(address);
  if (!*block || !block_contains(*block, address)) return false;
  *slot = block_slot(*block, address);
  return window_is_live(*block, *slot);
}

/* --- which objects there are --- */

static void window_block_objects(const struct block *block, unsigned age, struct window_list *list) {
  static const uint8_t ages[] = {0, STATE_AGE_1, STATE_AGE_2};
  for (uint32_t slot = 0; slot < block->nslots; slot++) {
    uint8_t state = block->state[slot];
    if (!state_is_live(state) || state & STATE_FROZEN) continue;
    if (age != window_any_age && (state & STATE_AGE) != ages[age]) continue;
    if (!window_is_dying(block, slot)) window_add(list, block_slot_address(block, slot));
  }
}

void window_objects(unsigned age, struct window_list *list) {
  struct block *block;
  for (size_t unit = 0; (block = region_next(&unit)) != NULL; unit += block->units)
    if (sweep_policies[block->kind] != SWEEP_NEVER) window_block_objects(block, age, list);
}

/* --- words of objects --- */

enum { window_word = sizeof(uintptr_t) };

/* Told of each word; false: enough. */
typedef bool window_visit(uintptr_t word, void *arg);

struct window_reader {
  window_visit *visit;
  void *arg;
  size_t step;
  bool enough;
};

static void window_read(uintptr_t lo, uintptr_t hi, uintptr_t copied, void *arg) {
  struct window_reader *reader = arg;
  (void)copied;
  for (; !reader->enough && lo + window_word <= hi; lo += reader->step) {
    uintptr_t word;
    memcpy(&word, (const void *)lo, sizeof word);
    reader->enough = !reader->visit(word, reader->arg);
  }
}

static void window_read_object(struct window_reader *reader, const struct block *block, uint32_t slot) {
  graph_pieces(block, slot, window_word - reader->step, window_read, reader);
}

static size_t window_step(bool unaligned) { return unaligned ? 1 : window_word; }

/* --- what leads to an object --- */

static void window_widen(struct window_range *range) {
  struct block *block;
  uint32_t slot;
  range->hi = range->lo + 1;
  if (!window_find(range->lo, &block, &slot)) return;
  range->lo = block_slot_address(block, slot);
  range->hi = range->lo + block_slot_bytes(block);
}

/* Heap sort: any number, no memory. */
static void window_sift(struct window_range *at, size_t i, size_t count) {
  struct window_range moved = at[i];
  for (size_t child; (child = 2 * i + 1) < count; i = child) {
    if (child + 1 < count && at[child + 1].lo > at[child].lo) child++;
    if (at[child].lo <= moved.lo) break;
    at[i] = at[child];
  }
  at[i] = moved;
}

void window_sort(struct window_targets *targets) {
  struct window_range *at = targets->at;
  for (size_t i = 0; i < targets->count; i++) window_widen(&at[i]);
  for (size_t i = targets->count / 2; i-- > 0;) window_sift(at, i, targets->count);
  for (size_t end = targets->count; end-- > 1;) {
    struct window_range most = at[0];
    at[0] = at[end];
    at[end] = most;
    window_sift(at, 0, end);
  }
}

static bool window_is_target(const struct window_targets *targets, uintptr_t word) {
  const struct window_range *at = targets->at;
  size_t lo = 0, hi = targets->count;
  if (word - at[0].lo >= at[hi - 1].hi - at[0].lo) return false;
  while (hi - lo > 1) {
    size_t middle = lo + (hi - lo) / 2;
    if (at[middle].lo <= word) lo = middle;
    else hi = middle;
  }
  return word - at[lo].lo < at[lo].hi - at[lo].lo;
}

struct window_search {
  const struct window_targets *targets;
  bool found;
};

static bool window_search_word(uintptr_t word, void *arg) {
  struct window_search *search = arg;
  search->found = window_is_target(search->targets, word);
  return !search->found;
}

static void window_block_referrers(const struct block *block, const struct window_targets *targets, bool unaligned, struct window_list *list) {
  for (uint32_t slot = 0; slot < block->nslots; slot++) {
    uintptr_t object = block_slot_address(block, slot);
    struct window_search search = {targets, false};
    struct window_reader reader = {window_search_word, &search, window_step(unaligned), false};
    if (!window_is_live(block, slot)) continue;
    window_read_object(&reader, block, slot);
    if (search.found) window_add(list, object);
  }
}

int window_referrers(const struct window_targets *targets, bool unaligned, struct window_list *list) {
  struct block *block;
  int error = graph_begin();
  if (error || targets->count == 0) return error;
  for (size_t unit = 0; (block = region_next(&unit)) != NULL; unit += block->units)
    if (kind_is_scanned(block->kind)) window_block_referrers(block, targets, unaligned, list);
  return 0;
}

/* --- where an object leads --- */

static bool window_add_referent(uintptr_t word, void *arg) {
  struct block *block;
  uint32_t slot;
  if (window_find(word, &block, &slot)) window_add(arg, block_slot_address(block, slot));
  return true;
}

int window_referents(uintptr_t object, bool unaligned, struct window_list *list) {
  struct window_reader reader = {window_add_referent, list, window_step(unaligned), false};
  struct block *block;
  uint32_t slot;
  int error = graph_begin();
  if (!error && window_find(object, &block, &slot) && kind_is_scanned(block->kind)) window_read_object(&reader, block, slot);
  return error;
}
