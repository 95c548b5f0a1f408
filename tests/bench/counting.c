/* SPDX-License-Identifier: MIT
 * What counting references costs, in nanoseconds for one up and one down, against a C11 atomic counter in the object itself: of
 * one object again and again, of many in random order, and of one object by two threads. counting [ROUNDS] */
#include "gc_ext.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { many = 1 << 16 };

struct object {
  _Atomic uint32_t count;
  char rest[60];
};

static struct object *object[many];
static uint32_t order[many];
static size_t rounds = 20000000;

static uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* As a library would have them: calls. */
__attribute__((noinline)) static void own_ref(struct object *o) { atomic_fetch_add_explicit(&o->count, 1, memory_order_relaxed); }
__attribute__((noinline)) static uint32_t own_unref(struct object *o) { return atomic_fetch_sub_explicit(&o->count, 1, memory_order_acq_rel) - 1; }

static void *own_one(void *arg) {
  for (size_t i = 0; i < rounds; i++) own_ref(arg), own_unref(arg);
  return NULL;
}
static void *our_one(void *arg) {
  for (size_t i = 0; i < rounds; i++) GC_ref(arg), GC_unref(arg);
  return NULL;
}
static void *own_many(void *arg) {
  (void)arg;
  for (size_t i = 0; i < rounds; i++) own_ref(object[order[i % many]]), own_unref(object[order[i % many]]);
  return NULL;
}
static void *our_many(void *arg) {
  (void)arg;
  for (size_t i = 0; i < rounds; i++) GC_ref(object[order[i % many]]), GC_unref(object[order[i % many]]);
  return NULL;
}

static void measure(const char *name, void *(*run)(void *), unsigned threads) {
  pthread_t thread[2];
  uint64_t begin = now();
  for (unsigned i = 0; i < threads; i++) pthread_create(&thread[i], NULL, run, object[0]);
  for (unsigned i = 0; i < threads; i++) pthread_join(thread[i], NULL);
  printf("%s %.2f\n", name, (double)(now() - begin) / (double)rounds / threads);
}

int main(int argc, char **argv) {
  if (argc > 1) rounds = strtoul(argv[1], NULL, 10);
  GC_init();
  for (uint32_t i = 0; i < many; i++) {
    object[i] = GC_malloc_uncollectable(sizeof *object[i]);
    object[i]->count = 1;
    GC_ref(object[i]);
    order[i] = (i * 40503u) % many;
  }
  measure("atomic-one", own_one, 1);
  measure("counted-one", our_one, 1);
  measure("atomic-many", own_many, 1);
  measure("counted-many", our_many, 1);
  measure("atomic-shared", own_one, 2);
  measure("counted-shared", our_one, 2);
  return 0;
}
