/* SPDX-License-Identifier: MIT
 * When the program is told what the collector found out for it: finalizers and callbacks of weak references are run here, and nowhere else but by
 * GC_unref. Never inside the malloc family, and never with a lock of ours held.
 *
 *   at the end of GC_gcollect and its like; at the end of a GC_malloc whose slow path finds something waiting; or
 *   by GC_invoke_finalizers alone (finalize on demand; callbacks of weak references come as ever); or
 *   by a thread that the program has asked for */
#ifndef GLEANER_GC_ERRANDS_H
#define GLEANER_GC_ERRANDS_H

#include "api/api.h"
#include "gc.h"
#include "gc/errand.h"

/* Something waits to be run. One or two loads. */
static inline bool gc_errands_wait(void) { return errand_count(ERRAND_FINALIZER) > 0 || errand_count(ERRAND_CALLBACK) > 0; }

/* In gc_sizes.c: the heap has changed its size, perhaps; who wants to know is told. */
void gc_sizes_look(void);

/* At the end of an allocation, when it has taken the slow path: what it returns is in the caller's frame. Nothing while this thread runs an errand,
 * or while the lock is taken. Keeps errno. */
void gc_errands_run_slow(bool asked);
static inline void gc_errands_allocated(void) {
  if (unlikely(gc_errands_wait())) gc_errands_run_slow(false);
  if (unlikely(GC_on_heap_resize != NULL)) gc_sizes_look();
}
/* At the end of a collection that somebody asked for. */
static inline void gc_errands_collected(void) {
  if (unlikely(gc_errands_wait())) gc_errands_run_slow(true);
  if (unlikely(GC_on_heap_resize != NULL)) gc_sizes_look();
}

/* The collection is over, and the program runs: who awaits finalizers is told. By the thread that collected, in a callback of a collection. */
void gc_errands_tell_awaited(void);

/* Under the watch lock: the last reference to the object is given back while its finalizer is run, as the collector found it due. True: it is the
 * finalizer's from now on, and gc_ref_finalized is called after it. */
bool gc_errands_lend(uintptr_t object);
/* What was lent to the object's finalizer is given back. */
void gc_ref_finalized(void *object);

void gc_errands_fork_child(void);

#endif
