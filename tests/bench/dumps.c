/* SPDX-License-Identifier: MIT
 * dumps FILE MIB [NODE-BYTES]: a heap of so many MiB, nodes that lead to two others at random; then a heap dump, while another thread looks at
 * the clock without pause. Prints name=value lines, times in milliseconds. */
#include "gc_ext.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

struct node {
  struct node *next, *other;
};

static struct node **nodes;
static _Atomic int watching = 1;
static _Atomic uint64_t longest;

static uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* The longest time that this thread did not run. */
static void *watch(void *arg) {
  uint64_t last = now();
  (void)arg;
  while (watching) {
    uint64_t at = now();
    if (at - last > longest) longest = at - last;
    last = at;
  }
  return NULL;
}

static double ms(uint64_t ns) { return (double)ns / 1e6; }

static void rest(uint64_t ns) { nanosleep(&(struct timespec){(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)}, NULL); }

int main(int argc, char **argv) {
  size_t mib = argc > 2 ? (size_t)atol(argv[2]) : 1024, size = argc > 3 ? (size_t)atol(argv[3]) : 64;
  size_t count = (mib << 20) / size;
  uint64_t random = 12345;
  pthread_t thread;
  struct stat file;
  if (argc < 2) return 2;
  GC_disable();
  nodes = GC_malloc_uncollectable(count * sizeof *nodes);
  for (size_t i = 0; i < count; i++) nodes[i] = GC_malloc(size);
  for (size_t i = 0; i < count; i++) {
    random = random * 6364136223846793005u + 1442695040888963407u;
    nodes[i]->next = nodes[(random >> 33) % count];
    random = random * 6364136223846793005u + 1442695040888963407u;
    nodes[i]->other = nodes[(random >> 33) % count];
  }
  for (size_t i = 1; i < count; i++) nodes[i] = NULL; /* all that can be reached hangs on one */
  pthread_create(&thread, NULL, watch, NULL);
  rest(500000000);
  longest = 0;
  rest(1000000000);
  printf("gap_without_ms=%.1f\n", ms(longest));
  longest = 0;
  uint64_t begin = now();
  int result = GC_dump_heap(argv[1]);
  uint64_t took = now() - begin;
  printf("gap_ms=%.1f\ndump_ms=%.0f\n", ms(longest), ms(took));
  watching = 0;
  pthread_join(thread, NULL);
  if (result != 0 || stat(argv[1], &file) != 0) {
    perror("GC_dump_heap");
    return 1;
  }
  printf("objects=%zu\nfile_mib=%.1f\nbytes_each=%.2f\n", count, (double)file.st_size / 1048576, (double)file.st_size / (double)count);
  return 0;
}
