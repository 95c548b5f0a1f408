/* SPDX-License-Identifier: MIT
 * What the program tells of its memory: how much it holds beside the heap, and how much it will allocate while nothing may be collected. */
#include "config.h"

#include "api/gc_memory.h"

#include "gc_ext.h"

#include <errno.h>

#define PUBLIC __attribute__((visibility("default"), noinline))

/* --- pressure --- */

PUBLIC void GC_add_memory_pressure(size_t bytes) {
  if (collector_arm() != 0) return;
  int saved = errno;
  pace_press(bytes < PTRDIFF_MAX ? (ptrdiff_t)bytes : PTRDIFF_MAX);
  collector_poll();
  errno = saved;
}

PUBLIC void GC_remove_memory_pressure(size_t bytes) {
  if (collector_is_armed) pace_press(bytes < PTRDIFF_MAX ? -(ptrdiff_t)bytes : -PTRDIFF_MAX);
}

/* --- a time without collections --- */

enum gc_region { REGION_NONE, REGION_STARTING, REGION_ON, REGION_SPENT, REGION_BROKEN };

static _Atomic enum gc_region gc_region;
static ptrdiff_t gc_region_end; /* bytes in use at which the budget is spent */

/* By what is in use: what is freed meanwhile may be allocated again. */
static enum gc_region gc_region_look(void) {
  enum gc_region on = REGION_ON;
  if (atomic_load(&gc_region) == REGION_ON && heap_in_use_sum() > gc_region_end) atomic_compare_exchange_strong(&gc_region, &on, REGION_SPENT);
  return atomic_load(&gc_region);
}

bool gc_region_holds(void) { return unlikely(atomic_load(&gc_region) == REGION_ON) && gc_region_look() == REGION_ON; }

void gc_region_break(void) {
  enum gc_region on = REGION_ON;
  atomic_compare_exchange_strong(&gc_region, &on, REGION_BROKEN);
}

/* What every thread has in its words is not in use yet, as far as is known. */
static bool gc_region_make_room(size_t bytes) {
  struct collection facts;
  size_t room = bytes + bytes / 8;
  if (room < bytes || room > PTRDIFF_MAX / 2) return false;
  if (collect_progress() == COLLECT_IDLE && gc_expand(room)) return true;
  return (collector_run(collect_generations - 1, COLLECT_MEMORY, &facts) || facts.error == EPERM) && gc_expand(room);
}

static int gc_region_start(size_t bytes) {
  enum gc_region none = REGION_NONE;
  int error = collector_arm();
  if (error || bytes == 0) return error ? error : EINVAL;
  if (!atomic_compare_exchange_strong(&gc_region, &none, REGION_STARTING)) return EALREADY;
  if (!gc_region_make_room(bytes)) {
    atomic_store(&gc_region, REGION_NONE);
    return ENOMEM;
  }
  gc_region_end = heap_in_use_sum() + (ptrdiff_t)bytes;
  atomic_store(&gc_region, REGION_ON);
  return 0;
}

PUBLIC int GC_try_start_no_gc_region(size_t bytes) {
  int saved = errno, error = gc_region_start(bytes);
  errno = error ? error : saved;
  return error ? -1 : 0;
}

PUBLIC int GC_end_no_gc_region(void) {
  static const int errors[] = {[REGION_NONE] = EINVAL, [REGION_STARTING] = EINVAL, [REGION_SPENT] = EOVERFLOW, [REGION_BROKEN] = ECANCELED};
  enum gc_region region = gc_region_look();
  while (region != REGION_NONE && region != REGION_STARTING && !atomic_compare_exchange_strong(&gc_region, &region, REGION_NONE)) continue;
  atomic_store(&heap_alarm, true);
  if (errors[region] == 0) return 0;
  errno = errors[region];
  return -1;
}
