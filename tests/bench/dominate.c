/* SPDX-License-Identifier: MIT
 * dominate SHAPE NODES: dominators and retained sizes of a graph. SHAPE: random (two edges each), tree, list (shuffled). Prints name=value lines. */
#include "report/dominators.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static uint64_t state = 12345;
static uint32_t below(uint32_t n) {
  state = state * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)((state >> 32) * n >> 32);
}

int main(int argc, char **argv) {
  const char *shape = argc > 1 ? argv[1] : "random";
  uint32_t count = argc > 2 ? (uint32_t)atol(argv[2]) : 10000000, root = 0;
  uint32_t each = strcmp(shape, "list") == 0 ? 1 : 2;
  uint64_t *from = malloc(((size_t)count + 1) * sizeof *from), *sum = malloc((size_t)count * sizeof *sum), edge = 0;
  uint32_t *edges = malloc((size_t)count * each * sizeof *edges), *idom = malloc((size_t)count * sizeof *idom);
  uint32_t *order = malloc((size_t)count * sizeof *order), reached = 0;
  for (uint32_t i = 0; i < count; i++) order[i] = i, sum[i] = 64;
  for (uint32_t i = count - 1; i > 1 && each == 1; i--) { /* 0 stays first */
    uint32_t k = 1 + below(i), swap = order[i];
    order[i] = order[k], order[k] = swap;
  }
  uint32_t *next = malloc((size_t)count * sizeof *next);
  for (uint32_t i = 0; i < count; i++) next[order[i]] = i + 1 < count ? order[i + 1] : 0;
  for (uint32_t i = 0; i < count; i++) {
    from[i] = edge;
    if (each == 1) edges[edge++] = next[i];
    else if (strcmp(shape, "tree") == 0)
      for (uint64_t k = 2 * (uint64_t)i + 1; k <= 2 * (uint64_t)i + 2 && k < count; k++) edges[edge++] = (uint32_t)k;
    else edges[edge++] = below(count), edges[edge++] = below(count);
  }
  from[count] = edge;
  struct dominators_graph graph = {count, from, edges, &root, 1};
  double begin = now();
  dominators_retain(&graph, idom, sum);
  double took = now() - begin;
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  for (uint32_t i = 0; i < count; i++) reached += idom[i] != dominators_unreached;
  printf("reached=%u\nseconds=%.2f\npeak_mib=%.0f\n", reached, took, (double)usage.ru_maxrss / 1024);
  return 0;
}
