/* SPDX-License-Identifier: MIT
 * libgc's ways to ask how much there is: memory, objects, time. Must not change anything. */
#include "config.h"

#define GC_THREADS
#define GC_NO_THREAD_REDIRECTS
#include "api/gc_events.h"
#include "api/gc_memory.h"
#include "gc.h"
#include "gc_ext.h"
#include "heap/heap.h"
#include "heap/runs.h"
#include "heap/size_class.h"
#include "libgc/libgc.h"
#include "os/memory.h"

#include <string.h>

enum { figures_version = GC_VERSION_MAJOR << 16 | GC_VERSION_MINOR << 8 | GC_VERSION_MICRO };

PUBLIC unsigned GC_get_version(void) { return figures_version; }

/* --- memory --- */

/* Of all that the heap ever used, what was given back to the kernel. */
PUBLIC size_t GC_get_unmapped_bytes(void) {
  size_t heap = GC_get_heap_size(), used = birth_ensure() ? runs_used_bytes() : 0;
  return used > heap ? used - heap : 0;
}

PUBLIC size_t GC_get_obtained_from_os_bytes(void) { return birth_ensure() ? runs_used_bytes() + os_arena_bytes() : 0; }

PUBLIC size_t GC_get_memory_use(void) { return birth_ensure() ? gc_block_bytes() : 0; }

static size_t figures_non_gc(void) {
  ptrdiff_t bytes = atomic_load(&heap_in_use[KIND_UNCOLLECTABLE]) + atomic_load(&heap_in_use[KIND_UNCOLLECTABLE_POINTER_FREE]);
  return bytes > 0 ? (size_t)bytes : 0;
}

PUBLIC_DATA GC_word GC_non_gc_bytes;
static _Atomic size_t figures_non_gc_told; /* of GC_non_gc_bytes, what is not the program's own */

/* Objects that are never reclaimed come and go without a call of ours: the variable follows when somebody looks. */
static void figures_refresh(void) {
  size_t own = figures_non_gc();
  size_t told = atomic_exchange(&figures_non_gc_told, own);
  __atomic_fetch_add(&GC_non_gc_bytes, own - told, __ATOMIC_SEQ_CST);
}

ptrdiff_t figures_spared(void) {
  static _Atomic GC_word told;
  GC_word own = GC_non_gc_bytes - figures_non_gc_told;
  return (ptrdiff_t)(own - atomic_exchange(&told, own));
}

PUBLIC GC_word GC_get_non_gc_bytes(void) {
  figures_refresh();
  return GC_non_gc_bytes;
}

PUBLIC void GC_set_non_gc_bytes(GC_word bytes) {
  figures_refresh();
  GC_non_gc_bytes = bytes;
}

PUBLIC void GC_get_heap_usage_safe(GC_word *heap, GC_word *free_bytes, GC_word *unmapped, GC_word *since, GC_word *total) {
  if (heap) *heap = GC_get_heap_size();
  if (free_bytes) *free_bytes = GC_get_free_bytes();
  if (unmapped) *unmapped = GC_get_unmapped_bytes();
  if (since) *since = GC_get_bytes_since_gc();
  if (total) *total = GC_get_total_bytes();
}

/* --- what happened --- */

static size_t figures_reclaimed(void) {
  size_t bytes = 0;
  for (unsigned i = 0; i < collect_generations; i++) bytes += atomic_load(&gc_stats.generations[i].bytes);
  return bytes;
}

static struct GC_prof_stats_s figures_all(void) {
  size_t heap = GC_get_heap_size(), unmapped = GC_get_unmapped_bytes(), since = GC_get_bytes_since_gc(), total = GC_get_total_bytes();
  size_t last = atomic_load(&gc_stats.reclaimed_last);
  return (struct GC_prof_stats_s){
      .heapsize_full = heap + unmapped,
      .free_bytes_full = GC_get_free_bytes() + unmapped,
      .unmapped_bytes = unmapped,
      .bytes_allocd_since_gc = since,
      .allocd_bytes_before_gc = total > since ? total - since : 0,
      .non_gc_bytes = GC_get_non_gc_bytes(),
      .gc_no = GC_get_gc_no(),
      .markers_m1 = (GC_word)GC_get_parallel(),
      .bytes_reclaimed_since_gc = last,
      .reclaimed_bytes_before_gc = figures_reclaimed() - last,
      .expl_freed_bytes_since_gc = GC_get_expl_freed_bytes_since_gc(),
      .obtained_from_os_bytes = GC_get_obtained_from_os_bytes(),
  };
}

/* The caller's structure may be an older one, or a newer one, of which the end is not known here. */
PUBLIC size_t GC_get_prof_stats(struct GC_prof_stats_s *stats, size_t size) {
  struct GC_prof_stats_s all = figures_all();
  size_t known = size < sizeof all ? size : sizeof all;
  memcpy(stats, &all, known);
  memset((char *)stats + known, 0xff, size - known);
  return known;
}

PUBLIC size_t GC_get_prof_stats_unsafe(struct GC_prof_stats_s *stats, size_t size) { return GC_get_prof_stats(stats, size); }

PUBLIC size_t GC_get_expl_freed_bytes_since_gc(void) { return gc_stats_freed(); }

/* One byte is added, so that the end of an object still points to it. */
PUBLIC size_t GC_get_size_map_at(int i) {
  if (i < 0 || i >= size_class_most) return (size_t)-1;
  return size_class_bytes(size_class_of((size_t)i + 1));
}

static uint64_t figures_began; /* ns of full collections when measuring began, and one more; 0: it has not */

static uint64_t figures_full_ns(void) { return atomic_load(&gc_stats.generations[collect_generations - 1].time_ns); }

PUBLIC void GC_start_performance_measurement(void) {
  if (!figures_began) figures_began = figures_full_ns() + 1;
}

PUBLIC unsigned long GC_get_full_gc_total_time(void) {
  const uint64_t ms = 1000 * 1000;
  return figures_began ? (figures_full_ns() + 1 - figures_began) / ms : 0;
}
