/* SPDX-License-Identifier: MIT
 * The allocation path behind the public names, and the hooks of the malloc family.
 *
 * Each hook is noinline and reads its caller's frame, so that a stack begins in the program. */
#include "config.h"

#include "api/alloc.h"

#include "api/collector.h"
#include "api/hooks.h"
#include "base/bits.h"
#include "gc/disclaim.h"
#include "gc/settle.h"
#include "gc/watch.h"
#include "heap/heap.h"
#include "heap/large.h"
#include "heap/runs.h"
#include "os/memory.h"
#include "os/modules.h"

#include <errno.h>
#include <string.h>

enum {
  alloc_stress_verify = 512, /* stress: slow paths between two whole-heap checks */
};

static _Atomic unsigned alloc_stress_count, alloc_stress_search = 256;

/* stress=1: look at everything, again and again, and search for leaks ever more rarely. */
static void alloc_stress(void) {
  static THREAD_LOCAL bool inside;
  unsigned count = atomic_fetch_add(&alloc_stress_count, 1) + 1;
  if (inside) return;
  inside = true;
  int saved = errno;
  if (count % alloc_stress_verify == 0) heap_verify(birth_cache_if_any());
  unsigned due = atomic_load(&alloc_stress_search);
  if (birth_records() && count >= due &&
      atomic_compare_exchange_strong(&alloc_stress_search, &due, count + count / 2 + 256))
    leak_report_drill();
  errno = saved;
  inside = false;
}

static void *alloc_slot(unsigned class, enum kind kind) {
  struct cache *cache = birth_cache();
  if (!cache) return NULL;
  struct bin *bin = &cache->bins[kind][class];
  void *p = cache_take(bin);
  if (unlikely(!p) && cache_refill(cache, bin)) p = cache_take(bin);
  birth_cache_done();
  return p;
}

static void alloc_note(void *p, size_t size, uint32_t site) {
  struct block *block = region_find((uintptr_t)p);
  if (!block->slot_size) block->requested = size;
  struct note *note = block_note(block, block_slot(block, (uintptr_t)p));
  if (note) *note = (struct note){.site = site, .size = (uint32_t)size};
}

/* See region.extra. */
static size_t alloc_extra(enum kind kind) { return kind == KIND_SCANNED ? region.extra : region.collected_extra; }

static void *alloc_memory(const struct alloc_request *request, bool *zero) {
  unsigned class = size_class_count;
  size_t size = request->size + alloc_extra(request->kind);
  if (size <= size_class_most && request->align <= size_class_most) class = size_class_aligned(size, request->align);
  *zero = false;
  if (class < size_class_count) return alloc_slot(class, request->kind);
  return large_alloc(size ? size : 1, request->align, request->kind, zero);
}

/* A large object's pages to their end: it is searched for pointers that far. */
static void alloc_zero(void *p, size_t size) {
  const struct block *block = region_find((uintptr_t)p);
  memset(p, 0, block->slot_size ? size : block->size);
}

void *alloc(const struct alloc_request *request, const struct site_start *start) {
  int saved = errno;
  bool zero;
  if (unlikely(request->size > PTRDIFF_MAX || request->align > PTRDIFF_MAX || !birth_ensure())) {
    errno = ENOMEM;
    return NULL;
  }
  if (unlikely(birth_options.stress)) alloc_stress();
  collector_poll();
  if (unlikely(request->size > size_class_most)) collector_sweep_for(request->size);
  uint32_t site = birth_records() ? site_capture(start) : 0;
  void *p = alloc_memory(request, &zero);
  if (!p && heap_purge(true) > 0) p = alloc_memory(request, &zero);
  if (!p && collector_make_room(request->size)) p = alloc_memory(request, &zero);
  if (!p) {
    errno = ENOMEM;
    return NULL;
  }
  if (birth_records() || request->size + alloc_extra(request->kind) > size_class_most) alloc_note(p, request->size, site);
  if (request->zero && !zero) alloc_zero(p, request->size);
  errno = saved;
  return p;
}

