/* SPDX-License-Identifier: MIT
 * What the tests of the collector share: a heap without malloc's names, and pointers kept where no scan sees
 * them. */
#ifndef GC_HELP_H
#define GC_HELP_H

#include "heap/cache.h"
#include "heap/heap.h"
#include "heap/large.h"
#include "os/memory.h"
#include "os/threads.h"
#include "gc/world.h"

#include <stdlib.h>
#include <string.h>

static struct cache *help_cache;

/* The state byte of the slot that begins at p. */
static inline uint8_t *help_state(uintptr_t p) {
  struct block *block = region_find(p);
  return &block->state[block_slot(block, p)];
}

/* Zeroed; told back as the complement of its address, so that neither a register nor a variable points to
 * it. */
static __attribute__((noinline, unused)) uintptr_t help_alloc(size_t size, enum kind kind) {
  void *p = NULL;
  bool zero;
  if (size <= size_class_most) {
    struct bin *bin = &help_cache->bins[kind][size_class_of(size)];
    while (!(p = cache_take(bin)))
      if (!cache_refill(help_cache, bin)) abort();
    memset(p, 0, block_slot_bytes(region_find((uintptr_t)p)));
    struct block *block = region_find((uintptr_t)p);
    block->notes[block_slot(block, (uintptr_t)p)].size = (uint32_t)size;
  } else {
    p = large_alloc(size, 1, kind, &zero);
    if (!p) abort();
    if (!zero) memset(p, 0, region_find((uintptr_t)p)->size); /* to the end of what is looked at */
    region_find((uintptr_t)p)->requested = size;
  }
  return ~(uintptr_t)p;
}

static __attribute__((noinline, unused)) void help_free(uintptr_t hidden) {
  struct block *block = region_find(~hidden);
  if (block->slot_size)
    cache_free_own(help_cache, block, block_slot(block, ~hidden));
  else
    large_free(block);
}

/* Stores a pointer to `to` into word i of `from`, both hidden. */
static __attribute__((noinline, unused)) void help_link(uintptr_t from, size_t i, uintptr_t to) {
  ((uintptr_t *)~from)[i] = ~to;
}

static inline void help_init(void) {
  os_memory_init();
  if (heap_init(true) != 0 || world_init() != 0) abort();
  heap_lock();
  heap_unlock();
  help_cache = cache_acquire();
  help_free(help_alloc(30000, KIND_SCANNED)); /* the first block begins where region.base, a variable, points to */
}

#endif
