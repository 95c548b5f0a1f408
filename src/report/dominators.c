/* SPDX-License-Identifier: MIT
 * Dominators, by L. Georgiadis' semi-NCA: semidominators as Lengauer and Tarjan find them, with path compression alone; then the
 * nearest common ancestor of a node's tree parent and its semidominator, which the tree built so far shows.
 *
 * All is numbered anew, by the order in which a search depth first comes by: 1 is the root of all, 0 is none. So one array serves
 * for several things in turn. */
#include "config.h"

#include "report/dominators.h"

#include "report/model.h"

#include <stdlib.h>

struct dominators {
  const struct dominators_graph *graph;
  uint32_t *number;   /* of a node; 0: not reached */
  uint32_t *node;     /* by number, from here on */
  uint32_t *parent;   /* in the tree; then the ancestor that the path was compressed to */
  uint32_t *label;    /* edges gone through; then the number with the least semidominator on the way up to the ancestor */
  uint32_t *semi, *idom;
  uint64_t *into_from; /* by number: into[into_from[n] .. into_from[n + 1]) lead there */
  uint32_t *into;
  uint32_t *path;
  size_t path_room;
  uint32_t last;
};

static uint32_t *dominators_array(size_t count) { return model_alloc(count * sizeof(uint32_t)); }

/* --- the tree --- */

static void dominators_meet(struct dominators *d, uint32_t node, uint32_t from) {
  uint32_t n = ++d->last;
  d->number[node] = n;
  d->node[n] = node;
  d->parent[n] = from;
  d->label[n] = 0;
}

/* Down from one root: the way back is the parents. */
static void dominators_search(struct dominators *d, uint32_t root) {
  const struct dominators_graph *g = d->graph;
  if (d->number[root]) return;
  dominators_meet(d, root, 1);
  for (uint32_t n = d->last; n != 1;) {
    uint32_t node = d->node[n];
    uint64_t at = g->edges_from[node] + d->label[n];
    if (at == g->edges_from[node + 1]) {
      n = d->parent[n];
      continue;
    }
    d->label[n]++;
    uint32_t to = g->edges[at];
    if (d->number[to]) continue;
    dominators_meet(d, to, n);
    n = d->last;
  }
}

static void dominators_number(struct dominators *d) {
  d->last = 1;
  for (size_t i = 0; i < d->graph->root_count; i++) dominators_search(d, d->graph->roots[i]);
}

/* --- what leads to a node --- */

static void dominators_reverse(struct dominators *d) {
  const struct dominators_graph *g = d->graph;
  uint64_t *from = d->into_from = model_alloc(((size_t)d->last + 3) * sizeof *from);
  for (uint32_t n = 2; n <= d->last; n++)
    for (uint64_t e = g->edges_from[d->node[n]]; e < g->edges_from[d->node[n] + 1]; e++) from[d->number[g->edges[e]] + 2]++;
  for (size_t i = 0; i < g->root_count; i++) from[d->number[g->roots[i]] + 2]++;
  for (size_t n = 1; n <= (size_t)d->last + 2; n++) from[n] += from[n - 1];
  d->into = dominators_array(from[d->last + 2] + 1);
  for (uint32_t n = 2; n <= d->last; n++)
    for (uint64_t e = g->edges_from[d->node[n]]; e < g->edges_from[d->node[n] + 1]; e++)
      d->into[from[d->number[g->edges[e]] + 1]++] = n;
  for (size_t i = 0; i < g->root_count; i++) d->into[from[d->number[g->roots[i]] + 1]++] = 1;
}

/* --- semidominators --- */

/* The number with the least semidominator on the way from v up to what is not linked yet. */
static uint32_t dominators_eval(struct dominators *d, uint32_t v, uint32_t linked) {
  size_t depth = 0;
  if (d->parent[v] < linked) return d->label[v];
  do {
    d->path = model_grow(d->path, &d->path_room, depth + 1, sizeof *d->path);
    d->path[depth++] = v;
    v = d->parent[v];
  } while (d->parent[v] >= linked);
  uint32_t above = v, best = d->label[v];
  while (depth > 0) {
    v = d->path[--depth];
    d->parent[v] = d->parent[above];
    if (d->semi[best] < d->semi[d->label[v]]) d->label[v] = best;
    else best = d->label[v];
    above = v;
  }
  return d->label[v];
}

static void dominators_semi(struct dominators *d) {
  for (uint32_t n = 1; n <= d->last; n++) {
    d->idom[n] = d->parent[n];
    d->label[n] = n;
    d->semi[n] = n;
  }
  for (uint32_t n = d->last; n >= 2; n--) {
    d->semi[n] = d->parent[n];
    for (uint64_t e = d->into_from[n]; e < d->into_from[n + 1]; e++) {
      uint32_t semi = d->semi[dominators_eval(d, d->into[e], n + 1)];
      if (semi < d->semi[n]) d->semi[n] = semi;
    }
  }
}

static void dominators_nearest(struct dominators *d) {
  for (uint32_t n = 2; n <= d->last; n++) {
    uint32_t candidate = d->idom[n];
    while (candidate > d->semi[n]) candidate = d->idom[candidate];
    d->idom[n] = candidate;
  }
}

/* --- all together --- */

static void dominators_tell(const struct dominators *d, uint32_t *idom, uint64_t *sum) {
  for (uint32_t i = 0; i < d->graph->count; i++) idom[i] = dominators_unreached;
  for (uint32_t n = d->last; n >= 2; n--) {
    uint32_t above = d->idom[n];
    idom[d->node[n]] = above == 1 ? (uint32_t)dominators_root : d->node[above];
    if (sum && above != 1) sum[d->node[above]] += sum[d->node[n]];
  }
}

void dominators_retain(const struct dominators_graph *graph, uint32_t *idom, uint64_t *sum) {
  size_t room = (size_t)graph->count + 2;
  struct dominators d = {.graph = graph, .number = dominators_array(room), .node = dominators_array(room),
                         .parent = dominators_array(room), .label = dominators_array(room)};
  d.parent[1] = 0;
  dominators_number(&d);
  dominators_reverse(&d);
  d.semi = dominators_array(room);
  d.idom = dominators_array(room);
  dominators_semi(&d);
  free(d.into);
  free(d.into_from);
  free(d.path);
  dominators_nearest(&d);
  dominators_tell(&d, idom, sum);
  free(d.number), free(d.node), free(d.parent), free(d.label), free(d.semi), free(d.idom);
}

void dominators_find(const struct dominators_graph *graph, uint32_t *idom) { dominators_retain(graph, idom, NULL); }