/* A thread that could not be stopped may meet the marks of a search, which holds the heap lock as long as there are any. */
static bool alloc_live_slow(const uint8_t *state) {
  if (!(*state & STATE_LIVE)) return false;
  heap_lock();
  heap_unlock();
  return (*(const volatile uint8_t *)state & region.live_mask) == STATE_LIVE;
}

bool alloc_find(const void *p, struct block **block, uint32_t *slot) {
  *block = region_find((uintptr_t)p);
  if (!*block) return false;
  *slot = block_slot(*block, (uintptr_t)p);
  if (block_slot_address(*block, *slot) != (uintptr_t)p) return false;
  const uint8_t *state = &(*block)->state[*slot];
  return likely((*(const volatile uint8_t *)state & region.live_mask) == STATE_LIVE) || alloc_live_slow(state);
}

/* Whoever waits for the end of the object is told, and what is counted of it is forgotten. False: it is pinned, and ends with its last
 * pin; or that was to be already. */
static bool alloc_settle(struct block *block, uint32_t slot, enum misuse_call call, const struct site_start *start) {
  _Atomic uint32_t *count = counts_find(block, slot);
  if (likely(!count) || atomic_load_explicit(count, memory_order_relaxed) == 0) {
    if (unlikely(block->types)) block_forget_slot(block, slot);
    return true;
  }
  void *p = (void *)block_slot_address(block, slot);
  watch_lock();
  settle_freed((uintptr_t)p);
  uint32_t old = atomic_load(count);
  if (old & COUNT_PINNED) atomic_fetch_or(count, COUNT_DYING);
  else block_forget_slot(block, slot);
  watch_unlock();
  if ((old & COUNT_PINNED) && (old & COUNT_DYING)) misuse_object(call, p, "it was freed before, and is pinned", start);
  return !(old & COUNT_PINNED);
}

/* As large_resize; another object may be where the old one was, but nobody can wait for that one yet. */
static void *alloc_resize_large(struct block *block, size_t size) {
  uintptr_t old = block->start;
  if (likely(!counts_find(block, 0))) return large_resize(block, size);
  watch_lock();
  void *p = large_resize(block, size);
  if (p && (uintptr_t)p != old) disclaim_move(old, (uintptr_t)p);
  if (p && (uintptr_t)p != old) settle_freed(old);
  watch_unlock();
  return p;
}

/* It may be freed, and even resized, where it is. */
static bool alloc_is_pinned(const struct block *block, uint32_t slot) {
  _Atomic uint32_t *count = counts_find(block, slot);
  return unlikely(count) && atomic_load(count) & COUNT_PINNED;
}

static void alloc_give_back(struct block *block, uint32_t slot, enum misuse_call call, const struct site_start *start) {
  struct cache *cache = birth_cache_if_any();
  if (!block->slot_size) {
    if (!large_free(block)) misuse_pointer(call, (void *)block->start, start);
  } else if (cache && atomic_load(&block->owner) == cache) {
    cache_free_own(cache, block, slot);
  } else {
    cache_free_remote(block, slot);
  }
}

void alloc_free(void *p, enum misuse_call call, const struct site_start *start) {
  struct block *block;
  uint32_t slot;
  int saved = errno;
  if (!alloc_find(p, &block, &slot)) misuse_pointer(call, p, start);
  else if (alloc_settle(block, slot, call, start)) alloc_give_back(block, slot, call, start);
  keep_alive(p);
  errno = saved;
}

/* Where all of the old one was searched, all of the new one is. */
static void alloc_copy_type(void *p, const struct block *from, uint32_t slot) {
  struct block *to = region_find((uintptr_t)p);
  uintptr_t type = atomic_load(&from->types[slot]);
  if (type == block_slot_bytes(from)) type = block_slot_bytes(to);
  atomic_store(&to->types[block_slot(to, (uintptr_t)p)], type);
}

/* Who waits to be asked about the old one waits for the new one: before the old one is freed. */
static void alloc_move_disclaimed(void *p, const struct block *from, uint32_t slot) {
  if (likely(!counts_find(from, slot))) return;
  watch_lock();
  disclaim_move(block_slot_address(from, slot), (uintptr_t)p);
  watch_unlock();
}

