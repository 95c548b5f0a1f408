/* SPDX-License-Identifier: MIT
 * Refilling free words, and what happens to blocks as their slots come back.
 *
 * The life of a block here:
 *
 *     made -> current -> full -> ready -> current ...
 *                          \       \-> unmade, when its last slot is freed
 *                           '-- stays in no list; the owner's frees wake it when an eighth of its slots is free, those of
 *                               other threads by putting it on the owner's queue
 *
 * A group is handed out again in turn, and fresh groups only when less than an eighth of the touched slots is free: a
 * small live set stays in few pages. */
#include "config.h"

#include "heap/cache.h"

#include "heap/heap.h"
#include "heap/runs.h"
#include "os/memory.h"

#include <emmintrin.h>
#include <string.h>

enum { cache_share = 8 }; /* a block is worth refilling from when 1/8 of its slots is free */

struct cache cache_none;
THREAD_LOCAL struct cache *cache_fast = &cache_none;
THREAD_LOCAL struct cache *cache_own = &cache_none;

static struct cache *_Atomic cache_all;
static struct cache *cache_idle;  /* under the heap lock */
static unsigned cache_idle_count;
static unsigned cache_orphans;    /* blocks still to be made before orphaned caches are repaired; 0: none are orphaned */

/* Which slots of a group are free. Four loads, four compares; it reads one cache line and writes nothing. */
static uint64_t cache_free_slots(const uint8_t *state) {
  uint64_t mask = 0;
  const __m128i zero = _mm_setzero_si128();
  for (int i = 0; i < 4; i++) {
    __m128i bytes = _mm_load_si128((const __m128i *)(state + 16 * i));
    mask |= (uint64_t)(uint16_t)_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, zero)) << (16 * i);
  }
  return mask;
}

static uint32_t cache_groups(const struct block *block) { return (block->nslots + block_group - 1) / block_group; }

static uint64_t cache_groups_mask(uint32_t groups) { return groups >= 64 ? ~(uint64_t)0 : ((uint64_t)1 << groups) - 1; }

/* Slots handed out at least once. */
static uint32_t cache_touched_slots(const struct block *block) {
  uint32_t slots = block->touched * block_group;
  return slots < block->nslots ? slots : block->nslots;
}

static uint32_t cache_worth(uint32_t slots) { return slots >= 2 * cache_share ? slots / cache_share : 1; }

bool cache_is_worth(const struct block *block, uint32_t slots) { return slots >= cache_worth(block->nslots); }

/* Takes over the count of what others freed. */
static void cache_collect(struct block *block) {
  if (atomic_load_explicit(&block->remote_freed, memory_order_relaxed) == 0) return;
  block->used -= atomic_exchange_explicit(&block->remote_freed, 0, memory_order_acquire);
  block->accounted -= atomic_exchange_explicit(&block->swept, 0, memory_order_relaxed);
  block->groups = cache_groups_mask(block->touched);
}

/* New objects may lie in the group from now on. In this order, since a collection may stop this thread anywhere: it keeps
 * what is noted of the current group, and looks into a unit only when its ages say so. */
static void cache_note_young(struct block *block, uint32_t group) {
  atomic_signal_fence(memory_order_seq_cst);
  block->young |= (uint64_t)1 << group;
  atomic_signal_fence(memory_order_seq_cst);
  block_note_age(block, REGION_AGE_0);
  atomic_signal_fence(memory_order_seq_cst);
}

static void cache_publish(struct cache *cache, unsigned kind) {
  atomic_fetch_add_explicit(&heap_in_use[kind], cache->in_use[kind], memory_order_relaxed);
  cache->in_use[kind] = 0;
  heap_alarm_check();
}

/* What is in use of the block has changed. */
static void cache_account(struct cache *cache, struct block *block) {
  enum { share_from = 64 * 1024 };
  ptrdiff_t slots = (ptrdiff_t)block->used - (ptrdiff_t)block->accounted;
  ptrdiff_t *in_use = &cache->in_use[block->kind];
  block->accounted = block->used;
  *in_use += slots * (ptrdiff_t)block->slot_size;
  if (*in_use >= share_from || *in_use <= -share_from) cache_publish(cache, block->kind);
}

