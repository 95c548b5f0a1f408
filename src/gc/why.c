/* SPDX-License-Identifier: MIT
 * The shortest way to an object: breadth first from all roots at once, with a queue, and for each slot its number's predecessor.
 *
 *   number of a slot = base[unit where its block begins] + slot + 1         0: none
 *
 * Which word it was that led on is not kept, but looked for again along the one path that is told. */
#include "config.h"

#include "gc/why.h"

#include "base/bits.h"
#include "gc/graph.h"
#include "heap/sweep.h"
#include "os/memory.h"

#include <errno.h>
#include <string.h>

enum why_tier { WHY_ROOTS, WHY_OWN_STACK, WHY_DEAD_STACKS, WHY_OWNED, why_tiers };

#define WHY_ROOT UINT32_MAX /* the predecessor of what a root leads to */

struct why {
  const struct snapshot *snapshot;
  enum roots_purpose purpose;
  size_t units;
  uint32_t *base;  /* by unit, rising */
  uint32_t *before; /* by number; 0: not reached */
  uint32_t *queue;
  size_t head, tail, slots;
  uint32_t target, from; /* from: whose contents are looked at */
  enum why_tier tier;
  /* while the path is told: a word that leads to this object */
  uint32_t wanted;
  uintptr_t at;
  struct why_path *path;
};

/* --- numbers --- */

static uint32_t why_number(const struct why *why, const struct block *block, uint32_t slot) {
  return why->base[block_first_unit(block)] + slot + 1;
}

static void why_slot(const struct why *why, uint32_t number, struct block **block, uint32_t *slot) {
  size_t lo = 0, hi = why->units; /* the last unit whose base is below the number */
  while (hi - lo > 1) {
    size_t middle = (lo + hi) / 2;
    if (why->base[middle] < number) lo = middle;
    else hi = middle;
  }
  *block = atomic_load(&region.blocks[lo]);
  *slot = number - 1 - why->base[lo];
}

static void *why_map(size_t count) { return os_memory_map(bits_align_up(count * sizeof(uint32_t), os_page_size)); }

/* A block's further units count none. */
static int why_count(struct why *why) {
  struct block *block;
  size_t slots = 0, unit = 0, at = 0;
  why->units = atomic_load(&region.used);
  if (!why->units) return 0;
  why->base = why_map(why->units);
  if (!why->base) return ENOMEM;
  while ((block = region_next(&unit)) != NULL) {
    for (; at <= unit; at++) why->base[at] = (uint32_t)slots;
    slots += block->nslots;
    unit += block->units;
    for (; at < unit; at++) why->base[at] = (uint32_t)slots;
    if (slots >= WHY_ROOT - 1) return EOVERFLOW;
  }
  for (; at < why->units; at++) why->base[at] = (uint32_t)slots;
  why->slots = slots;
  why->before = why_map(slots + 1);
  why->queue = why_map(slots + 1);
  return why->before && why->queue ? 0 : ENOMEM;
}

/* --- breadth first --- */

static void why_reach(struct why *why, uint32_t number) {
  if (why->before[number]) return;
  why->before[number] = why->from;
  why->queue[why->tail++] = number;
}

static void why_word(uintptr_t at, uintptr_t word, void *arg) {
  struct why *why = arg;
  struct block *block;
  uint32_t slot;
  (void)at;
  if (graph_find(word, &block, &slot)) why_reach(why, why_number(why, block, slot));
}

static enum why_tier why_tier(const struct why *why, const struct rooted_range *range) {
  if (range->kind == ROOTED_DEAD_STACK) return WHY_DEAD_STACKS;
  bool own = range->thread == why->snapshot->threads;
  return own && (range->kind == ROOTED_STACK || range->kind == ROOTED_REGISTERS) ? WHY_OWN_STACK : WHY_ROOTS;
}

static void why_root(const struct rooted_range *range, void *arg) {
  struct why *why = arg;
  if (why_tier(why, range) == why->tier) rooted_words(range, why_word, why);
}