/* Stays in its slot if that is neither too small nor more than twice too large. */
static bool alloc_fits(const struct block *block, size_t size) {
  size_t room = block_slot_bytes(block);
  if (!block->slot_size) return size <= room && size > size_class_most && size >= room / 2;
  return size <= room && (size >= room / 2 || room <= 2 * size_class_step);
}

void *alloc_resize(void *old, size_t size, const struct site_start *start) {
  struct block *block;
  uint32_t slot;
  if (!alloc_find(old, &block, &slot)) {
    misuse_pointer(MISUSE_REALLOC, old, start);
    errno = ENOMEM;
    return NULL;
  }
  if (size > PTRDIFF_MAX) {
    errno = ENOMEM;
    return NULL;
  }
  int saved = errno;
  uint32_t site = birth_records() ? site_capture(start) : 0;
  size_t full = size + alloc_extra((enum kind)block->kind);
  if (alloc_fits(block, full) && !birth_options.stress) {
    if (birth_records() || !block->slot_size) alloc_note(old, size, site);
    errno = saved;
    return old;
  }
  if (alloc_is_pinned(block, slot)) {
    errno = EBUSY;
    return NULL;
  }
  if (!block->slot_size && full > size_class_most) {
    void *p = alloc_resize_large(block, full);
    if (p) alloc_note(p, size, site);
    errno = p ? saved : ENOMEM;
    return p;
  }
  struct alloc_request request = {.size = size, .align = 1, .kind = (enum kind)block->kind};
  void *p = alloc(&request, start);
  if (!p) return NULL;
  size_t room = block_slot_bytes(block);
  memcpy(p, old, room < size ? room : size);
  if (unlikely(block->types)) alloc_copy_type(p, block, slot);
  alloc_move_disclaimed(p, block, slot);
  alloc_free(old, MISUSE_REALLOC, start);
  return p;
}

#define HOOK __attribute__((noinline))

/* The caller of the hook; the frame is only looked at where allocations are recorded. */
#define ALLOC_START(start)                                                                                   \
  struct site_start start;                                                                                   \
  SITE_CALLER(&start)

/* The free word is empty, which is all that is wrong: every tenth call or so where objects die in random order. NULL where
 * the fast path is not to be taken, or more is wrong. */
void *alloc_refilled(size_t size, enum kind kind) {
  struct cache *cache = cache_fast;
  if (cache == &cache_none || size > size_class_most - 1) return NULL;
  size += alloc_extra(kind);
  struct bin *bin = &cache->bins[kind][size_class_of(size)];
  if (bin->free != 0) return NULL;
  collector_poll();
  void *p = cache_take(bin); /* a callback of the collection may have come here before */
  return !p && cache_refill(cache, bin) ? cache_take(bin) : p;
}

static HOOK void *hook_malloc_slow(size_t size) {
  ALLOC_START(start);
  return alloc(&(struct alloc_request){.size = size, .align = 1}, &start);
}

/* A tail call, so that the caller is still the program; else there is one frame more to see. */
HOOK void *hook_malloc(size_t size) {
  void *p = alloc_refilled(size, KIND_SCANNED);
  return likely(p) ? p : hook_malloc_slow(size);
}

HOOK void *hook_calloc(size_t count, size_t size) {
  ALLOC_START(start);
  size_t bytes;
  if (__builtin_mul_overflow(count, size, &bytes)) bytes = SIZE_MAX;
  return alloc(&(struct alloc_request){.size = bytes, .align = 1, .zero = true}, &start);
}

/* Pointers that are not ours: the C library's own malloc, reached through dlsym or another namespace. A pointer into a
 * module or a stack is never one of these. */
static bool alloc_is_foreign(const void *p) {
  struct os_module module;
  uintptr_t here = (uintptr_t)&module;
  if ((uintptr_t)p - region.base < region.span) return false;
  if ((uintptr_t)p - here + (4096 * 1024) < (uintptr_t)(8192 * 1024)) return false; /* about this stack */
  if ((uintptr_t)p % 16 != 0 || os_module_at((uintptr_t)p, &module)) return false;
  return os_memory_is_readable((uintptr_t)p - 8); /* where libc keeps the size: else it would die of it */
}

