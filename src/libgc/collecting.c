/* SPDX-License-Identifier: MIT
 * libgc's ways to collect, and to be told of the heap's size. Must not know how anything is collected. */
#include "config.h"

#define GC_THREADS
#define GC_NO_THREAD_REDIRECTS
#include "api/collector.h"
#include "api/gc_errands.h"
#include "gc.h"
#include "heap/heap.h"
#include "libgc/libgc.h"

#include <errno.h>

static int collecting_never(void) { return 0; }

static GC_stop_func collecting_stop = collecting_never;
static _Atomic bool collecting_unmaps;

PUBLIC void GC_set_stop_func(GC_stop_func function) {
  __atomic_store_n(&collecting_stop, function, __ATOMIC_SEQ_CST);
  collector_wishes.stop = function == collecting_never ? NULL : function;
}
PUBLIC GC_stop_func GC_get_stop_func(void) { return __atomic_load_n(&collecting_stop, __ATOMIC_SEQ_CST); }

PUBLIC void GC_set_force_unmap_on_gcollect(int on) { atomic_store(&collecting_unmaps, on != 0); }
PUBLIC int GC_get_force_unmap_on_gcollect(void) { return atomic_load(&collecting_unmaps); }

/* A full one. False: it was stopped, or there was none. */
static bool collecting_run(GC_stop_func stop, bool unmap) {
  struct collection facts = {0};
  int saved = errno;
  bool may = collector_arm() == 0 && !collector_is_disabled() && !stop();
  bool done = may && collector_run_until(stop == collecting_never ? NULL : stop, &facts);
  if (done && unmap) heap_purge(true);
  gc_errands_collected();
  errno = saved;
  return done;
}

/* In mode leaks a program that looks for leaks is told of them now. */
PUBLIC void GC_gcollect(void) {
  if (unlikely(GC_find_leak) && birth_options.mode == MODE_LEAKS) leak_report(true);
  else collecting_run(GC_get_stop_func(), atomic_load(&collecting_unmaps));
}
PUBLIC void GC_gcollect_and_unmap(void) { collecting_run(collecting_never, true); }
PUBLIC int GC_try_to_collect(GC_stop_func stop) { return collecting_run(stop, atomic_load(&collecting_unmaps)); }
