/* SPDX-License-Identifier: MIT
 * Figures of all collections so far. Must not know who asks for them, or how they are shown. */
#include "config.h"

#include "api/gc_events.h"

#include "base/bits.h"
#include "gc.h"

#include <string.h>

/* Pauses are counted in buckets: sixteen to each doubling, from 2^bucket_first ns on. */
enum { bucket_first = 8, bucket_parts = 16, bucket_parts_shift = 4 };

struct gc_stats gc_stats;
__attribute__((visibility("default"))) GC_word GC_gc_no; /* as gc_stats_last, for who reads it without a call */
static _Atomic uint64_t gc_stats_last; /* number of a collection; goes on in a forked child */

static unsigned gc_stats_bucket(uint64_t ns) {
  if (ns >> bucket_first == 0) return 0;
  unsigned top = bits_highest(ns);
  unsigned bucket = (top - bucket_first) * bucket_parts + (unsigned)(ns >> (top - bucket_parts_shift) & (bucket_parts - 1));
  return bucket < gc_stats_buckets ? bucket : gc_stats_buckets - 1;
}

uint64_t gc_stats_bucket_end(unsigned bucket) {
  unsigned top = bucket / bucket_parts + bucket_first;
  return ((uint64_t)1 << top) + ((uint64_t)(bucket % bucket_parts + 1) << (top - bucket_parts_shift));
}

static void gc_stats_most(_Atomic uint64_t *most, uint64_t value) {
  uint64_t old = atomic_load(most);
  while (old < value && !atomic_compare_exchange_weak(most, &old, value)) continue;
}

static void gc_stats_pause(struct gc_stats_generation *generation, uint64_t ns) {
  atomic_fetch_add(&generation->pause_ns, ns);
  atomic_fetch_add(&generation->pauses[gc_stats_bucket(ns)], 1);
  gc_stats_most(&generation->pause_max_ns, ns);
}

static void gc_stats_error(int error) {
  unsigned i = 0;
  while (i < gc_stats_errors - 1) {
    int known = 0;
    if (atomic_compare_exchange_strong(&gc_stats.errors[i].error, &known, error) || known == error) break;
    i++;
  }
  atomic_fetch_add(&gc_stats.errors[i].count, 1);
}

static void gc_stats_reclaimed(struct gc_stats_generation *generation, const struct sweep_counts *counts) {
  atomic_fetch_add(&generation->objects, counts->objects);
  atomic_fetch_add(&generation->bytes, counts->bytes);
}

static ptrdiff_t gc_stats_in_use(void) { return heap_in_use_sum() - atomic_load(&heap_in_use[KIND_SCANNED]); }

size_t gc_stats_freed(void) {
  ptrdiff_t more = gc_stats_in_use() - atomic_load(&gc_stats.in_use_then), new = (ptrdiff_t)(GC_get_total_bytes() - atomic_load(&gc_stats.total_then));
  return sweep_is_done() && new > more ? (size_t)(new - more) : 0;
}

/* What there was when a collection was over: what was handed out since, and is not in use, was freed. */
static void gc_stats_over(size_t reclaimed) {
  atomic_store(&gc_stats.reclaimed_last, reclaimed);
  atomic_store(&gc_stats.total_then, GC_get_total_bytes());
  atomic_store(&gc_stats.in_use_then, gc_stats_in_use());
}

/* What the sweep of a full collection reclaims is told later, when it is done. */
void gc_stats_collection(const struct collection *facts) {
  struct gc_stats_generation *generation = &gc_stats.generations[facts->generation];
  uint64_t pauses = facts->first_pause_ns + facts->pause_ns;
  uint64_t ns = facts->concurrent ? pauses + facts->mark_ns : pauses;
  atomic_store(&gc_stats_last, facts->number);
  __atomic_store_n(&GC_gc_no, facts->number, __ATOMIC_RELAXED);
  atomic_fetch_add(&generation->time_ns, ns);
  atomic_fetch_add(&gc_stats.collecting_ns, ns);
  if (facts->first_pause_ns) gc_stats_pause(generation, facts->first_pause_ns);
  if (facts->pause_ns) gc_stats_pause(generation, facts->pause_ns);
  if (facts->error) {
    atomic_fetch_add(&generation->given_up, 1);
    gc_stats_error(facts->error);
    return;
  }
  atomic_fetch_add(&generation->collections, 1);
  if (facts->concurrent) atomic_fetch_add(&gc_stats.concurrent, 1);
  if (facts->markers > atomic_load(&gc_stats.markers_most)) atomic_store(&gc_stats.markers_most, facts->markers);
  gc_stats_most(&gc_stats.heap_most, facts->heap_before);
  bool minor = facts->generation < collect_generations - 1;
  if (minor) gc_stats_reclaimed(generation, &facts->swept);
  gc_stats_over(minor ? facts->swept.bytes : 0);
}

void gc_stats_swept(const struct sweep_counts *counts) {
  gc_stats_reclaimed(&gc_stats.generations[collect_generations - 1], counts);
  gc_stats_over(counts->bytes);
}

void gc_stats_uncollectable(unsigned generation, size_t objects) {
  atomic_fetch_add(&gc_stats.generations[generation].uncollectable, objects);
}

uint64_t gc_stats_number(void) { return atomic_load(&gc_stats_last); }

uint64_t gc_stats_percentile(const struct gc_stats_generation *generation, unsigned percent) {
  uint64_t pauses = 0, below = 0, most = atomic_load(&generation->pause_max_ns);
  for (unsigned i = 0; i < gc_stats_buckets; i++) pauses += atomic_load_explicit(&generation->pauses[i], memory_order_relaxed);
  if (pauses == 0) return 0;
  for (unsigned i = 0; i < gc_stats_buckets; i++) {
    below += atomic_load_explicit(&generation->pauses[i], memory_order_relaxed);
    if (below * 100 < pauses * percent) continue;
    uint64_t end = gc_stats_bucket_end(i);
    return end < most ? end : most;
  }
  return most;
}

void gc_stats_fork_child(void) { memset(&gc_stats, 0, sizeof gc_stats); }
