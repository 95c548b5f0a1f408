/* SPDX-License-Identifier: MIT
 * What the programs of the collector's benchmarks share: where memory comes from, clocks, random numbers, and
 * how results are told ("name value" lines on standard output, read by collecting.py).
 *
 * A program is compiled once against each libgc, with that libgc's own gc.h, and uses only names that both
 * have. With BENCH_MALLOC it uses malloc and free instead. */
#ifndef BENCH_COLLECTED_H
#define BENCH_COLLECTED_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

#ifdef BENCH_MALLOC
enum { collected = 0 };
#define GC_INIT() (void)0
static inline void have_markers(void) {}
static inline void *take(size_t size) { return malloc(size); }
static inline void *take_plain(size_t size) { return malloc(size); }
#else
#ifndef GC_THREADS
#define GC_THREADS
#endif
#include <gc.h>
enum { collected = 1 };
/* libgc makes its marker threads only in a program that has threads, or says that it will. */
static inline void have_markers(void) {
#ifndef BENCH_OURS
  if (getenv("BENCH_MARKER_THREADS")) GC_allow_register_threads();
#endif
}
static inline void *take(size_t size) { return GC_malloc(size); }
static inline void *take_plain(size_t size) { return GC_malloc_atomic(size); } /* never holds pointers */
#endif

static inline void *need(void *p) {
  if (p) return p;
  fputs("out of memory\n", stderr);
  exit(1);
}

static inline uint64_t random_next(uint64_t *state) {
  uint64_t x = *state;
  x ^= x << 13;
  x ^= x >> 7;
  x ^= x << 17;
  return *state = x;
}

static inline double clock_seconds(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}
static inline double now_wall(void) { return clock_seconds(CLOCK_MONOTONIC); }
static inline double now_cpu(void) { return clock_seconds(CLOCK_PROCESS_CPUTIME_ID); }

static inline void tell(const char *name, double value) { printf("%s %.9g\n", name, value); }

static inline long faults_so_far(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_minflt;
}

/* A line of /proc/self/status in KiB: VmRSS:, VmHWM: (the peak). */
static inline double status_kib(const char *key) {
  char line[256];
  long kib = 0;
  FILE *file = fopen("/proc/self/status", "re");
  if (!file) return 0;
  while (fgets(line, sizeof line, file))
    if (strncmp(line, key, strlen(key)) == 0) kib = strtol(line + strlen(key), NULL, 10);
  fclose(file);
  return (double)kib;
}

/* Memory that no collector looks into, for what a benchmark must remember without keeping anything alive. */
static inline void *hidden_take(size_t bytes) {
  void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) need(NULL);
  return p;
}

/* A node of 64 bytes, and many of them linked as one tree in the layout of a heap (node i has the children 2i + 1
 * and 2i + 2), in the order of their addresses or in a random one. */
struct node {
  struct node *link[4];
  uint64_t number, payload[3];
};

static inline void nodes_shuffle(struct node **nodes, size_t count, uint64_t *state) {
  for (size_t i = count - 1; i > 0; i--) {
    size_t j = random_next(state) % (i + 1);
    struct node *other = nodes[j];
    nodes[j] = nodes[i];
    nodes[i] = other;
  }
}

static inline struct node *node_new(uint64_t number) {
  struct node *node = need(take(sizeof *node));
  if (!collected) memset(node, 0, sizeof *node);
  node->number = number;
  return node;
}

#endif
