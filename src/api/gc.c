/* SPDX-License-Identifier: MIT
 * The public names that allocate, free, and look at objects. Must not know when anything is collected. */
#include "config.h"

#include "api/alloc.h"
#include "api/collector.h"
#include "api/gc_errands.h"
#include "api/gc_memory.h"
#include "api/gc_warn.h"
#include "api/hooks.h"
#include "gc.h"
#include "gc_ext.h"
#include "heap/counts.h"

#include <emmintrin.h>
#include <errno.h>
#include <string.h>

#define PUBLIC __attribute__((visibility("default"), noinline))
#define SLOW __attribute__((noinline))

/* --- memory runs out --- */

static void *gc_oom_default(size_t size) { return (void)size, NULL; }

__attribute__((visibility("default"))) GC_oom_func GC_oom_fn = gc_oom_default;

PUBLIC void GC_set_oom_fn(GC_oom_func function) { __atomic_store_n(&GC_oom_fn, function, __ATOMIC_SEQ_CST); }
PUBLIC GC_oom_func GC_get_oom_fn(void) { return __atomic_load_n(&GC_oom_fn, __ATOMIC_SEQ_CST); }

static THREAD_LOCAL void *gc_given;

void *gc_take_given(void) {
  void *p = gc_given;
  gc_given = NULL;
  return p;
}

static void *gc_out_of_memory(size_t size) {
  GC_oom_func handler = GC_get_oom_fn();
  if (handler == gc_oom_default || gc_warn_is_heard()) gc_warn("GC Warning: there is no memory for an object of %lu bytes\n", size);
  errno = ENOMEM;
  void *p = handler(size);
  gc_given = p;
  if (!p) errno = ENOMEM;
  return p;
}

/* --- allocating --- */

static _Atomic size_t gc_large_bytes; /* of all that were allocated */
static THREAD_LOCAL size_t gc_large_mine;

size_t gc_thread_large_bytes(void) { return gc_large_mine; }

static void gc_count_large(size_t size) {
  atomic_fetch_add_explicit(&gc_large_bytes, size, memory_order_relaxed);
  gc_large_mine += size;
}

PUBLIC size_t GC_get_total_bytes(void) { return cache_handed_out() + atomic_load(&gc_large_bytes); }

/* A whole slot, so that what lies behind the size holds no stale pointers, and growing in place finds zeroes. The slots of most
 * objects are zeroed faster than memset could be called: the empty asm keeps the compiler from calling it all the same. */
static inline void *gc_zero(void *p, size_t size) {
  enum { zero_inline = 128 };
  if (unlikely(size > zero_inline)) return memset(p, 0, size);
  size_t i = 0;
  do {
    _mm_store_si128((__m128i *)((char *)p + i), _mm_setzero_si128());
    __asm__ volatile("");
  } while ((i += sizeof(__m128i)) < size);
  return p;
}

/* The first use arms the collector; a mode that collects nothing serves the memory all the same. Small objects are zeroed here,
 * as far as their slots reach; of large ones fresh memory need not be. */
static void *gc_alloc(size_t size, enum kind kind, const struct site_start *start) {
  bool small = size <= size_class_most - (size_t)region.collected_extra, zero = kind_is_scanned(kind);
  if (unlikely(!collector_is_armed)) collector_arm();
  void *p = alloc(&(struct alloc_request){.size = size, .align = 1, .kind = kind, .zero = zero && !small}, start);
  if (unlikely(!p)) return gc_out_of_memory(size);
  if (!small) gc_count_large(size);
  if (zero && small) gc_zero(p, region_find((uintptr_t)p)->slot_size);
  gc_errands_allocated();
  keep_alive(p);
  return p;
}

void *gc_alloc_kind(size_t size, enum kind kind, const struct site_start *start) { return gc_alloc(size, kind, start); }

