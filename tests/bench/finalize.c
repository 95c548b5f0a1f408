/* SPDX-License-Identifier: MIT
 * What finalizers cost: registering a million, minor and full collections over them, and finding and running them, as single objects and as one
 * long chain. Uses libgc's names alone, so that it can be compiled against another libgc: cc finalize.c -lgc. */
#include <gc.h>
#ifndef GC_VERSION_MAJOR /* ours */
#include <gc_ext.h>
#endif

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct node {
  struct node *next;
  long number;
};

static long ran;
static struct node **held;

static void finalize(void *object, void *data) {
  (void)data;
  ran += ((struct node *)object)->number >= 0;
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static long resident_kib(void) {
  long pages = 0, all;
  FILE *file = fopen("/proc/self/statm", "r");
  if (file && fscanf(file, "%ld %ld", &all, &pages) != 2) pages = 0;
  if (file) fclose(file);
  return pages * 4;
}

static double since(double *from) {
  double to = now(), ms = to - *from;
  *from = to;
  return ms;
}

__attribute__((noinline)) static void make_chain(long count) {
  for (long i = 0; i < count; i++) {
    struct node *node = GC_malloc(sizeof *node);
    node->next = held[0];
    GC_register_finalizer(node, finalize, NULL, NULL, NULL);
    held[0] = node;
  }
}

__attribute__((noinline)) static void clear_stack(void) {
  volatile char frame[16384];
  for (size_t i = 0; i < sizeof frame; i++) frame[i] = 0;
}

int main(int argc, char **argv) {
  long count = argc > 1 ? atol(argv[1]) : 1000000;
  GC_INIT();
  held = GC_malloc_uncollectable((size_t)count * sizeof *held);
  for (long i = 0; i < count; i++) held[i] = GC_malloc(sizeof(struct node));
  GC_gcollect();
  GC_gcollect();
  double at = now();
  GC_gcollect();
  printf("full collection, %ld objects without finalizers: %.1f ms\n", count, since(&at));
  long before = resident_kib();
  at = now();
  for (long i = 0; i < count; i++) GC_register_finalizer(held[i], finalize, NULL, NULL, NULL);
  double registered = since(&at);
  printf("register: %.0f ns each, %.0f bytes each\n", registered * 1e6 / (double)count, (double)(resident_kib() - before) * 1024 / (double)count);
  GC_gcollect();
  GC_gcollect();
  at = now();
  GC_gcollect();
  printf("full collection with them, all reachable: %.1f ms\n", since(&at));
#ifdef GC_EXT_H
  double best = 1e9;
  for (int i = 0; i < 5; i++) {
    for (int k = 0; k < 1000; k++) GC_malloc(64);
    at = now();
    GC_collect(0, NULL);
    double ms = since(&at);
    if (ms < best) best = ms;
  }
  printf("collection of the youngest with them: %.3f ms\n", best);
#endif
  memset(held, 0, (size_t)count * sizeof *held);
  GC_set_finalize_on_demand(1);
  at = now();
  GC_gcollect();
  printf("full collection that finds them due: %.1f ms\n", since(&at));
  int invoked = GC_invoke_finalizers();
  printf("run: %.0f ns each, %d of them\n", since(&at) * 1e6 / (double)count, invoked);
  make_chain(count);
  GC_gcollect();
  held[0] = NULL;
  clear_stack();
  at = now();
  GC_gcollect();
  printf("full collection of a chain of them: %.1f ms, %d due\n", since(&at), GC_should_invoke_finalizers());
  return 0;
}
