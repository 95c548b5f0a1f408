/* SPDX-License-Identifier: MIT
 * The heap lock, purging, and what a fork child has to repair. */
#include "config.h"

#include "heap/heap.h"

#include "base/lock.h"
#include "heap/cache.h"
#include "heap/runs.h"
#include "heap/units.h"
#include "os/memory.h"
#include "os/threads.h"

static struct lock heap_mutex = LOCK_INIT(LOCK_HEAP);
static bool heap_notes;

int heap_init(bool notes) {
  heap_notes = notes;
  region.live_mask = STATE_OWNED;
  return runs_init();
}

_Atomic bool heap_alarm;
_Atomic ptrdiff_t heap_alarm_at = PTRDIFF_MAX;

ptrdiff_t heap_in_use_sum(void) {
  ptrdiff_t sum = 0;
  for (unsigned kind = 0; kind < kind_count; kind++) sum += atomic_load_explicit(&heap_in_use[kind], memory_order_relaxed);
  return sum;
}

void heap_alarm_check(void) {
  if (heap_in_use_sum() >= atomic_load_explicit(&heap_alarm_at, memory_order_relaxed)) atomic_store(&heap_alarm, true);
}

bool heap_has_notes(void) { return heap_notes; }
void heap_lock(void) { lock_acquire(&heap_mutex); }

bool heap_lock_within(unsigned milliseconds) {
  for (unsigned i = 0; i < milliseconds; i++) {
    if (lock_try(&heap_mutex)) return true;
    os_thread_sleep(1000 * 1000);
  }
  return false;
}

void heap_unlock(void) { lock_release(&heap_mutex); }

size_t heap_purge(bool all) {
  enum { purge_most = 16 }; /* runs in one go */
  size_t bytes = 0;
  for (int i = 0; all || i < purge_most; i++) {
    uint32_t at, units;
    heap_lock();
    bool due = runs_take_due(&at, &units, all);
    heap_unlock();
    if (!due) break;
    size_t size = (size_t)units * block_unit;
    bool zero = os_memory_purge((void *)(region.base + (uintptr_t)at * block_unit), size) == 0;
    heap_lock();
    runs_free(at, units, zero);
    heap_unlock();
    if (!zero) break; /* refused (locked memory, say): it stays dirty */
    bytes += size;
  }
  return bytes;
}

void heap_limit_span(size_t limit) {
  heap_lock();
  runs_limit_span(limit);
  units_limit_span();
  heap_unlock();
}

void heap_fork_child(struct cache *mine) {
  if (lock_is_held(&heap_mutex)) {
    lock_reset(&heap_mutex);
    block_repair();
    runs_rebuild();
  }
  cache_fork_child(mine);
}
