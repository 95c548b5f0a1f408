/* SPDX-License-Identifier: MIT
 * libgc's objects for runtimes in which the first word leads to the description of a type. Must not know how descriptors are looked at
 * (gc/typed.h). */
#include "config.h"

#include "gc/typed.h"
#include "gc_gcj.h"
#include "gc_mark.h"
#include "libgc/libgc.h"

#include <sched.h>

/* Until it is known better, all of an object is searched. */
PUBLIC_DATA int GC_gcj_kind = GC_I_NORMAL, GC_gcj_debug_kind = GC_I_NORMAL;

/* The descriptor is the second word of what the first word leads to; for debug objects the procedure is called, with environment 1. */
PUBLIC void GC_init_gcj_malloc(int number, void *procedure) {
  static _Atomic int begun;
  int not_yet = 0;
  if (!atomic_compare_exchange_strong(&begun, &not_yet, 1)) {
    while (atomic_load(&begun) == 1) sched_yield();
    return;
  }
  GC_word place = (GC_word)0 - (sizeof(GC_word) + GC_INDIR_PER_OBJ_BIAS);
  if (procedure) typed_set_procedure((unsigned)number, (typed_procedure *)procedure);
  GC_gcj_kind = (int)GC_new_kind(NULL, place | GC_DS_PER_OBJECT, 0, 1);
  GC_gcj_debug_kind = (int)GC_new_kind(NULL, GC_MAKE_PROC((GC_word)(unsigned)number, (GC_word)1), 0, 1);
  atomic_store(&begun, 2);
}

static void *gcj_set(void **object, const void *description) {
  if (object) *object = (void *)(uintptr_t)description;
  return object;
}

static size_t gcj_size(size_t size) { return size < sizeof(void *) ? sizeof(void *) : size; }

PUBLIC void *GC_gcj_malloc(size_t size, void *description) {
  return gcj_set(GC_generic_malloc(gcj_size(size), GC_gcj_kind), description);
}

PUBLIC void *GC_gcj_malloc_ignore_off_page(size_t size, void *description) {
  return gcj_set(GC_generic_malloc_ignore_off_page(gcj_size(size), GC_gcj_kind), description);
}

PUBLIC void *GC_debug_gcj_malloc(size_t size, void *description, const char *file, int line) {
  return gcj_set(GC_debug_generic_or_special_malloc(gcj_size(size), GC_gcj_debug_kind, file, line), description);
}
