/* SPDX-License-Identifier: MIT
 * libgc's kinds of objects, which a program may add to, and its mark procedures. Must not know how objects are looked at (gc/typed.c). */
#include "config.h"

#include "api/alloc.h"
#include "api/collector.h"
#include "gc/collect.h"
#include "gc/disclaim.h"
#include "gc/mark.h"
#include "gc/typed.h"
#include "gc_disclaim.h"
#include "gc_mark.h"
#include "libgc/libgc.h"
#include "os/memory.h"

#include <errno.h>

enum {
  kinds_most = 64,
  kinds_first = 5, /* below: pointer-free, normal, uncollectable, uncollectable and pointer-free, and libgc's old stubborn */
  kinds_list_words = 4096 / 16 + 1,
};

static struct kind_of_client {
  uintptr_t template;
  bool adjust, in_order;
  _Atomic(GC_disclaim_proc) disclaim; /* NULL: nobody is asked */
} kinds[kinds_most];
static _Atomic unsigned kinds_count = kinds_first;

/* --- new ones --- */

/* libgc keeps free objects there; we keep them elsewhere, and this only names the kind. */
PUBLIC void **GC_new_free_list(void) { return os_arena_alloc(kinds_list_words * sizeof(void *), 16); }
PUBLIC void **GC_new_free_list_inner(void) { return GC_new_free_list(); }

/* clear is for objects that no pointer must be found in before they are filled: all of ours are zero then. */
PUBLIC unsigned GC_new_kind(void **list, GC_word descriptor, int adjust, int clear) {
  unsigned kind = atomic_load(&kinds_count);
  (void)list;
  (void)clear;
  do
    if (kind >= kinds_most) return GC_I_NORMAL; /* which finds all pointers */
  while (!atomic_compare_exchange_weak(&kinds_count, &kind, kind + 1));
  kinds[kind].template = descriptor;
  kinds[kind].adjust = adjust != 0;
  return kind;
}

PUBLIC unsigned GC_new_kind_inner(void **list, GC_word descriptor, int adjust, int clear) {
  return GC_new_kind(list, descriptor, adjust, clear);
}

PUBLIC unsigned GC_new_proc(GC_mark_proc procedure) { return typed_add_procedure((typed_procedure *)procedure); }
PUBLIC unsigned GC_new_proc_inner(GC_mark_proc procedure) { return GC_new_proc(procedure); }

/* --- objects of them --- */

/* A template is made a descriptor by adding the size to it: of a length that is all of the object. */
static void *kinds_alloc(size_t size, const struct kind_of_client *kind, const struct site_start *start) {
  bool full = kind->adjust && (kind->template & 3) == TYPED_LENGTH;
  uintptr_t words = (size + sizeof(uintptr_t) - 1) / sizeof(uintptr_t) * sizeof(uintptr_t);
  return gc_alloc_typed(size, kind->template + (kind->adjust ? words : 0), full, start);
}

static void *kinds_malloc_any(size_t size, int kind, const struct site_start *start) {
  if (kind >= kinds_first && kind < (int)atomic_load(&kinds_count)) return kinds_alloc(size, &kinds[kind], start);
  switch (kind) {
    case GC_I_PTRFREE: return GC_malloc_atomic(size);
    case 2: return GC_malloc_uncollectable(size);
    case 3: return GC_malloc_atomic_uncollectable(size);
    default: return GC_malloc(size);
  }
}

/* --- who is asked before they are reclaimed --- */

/* The lock may be the caller's (GC_call_with_alloc_lock). NULL: no memory for it. */
static void *kinds_disclaim(void *p, disclaim_function *function, void *data, bool in_order) {
  bool mine = watch_is_mine(), live = (uintptr_t)p - region.base < region.span && birth_options.mode != MODE_LEAKS;
  if (!live) return p;
  if (!mine) watch_lock();
  bool added = disclaim_add((uintptr_t)p, function, data, in_order);
  if (!mine) watch_unlock();
  keep_alive(p);
  if (!added) errno = ENOMEM;
  return added ? p : NULL;
}

static int kinds_ask(void *object, void *data) { return ((GC_disclaim_proc)data)(object); }

static void *kinds_malloc(size_t size, int kind, const struct site_start *start) {
  void *p = kinds_malloc_any(size, kind, start);
  GC_disclaim_proc disclaim = kind >= 0 && kind < kinds_most ? atomic_load_explicit(&kinds[kind].disclaim, memory_order_acquire) : NULL;
  return likely(!disclaim) ? p : kinds_disclaim(p, kinds_ask, (void *)disclaim, kinds[kind].in_order);
}

PUBLIC void GC_register_disclaim_proc(int kind, GC_disclaim_proc function, int in_order) {
  if (kind < 0 || kind >= kinds_most) return;
  kinds[kind].in_order = in_order != 0;
  atomic_store_explicit(&kinds[kind].disclaim, function, memory_order_release);
}

static int kinds_finalize(void *object, void *data) {
  const struct GC_finalizer_closure *closure = data;
  closure->proc(object, closure->cd);
  return 0;
}

