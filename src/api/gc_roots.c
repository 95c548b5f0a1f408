/* SPDX-License-Identifier: MIT
 * The public names for roots and threads. */
#include "config.h"

#include "api/gc_events.h"

#include "base/bits.h"
#include "gc.h"
#include "gc/roots.h"

#include <unistd.h>

#define PUBLIC __attribute__((visibility("default"), noinline))

PUBLIC void GC_add_roots(void *lo, void *hi) {
  uintptr_t from = bits_align_up((uintptr_t)lo, sizeof(uintptr_t)), to = bits_align_down((uintptr_t)hi, sizeof(uintptr_t));
  if (from >= to || roots_add(from, to) == 0) return;
  /* What a missed root holds would be reclaimed. */
  collector_forbid();
}

PUBLIC void GC_remove_roots(void *lo, void *hi) {
  if (lo < hi) roots_remove((uintptr_t)lo, (uintptr_t)hi);
}

PUBLIC void GC_clear_roots(void) { roots_remove(0, UINTPTR_MAX); }

PUBLIC void GC_exclude_static_roots(void *lo, void *hi) {
  uintptr_t from = bits_align_up((uintptr_t)lo, sizeof(uintptr_t)), to = bits_align_down((uintptr_t)hi, sizeof(uintptr_t));
  if (from < to) roots_exclude(from, to);
}

PUBLIC void GC_clear_exclusion_table(void) { roots_include_all(); }

/* --- threads --- */

static THREAD_LOCAL enum { gc_thread_unknown, gc_thread_registered, gc_thread_unregistered } gc_thread;

extern void *__libc_stack_end; /* where the main thread's stack began */

static bool gc_thread_is_main(void) { return os_thread_id() == getpid(); }

/* The C library puts a thread's descriptor at the upper end of its stack; where the main thread's is, says nothing. */
PUBLIC int GC_get_stack_base(struct GC_stack_base *base) {
  struct world_stack stack;
  uintptr_t descriptor = os_thread_pointer();
  collector_arm(); /* which learns how to read one */
  bool made = world_stack_read(descriptor, &stack) && stack.lo;
  base->mem_base = made ? (void *)descriptor : __libc_stack_end;
  return GC_SUCCESS;
}

PUBLIC void GC_allow_register_threads(void) {}

PUBLIC int GC_thread_is_registered(void) {
  return gc_thread == gc_thread_unknown ? gc_thread_is_main() : gc_thread == gc_thread_registered;
}

PUBLIC int GC_register_my_thread(const struct GC_stack_base *base) {
  (void)base;
  if (GC_thread_is_registered()) return GC_DUPLICATE;
  gc_thread = gc_thread_registered;
  birth_cache(); /* from now on it has to stand still */
  return GC_SUCCESS;
}

PUBLIC int GC_unregister_my_thread(void) {
  if (!GC_thread_is_registered()) return GC_NOT_FOUND;
  gc_thread = gc_thread_unregistered;
  return GC_SUCCESS;
}
