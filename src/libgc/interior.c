/* SPDX-License-Identifier: MIT
 * libgc's policy about pointers into objects: whether they count everywhere, or only on stacks and in registers. Must not know how words are
 * looked at (gc/mark.h). */
#include "config.h"

#include "api/collector.h"
#include "gc.h"
#include "gc/mark.h"
#include "libgc/libgc.h"

#include <stdlib.h>

/* Old programs set it themselves, before the first allocation. */
PUBLIC_DATA int GC_all_interior_pointers = 1;

/* The environment has the last word, as in libgc, about what was set before the collector begins. */
static bool interior_is_off(void) {
  static _Atomic bool asked;
  if (!atomic_exchange(&asked, true) && secure_getenv("GC_ALL_INTERIOR_POINTERS")) GC_all_interior_pointers = 1;
  return !GC_all_interior_pointers;
}

__attribute__((constructor)) static void interior_begin(void) { collector_wants_exact = interior_is_off; }

PUBLIC void GC_set_all_interior_pointers(int all) {
  GC_all_interior_pointers = all != 0;
  if (collector_is_armed) collector_is_exact(); /* what is allocated from now on */
}

PUBLIC int GC_get_all_interior_pointers(void) { return GC_all_interior_pointers; }

PUBLIC void GC_register_displacement(size_t bytes) { mark_add_displacement(bytes); }
