/* SPDX-License-Identifier: MIT
 * Descriptors: made, published in the block map, withdrawn, kept for the next block of the class.
 *
 * Publishing goes from the last unit to the first, withdrawing from the first to the last, so that the entry of a
 * block's first unit alone says whether the block is there. */
#include "config.h"

#include "heap/block.h"

#include "heap/heap.h"
#include "heap/runs.h"
#include "heap/size_class.h"
#include "heap/units.h"
#include "os/memory.h"

#include <string.h>

enum {
  block_large = size_class_count, /* the class of large objects' descriptors */
  block_medium_from = 8 * 1024,   /* slots above this size come in blocks of several units */
  block_medium_units = 4,
};

static struct block *block_spare[size_class_count + 1]; /* free descriptors by class; under the heap lock */

static struct block *block_describe(unsigned class, bool notes) {
  struct block *block = block_spare[class];
  if (block) {
    block_spare[class] = block->next;
    return block;
  }
  block = os_arena_alloc(sizeof *block, 64);
  if (!block) return NULL;
  block->class = (uint8_t)class;
  if (class == block_large) {
    block->nslots = 1;
    block->state = block->large_state;
    block->large_state[1] = STATE_ABSENT;
    return block;
  }
  uint32_t size = size_class_bytes(class);
  block->slot_size = size;
  block->inverse = (uint32_t)((((uint64_t)1 << 32) + size - 1) / size);
  block->units = size > block_medium_from ? block_medium_units : 1;
  block->nslots = block->units * block_unit / size;
  block->size = (size_t)block->nslots * size;
  /* One byte more than slots at least: the index of an address in the tail is nslots. */
  size_t bytes = bits_align_up(block->nslots + 1, block_group);
  block->state = os_arena_alloc(bytes, block_group);
  if (!block->state) return NULL;
  memset(block->state + block->nslots, STATE_ABSENT, bytes - block->nslots);
  if (!notes) return block;
  block->notes = os_arena_alloc(block->nslots * sizeof block->notes[0], 8);
  return block->notes ? block : NULL;
}

static void block_publish(struct block *block, uint32_t at) {
  block->start = region.base + (uintptr_t)at * block_unit;
  for (uint32_t i = block->units; i-- > 0;)
    atomic_store_explicit(&region.blocks[at + i], block, memory_order_release);
  units_note(block, at, block->units);
}

_Atomic size_t heap_bytes[kind_count];
_Atomic ptrdiff_t heap_in_use[kind_count];

/* A large object is in use as long as it is there. */
static void block_count(const struct block *block, size_t units) {
  size_t bytes = units * block_unit;
  atomic_fetch_add_explicit(&heap_bytes[block->kind], bytes, memory_order_relaxed);
  if (block->slot_size) return;
  atomic_fetch_add_explicit(&heap_in_use[block->kind], (ptrdiff_t)bytes, memory_order_relaxed);
  heap_alarm_check();
}

static void block_uncount(const struct block *block, size_t units) {
  size_t bytes = units * block_unit;
  atomic_fetch_sub_explicit(&heap_bytes[block->kind], bytes, memory_order_relaxed);
  if (!block->slot_size) atomic_fetch_sub_explicit(&heap_in_use[block->kind], (ptrdiff_t)bytes, memory_order_relaxed);
}

static _Atomic size_t block_limit;

void heap_set_limit(size_t bytes) { atomic_store(&block_limit, bytes); }
size_t heap_limit(void) { return atomic_load(&block_limit); }

static bool block_may_grow(size_t units) {
  size_t bytes = units * block_unit, limit = heap_limit();
  if (likely(limit == 0)) return true;
  for (unsigned kind = 0; kind < kind_count; kind++) bytes += atomic_load_explicit(&heap_bytes[kind], memory_order_relaxed);
  return bytes <= limit;
}

/* Nothing lies there any more, of whatever age. */
static void block_forget_ages(const struct block *block, uint32_t from) {
  size_t at = (block->start - region.base) >> block_unit_shift;
  for (uint32_t i = from; i < block->units; i++) atomic_store_explicit(&region.ages[at + i], 0, memory_order_relaxed);
}