/* Uncollectable and frozen objects are roots; malloc'ed ones of the last tier. */
static void why_kept(struct why *why) {
  struct block *block;
  for (size_t unit = 0; (block = region_next(&unit)) != NULL; unit += block->units) {
    bool never = sweep_policies[block->kind] == SWEEP_NEVER, malloced = block->kind == KIND_SCANNED;
    for (uint32_t slot = 0; slot < block->nslots; slot++) {
      bool kept = block->state[slot] & STATE_FROZEN || (never && !malloced);
      if (!(why->tier == WHY_OWNED ? never && malloced : kept) || !graph_is_alive(block, slot)) continue;
      why_reach(why, why_number(why, block, slot));
    }
  }
}

static void why_search(struct why *why) {
  while (why->head < why->tail && !why->before[why->target]) {
    struct block *block;
    uint32_t slot;
    why->from = why->queue[why->head++];
    why_slot(why, why->from, &block, &slot);
    graph_contents(block, slot, why_word, why);
  }
}

/* Roots that cannot be read are no reason to tell nothing. */
static int why_search_all(struct why *why) {
  int error = 0;
  for (; why->tier < why_tiers; why->tier++) {
    why->from = WHY_ROOT;
    if (why->tier < WHY_OWNED) error = rooted_each(why->snapshot, why->purpose, why_root, why);
    if (error == ENOMEM) return error;
    why->from = WHY_ROOT;
    if (why->tier == WHY_ROOTS || why->tier == WHY_OWNED) why_kept(why);
    why_search(why);
    if (why->before[why->target]) return 0;
  }
  return 0;
}

/* --- the path --- */

static void why_is_wanted(uintptr_t at, uintptr_t word, void *arg) {
  struct why *why = arg;
  struct block *block;
  uint32_t slot;
  if (why->at || !graph_find(word, &block, &slot)) return;
  if (why_number(why, block, slot) == why->wanted) why->at = at;
}

static void why_is_wanted_root(const struct rooted_range *range, void *arg) {
  struct why *why = arg;
  if (why->at || why_tier(why, range) != why->tier) return;
  rooted_words(range, why_is_wanted, why);
  if (!why->at) return;
  why->path->kind = range->kind;
  why->path->thread = range->thread ? range->thread->tid : 0;
}

static void why_step(struct why *why, uint32_t index, uint32_t number) {
  struct block *block;
  uint32_t slot;
  if (index >= why_path_most) return;
  why_slot(why, number, &block, &slot);
  why->path->step[index] = (struct why_step){why->at, block_slot_address(block, slot), block_requested(block, slot)};
}

/* From its end to its beginning. */
static void why_tell(struct why *why) {
  uint32_t number = why->target, index = 0;
  for (uint32_t n = number; n != WHY_ROOT; n = why->before[n]) why->path->length++;
  why->path->count = why->path->length < why_path_most ? why->path->length : why_path_most;
  for (index = why->path->length; index-- > 0;) {
    uint32_t before = why->before[number];
    why->wanted = number;
    why->at = 0;
    if (before == WHY_ROOT) {
      rooted_each(why->snapshot, why->purpose, why_is_wanted_root, why);
    } else {
      struct block *block;
      uint32_t slot;
      why_slot(why, before, &block, &slot);
      graph_contents(block, slot, why_is_wanted, why);
    }
    why_step(why, index, number);
    number = before;
  }
}

int why_find(const struct snapshot *snapshot, enum roots_purpose purpose, uintptr_t target, struct why_path *path) {
  struct why why = {.snapshot = snapshot, .purpose = purpose, .path = path};
  struct block *block;
  uint32_t slot;
  *path = (struct why_path){.kind = rooted_kinds};
  int error = graph_begin();
  if (!error) error = why_count(&why);
  if (error) return error;
  if (!graph_find(target, &block, &slot)) return EINVAL;
  why.target = why_number(&why, block, slot);
  error = why_search_all(&why);
  if (!error && why.before[why.target]) why_tell(&why);
  return error;
}
