/* SPDX-License-Identifier: MIT
 * The public names that steer the collector and tell of it: collections, thresholds, sizes, roots, threads. */
#include "config.h"

#include "api/gc_events.h"
#include "api/gc_memory.h"

#include "api/gc_errands.h"
#include "base/bits.h"
#include "gc.h"
#include "gc/remember.h"
#include "gc_ext.h"
#include "heap/heap.h"
#include "heap/runs.h"
#include "os/memory.h"

#include <errno.h>
#include <string.h>

#define PUBLIC __attribute__((visibility("default"), noinline))

/* --- collecting --- */

PUBLIC void GC_init(void) { collector_arm(); }

static int gc_collect(unsigned generation, struct collection *facts) {
  int error = collector_arm();
  *facts = (struct collection){0};
  if (error) return error;
  return collector_run(generation, COLLECT_ASKED, facts) ? 0 : facts->error;
}

PUBLIC long GC_collect(int generation, struct GC_collection *collection) {
  struct collection facts;
  int saved = errno, error = EINVAL;
  if (generation >= 0 && generation < collect_generations) error = gc_collect((unsigned)generation, &facts);
  if (error) {
    errno = error;
    return -1;
  }
  if (collection) gc_events_describe(&facts, collection);
  gc_errands_collected();
  errno = saved;
  return (long)(facts.swept.objects + facts.uncollectable);
}

PUBLIC void GC_disable(void) { collector_disable(); }
PUBLIC void GC_enable(void) { collector_enable(); }
PUBLIC int GC_is_disabled(void) { return collector_is_disabled(); }

PUBLIC int GC_set_enabled(int enabled) { return !collector_set_disabled(!enabled); }

static int gc_freeze(bool freeze) {
  int saved = errno, error = collector_freeze(freeze);
  errno = error ? error : saved;
  return error ? -1 : 0;
}

PUBLIC int GC_freeze(void) { return gc_freeze(true); }
PUBLIC int GC_unfreeze(void) { return gc_freeze(false); }

/* --- when: the pace has other words for "as is best" and "never" --- */

static size_t gc_threshold_default(unsigned generation) {
  const size_t defaults[] = {birth_options.threshold0, (size_t)birth_options.threshold1, (size_t)birth_options.threshold2};
  return defaults[generation];
}

PUBLIC void GC_get_threshold(size_t threshold[GC_GENERATIONS]) {
  struct pace_settings settings = {0};
  if (collector_arm() == 0) pace_get(&settings);
  memcpy(threshold, settings.threshold, sizeof settings.threshold);
  if (threshold[0] == 0) threshold[0] = GC_THRESHOLD_DEFAULT;
  else if (threshold[0] >= PACE_NEVER) threshold[0] = 0;
}

PUBLIC void GC_set_threshold(const size_t threshold[GC_GENERATIONS]) {
  struct pace_settings settings;
  if (collector_arm() != 0) return;
  pace_get(&settings);
  for (unsigned i = 0; i < GC_GENERATIONS; i++)
    settings.threshold[i] = threshold[i] == GC_THRESHOLD_DEFAULT ? gc_threshold_default(i) : threshold[i];
  if (threshold[0] == 0 || settings.threshold[0] > PACE_NEVER) settings.threshold[0] = PACE_NEVER;
  pace_set(&settings);
}

PUBLIC void GC_get_count(size_t count[GC_GENERATIONS]) {
  memset(count, 0, GC_GENERATIONS * sizeof *count);
  if (collector_is_armed) pace_counts(count);
}

PUBLIC size_t GC_get_bytes_since_gc(void) {
  size_t count[GC_GENERATIONS];
  GC_get_count(count);
  return count[0];
}

PUBLIC GC_word GC_get_gc_no(void) { return gc_stats_number(); }