void *gc_alloc_typed(size_t size, uintptr_t type, bool full, const struct site_start *start) {
  void *p = gc_alloc(size, birth_options.mode == MODE_LEAKS ? KIND_COLLECTED : KIND_TYPED, start);
  struct block *block = region_find((uintptr_t)p);
  if (!p || !block || !block->types) return p; /* in mode leaks, or the handler's */
  atomic_store(&block->types[block_slot(block, (uintptr_t)p)], full ? block_slot_bytes(block) : type);
  keep_alive(p);
  return p;
}

void *gc_alloc_aligned(size_t align, size_t size, const struct site_start *start) {
  if (unlikely(!collector_is_armed)) collector_arm();
  void *p = alloc(&(struct alloc_request){.size = size, .align = align, .kind = KIND_COLLECTED, .zero = true}, start);
  if (unlikely(!p)) return gc_out_of_memory(size);
  const struct block *block = region_find((uintptr_t)p);
  if (block->slot_size) gc_zero(p, block->slot_size);
  else gc_count_large(size);
  gc_errands_allocated();
  keep_alive(p);
  return p;
}

/* Each in a function of its own, reached by a tail call, so that the caller is still the program. */
static SLOW void *gc_malloc_slow(size_t size) {
  struct site_start start;
  SITE_CALLER(&start);
  return gc_alloc(size, KIND_COLLECTED, &start);
}

static SLOW void *gc_malloc_atomic_slow(size_t size) {
  struct site_start start;
  SITE_CALLER(&start);
  return gc_alloc(size, KIND_POINTER_FREE, &start);
}

static SLOW void *gc_malloc_refilled(size_t size) {
  void *p = likely(collector_is_armed) ? alloc_refilled(size, KIND_COLLECTED) : NULL;
  if (unlikely(!p)) return gc_malloc_slow(size);
  gc_zero(p, region_find((uintptr_t)p)->slot_size);
  gc_errands_allocated();
  keep_alive(p);
  return p;
}

static SLOW void *gc_malloc_atomic_refilled(size_t size) {
  void *p = likely(collector_is_armed) ? alloc_refilled(size, KIND_POINTER_FREE) : NULL;
  if (unlikely(!p)) return gc_malloc_atomic_slow(size);
  gc_errands_allocated();
  keep_alive(p);
  return p;
}

/* As malloc, and one byte more: the end of an object still points to it. No slot of these kinds is in a free word before the
 * collector was armed, so there is nothing to ask here. What is allocated is counted where free words are filled. */
PUBLIC void *GC_malloc(size_t size) {
  if (unlikely(size >= size_class_most)) return gc_malloc_slow(size);
  struct bin *bin = &cache_fast->bins[KIND_COLLECTED][size_class_of(size + region.collected_extra)];
  void *p = cache_take(bin);
  return likely(p) ? gc_zero(p, bin->size) : gc_malloc_refilled(size);
}

PUBLIC void *GC_malloc_atomic(size_t size) {
  if (unlikely(size >= size_class_most)) return gc_malloc_atomic_slow(size);
  void *p = cache_take(&cache_fast->bins[KIND_POINTER_FREE][size_class_of(size + region.collected_extra)]);
  return likely(p) ? p : gc_malloc_atomic_refilled(size);
}

PUBLIC void *GC_malloc_uncollectable(size_t size) {
  struct site_start start;
  SITE_CALLER(&start);
  return gc_alloc(size, KIND_UNCOLLECTABLE, &start);
}

PUBLIC void *GC_malloc_atomic_uncollectable(size_t size) {
  struct site_start start;
  SITE_CALLER(&start);
  return gc_alloc(size, KIND_UNCOLLECTABLE_POINTER_FREE, &start);
}

static char *gc_copy(const char *text, size_t length, const struct site_start *start) {
  char *copy = gc_alloc(length + 1, KIND_POINTER_FREE, start);
  if (!copy) return NULL;
  memcpy(copy, text, length);
  copy[length] = '\0';
  return copy;
}

PUBLIC char *GC_strdup(const char *text) {
  struct site_start start;
  SITE_CALLER(&start);
  return text ? gc_copy(text, strlen(text), &start) : NULL;
}