/* Words of the slots, for a kind that has them. False: no memory. */
static bool block_add_types(struct block *block, enum kind kind) {
  size_t bytes = block->nslots * sizeof block->types[0];
  block->types = NULL;
  if (likely(kind != KIND_TYPED)) return true;
  if (!block->slot_size) block->types_kept = &block->large_type;
  if (!block->types_kept) block->types_kept = os_arena_alloc(bytes, sizeof block->types[0]);
  else memset((void *)block->types_kept, 0, bytes);
  block->types = block->types_kept;
  return block->types != NULL;
}

/* Unused. */
static struct block *block_discard(struct block *block) {
  block->next = block_spare[block->class];
  block_spare[block->class] = block;
  return NULL;
}

struct block *block_make(unsigned class, enum kind kind, struct cache *owner, bool notes, bool *zero) {
  struct block *block = block_describe(class, notes);
  if (!block) return NULL;
  if (!block_add_types(block, kind)) return block_discard(block);
  uint32_t at = block_may_grow(block->units) ? runs_alloc(block->units, zero) : runs_none;
  if (at == runs_none) return block_discard(block);
  block->kind = (uint8_t)kind;
  block->used = block->accounted = block->wake = block->touched = block->group = 0;
  block->groups = block->young = 0;
  block->full = false;
  atomic_store(&block->remote_freed, 0);
  atomic_store(&block->swept, 0);
  atomic_store(&block->counts, NULL);
  atomic_store(&block->owner, owner);
  atomic_store(&block->quick, block->types ? NULL : owner);
  block_publish(block, at);
  block_count(block, block->units);
  return block;
}

struct block *block_make_large(size_t size, size_t align, size_t room, enum kind kind, bool *zero) {
  struct block *block = block_describe(block_large, false);
  if (!block) return NULL;
  block->units = (uint32_t)(bits_align_up(size, block_unit) / block_unit);
  uint32_t align_units = align > block_unit ? (uint32_t)(align / block_unit) : 1;
  /* The region's base is aligned to a unit only: find the first aligned unit by overshooting. Free space left behind the
   * block is room to grow. */
  uint32_t extra = align_units - 1 + (uint32_t)(room / block_unit);
  bool may = block_may_grow(block->units);
  uint32_t at = may ? runs_alloc(block->units + extra, zero) : runs_none;
  if (may && at == runs_none && extra != align_units - 1)
    at = runs_alloc(block->units + (extra = align_units - 1), zero);
  if (at == runs_none || !block_add_types(block, kind)) return block_discard(block);
  uintptr_t address = region.base + (uintptr_t)at * block_unit;
  uint32_t skip = (uint32_t)((bits_align_up(address, align < block_unit ? block_unit : align) - address) / block_unit);
  if (skip) runs_free(at, skip, *zero);
  if (extra > skip) runs_free(at + skip + block->units, extra - skip, *zero);
  block->size = bits_align_up(size, os_page_size);
  block->kind = (uint8_t)kind;
  block->used = 1;
  atomic_store(&block->counts, NULL);
  block->state[0] = STATE_LIVE;
  block->young = 1;
  block_publish(block, at + skip);
  block_note_age(block, REGION_AGE_0);
  block_count(block, block->units);
  return block;
}

/* Whoever gets these units next must be able to write there. */
static void block_restore(struct block *block, uint32_t from) {
  if (likely(!atomic_load_explicit(&block->reprotected, memory_order_relaxed))) return;
  uintptr_t start = block->start + (uintptr_t)from * block_unit;
  os_memory_commit((void *)start, (size_t)(block->units - from) * block_unit);
  if (from == 0) atomic_store(&block->reprotected, false);
}

