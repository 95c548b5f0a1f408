/* SPDX-License-Identifier: MIT
 * What weak references cost, in nanoseconds: reading them, by one thread and by all at once; making them; and the pause of a full collection with a
 * million of them, half of which are cleared. For comparison a plain pointer, and a pointer under a lock of the C library. */
#include "gc_ext.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { many = 1 << 20, few = 1 << 10, rounds = 2000 };

static struct GC_weak **weak;
static void **target;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static void *read_plain(void *arg) {
  unsigned long sum = 0;
  for (int i = 0; i < rounds; i++)
    for (int j = 0; j < few; j++) sum += (unsigned long)((void *volatile *)target)[j];
  return (void)arg, (void *)sum;
}

static void *read_locked(void *arg) {
  unsigned long sum = 0;
  for (int i = 0; i < rounds / 10; i++)
    for (int j = 0; j < few; j++) {
      pthread_mutex_lock(&mutex);
      sum += (unsigned long)((void *volatile *)target)[j];
      pthread_mutex_unlock(&mutex);
    }
  return (void)arg, (void *)sum;
}

static void *read_weak(void *arg) {
  unsigned long sum = 0;
  for (int i = 0; i < rounds; i++)
    for (int j = 0; j < few; j++) sum += (unsigned long)GC_weak_get(weak[j]);
  return (void)arg, (void *)sum;
}

static void *read_counted(void *arg) {
  for (int i = 0; i < rounds / 10; i++)
    for (int j = 0; j < few; j++) GC_unref(GC_weak_get_ref(weak[j]));
  return arg;
}

static void *read_map(void *arg) {
  unsigned long sum = 0;
  for (int i = 0; i < rounds / 10; i++)
    for (int j = 0; j < few; j++) sum += (unsigned long)GC_weak_map_get(arg, target[j]);
  return (void *)sum;
}

static void run(const char *name, void *(*function)(void *), void *arg, int times) {
  for (int threads = 1; threads <= 8; threads *= 8) {
    pthread_t thread[8];
    double begin = now();
    for (int i = 0; i < threads; i++) pthread_create(&thread[i], NULL, function, arg);
    for (int i = 0; i < threads; i++) pthread_join(thread[i], NULL);
    printf("%-24s %d threads %8.2f ns\n", name, threads, (now() - begin) / ((double)times * few * threads));
  }
}

int main(void) {
  weak = GC_malloc(many * sizeof *weak);
  target = GC_malloc(many * sizeof *target);
  for (int i = 0; i < many; i++) target[i] = GC_malloc(32);
  double begin = now();
  for (int i = 0; i < many; i++) weak[i] = GC_weak_new(target[i], GC_WEAK_SHORT, NULL, NULL);
  printf("%-24s           %8.2f ns\n", "GC_weak_new", (now() - begin) / many);
  struct GC_weak_map *map = GC_weak_map_new();
  begin = now();
  for (int i = 0; i < few; i++) GC_weak_map_set(map, target[i], target);
  run("a plain pointer", read_plain, NULL, rounds);
  run("under a mutex", read_locked, NULL, rounds / 10);
  run("GC_weak_get", read_weak, NULL, rounds);
  run("GC_weak_get_ref, GC_unref", read_counted, NULL, rounds / 10);
  run("GC_weak_map_get", read_map, map, rounds / 10);
  struct GC_collection collection;
  for (int round = 0; round < 3; round++) {
    GC_collect(2, &collection);
    printf("%d references, full collection: pause %.1f ms, of which references %.1f ms\n", many, (double)collection.pause / 1e6,
           (double)collection.weak / 1e6);
    if (round == 1)
      for (int i = 0; i < many; i += 2) target[i] = NULL;
  }
  int cleared = 0;
  for (int i = 0; i < many; i++) cleared += !GC_weak_get(weak[i]);
  printf("%d were cleared\n", cleared);
  return 0;
}
