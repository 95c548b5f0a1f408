/* SPDX-License-Identifier: MIT
 * Who waits for full collections, and who is to know when memory becomes low. Must not know what anybody does then. */
#include "config.h"

#include "api/gc_memory.h"

#include "gc_ext.h"
#include "os/limits.h"
#include "os/threads.h"

#include <errno.h>

#define PUBLIC __attribute__((visibility("default"), noinline))

/* --- full collections: two events, of which one is set from the approach of a full collection to its end, the other from then to the next
 * approach --- */

enum { NOTIFY_APPROACH = 1, NOTIFY_COMPLETE = 2, NOTIFY_CANCELED = 4, notify_turn = 8 };

static _Atomic unsigned gc_notify_percent; /* 0: nobody registered */
static _Atomic uint32_t gc_notify_events;  /* the bits above, and a count of changes */

static void gc_notify_set(uint32_t events) {
  uint32_t old = atomic_load(&gc_notify_events), new;
  do new = ((old & ~(uint32_t)(notify_turn - 1)) + notify_turn) | events;
  while (!atomic_compare_exchange_weak(&gc_notify_events, &old, new));
  os_futex_wake(&gc_notify_events);
}

static void gc_notify_approach(void) {
  if (!(atomic_load(&gc_notify_events) & NOTIFY_APPROACH)) gc_notify_set(NOTIFY_APPROACH);
}

PUBLIC int GC_register_for_full_gc_notification(int percent) {
  int error = percent < 1 || percent > 99 ? EINVAL : collector_arm();
  if (error) {
    errno = error;
    return -1;
  }
  gc_notify_set(0);
  atomic_store(&gc_notify_percent, (unsigned)percent);
  return 0;
}

PUBLIC int GC_cancel_full_gc_notification(void) {
  if (!atomic_exchange(&gc_notify_percent, 0)) {
    errno = EINVAL;
    return -1;
  }
  gc_notify_set(NOTIFY_CANCELED);
  return 0;
}

static enum GC_notification gc_notify_wait(uint32_t event, long milliseconds) {
  const long longest = INT64_MAX / (1000 * 1000);
  if (milliseconds > longest) milliseconds = longest;
  uint64_t since = os_clock(), most = milliseconds < 0 ? 0 : (uint64_t)milliseconds * 1000 * 1000;
  if (!atomic_load(&gc_notify_percent)) return GC_NOTIFICATION_NOT_APPLICABLE;
  for (;;) {
    uint32_t events = atomic_load(&gc_notify_events);
    uint64_t gone = os_clock() - since;
    if (events & NOTIFY_CANCELED || !atomic_load(&gc_notify_percent)) return GC_NOTIFICATION_CANCELED;
    if (events & event) return GC_NOTIFICATION_SUCCEEDED;
    if (milliseconds >= 0 && gone >= most) return GC_NOTIFICATION_TIMEOUT;
    os_futex_wait(&gc_notify_events, events, milliseconds < 0 ? 0 : most - gone);
  }
}

PUBLIC enum GC_notification GC_wait_for_full_gc_approach(long milliseconds) { return gc_notify_wait(NOTIFY_APPROACH, milliseconds); }
PUBLIC enum GC_notification GC_wait_for_full_gc_complete(long milliseconds) { return gc_notify_wait(NOTIFY_COMPLETE, milliseconds); }

static bool gc_notify_is_full(const struct collection *facts) { return facts->generation == collect_generations - 1; }

void gc_notify_before(const struct collection *facts) {
  if (unlikely(atomic_load(&gc_notify_percent)) && gc_notify_is_full(facts)) gc_notify_approach();
}

/* The higher the percentage, the earlier. */
void gc_notify_after(const struct collection *facts) {
  unsigned percent = atomic_load(&gc_notify_percent);
  if (likely(!percent)) return;
  if (gc_notify_is_full(facts)) gc_notify_set(NOTIFY_COMPLETE);
  else if (pace_full_progress() >= 100 - percent) gc_notify_approach();
}

/* The child's threads are others. */
void gc_notify_fork_child(void) { gc_notify_set(0); }

/* --- low memory --- */

static _Atomic unsigned gc_low_percent; /* 0: nobody wants to know */
static _Atomic bool gc_low_told;

PUBLIC int GC_set_low_memory_threshold(int percent) {
  if (percent < 0 || percent > 100) {
    errno = EINVAL;
    return -1;
  }
  atomic_store(&gc_low_told, false);
  atomic_store(&gc_low_percent, (unsigned)percent);
  return 0;
}

PUBLIC int GC_get_low_memory_threshold(void) { return (int)atomic_load(&gc_low_percent); }

static bool gc_low_limit(enum GC_memory_limit limit, size_t *used, size_t *most) {
  static const enum os_limit kernels[] = {[GC_LIMIT_CONTROL_GROUP] = OS_LIMIT_CONTROL_GROUP,
                                          [GC_LIMIT_ADDRESS_SPACE] = OS_LIMIT_ADDRESS_SPACE,
                                          [GC_LIMIT_DATA] = OS_LIMIT_DATA,
                                          [GC_LIMIT_MACHINE] = OS_LIMIT_MACHINE};
  *used = gc_block_bytes();
  *most = heap_limit();
  return limit == GC_LIMIT_HEAP ? *most > 0 : os_limit_find(kernels[limit], used, most);
}

bool gc_notify_is_low(struct GC_low_memory *low) {
  unsigned percent = atomic_load(&gc_low_percent);
  if (likely(!percent)) return false;
  for (enum GC_memory_limit limit = GC_LIMIT_HEAP; limit <= GC_LIMIT_MACHINE; limit++) {
    *low = (struct GC_low_memory){.limit = limit};
    if (gc_low_limit(limit, &low->used, &low->most) && low->used >= low->most / 100 * percent) return !atomic_exchange(&gc_low_told, true);
  }
  atomic_store(&gc_low_told, false);
  return false;
}