/* The slots of its free word. */
static size_t cache_word_bytes(const struct bin *bin) {
  return (size_t)bits_count(*(const volatile uint64_t *)&bin->free) * bin->size;
}

/* Less what is still in its words. */
static size_t cache_handed_out_of(const struct cache *cache) {
  size_t bytes = *(const volatile size_t *)&cache->handed_out;
  for (unsigned kind = KIND_SCANNED + 1; kind < kind_count; kind++)
    for (unsigned class = 0; class < size_class_count; class++) bytes -= cache_word_bytes(&cache->bins[kind][class]);
  return bytes;
}

size_t cache_handed_out_mine(const struct cache *cache) { return cache_handed_out_of(cache) - cache->handed_before; }

size_t cache_handed_out(void) {
  static _Atomic size_t most; /* another thread's figures are read while they change: the sum may seem to shrink */
  size_t bytes = 0;
  for (struct cache *cache = atomic_load(&cache_all); cache; cache = cache->next) bytes += cache_handed_out_of(cache);
  size_t old = atomic_load(&most);
  while ((ptrdiff_t)(bytes - old) > 0 && !atomic_compare_exchange_weak(&most, &old, bytes)) continue;
  return (ptrdiff_t)(bytes - old) > 0 ? bytes : old;
}

static bool cache_hand_out(struct bin *bin, struct block *block, uint32_t group) {
  uint8_t *state = block->state + (size_t)group * block_group;
  block->groups &= ~((uint64_t)1 << group);
  if (!cache_free_slots(state)) return false;
  block->group = group;
  cache_note_young(block, group);
  uint64_t free = cache_free_slots(state);
  block->used += bits_count(free);
  cache_account(atomic_load_explicit(&block->owner, memory_order_relaxed), block);
  bin->state = state;
  bin->base = block_slot_address(block, group * block_group);
  bin->free = free;
  if (block->kind != KIND_SCANNED) atomic_load_explicit(&block->owner, memory_order_relaxed)->handed_out += cache_word_bytes(bin);
  return true;
}

/* The next group of the block with free slots becomes the bin's word. */
static bool cache_next_group(struct bin *bin, struct block *block) {
  cache_collect(block);
  uint32_t touched = cache_touched_slots(block);
  int32_t available = (int32_t)(touched - block->used);
  if (available >= (int32_t)cache_worth(touched)) {
    while (block->groups) {
      uint64_t after = block->group >= 63 ? 0 : block->groups >> (block->group + 1) << (block->group + 1);
      if (cache_hand_out(bin, block, bits_lowest(after ? after : block->groups))) return true;
    }
  }
  return block->touched < cache_groups(block) && cache_hand_out(bin, block, block->touched++);
}

static struct bin *cache_bin(struct cache *cache, const struct block *block) {
  return &cache->bins[block->kind][block->class];
}

void cache_forget_young(struct block *block) {
  struct cache *owner = atomic_load(&block->owner);
  uint64_t keep = 0;
  if (owner && cache_bin(owner, block)->block == block) keep = (uint64_t)1 << block->group;
  block->young &= keep;
}

static void cache_ready_link(struct bin *bin, struct block *block) {
  block->sparse = block->kind != KIND_SCANNED && block->used > block->nslots / 2;
  struct block **list = block->sparse ? &bin->sparse : &bin->ready;
  block->full = false;
  block->wake = 0;
  block->prev = NULL;
  block->next = *list;
  if (block->next) block->next->prev = block;
  *list = block;
}

static void cache_ready_unlink(struct bin *bin, struct block *block) {
  if (block->prev) block->prev->next = block->next;
  else *(block->sparse ? &bin->sparse : &bin->ready) = block->next;
  if (block->next) block->next->prev = block->prev;
}

/* Leaves the current block, which has too few free slots. */
static void cache_leave(struct bin *bin, struct block *block) {
  uint32_t worth = cache_worth(block->nslots);
  block->full = true;
  block->wake = block->used > worth ? block->used - worth : 0;
  bin->block = NULL;
}

