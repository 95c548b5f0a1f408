/* SPDX-License-Identifier: MIT
 * Unit tests of size classes, runs, blocks, caches and large objects, below malloc. */
#include "config.h"

#include "../tap.h"
#include "base/bits.h"
#include "heap/cache.h"
#include "heap/heap.h"
#include "heap/large.h"
#include "heap/runs.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static void test_size_classes(void) {
  bool fits = true, tight = true, rising = true, aligned = true, exact = true;
  for (size_t size = 0; size <= size_class_most; size++) {
    unsigned class = size_class_of(size);
    fits = fits && class < size_class_count && size_class_bytes(class) >= size;
    tight = tight && (class == 0 || size_class_bytes(class - 1) < size);
  }
  for (unsigned class = 1; class < size_class_count; class++)
    rising = rising && size_class_bytes(class) > size_class_bytes(class - 1);
  for (size_t align = 1; align <= size_class_most; align *= 2)
    for (size_t size = 1; size <= size_class_most; size = size * 2 + 1) {
      unsigned class = size_class_aligned(size, align);
      aligned = aligned && class < size_class_count && size_class_bytes(class) % align == 0 && size_class_bytes(class) >= size;
    }
  OK(fits, "every size up to 32 KiB fits the slot of its class");
  OK(tight, "the class of a size is the smallest that holds it");
  OK(rising, "classes rise");
  OK(aligned, "every alignment up to 32 KiB has a class for every size");
  OK(size_class_bytes(size_class_count - 1) == size_class_most, "the last class is 32 KiB");
  for (unsigned class = 0; class < size_class_count; class++) {
    bool zero;
    heap_lock();
    struct block *block = block_make(class, KIND_SCANNED, NULL, false, &zero);
    heap_unlock();
    for (size_t offset = 0; offset < (size_t)block->units * block_unit; offset++)
      exact = exact && block_slot(block, block->start + offset) == offset / block->slot_size;
    exact = exact && block_check(block) && block->nslots * (size_t)block->slot_size == block->size;
    heap_lock();
    block_unmake(block);
    heap_unlock();
  }
  OK(exact, "multiply and shift divide exactly, for every offset in a block of every class");
}

static void test_runs(uint64_t *seed) {
  enum { count = 200 };
  static struct {
    uint32_t at, units;
  } have[count];
  static uint8_t owned[1 << 16];
  bool good = true, overlap = false;
  heap_lock();
  for (int i = 0; i < 20000; i++) {
    int k = (int)(tap_random(seed) % count);
    if (have[k].units) {
      memset(owned + have[k].at, 0, have[k].units);
      runs_free(have[k].at, have[k].units, tap_random(seed) & 1);
      have[k].units = 0;
    } else {
      bool zero;
      uint32_t units = 1 + (uint32_t)(tap_random(seed) % (tap_random(seed) % 8 ? 8 : 200));
      uint32_t at = runs_alloc(units, &zero);
      if (at == runs_none || at + units > sizeof owned) continue;
      for (uint32_t u = at; u < at + units; u++) {
        overlap = overlap || owned[u];
        owned[u] = 1;
      }
      have[k].at = at;
      have[k].units = units;
      *(char *)(region.base + (size_t)at * block_unit) = 1; /* committed, or this faults */
    }
    if (i % 1000 == 0) good = good && runs_verify();
  }
  for (int k = 0; k < count; k++)
    if (have[k].units) runs_free(have[k].at, have[k].units, false);
  good = good && runs_verify();
  size_t dirty = runs_dirty_bytes();
  runs_rebuild();
  OK(runs_verify(), "runs can be rebuilt from the block map alone");
  heap_unlock();
  OK(good, "free runs agree with the block map while units come and go");
  OK(!overlap, "no unit is handed out twice");
  OK(dirty <= runs_used_bytes(), "there is no more dirty memory than was used");
  OK(heap_purge(true) > 0 && runs_dirty_bytes() == 0, "purging gives all free pages back");
}

/* Beside a long run without pages one is freed that has some. */
static void test_runs_zero(void) {
  enum { units = 600, clean = 560, few = 2 };
  bool zero, again, next;
  heap_lock();
  uint32_t at = runs_alloc(units, &zero);
  runs_free(at + 1, clean, true);
  runs_free(at + 1 + clean, 1, false);
  bool good = runs_verify() && runs_alloc_at(at + 1, few, &again) && again;
  OK(good, "what is free and zero stays so, whatever is freed beside it");
  uint32_t fill = runs_to_fill(at + 1, few);
  OK(fill >= few && fill <= few + ((2u << 20) >> block_unit_shift), "the kernel is asked for the pages of what is taken from it, and of what comes next");
  good = runs_alloc_at(at + 1 + few, 1, &next) && next && (fill == few || runs_to_fill(at + 1 + few, 1) == 0);
  OK(good, "but once");
  runs_free(at + 1, few + 1, false);
  runs_free(at, 1, false);
  runs_free(at + 2 + clean, units - clean - 2, false);
  OK(runs_verify(), "then all of it is free");
  heap_unlock();
  heap_purge(true);
}

