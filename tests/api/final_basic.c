/* SPDX-License-Identifier: MIT
 * gc.h and gc_ext.h: finalizers, one situation after the other. */
#include "final.h"

/* --- finalizers that count --- */

static int ran;
static uintptr_t last_object; /* hidden */
static void *last_data;

static void GC_CALLBACK count(void *object, void *data) {
  ran++;
  last_object = ~(uintptr_t)object;
  last_data = data;
}

static void GC_CALLBACK other(void *object, void *data) { (void)object, (void)data; }

static void reset(void) {
  ran = 0;
  last_object = 0;
  last_data = NULL;
}

typedef void register_function(void *, GC_finalization_proc, void *, GC_finalization_proc *, void **);

/* Objects that are lost at once, with a finalizer each. */
__attribute__((noinline)) static void lose(int count_of, register_function *how, GC_finalization_proc function, void *data) {
  GC_disable(); /* not before it is asked for */
  for (int i = 0; i < count_of; i++) {
    void **object = GC_malloc(48);
    how(object, function, data, NULL, NULL);
  }
  GC_enable();
  wipe();
}

/* --- registering --- */

static void test_register(void) {
  GC_finalization_proc old = other;
  static int one, two;
  void *data = &one, *object = GC_malloc(100);
  GC_register_finalizer(object, count, &one, &old, &data);
  OK(old == NULL && data == NULL, "a first finalizer has none before it");
  GC_register_finalizer_no_order(object, other, &two, &old, &data);
  OK(old == count && data == &one, "another one takes its place, and the old one is told");
  GC_register_finalizer(object, NULL, NULL, &old, &data);
  OK(old == other && data == &two, "NULL takes it away");
  old = other;
  GC_register_finalizer(object, NULL, NULL, &old, &data);
  OK(old == NULL && data == NULL, "and then there is none");
  GC_register_finalizer(object, count, NULL, NULL, NULL);
  GC_register_finalizer(object, NULL, NULL, NULL, NULL);
  reset();
  GC_free(object);
  object = NULL;
  collect_all();
  OK(ran == 0, "what was taken away is not run");
  old = other;
  data = &one;
  static int global;
  GC_register_finalizer(&global, count, NULL, &old, &data);
  OK(old == NULL && data == NULL, "of what is no object nothing is told, and nothing is done");
  old = other;
  GC_register_finalizer(NULL, count, NULL, &old, &data);
  OK(old == NULL, "nor of NULL");
  char *inside = GC_malloc(100);
  GC_register_finalizer(inside + 16, count, NULL, &old, &data);
  GC_register_finalizer(inside, NULL, NULL, &old, &data);
  OK(old == NULL, "nor of the inside of an object");
}

static void test_run(void) {
  static int data;
  reset();
  lose(100, GC_register_finalizer, count, &data);
  OK(ran == 0 && !GC_should_invoke_finalizers(), "nothing is run before a collection");
  collect_all();
  OK(nearly(ran, 100) && last_data == &data, "a collection runs the finalizers of what is lost, with their data");
  int before = ran;
  collect_all();
  collect_all();
  OK(nearly(ran, 100) && ran - before <= 10, "once");
  reset();
  lose(100, GC_debug_register_finalizer, count, NULL);
  wipe();
  GC_gcollect();
  OK(nearly(ran, 100), "GC_gcollect runs them, too");
}

static void **held;

__attribute__((noinline)) static void hold(int n) {
  held = GC_malloc_uncollectable((size_t)n * sizeof *held);
  for (int i = 0; i < n; i++) {
    held[i] = GC_malloc(40);
    GC_register_finalizer(held[i], count, NULL, NULL, NULL);
  }
}

static void test_held(void) {
  reset();
  hold(100);
  for (int g = 0; g < 3; g++)
    for (int i = 0; i < 3; i++) GC_collect(g, NULL);
  OK(ran == 0, "what is reachable is not finalized");
  memset(held, 0, 100 * sizeof *held);
  wipe();
  GC_collect(0, NULL);
  OK(ran == 0, "nor, being old, by a minor collection");
  collect_all();
  OK(nearly(ran, 100), "but by a full one when it is lost");
  GC_free(held);
}

int main(void) {
  GC_INIT();
  test_register();
  test_run();
  test_held();
  return tap_end();
}
