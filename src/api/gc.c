/* SPDX-License-Identifier: MIT
 * The public names of gc.h and gc_ext.h. */
#include "config.h"

#include "api/alloc.h"
#include "gc.h"
#include "gc_ext.h"
#include "heap/heap.h"
#include "heap/runs.h"
#include "os/modules.h"

#define PUBLIC __attribute__((visibility("default"), noinline))

static _Atomic size_t gc_total; /* bytes asked for through these names */

static void *gc_alloc(size_t size, enum kind kind, bool zero, const struct site_start *start) {
  atomic_fetch_add_explicit(&gc_total, size, memory_order_relaxed);
  return alloc(&(struct alloc_request){.size = size, .align = 1, .kind = kind, .zero = zero}, start);
}

PUBLIC void *GC_malloc(size_t size) {
  struct site_start start;
  SITE_CALLER(&start);
  return gc_alloc(size, KIND_SCANNED, true, &start);
}

PUBLIC void *GC_malloc_atomic(size_t size) {
  struct site_start start;
  SITE_CALLER(&start);
  return gc_alloc(size, KIND_POINTER_FREE, false, &start);
}

PUBLIC void *GC_realloc(void *old, size_t size) {
  struct site_start start;
  SITE_CALLER(&start);
  if (!old) return gc_alloc(size, KIND_SCANNED, true, &start);
  if (size > 0) return alloc_resize(old, size, &start);
  alloc_free(old, MISUSE_REALLOC, &start);
  return NULL;
}

PUBLIC void GC_free(void *p) {
  struct site_start start;
  if (!p) return;
  SITE_CALLER(&start);
  alloc_free(p, MISUSE_FREE, &start);
}

PUBLIC void *GC_base(void *p) {
  struct block *block = region_find((uintptr_t)p);
  if (!block || !block_contains(block, (uintptr_t)p)) return NULL;
  uint32_t slot = block_slot(block, (uintptr_t)p);
  if (!(block->state[slot] & STATE_LIVE)) return NULL;
  return (void *)block_slot_address(block, slot);
}

PUBLIC size_t GC_size(const void *p) {
  struct block *block;
  uint32_t slot;
  return alloc_find(p, &block, &slot) ? block_slot_bytes(block) : 0;
}

PUBLIC size_t GC_get_heap_size(void) { return birth_ensure() ? runs_used_bytes() : 0; }
PUBLIC size_t GC_get_total_bytes(void) { return atomic_load(&gc_total); }
PUBLIC long GC_leak_check(void) { return leak_report(true); }
