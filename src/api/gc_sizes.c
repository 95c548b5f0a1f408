/* SPDX-License-Identifier: MIT
 * How much memory there is, as .NET and the JVM tell it. */
#include "config.h"

#include "api/gc_events.h"
#include "api/gc_memory.h"

#include "api/gc_errands.h"
#include "gc.h"
#include "gc/census.h"
#include "gc/errand.h"
#include "gc/watch.h"
#include "gc_ext.h"
#include "os/limits.h"

#include <errno.h>

#define PUBLIC __attribute__((visibility("default"), noinline))

/* --- whoever is to know of the heap's size --- */

__attribute__((visibility("default"))) GC_on_heap_resize_proc GC_on_heap_resize;

PUBLIC void GC_set_on_heap_resize(GC_on_heap_resize_proc function) { __atomic_store_n(&GC_on_heap_resize, function, __ATOMIC_SEQ_CST); }
PUBLIC GC_on_heap_resize_proc GC_get_on_heap_resize(void) { return __atomic_load_n(&GC_on_heap_resize, __ATOMIC_SEQ_CST); }

/* It may allocate: once in a thread is enough. */
void gc_sizes_look(void) {
  static _Atomic size_t told;
  static THREAD_LOCAL bool telling;
  GC_on_heap_resize_proc function = GC_get_on_heap_resize();
  size_t size = GC_get_heap_size();
  if (!function || telling || collector_is_inside() || atomic_exchange(&told, size) == size) return;
  int saved = errno;
  telling = true;
  function(size);
  telling = false;
  errno = saved;
}

/* As .NET: again and again, until that changes little. */
PUBLIC size_t GC_get_total_memory(int collect) {
  enum { tries = 20, little = 20 };
  int saved = errno;
  size_t bytes = GC_get_live_bytes();
  for (int i = 0; collect && i < tries; i++) {
    size_t before = bytes;
    if (GC_collect(collect_generations - 1, NULL) < 0) break;
    bytes = GC_get_live_bytes();
    if (before - bytes <= before / little || bytes >= before) break;
  }
  errno = saved;
  return bytes;
}

PUBLIC size_t GC_get_allocated_bytes_for_current_thread(void) {
  const struct cache *cache = birth_cache_if_any();
  return (cache ? cache_handed_out_mine(cache) : 0) + gc_thread_large_bytes();
}

/* The smallest of all that bounds the process. */
static void gc_sizes_limits(struct GC_memory_info *info) {
  for (enum os_limit limit = 0; limit < os_limits; limit++) {
    size_t used, most;
    if (!os_limit_find(limit, &used, &most) || (info->limit && most - used >= info->limit - info->limit_used)) continue;
    info->limit = most;
    info->limit_used = used < most ? used : most;
  }
}

static void gc_sizes_pauses(struct GC_memory_info *info) {
  uint64_t ran = os_clock() - gc_events_started(), paused = 0;
  for (unsigned g = 0; g < collect_generations; g++) {
    paused += atomic_load(&gc_stats.generations[g].pause_ns);
    info->collections += atomic_load(&gc_stats.generations[g].collections);
  }
  info->pause = paused;
  info->pause_percent = ran ? 100.0 * (double)paused / (double)ran : 0;
}

static void gc_sizes_generations(struct GC_memory_info *info) {
  struct census census;
  census_take(&census);
  for (unsigned g = 0; g < collect_generations; g++) {
    info->objects[g] = census.objects[g];
    info->bytes[g] = census.bytes[g];
  }
}

PUBLIC int GC_get_memory_info(struct GC_memory_info *info) {
  struct pace_settings settings = {0};
  int saved = errno;
  *info = (struct GC_memory_info){0};
  if (!birth_ensure()) return -1;
  if (collector_arm() == 0) pace_get(&settings);
  info->heap = GC_get_heap_size();
  info->used = GC_get_live_bytes();
  info->fragmented = info->heap > info->used ? info->heap - info->used : 0;
  info->most = heap_limit() ? heap_limit() : region.span;
  info->initial = settings.initial_heap;
  info->pressure = pace_pressure();
  info->pinned = watch_count(WATCH_PIN);
  info->pending = errand_count(ERRAND_FINALIZER);
  info->number = gc_stats_number();
  gc_sizes_generations(info);
  gc_sizes_limits(info);
  gc_sizes_pauses(info);
  errno = saved;
  return 0;
}