static uint32_t cache_count_live(const struct block *block) {
  uint32_t live = block->nslots;
  for (uint32_t group = 0; group < cache_groups(block); group++)
    live -= bits_count(cache_free_slots(block->state + (size_t)group * block_group));
  return live;
}

/* An owned block that is not the current one has slots back: find it its place. locked: the heap lock is held. */
static void cache_settle(struct cache *cache, struct block *block, bool locked) {
  struct bin *bin = cache_bin(cache, block);
  if (bin->block == block) return;
  cache_account(cache, block);
  if (block->full && block->used <= block->wake) cache_ready_link(bin, block);
  if (!block->full && block->sparse && block->used <= block->nslots / 2) {
    cache_ready_unlink(bin, block);
    cache_ready_link(bin, block);
  }
  if (block->used != 0 || block->full || atomic_load(&block->queued)) return;
  /* The state bytes have the last word: a block with a live slot is never given up, whatever was counted. */
  uint32_t live = cache_count_live(block);
  if (live) {
    block->used = live;
    return;
  }
  cache_ready_unlink(bin, block);
  if (!locked) heap_lock();
  block_unmake(block);
  if (!locked) heap_unlock();
}

void cache_free_wake(struct cache *cache, struct block *block) {
  bool emptied = block->used == 0;
  cache_settle(cache, block, false);
  if (emptied) heap_purge(false);
}

static void cache_queue_push(struct cache *cache, struct block *block) {
  struct block *head = atomic_load(&cache->queue);
  do block->queue_next = head;
  while (!atomic_compare_exchange_weak(&cache->queue, &head, block));
}

static void cache_freed(struct block *block, uint32_t slots);

/* The state byte first: whoever sees the count sees the byte. */
void cache_free_remote(struct block *block, uint32_t slot) {
  atomic_store_explicit((_Atomic uint8_t *)&block->state[slot], STATE_FREE, memory_order_release);
  cache_freed(block, 1);
}

void cache_swept(struct block *block, uint32_t slots) {
  ptrdiff_t bytes = (ptrdiff_t)slots * (ptrdiff_t)block->slot_size;
  atomic_fetch_sub_explicit(&heap_in_use[block->kind], bytes, memory_order_relaxed);
  atomic_fetch_add_explicit(&block->swept, slots, memory_order_relaxed);
  cache_freed(block, slots);
}

static void cache_freed(struct block *block, uint32_t slots) {
  uint32_t freed = atomic_fetch_add_explicit(&block->remote_freed, slots, memory_order_release) + slots;
  if (freed < cache_worth(block->nslots)) return;
  uint32_t expected = 0;
  if (atomic_load_explicit(&block->queued, memory_order_relaxed)) return;
  if (!atomic_compare_exchange_strong(&block->queued, &expected, 1)) return;
  /* The block may have been unmade meanwhile, or change hands: the cache that finds it passes it on. */
  struct cache *owner = atomic_load(&block->owner);
  if (owner) cache_queue_push(owner, block);
  else atomic_store(&block->queued, 0);
}

/* Looks at the blocks in which others freed slots. */
static void cache_drain(struct cache *cache, bool locked) {
  if (!atomic_load_explicit(&cache->queue, memory_order_relaxed)) return;
  struct block *next, *block = atomic_exchange(&cache->queue, NULL);
  for (; block; block = next) {
    next = block->queue_next;
    struct cache *owner = atomic_load(&block->owner);
    if (owner && owner != cache) {
      cache_queue_push(owner, block);
      continue;
    }
    atomic_store(&block->queued, 0);
    if (!owner) continue;
    cache_collect(block);
    cache_settle(cache, block, locked);
  }
}

void cache_tidy(struct cache *mine) {
  if (mine) cache_drain(mine, false);
  heap_lock();
  for (struct cache *idle = cache_orphans ? NULL : cache_idle; idle; idle = idle->next_idle) cache_drain(idle, true);
  heap_unlock();
}

static struct block *cache_ready_take(struct bin *bin) {
  struct block *block = bin->ready;
  if (block) cache_ready_unlink(bin, block);
  return block;
}