PUBLIC int GC_get_stats(int generation, struct GC_generation_stats *stats) {
  if (generation < 0 || generation >= collect_generations) {
    errno = EINVAL;
    return -1;
  }
  const struct gc_stats_generation *from = &gc_stats.generations[generation];
  *stats = (struct GC_generation_stats){
      .collections = atomic_load(&from->collections),
      .given_up = atomic_load(&from->given_up),
      .collected = atomic_load(&from->objects),
      .uncollectable = atomic_load(&from->uncollectable),
      .collected_bytes = atomic_load(&from->bytes),
      .time = atomic_load(&from->time_ns),
      .pause = atomic_load(&from->pause_ns),
      .pause_50 = gc_stats_percentile(from, 50),
      .pause_99 = gc_stats_percentile(from, 99),
      .pause_max = atomic_load(&from->pause_max_ns),
  };
  return 0;
}

PUBLIC const char *GC_get_write_tracking(const char **why) {
  static const char *const ways[] = {"none", "uffd", "soft-dirty", "scan"};
  const char *reason = "there is no collector yet";
  enum track_way way = collector_is_armed ? remember_way(&reason) : TRACK_AUTO;
  if (why) *why = reason;
  return ways[way];
}

/* --- how much --- */

size_t gc_block_bytes(void) {
  size_t bytes = 0;
  for (unsigned kind = 0; kind < kind_count; kind++) bytes += atomic_load(&heap_bytes[kind]);
  return bytes;
}

PUBLIC size_t GC_get_heap_size(void) { return birth_ensure() ? gc_block_bytes() + runs_dirty_bytes() : 0; }

/* Slots that wait in a thread's free word count as used. */
PUBLIC size_t GC_get_free_bytes(void) {
  struct block *block;
  if (!birth_ensure()) return 0;
  heap_lock();
  size_t bytes = runs_dirty_bytes();
  for (size_t unit = 0; (block = region_next(&unit)) != NULL; unit += block->units) {
    uint32_t used = *(volatile uint32_t *)&block->used - atomic_load(&block->remote_freed);
    if (block->slot_size && used < block->nslots) bytes += (size_t)(block->nslots - used) * block->slot_size;
  }
  heap_unlock();
  return bytes;
}

/* Live objects whose state has these bits, and their bytes. */
static size_t gc_count(uint8_t bits, size_t *bytes) {
  struct block *block;
  size_t objects = 0;
  *bytes = 0;
  if (!birth_ensure()) return 0;
  heap_lock();
  for (size_t unit = 0; (block = region_next(&unit)) != NULL; unit += block->units) {
    size_t found = 0;
    for (uint32_t slot = 0; slot < block->nslots; slot++) {
      uint8_t state = ((volatile uint8_t *)block->state)[slot];
      found += state_is_live(state) && (state & bits) == bits;
    }
    objects += found;
    *bytes += found * block_slot_bytes(block);
  }
  heap_unlock();
  return objects;
}

PUBLIC size_t GC_get_freeze_count(void) {
  size_t bytes;
  return gc_count(STATE_FROZEN, &bytes);
}

PUBLIC size_t GC_get_live_bytes(void) {
  size_t bytes;
  gc_count(0, &bytes);
  return bytes;
}

PUBLIC void GC_set_max_heap_size(GC_word bytes) { heap_set_limit(bytes); }
PUBLIC size_t GC_get_max_heap_size(void) { return birth_ensure() ? heap_limit() : 0; }

/* Takes the units, to see that they are there, and gives them back for the first who needs some. */
bool gc_expand(size_t bytes) {
  bool zero;
  size_t most = heap_limit();
  if (bytes > region.span || (most && gc_block_bytes() + bytes > most)) return false;
  uint32_t units = (uint32_t)(bits_align_up(bytes, block_unit) / block_unit);
  heap_lock();
  uint32_t at = units ? runs_alloc(units, &zero) : runs_none;
  if (at != runs_none) runs_free(at, units, zero);
  heap_unlock();
  return at != runs_none || units == 0;
}

PUBLIC int GC_expand_hp(size_t bytes) {
  struct pace_settings settings;
  int saved = errno;
  bool done = birth_ensure() && gc_expand(bytes);
  if (done && collector_arm() == 0) {
    pace_get(&settings);
    size_t least = gc_block_bytes() + bytes;
    if (settings.initial_heap < least) settings.initial_heap = least;
    pace_set(&settings);
  }
  errno = saved;
  return done;
}