void block_unmake(struct block *block) {
  uint32_t at = block_first_unit(block);
  CHECK(atomic_load(&region.blocks[at]) == block);
  atomic_store(&block->owner, NULL);
  atomic_store(&block->quick, NULL);
  if (unlikely(units_defer(block))) return;
  block_restore(block, 0);
  block_uncount(block, block->units);
  block_forget_ages(block, 0);
  for (uint32_t i = 0; i < block->units; i++)
    atomic_store_explicit(&region.blocks[at + i], NULL, memory_order_release);
  units_note(NULL, at, block->units);
  runs_free(at, block->units, false);
  block->next = block_spare[block->class];
  block_spare[block->class] = block;
}

void block_note_protection(uintptr_t address, size_t size) {
  uintptr_t end = address + size;
  if (end < address || end <= region.base || address >= region.base + region.span) return;
  if (address < region.base) address = region.base;
  for (uintptr_t at = address & ~(uintptr_t)(block_unit - 1); at < end; at += block_unit) {
    struct block *block = region_find(at);
    if (block) atomic_store(&block->reprotected, true);
  }
}

bool block_resize_large(struct block *block, size_t size, bool *zero) {
  uint32_t at = block_first_unit(block);
  uint32_t units = (uint32_t)(bits_align_up(size, block_unit) / block_unit), old = block->units;
  *zero = false;
  uint32_t held = (uint32_t)(bits_align_up(block->size, block_unit) / block_unit); /* fewer than old, if shrunk while pinned */
  uint32_t from = (units < held ? units : held) - 1; /* what is told of these units changes */
  if (units < old && units_are_pinned()) units = old;
  if (units > block->units) {
    if (!block_may_grow(units - block->units)) return false;
    if (!runs_alloc_at(at + block->units, units - block->units, zero)) return false;
    for (uint32_t i = units; i-- > block->units;) atomic_store(&region.blocks[at + i], block);
    uint8_t ages = atomic_load(&region.ages[at]);
    for (uint32_t i = block->units; i < units; i++) atomic_store(&region.ages[at + i], ages);
    block_count(block, units - block->units);
  } else if (units < block->units) {
    block_restore(block, units);
    block_uncount(block, block->units - units);
    block_forget_ages(block, units);
    for (uint32_t i = units; i < block->units; i++) atomic_store(&region.blocks[at + i], NULL);
    units_note(NULL, at + units, old - units);
    runs_free(at + units, block->units - units, false);
  }
  block->units = units;
  block->size = bits_align_up(size, os_page_size);
  units_note(block, at + from, units - from);
  return true;
}

struct block *region_next(size_t *unit) {
  size_t used = atomic_load(&region.used);
  for (size_t u = *unit; u < used; u++) {
    struct block *block = atomic_load_explicit(&region.blocks[u], memory_order_acquire);
    if (!block) continue;
    *unit = u;
    return block;
  }
  *unit = used;
  return NULL;
}

/* It was to be unmade, by a thread that waited for the lock, or at the end of a search. */
static bool block_is_going(const struct block *block) {
  return block->slot_size ? !atomic_load(&block->owner) : block->state[0] == STATE_FREE;
}

/* After a fork in which another thread may have been here: blocks whose first unit is not theirs were half made or
 * half withdrawn. The spare descriptors are lost. */
void block_repair(void) {
  size_t used = atomic_load(&region.used);
  for (size_t u = 0; u < used; u++) {
    struct block *block = atomic_load(&region.blocks[u]);
    if (!block) continue;
    size_t first = block_first_unit(block);
    bool whole = first <= u && u < first + block->units && atomic_load(&region.blocks[first]) == block;
    if (!whole || block_is_going(block)) atomic_store(&region.blocks[u], NULL);
  }
  units_lose();
  for (unsigned i = 0; i <= size_class_count; i++) block_spare[i] = NULL;
}

bool block_check(const struct block *block) {
  if (!block->slot_size) return block->nslots == 1 && block->inverse == 0 && block->state == block->large_state;
  uint32_t groups = (block->nslots + block_group - 1) / block_group;
  return block->slot_size == size_class_bytes(block->class) && block->touched <= groups &&
         (groups == 64 || block->groups >> groups == 0) && (block->state[block->nslots] & STATE_ABSENT);
}