static struct block *cache_sparse_take(struct bin *bin) {
  struct block *block = bin->sparse;
  if (block) cache_ready_unlink(bin, block);
  return block;
}

/* Puts the bin's word back into its block. The block is then nobody's current one. */
static struct block *cache_bin_empty(struct cache *cache, struct bin *bin) {
  struct block *block = bin->block;
  if (!block) return NULL;
  if (block->kind != KIND_SCANNED) cache->handed_out -= cache_word_bytes(bin);
  block->used -= bits_count(bin->free);
  block->groups |= (uint64_t)1 << block->group;
  bin->free = 0;
  bin->block = NULL;
  return block;
}

/* A block of an idle cache. Under the heap lock, which is what protects idle caches. */
static struct block *cache_steal(struct cache *thief, const struct bin *wanted) {
  for (struct cache *idle = cache_idle; idle; idle = idle->next_idle) {
    cache_drain(idle, true);
    struct bin *bin = &idle->bins[wanted->kind][wanted->class];
    struct block *block = cache_ready_take(bin);
    if (!block) block = cache_bin_empty(idle, bin);
    if (!block) block = cache_sparse_take(bin);
    if (!block) continue;
    idle->stolen_from++;
    atomic_store(&block->owner, thief);
    atomic_store(&block->quick, block_has_beside(block) ? NULL : thief);
    return block;
  }
  return NULL;
}

static void cache_repair_orphans(void);

static size_t cache_to_populate(const struct block *block) {
  return runs_to_fill(block_first_unit(block), block->units) * (size_t)block_unit;
}

static struct block *cache_new_block(struct cache *cache, struct bin *bin) {
  bool zero = false;
  size_t fill = 0;
  heap_lock();
  if (cache_orphans && --cache_orphans == 0) cache_repair_orphans();
  struct block *block = cache_idle && !cache_orphans ? cache_steal(cache, bin) : NULL;
  if (!block) block = block_make(bin->class, (enum kind)bin->kind, cache, heap_has_notes(), &zero);
  /* A class that needs a second block will fill it: one call instead of sixteen page faults. */
  if (block && zero && bin->blocks_made++ > 0) fill = cache_to_populate(block);
  heap_unlock();
  if (fill) os_memory_populate((void *)block->start, fill);
  return block;
}

static void cache_bin_init(struct cache *cache, struct bin *bin) {
  size_t place = (size_t)(bin - &cache->bins[0][0]);
  bin->class = (uint16_t)(place % size_class_count);
  bin->kind = (uint16_t)(place / size_class_count);
  bin->size = size_class_bytes(bin->class);
}

bool cache_refill(struct cache *cache, struct bin *bin) {
  CHECK(bin->free == 0);
  if (unlikely(!bin->size)) cache_bin_init(cache, bin);
  for (;;) {
    if (bin->block) {
      if (cache_next_group(bin, bin->block)) return true;
      cache_leave(bin, bin->block);
    }
    struct block *block = cache_ready_take(bin);
    if (!block) {
      cache_drain(cache, false);
      block = cache_ready_take(bin);
      if (!block) block = cache_sparse_take(bin);
    }
    if (!block) block = cache_new_block(cache, bin);
    if (!block) return false;
    block->full = false;
    block->wake = 0;
    bin->block = block;
  }
}

struct cache *cache_acquire(void) {
  heap_lock();
  struct cache *cache = cache_orphans ? NULL : cache_idle;
  if (cache) {
    cache_idle = cache->next_idle;
    cache->idle = false;
    cache->handed_before = cache_handed_out_of(cache);
    cache_idle_count--;
  }
  heap_unlock();
  if (cache) return cache;
  cache = os_arena_alloc(sizeof *cache, 64);
  if (!cache) return NULL;
  cache->next = atomic_load(&cache_all);
  while (!atomic_compare_exchange_weak(&cache_all, &cache->next, cache)) continue;
  return cache;
}

