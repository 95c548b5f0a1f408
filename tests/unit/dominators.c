/* SPDX-License-Identifier: MIT
 * Dominators, against their definition: an object is dominated by another when it cannot be reached without that. */
#include "config.h"

#include "report/dominators.h"
#include "tap.h"

#include <stdlib.h>
#include <string.h>

enum { most = 40, edges_most = 200 };

struct graph {
  uint32_t count, root_count, edge_count;
  uint32_t from[edges_most], to[edges_most], roots[most];
  uint64_t edges_from[most + 1];
  uint32_t edges[edges_most];
};

static void graph_finish(struct graph *g) {
  uint64_t at = 0;
  for (uint32_t i = 0; i < g->count; i++) {
    g->edges_from[i] = at;
    for (uint32_t e = 0; e < g->edge_count; e++)
      if (g->from[e] == i) g->edges[at++] = g->to[e];
  }
  g->edges_from[g->count] = at;
}

/* What is reached when one node is not there; none: count. */
static void graph_reach(const struct graph *g, uint32_t without, bool *reached) {
  memset(reached, 0, most);
  for (uint32_t i = 0; i < g->root_count; i++)
    if (g->roots[i] != without) reached[g->roots[i]] = true;
  for (bool more = true; more;) {
    more = false;
    for (uint32_t e = 0; e < g->edge_count; e++)
      if (reached[g->from[e]] && !reached[g->to[e]] && g->to[e] != without) more = reached[g->to[e]] = true;
  }
}

/* Retained sizes by their definition, sizes being powers of ten or so. */
static bool graph_check(const struct graph *g, const uint64_t *size) {
  struct dominators_graph graph = {g->count, g->edges_from, g->edges, g->roots, g->root_count};
  uint32_t idom[most];
  uint64_t sum[most];
  bool all[most], without[most], good = true;
  memcpy(sum, size, sizeof sum);
  dominators_retain(&graph, idom, sum);
  graph_reach(g, g->count, all);
  for (uint32_t i = 0; i < g->count; i++) {
    uint64_t expected = 0;
    graph_reach(g, i, without);
    for (uint32_t k = 0; k < g->count; k++)
      if (all[k] && !without[k]) expected += size[k];
    if (!all[i]) expected = size[i];
    good = good && sum[i] == expected && (idom[i] == dominators_unreached) == !all[i];
    if (sum[i] != expected) tap_note("node %u: %lu, expected %lu", i, (unsigned long)sum[i], (unsigned long)expected);
  }
  return good;
}

static void graph_edge(struct graph *g, uint32_t from, uint32_t to) {
  g->from[g->edge_count] = from;
  g->to[g->edge_count++] = to;
}

static void shapes(void) {
  uint64_t size[most];
  uint32_t idom[most];
  for (int i = 0; i < most; i++) size[i] = 1 + (uint64_t)i * 1000;
  struct graph diamond = {.count = 4, .root_count = 1};
  graph_edge(&diamond, 0, 1), graph_edge(&diamond, 0, 2), graph_edge(&diamond, 1, 3), graph_edge(&diamond, 2, 3);
  graph_finish(&diamond);
  struct dominators_graph graph = {4, diamond.edges_from, diamond.edges, diamond.roots, 1};
  dominators_find(&graph, idom);
  OK(idom[3] == 0 && idom[1] == 0 && idom[2] == 0 && idom[0] == dominators_root, "the bottom of a diamond hangs on its top");
  OK(graph_check(&diamond, size), "and so do the sizes");
  struct graph cycle = {.count = 3, .root_count = 1};
  graph_edge(&cycle, 0, 1), graph_edge(&cycle, 1, 2), graph_edge(&cycle, 2, 0);
  graph_finish(&cycle);
  OK(graph_check(&cycle, size), "a cycle hangs on where it is entered");
  cycle.root_count = 2, cycle.roots[1] = 2;
  OK(graph_check(&cycle, size), "entered in two places, nothing hangs on either but what lies between");
  struct graph none = {.count = 3};
  graph_finish(&none);
  OK(graph_check(&none, size), "without a root nothing is reached");
}

static void at_random(void) {
  uint64_t seed = tap_seed(), size[most];
  bool good = true;
  for (int i = 0; i < most; i++) size[i] = (uint64_t)1 << i;
  for (int round = 0; round < 3000 && good; round++) {
    struct graph g = {.count = 1 + (uint32_t)(tap_random(&seed) % most)};
    g.root_count = 1 + (uint32_t)(tap_random(&seed) % 3);
    for (uint32_t i = 0; i < g.root_count; i++) g.roots[i] = (uint32_t)(tap_random(&seed) % g.count);
    uint32_t edges = (uint32_t)(tap_random(&seed) % edges_most);
    for (uint32_t e = 0; e < edges; e++)
      graph_edge(&g, (uint32_t)(tap_random(&seed) % g.count), (uint32_t)(tap_random(&seed) % g.count));
    graph_finish(&g);
    good = graph_check(&g, size);
  }
  OK(good, "3000 random graphs: each retained size is what cannot be reached without the object");
}

/* A list: one frame for each node would not do. */
static void deep(void) {
  enum { count = 2000000 };
  uint64_t *from = calloc(count + 1, sizeof *from), *sum = calloc(count, sizeof *sum);
  uint32_t *edges = calloc(count, sizeof *edges), *idom = calloc(count, sizeof *idom), root = 0;
  for (uint32_t i = 0; i < count; i++) from[i + 1] = i + 1, edges[i] = i + 1 < count ? i + 1 : count / 2, sum[i] = 1;
  struct dominators_graph graph = {count, from, edges, &root, 1};
  dominators_retain(&graph, idom, sum);
  bool good = true;
  for (uint32_t i = 0; i < count; i++) good = good && sum[i] == count - i;
  OK(good, "a list of two million objects, whose end leads back, hangs one on the other");
  free(from), free(edges), free(sum), free(idom);
}

int main(void) {
  shapes();
  at_random();
  deep();
  return tap_end();
}