PUBLIC char *GC_strndup(const char *text, size_t size) {
  struct site_start start;
  SITE_CALLER(&start);
  return gc_copy(text, strnlen(text, size), &start);
}

/* --- changing the size --- */

/* Behind what stays of an object of the old size there are zeroes up to the end of its slot, or its pages. */
static void gc_zero_rest(void *p, size_t old, size_t size) {
  const struct block *block = region_find((uintptr_t)p);
  if (!kind_is_scanned(block->kind)) return;
  size_t end = block_slot_bytes(block), keep = old < size ? old : size;
  if (keep < end) memset((char *)p + keep, 0, end - keep);
}

static void *gc_resize_refused(void *old, size_t contents, size_t size, const struct site_start *start) {
  void *p = gc_out_of_memory(size);
  if (!p || p == old) return p;
  size_t room = GC_size(p), most = contents < size ? contents : size;
  memcpy(p, old, most < room ? most : room);
  alloc_free(old, MISUSE_REALLOC, start);
  return p;
}

const struct alloc_displaced *alloc_displaced;

/* Else a misuse, which is reported. */
static void *gc_resize_displaced(void *old, size_t size, const struct site_start *start) {
  void *p;
  return alloc_displaced && alloc_displaced->resize(old, size, &p, start) ? p : alloc_resize(old, size, start);
}

/* Resized as a whole, header and all, it is a debug object no longer. */
static void gc_forget_debug(const struct block *block, uint32_t slot) {
  _Atomic uint32_t *count = counts_find(block, slot);
  if (unlikely(count != NULL)) atomic_fetch_and(count, ~(uint32_t)COUNT_DEBUG);
}

static void *gc_resize(void *old, size_t size, const struct site_start *start) {
  struct block *block;
  uint32_t slot;
  if (!alloc_find(old, &block, &slot)) return gc_resize_displaced(old, size, start);
  gc_forget_debug(block, slot);
  size_t contents = block_slot_bytes(block);
  void *p = alloc_resize(old, size, start);
  if (unlikely(!p) && errno == EBUSY) return NULL; /* it is pinned */
  if (unlikely(!p)) return gc_resize_refused(old, contents, size, start);
  gc_zero_rest(p, contents, size);
  gc_errands_allocated();
  keep_alive(p);
  return p;
}

PUBLIC void *GC_realloc(void *old, size_t size) {
  struct site_start start;
  SITE_CALLER(&start);
  if (!old) return gc_alloc(size, KIND_COLLECTED, &start);
  if (size > 0) return gc_resize(old, size, &start);
  if (!alloc_displaced || !alloc_displaced->free(old, &start)) alloc_free(old, MISUSE_REALLOC, &start);
  return NULL;
}

static SLOW void gc_free_slow(void *p) {
  struct site_start start;
  SITE_CALLER(&start);
  if (!p || (unlikely(alloc_displaced != NULL) && alloc_displaced->free(p, &start))) return;
  alloc_free(p, MISUSE_FREE, &start);
}

PUBLIC void GC_free(void *p) {
  if (unlikely(!hook_try_free(p))) gc_free_slow(p);
}

/* --- looking at objects --- */

PUBLIC void *GC_base(void *p) {
  struct block *block = region_find((uintptr_t)p);
  if (!block || !block_contains(block, (uintptr_t)p)) return NULL;
  uint32_t slot = block_slot(block, (uintptr_t)p);
  if (!state_is_live(((volatile uint8_t *)block->state)[slot])) return NULL;
  return (void *)block_slot_address(block, slot);
}

PUBLIC size_t GC_size(const void *p) {
  struct block *block;
  uint32_t slot;
  if (likely(alloc_find(p, &block, &slot))) return block_slot_bytes(block);
  return alloc_displaced ? alloc_displaced->size(p) : 0;
}

PUBLIC int GC_is_heap_ptr(const void *p) { return region_find((uintptr_t)p) != NULL; }
PUBLIC long GC_leak_check(void) { return leak_report(true); }
