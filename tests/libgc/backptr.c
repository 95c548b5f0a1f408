/* SPDX-License-Identifier: MIT
 * gc_backptr.h: who points to an object, of debug objects and plain ones; random addresses. */
#define GC_DEBUG
#include "gc_backptr.h"
#include "gc_mark.h"

#include "says.h"
#include "../api/wipe.h"

#include <stdlib.h>

static void *volatile variable;
static void **volatile held;

static void check_heap(void **from, const char *what) {
  void *base;
  size_t offset;
  held = from;
  char *p = from[3] = GC_MALLOC(50);
  GC_ref_kind kind = GC_get_back_ptr_info(p, &base, &offset);
  OK(kind == GC_REFD_FROM_HEAP && base == from && offset == 3 * sizeof *from, "%s leads to an object: which, and where in it", what);
  base = NULL;
  kind = GC_get_back_ptr_info(p + 20, &base, NULL);
  OK(kind == GC_REFD_FROM_HEAP && base == from, "%s leads to an object that is asked about by its middle", what);
  held = NULL;
  from[3] = NULL;
}

static void test_roots(void) {
  void *base = &base;
  size_t offset = 1;
  variable = GC_MALLOC(20);
  OK(GC_get_back_ptr_info(variable, &base, &offset) == GC_REFD_FROM_ROOT && base == (void *)&variable && offset == 0, "a variable leads to an object");
  variable = GC_malloc(20);
  OK(GC_get_back_ptr_info(variable, &base, &offset) == GC_REFD_FROM_ROOT && base == (void *)&variable && offset == 0, "and to a plain one");
  OK(GC_get_back_ptr_info(variable, NULL, NULL) == GC_REFD_FROM_ROOT, "neither address nor offset need be asked for");
  void *volatile local = GC_MALLOC(20);
  GC_ref_kind kind = GC_get_back_ptr_info(local, &base, &offset);
  OK(kind == GC_REFD_FROM_ROOT || kind == GC_REFD_FROM_REG, "the stack, or a register");
  base = &base;
  OK(GC_get_back_ptr_info((void *)&variable, &base, &offset) == GC_NO_SPACE && !base && offset == 0, "of a variable itself nothing is known");
  void *uncollectable = GC_MALLOC_UNCOLLECTABLE(20);
  OK(GC_get_back_ptr_info(uncollectable, &base, &offset) == GC_UNREFERENCED && !base, "to what is never reclaimed nothing need lead");
  GC_FREE(uncollectable);
}

static void finalize(void *object, void *data) { (void)object, (void)data; }
static uintptr_t hidden;

__attribute__((noinline)) static void lose(void) {
  void *p = GC_MALLOC(20);
  GC_REGISTER_FINALIZER(p, finalize, NULL, NULL, NULL);
  hidden = ~(uintptr_t)p;
}

static void test_finalizer(void) {
  GC_set_finalize_on_demand(1);
  int found = 0;
  for (int i = 0; i < 10 && !found; i++) { /* a stale word may hold it */
    lose();
    wipe();
    GC_gcollect();
    found = GC_should_invoke_finalizers() && GC_get_back_ptr_info((void *)~hidden, NULL, NULL) == GC_FINALIZER_REFD;
  }
  OK(found, "an object that waits for its finalizer is held by that");
  GC_invoke_finalizers();
  GC_set_finalize_on_demand(0);
}

static void test_far(void) {
  void **list = NULL, *base;
  size_t offset;
  void *last = GC_MALLOC(16);
  for (int i = 0; i < 3000; i++) {
    void **link = GC_MALLOC(3 * sizeof *link);
    link[1] = list ? list : last;
    if (i == 0) variable = link;
    list = link;
  }
  void *first = variable;
  variable = NULL;
  held = list;
  wipe();
  OK(GC_get_back_ptr_info(last, &base, &offset) == GC_REFD_FROM_HEAP && base == first && offset == 8, "the end of a long list is found, too");
  held = NULL;
}

static void tell_way(void) {
  static void *volatile global;
  void **outer = global = GC_MALLOC(5 * sizeof *outer), **inner = outer[2] = GC_MALLOC_UNCOLLECTABLE(10);
  GC_FREE(inner);
  inner = outer[2] = GC_MALLOC(100);
  inner[1] = GC_MALLOC_ATOMIC(70);
  GC_print_backtrace((char *)inner[1] + 5);
}
static void tell_none(void) { GC_print_backtrace((void *)&variable); }

static void test_telling(void) {
  hear(tell_way);
  OK(said_it("the object at ") && said_it("sz=70, PTRFREE)"), "the way to an object begins with it");
  OK(said_it("pointed to at offset 8 of the object at ") && said_it("sz=100, NORMAL)"), "what leads to it");
  OK(said_it("pointed to at offset 16 of the object at ") && said_it("sz=40, NORMAL)"), "what leads to that");
  OK(said_it(", in a variable"), "and the root");
  hear(tell_none);
  OK(said_it("is in no object"), "what is no object has none");
  hear(GC_generate_random_backtrace);
  OK(said_it("the object at ") && (strstr(said, "pointed to") || strstr(said, "which is never") || strstr(said, "nothing leads")), "a random one is told, too");
}

static void tell_trace(void) { GC_print_trace(0); }
static void tell_trace_inner(void) { GC_print_trace_inner(GC_get_gc_no()); }

static void test_random(void) {
  for (int i = 0; i < 50; i++) held = GC_MALLOC(100 + 1000 * i);
  int in_heap = 0, valid = 0, distinct = 0;
  void *before = NULL;
  for (int i = 0; i < 200; i++) {
    void *p = GC_generate_random_valid_address();
    in_heap += GC_is_heap_ptr(GC_generate_random_heap_address()) != 0;
    valid += GC_base(p) != NULL;
    distinct += p != before;
    before = p;
  }
  OK(in_heap == 200, "random addresses are in the heap");
  OK(valid == 200 && distinct > 100, "random valid ones in objects, here and there");
  hear(tell_trace);
  OK(said_it("collections since number 0: ") && said_it("generation 2: "), "the trace tells of collections so far");
  hear(tell_trace_inner);
  OK(said_it(": 0; of all "), "and how many there were since one");
}

int main(void) {
  GC_INIT();
  check_heap(GC_MALLOC(80), "a debug object");
  check_heap(GC_malloc(80), "a plain one");
  check_heap(GC_MALLOC(300000), "a large one");
  test_roots();
  test_finalizer();
  test_far();
  test_telling();
  test_random();
  return tap_end();
}
