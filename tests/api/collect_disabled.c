/* SPDX-License-Identifier: MIT
 * What GC_disable promises: when it has returned nothing is collected, whatever was under way. Programs move what a collection must not find half
 * moved, and hide pointers, until GC_enable. */
#include "collect.h"
#include "gc_mark.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>

static struct crowd crowd;
static _Atomic int ends, errors, late;

static void told(const struct GC_event *event, void *arg) {
  (void)arg;
  if (event->phase != GC_PHASE_STOP) return;
  errors += event->collection.error != 0;
  ends++;
}

__attribute__((noinline)) static void allocate(size_t megabytes, void **keep) {
  enum { some = 4000 };
  for (size_t bytes = 0; bytes < megabytes << 20; bytes += some) {
    void **p = GC_malloc(some);
    if (!keep) continue;
    *p = *keep;
    *keep = p;
  }
}

/* Marking goes on beside the program, or has come to its end, and nobody has stopped the program for the second time. That needs a
 * heap of a few megabytes, whose first collections find out how writes are told. */
static bool begin_marking(void) {
  static void *old;
  for (int tries = 0; tries < 5; tries++) {
    allocate(4, &old);
    GC_gcollect();
    ends = errors = 0;
    GC_start_incremental_collection();
    if (ends == 0) return true;
  }
  return false;
}

static void test_marking(void) {
  GC_disable();
  int before = ends;
  crowd_make(&crowd, GC_malloc, 48, NULL);
  wipe();
  for (int i = 0; i < 20; i++) {
    allocate(1, NULL);
    GC_collect_a_little();
    sched_yield();
  }
  OK(ends == before && crowd_kept(&crowd), "while it is disabled the collection does not come to its end");
  GC_enable();
  for (int i = 0; i < 1000 && ends == 0; i++) allocate(1, NULL);
  OK(ends > 0 && errors == 0, "but does afterwards");
}

static void test_given_up(void) {
  static void *held;
  OK(begin_marking(), "marking goes on again");
  GC_disable();
  crowd_make(&crowd, GC_malloc, 48, NULL);
  wipe();
  for (int i = 0; i < 400 && ends == 0; i++) allocate(1, &held);
  OK(ends == 1 && errors == 1, "it is given up when the program has run far ahead of it");
  OK(crowd_kept(&crowd), "and nothing is reclaimed");
  int before = ends;
  allocate(50, NULL);
  OK(ends == before, "and it does not begin again");
  GC_enable();
  held = NULL;
  wipe();
  GC_gcollect();
  OK(crowd_lost(&crowd) && errors == 1, "until it is enabled");
}

static void test_asked(void) {
  OK(begin_marking(), "and again");
  crowd_make(&crowd, GC_malloc, 48, NULL);
  wipe();
  GC_disable();
  GC_gcollect();
  OK(crowd_kept(&crowd), "GC_gcollect does nothing meanwhile");
  OK(GC_collect(2, NULL) >= crowd_nearly && crowd_lost(&crowd), "GC_collect does what is asked");
  GC_enable();
  OK(begin_marking(), "and again");
  GC_disable();
  OK(GC_freeze() == 0 && GC_unfreeze() == 0 && errors == 1, "to freeze the heap the marking is given up");
  GC_enable();
}

/* --- by another thread --- */

static _Atomic bool over;

static void *collects(void *arg) {
  while (!over) {
    if (arg) GC_gcollect();
    else allocate(1, NULL);
  }
  return NULL;
}

/* Called while all threads stand still and roots are looked for. */
static void looks(void) { late += GC_is_disabled(); }

static void test_other(void *asks, const char *how) {
  size_t threshold[GC_GENERATIONS] = {65536, 2, 2};
  pthread_t thread;
  GC_set_threshold(threshold);
  over = false;
  int before = ends, before_late = late;
  pthread_create(&thread, NULL, collects, asks);
  for (int i = 0; i < 300; i++) {
    GC_disable();
    for (int j = 0; j < 5; j++) sched_yield();
    GC_enable();
    for (int j = 0; j < i % 20; j++) sched_yield();
  }
  while (ends == before) sched_yield();
  over = true;
  pthread_join(thread, NULL);
  if (late != before_late) tap_note("%d were done while it was disabled", late - before_late);
  OK(late == before_late, "another thread that %s collects nothing after GC_disable", how);
}

/* --- in a callback --- */

static void disables(const struct GC_event *event, void *arg) {
  if (event->phase == *(enum GC_phase *)arg) GC_disable();
}

static void test_callback(void) {
  static enum GC_phase start = GC_PHASE_START, stop = GC_PHASE_STOP;
  GC_gcollect(); /* so that none comes by itself just now */
  crowd_make(&crowd, GC_malloc, 48, NULL);
  wipe();
  GC_add_callback(disables, &start);
  GC_gcollect();
  GC_remove_callback(disables, &start);
  OK(GC_is_disabled() && crowd_kept(&crowd), "a callback that disables before a collection begins forestalls it");
  GC_enable();
  GC_add_callback(disables, &stop);
  GC_gcollect();
  GC_remove_callback(disables, &stop);
  OK(GC_is_disabled() && crowd_lost(&crowd), "one that does so afterwards does not");
  GC_enable();
}

/* --- no room --- */

static void test_room(void) {
  static void *held;
  GC_gcollect();
  GC_disable();
  crowd_make(&crowd, GC_malloc, 100000, NULL);
  wipe();
  GC_set_max_heap_size(GC_get_heap_size() + (8 << 20));
  errno = 0;
  bool failed = false;
  for (int i = 0; i < 10000; i++) {
    void **p = GC_malloc(100000);
    failed = !p;
    if (!p) break;
    *p = held;
    held = p;
  }
  OK(failed && errno == ENOMEM && crowd_kept(&crowd), "while it is disabled memory that runs out is refused, and nothing reclaimed for it");
  GC_enable();
  OK(GC_malloc(100000) != NULL, "enabled, there is room again");
  held = NULL;
  GC_set_max_heap_size(0);
}

int main(void) {
  GC_init();
  GC_enable_incremental();
  GC_add_callback(told, NULL);
  GC_set_push_other_roots(looks);
  if (begin_marking()) {
    test_marking();
    test_given_up();
    test_asked();
  } else {
    const char *why;
    GC_get_write_tracking(&why);
    tap_skip("marking beside the program", why);
  }
  test_room();
  test_callback();
  test_other(NULL, "allocates");
  test_other(&crowd, "asks for collections");
  return tap_end();
}