static void *cache_malloc(struct cache *cache, size_t size) {
  struct bin *bin = &cache->bins[KIND_SCANNED][size_class_of(size)];
  void *p = cache_take(bin);
  return p || !cache_refill(cache, bin) ? p : cache_take(bin);
}

static void cache_release(struct cache *cache, void *p) {
  struct block *block = region_find((uintptr_t)p);
  uint32_t slot = block_slot(block, (uintptr_t)p);
  if (atomic_load(&block->owner) == cache) cache_free_own(cache, block, slot);
  else cache_free_remote(block, slot);
}

static void test_cache(uint64_t *seed) {
  enum { count = 20000 };
  static unsigned char *object[count];
  static unsigned char fill[count];
  static size_t size[count];
  struct cache *mine = cache_acquire(), *other = cache_acquire();
  bool intact = true, live = true;
  OK(mine && other && mine != other, "two threads have two caches");
  for (int i = 0; i < 400000; i++) {
    int k = (int)(tap_random(seed) % count);
    if (object[k]) {
      for (size_t b = 0; b < size[k]; b++) intact = intact && object[k][b] == fill[k];
      cache_release(tap_random(seed) % 4 ? mine : other, object[k]);
      object[k] = NULL;
      continue;
    }
    size[k] = tap_random(seed) % (tap_random(seed) % 16 ? 128 : 4096);
    object[k] = cache_malloc(tap_random(seed) % 4 ? mine : other, size[k]);
    fill[k] = (unsigned char)i;
    memset(object[k], fill[k], size[k]);
    struct block *block = region_find((uintptr_t)object[k]);
    live = live && block->state[block_slot(block, (uintptr_t)object[k])] == STATE_LIVE;
  }
  OK(intact, "objects keep their contents while others come and go, freed by owners and others");
  OK(live, "a slot that was handed out is LIVE");
  OK(heap_verify(mine) && heap_verify(other), "the heap verifies");
  size_t used = runs_used_bytes();
  cache_retire(other);
  for (int k = 0; k < count; k++)
    if (object[k]) cache_release(mine, object[k]), object[k] = NULL;
  for (int k = 0; k < count; k++) object[k] = cache_malloc(mine, 100);
  OK(runs_used_bytes() <= used, "what a finished thread left behind is used again");
  OK(heap_verify(mine), "the heap verifies after blocks changed hands");
  struct cache *third = cache_acquire();
  OK(third == other, "a new thread takes an idle cache over");
  for (int k = 0; k < count; k++) cache_release(mine, object[k]);
}

static void test_large(void) {
  bool zero;
  heap_purge(true); /* what earlier tests left is not zero, and must not be said to be */
  char *p = large_alloc(1 << 20, 1, KIND_SCANNED, &zero);
  struct block *block = region_find((uintptr_t)p);
  OK(p && zero && p[12345] == 0, "a fresh large object is zero");
  memset(p, 7, 1 << 20);
  OK(region_find((uintptr_t)p + (1 << 20) - 1) == block && block_slot(block, (uintptr_t)p + 70000) == 0,
     "an interior pointer finds a large object");
  OK(!block_contains(block, (uintptr_t)p + block->size), "one past its end is outside");
  char *q = large_resize(block, 5 << 20);
  OK(q && q[0] == 7 && q[(1 << 20) - 1] == 7, "growing keeps the contents");
  q[(5 << 20) - 1] = 1;
  block = region_find((uintptr_t)q);
  OK(large_resize(block, 100000) == q && q[99999] == 7, "shrinking stays in place");
  OK(large_free(block) && !large_free(block), "a large object is freed once only");
  OK(region_find((uintptr_t)q) == NULL, "a freed large object is not found any more");
  char *a = large_alloc(100000, 1 << 21, KIND_SCANNED, &zero);
  OK((uintptr_t)a % (1 << 21) == 0, "large alignments are kept");
  OK(large_alloc(SIZE_MAX / 4, 1, KIND_SCANNED, &zero) == NULL, "what cannot be had is refused");
  large_free(region_find((uintptr_t)a));
  OK(heap_verify(NULL), "the heap verifies");
}

int main(void) {
  uint64_t seed = tap_seed();
  OK(heap_init(false) == 0, "the heap can be set up");
  OK(region_find(0) == NULL && region_find(UINTPTR_MAX) == NULL && region_find((uintptr_t)&seed) == NULL,
     "no bits outside the heap find a block");
  test_size_classes();
  test_runs(&seed);
  test_runs_zero();
  test_cache(&seed);
  test_large();
  return tap_end();
}