void cache_retire(struct cache *cache) {
  cache_drain(cache, false);
  heap_lock();
  for (unsigned kind = 0; kind < kind_count; kind++)
    for (unsigned class = 0; class < size_class_count; class++) {
      struct bin *bin = &cache->bins[kind][class];
      struct block *block = cache_bin_empty(cache, bin);
      if (!block) continue;
      cache_collect(block);
      cache_ready_link(bin, block);
      cache_settle(cache, block, true);
    }
  for (unsigned kind = 0; kind < kind_count; kind++) cache_publish(cache, kind);
  cache->idle = true;
  cache->next_idle = cache_idle;
  cache_idle = cache;
  cache_idle_count++;
  heap_unlock();
}

/* The threads that owned the other caches are gone, wherever they were: their lists may be half changed. What they own is
 * left alone until this process has proved that it goes on to allocate; most children exec soon. */
void cache_fork_child(struct cache *mine) {
  enum { blocks_before_repair = 16 };
  cache_idle = NULL;
  cache_idle_count = 0;
  cache_orphans = 0;
  /* A block that was taken from this cache while it was idle may still be on its queue. It goes to its owner's, or it would
   * be in two queues when the repair says that it is in none. */
  if (mine) cache_drain(mine, false);
  for (struct cache *cache = atomic_load(&cache_all); cache; cache = cache->next) {
    if (cache == mine) continue;
    cache->idle = true;
    cache_orphans = blocks_before_repair;
  }
}

/* Rebuilds the orphaned caches from the blocks that they own, whose state bytes are true. */
static void cache_repair_orphans(void) {
  cache_idle = NULL;
  cache_idle_count = 0;
  for (struct cache *cache = atomic_load(&cache_all); cache; cache = cache->next) {
    if (!cache->idle) continue;
    memset(cache->bins, 0, sizeof cache->bins);
    atomic_store(&cache->queue, NULL);
    cache->next_idle = cache_idle;
    cache_idle = cache;
    cache_idle_count++;
  }
  size_t unit = 0;
  for (struct block *block; (block = region_next(&unit)) != NULL; unit += block->units) {
    struct cache *owner = atomic_load(&block->owner);
    if (!owner || !owner->idle) continue;
    atomic_store(&block->remote_freed, 0);
    atomic_store(&block->swept, 0);
    block->used = block->accounted = cache_count_live(block);
    block->touched = cache_groups(block);
    block->groups = cache_groups_mask(block->touched);
    atomic_store(&block->queued, 0);
    cache_ready_link(&owner->bins[block->kind][block->class], block);
  }
}

static void cache_recount_block(struct cache *mine, struct block *block) {
  const struct bin *bin = cache_bin(mine, block);
  atomic_store(&block->queued, 0);
  cache_collect(block);
  block->used = cache_count_live(block) + (bin->block == block ? bits_count(bin->free) : 0);
  block->groups = cache_groups_mask(block->touched);
  if (bin->block == block) cache_account(mine, block);
  else cache_settle(mine, block, false);
}

void cache_recount(struct cache *mine) {
  struct block *block;
  atomic_store(&mine->queue, NULL); /* each block is looked at anyway */
  for (size_t unit = 0; (block = region_next(&unit)) != NULL;) {
    size_t units = block->units;
    if (atomic_load(&block->owner) == mine) cache_recount_block(mine, block);
    unit += units;
  }
}

bool cache_check(struct cache *cache) {
  for (unsigned kind = 0; kind < kind_count; kind++)
    for (unsigned class = 0; class < size_class_count; class++) {
      const struct bin *bin = &cache->bins[kind][class];
      if (bin->free && !bin->block) return false;
      for (uint64_t free = bin->free; free; free &= free - 1)
        if (bin->state[bits_lowest(free)] != STATE_FREE) return false;
      if (bin->block && (!block_check(bin->block) || atomic_load(&bin->block->owner) != cache)) return false;
      for (struct block *block = bin->ready; block; block = block->next)
        if (!block_check(block) || block == bin->block || block->full || block->sparse) return false;
      for (struct block *block = bin->sparse; block; block = block->next)
        if (!block_check(block) || block == bin->block || block->full || !block->sparse) return false;
    }
  return true;
}