PUBLIC void GC_init_finalized_malloc(void) { collector_arm(); }

PUBLIC void *GC_finalized_malloc(size_t size, const struct GC_finalizer_closure *closure) {
  return kinds_disclaim(GC_malloc(size), kinds_finalize, (void *)(uintptr_t)closure, true);
}

#define KINDS_MALLOC(name)                                                                                    \
  PUBLIC void *name(size_t size, int kind) {                                                                 \
    struct site_start start;                                                                                 \
    SITE_CALLER(&start);                                                                                     \
    return kinds_malloc(size, kind, &start);                                                                 \
  }
KINDS_MALLOC(GC_generic_malloc)
KINDS_MALLOC(GC_generic_malloc_ignore_off_page)
KINDS_MALLOC(GC_generic_or_special_malloc)
KINDS_MALLOC(GC_malloc_kind)
KINDS_MALLOC(GC_malloc_kind_global)

/* See gc.h: more than is asked for. Tail calls, so that the caller is still the program. */
PUBLIC void *GC_malloc_ignore_off_page(size_t size) { return GC_malloc(size); }
PUBLIC void *GC_malloc_atomic_ignore_off_page(size_t size) { return GC_malloc_atomic(size); }

/* Of whatever kind, searched for pointers as a whole. */
PUBLIC void *GC_generic_malloc_uncollectable(size_t size, int kind) {
  return kind == GC_I_PTRFREE || kind == 3 ? GC_malloc_atomic_uncollectable(size) : GC_malloc_uncollectable(size);
}

/* Linked through their first words; the last one's is NULL. What the handler gives where there is no memory would be no object of a list. */
PUBLIC void GC_generic_malloc_many(size_t size, int kind, void **result) {
  enum { many_bytes = 4096, many_most = 128 };
  size_t each = size > sizeof(void *) ? size : sizeof(void *), count = many_bytes / each;
  if (count < 1) count = 1;
  if (count > many_most) count = many_most;
  void *volatile held[many_most] = {0}; /* the first word of some kinds is not looked at */
  void *list = NULL;
  for (size_t i = 0; i < count; i++) {
    gc_take_given(); /* what it gave before is long another object */
    void **object = GC_generic_malloc(each, kind);
    if (!object || object == gc_take_given()) break;
    held[i] = *object = list;
    list = object;
  }
  *result = list;
  void *volatile *all = held; /* up to here */
  keep_alive(all);
}

PUBLIC void *GC_malloc_many(size_t size) {
  void *volatile list = NULL;
  GC_generic_malloc_many(size, GC_I_NORMAL, (void **)&list);
  return list;
}

PUBLIC int GC_get_kind_and_size(const void *object, size_t *size) {
  struct block *block;
  uint32_t slot;
  static const int of[] = {[KIND_SCANNED] = GC_I_NORMAL, [KIND_COLLECTED] = GC_I_NORMAL, [KIND_POINTER_FREE] = GC_I_PTRFREE,
                           [KIND_UNCOLLECTABLE] = 2, [KIND_UNCOLLECTABLE_POINTER_FREE] = 3, [KIND_TYPED] = GC_I_NORMAL};
  bool found = alloc_find(object, &block, &slot);
  if (size) *size = found ? block_slot_bytes(block) : 0;
  return found ? of[block->kind] : GC_I_NORMAL;
}

/* --- within a mark procedure: elsewhere there is no marking that could be told --- */

PUBLIC struct GC_ms_entry *GC_mark_and_push(void *object, struct GC_ms_entry *top, struct GC_ms_entry *limit, void **from) {
  (void)limit;
  (void)from;
  if (collect_is_marking()) typed_mark((uintptr_t)object);
  return top;
}

/* --- roots of the program's own --- */

static void kinds_push_nothing(void) {}

PUBLIC_DATA GC_push_other_roots_proc GC_push_other_roots = kinds_push_nothing;

static void kinds_push_roots(void) {
  GC_push_other_roots_proc push = GC_push_other_roots;
  if (push) push();
}

/* The variable may be set as well, without a call. */
__attribute__((constructor)) static void kinds_begin(void) { collector_other_roots = kinds_push_roots; }

PUBLIC void GC_set_push_other_roots(GC_push_other_roots_proc function) { GC_push_other_roots = function ? function : kinds_push_nothing; }
PUBLIC GC_push_other_roots_proc GC_get_push_other_roots(void) { return GC_push_other_roots; }

PUBLIC void GC_push_all(void *lo, void *hi) {
  if (lo < hi && collect_is_marking()) mark_data((uintptr_t)lo, (uintptr_t)hi);
}
PUBLIC void GC_push_all_eager(void *lo, void *hi) {
  if (lo < hi && collect_is_marking()) mark_range((uintptr_t)lo, (uintptr_t)hi);
}
PUBLIC void GC_push_conditional(void *lo, void *hi, int all) { GC_push_all(lo, hi), (void)all; }
PUBLIC void GC_push_finalizer_structures(void) {}