static void *alloc_realloc(void *old, size_t size, const struct site_start *start) {
  if (!old) return alloc(&(struct alloc_request){.size = size, .align = 1}, start);
  if (unlikely(!region_find((uintptr_t)old)) && birth_libc.realloc && alloc_is_foreign(old))
    return birth_libc.realloc(old, size);
  if (size == 0) {
    alloc_free(old, MISUSE_REALLOC, start);
    return NULL;
  }
  return alloc_resize(old, size, start);
}

HOOK void *hook_realloc(void *old, size_t size) {
  ALLOC_START(start);
  return alloc_realloc(old, size, &start);
}

HOOK void *hook_reallocarray(void *old, size_t count, size_t size) {
  ALLOC_START(start);
  size_t bytes;
  if (__builtin_mul_overflow(count, size, &bytes)) {
    errno = ENOMEM;
    return NULL;
  }
  return alloc_realloc(old, bytes, &start);
}

HOOK void hook_free(void *p) {
  if (!p) return;
  ALLOC_START(start);
  if (unlikely(!region_find((uintptr_t)p)) && alloc_is_foreign(p)) {
    int saved = errno;
    if (birth_libc.free) birth_libc.free(p); /* before the constructor: the loader's own; nothing to free */
    errno = saved;
    return;
  }
  alloc_free(p, MISUSE_FREE, &start);
}

static void *alloc_aligned(size_t align, size_t size, const struct site_start *start) {
  return alloc(&(struct alloc_request){.size = size, .align = align}, start);
}

HOOK void *hook_aligned_alloc(size_t align, size_t size) {
  ALLOC_START(start);
  if (!bits_is_power_of_two(align)) {
    errno = EINVAL;
    return NULL;
  }
  return alloc_aligned(align, size, &start);
}

HOOK void *hook_memalign(size_t align, size_t size) {
  ALLOC_START(start);
  align = bits_power_of_two_up(align);
  if (align == 0) {
    errno = EINVAL;
    return NULL;
  }
  return alloc_aligned(align, size, &start);
}

HOOK int hook_posix_memalign(void **out, size_t align, size_t size) {
  ALLOC_START(start);
  if (!bits_is_power_of_two(align) || align % sizeof(void *) != 0) return EINVAL;
  int saved = errno;
  void *p = alloc_aligned(align, size, &start);
  errno = saved;
  if (!p) return ENOMEM;
  *out = p;
  return 0;
}

HOOK void *hook_valloc(size_t size) {
  ALLOC_START(start);
  return alloc_aligned(os_page_size, size, &start);
}

HOOK void *hook_pvalloc(size_t size) {
  ALLOC_START(start);
  if (size > PTRDIFF_MAX - os_page_size) {
    errno = ENOMEM;
    return NULL;
  }
  return alloc_aligned(os_page_size, bits_align_up(size, os_page_size), &start);
}

HOOK size_t hook_usable_size(void *p) {
  ALLOC_START(start);
  struct block *block;
  uint32_t slot;
  if (!p) return 0;
  if (alloc_find(p, &block, &slot)) return block_slot_bytes(block);
  if (birth_libc.usable_size && alloc_is_foreign(p)) return birth_libc.usable_size(p);
  misuse_pointer(MISUSE_USABLE_SIZE, p, &start);
  return 0;
}

int hook_trim(size_t pad) {
  (void)pad;
  return birth_ensure() && heap_purge(true) > 0;
}

void hook_usage(struct hook_usage *usage) {
  memset(usage, 0, sizeof *usage);
  if (!birth_ensure()) return;
  heap_lock();
  size_t unit = 0;
  for (struct block *block; (block = region_next(&unit)) != NULL; unit += block->units) {
    size_t live = 0;
    for (uint32_t i = 0; i < block->nslots; i++) live += block->state[i] != STATE_FREE;
    usage->live_blocks += live;
    usage->live += live * block_slot_bytes(block);
    if (block->slot_size) continue;
    usage->large_blocks++;
    usage->large += block->size;
  }
  usage->mapped = runs_used_bytes();
  heap_unlock();
  usage->free = usage->mapped - usage->live;
}
