/* SPDX-License-Identifier: MIT
 * The public names of the list of garbage, and what is told of it (Python's gc.set_debug and gc.garbage). */
#include "config.h"

#include "api/gc_events.h"
#include "base/print.h"
#include "gc/garbage.h"
#include "gc/watch.h"
#include "gc_ext.h"

#define PUBLIC __attribute__((visibility("default"), noinline))

static _Atomic int garbage_debug;
static _Atomic bool garbage_warned;

PUBLIC void GC_set_debug(int flags) {
  bool tell = flags & (GC_DEBUG_COLLECTABLE | GC_DEBUG_UNCOLLECTABLE);
  atomic_store(&garbage_debug, flags);
  garbage_wants = (flags & GC_DEBUG_SAVEALL ? GARBAGE_SAVE : 0u) | (tell ? GARBAGE_TELL : 0u);
  gc_log_always(flags & GC_DEBUG_STATS);
}

PUBLIC int GC_get_debug(void) { return atomic_load(&garbage_debug); }

PUBLIC size_t GC_get_garbage_count(void) {
  watch_lock();
  size_t count = garbage_count();
  watch_unlock();
  return count;
}

PUBLIC void *GC_get_garbage(size_t n) {
  watch_lock();
  void *object = (void *)garbage_get(n);
  keep_alive(object);
  watch_unlock();
  keep_alive(object);
  return object;
}

PUBLIC void GC_clear_garbage(void) {
  watch_lock();
  garbage_clear();
  watch_unlock();
}

/* --- what is told --- */

static void garbage_tell_notes(int debug) {
  struct garbage_note notes[64];
  size_t count;
  do {
    watch_lock();
    count = garbage_take_notes(notes, sizeof notes / sizeof *notes);
    watch_unlock();
    for (size_t i = 0; i < count; i++) {
      bool uncollectable = notes[i].uncollectable;
      if (!(debug & (uncollectable ? GC_DEBUG_UNCOLLECTABLE : GC_DEBUG_COLLECTABLE))) continue;
      gc_log_note("%s object %p of %zu bytes", uncollectable ? "uncollectable" : "collectable", (void *)notes[i].object, (size_t)notes[i].size);
    }
  } while (count == sizeof notes / sizeof *notes);
}

/* Where there is a log it is told each time, else once. */
void gc_garbage_tell(const struct collection *facts) {
  int debug = atomic_load(&garbage_debug);
  size_t listed;
  watch_lock();
  size_t first = garbage_take_stuck(&listed);
  watch_unlock();
  gc_stats_uncollectable(facts->generation, listed);
  if (first && (birth_options.gc_log || !atomic_exchange(&garbage_warned, true)))
    gc_log_note("%zu objects with finalizers cannot be finalized, because they, or what leads to them, lead to themselves; GC_get_garbage tells them", listed);
  if (debug & (GC_DEBUG_COLLECTABLE | GC_DEBUG_UNCOLLECTABLE)) garbage_tell_notes(debug);
}
