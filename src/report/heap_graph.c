/* SPDX-License-Identifier: MIT
 * Ways and dominators in a dumped heap. */
#include "config.h"

#include "report/heap_graph.h"

#include "report/dominators.h"

#include <stdlib.h>
#include <string.h>

enum { heap_from_root = UINT32_MAX };

/* Breadth first, tier by tier. before[i]: 0, not reached; else the object that led to i + 1, or from_root. */
struct heap_search {
  const struct dumped *dumped;
  uint32_t *before, *queue, *roots; /* roots: those that a tier began with */
  size_t head, tail, root_count;
};

static void heap_reach(struct heap_search *s, uint32_t object, uint32_t before) {
  if (s->before[object]) return;
  s->before[object] = before;
  s->queue[s->tail++] = object;
  if (before == heap_from_root) s->roots[s->root_count++] = object;
}

static void heap_run(struct heap_search *s) {
  const struct dumped *d = s->dumped;
  while (s->head < s->tail) {
    uint32_t object = s->queue[s->head++];
    for (uint64_t e = d->edges_from[object]; e < d->edges_from[object + 1]; e++) heap_reach(s, d->edges[e], object + 1);
  }
}

static enum heap_tier heap_tier_of(const struct dumped_root *root) {
  return root->kind == DUMP_DEAD_STACK ? HEAP_FROM_DEAD_STACKS : HEAP_FROM_ROOTS;
}

static void heap_reach_roots(struct heap_search *s, enum heap_tier tier) {
  const struct dumped *d = s->dumped;
  for (size_t i = 0; i < d->root_count; i++) {
    const struct dumped_root *root = &d->roots[i];
    if (heap_tier_of(root) != tier) continue;
    for (size_t e = root->first; e < root->first + root->count; e++) heap_reach(s, d->root_edges[e].object, heap_from_root);
  }
}

/* The objects of a block are kept together. */
static void heap_reach_kept(struct heap_search *s, bool owned) {
  const struct dumped *d = s->dumped;
  for (size_t b = 0; b < d->block_count; b++) {
    const struct dumped_block *block = &d->blocks[b];
    bool all = block->kind == DUMP_UNCOLLECTABLE || block->kind == DUMP_UNCOLLECTABLE_ATOMIC ||
               (owned && block->kind == DUMP_MALLOC && d->malloc_kept);
    for (uint32_t i = block->first; i < block->first + block->count; i++)
      if (all || d->flags[i] & DUMP_FROZEN) heap_reach(s, i, heap_from_root);
  }
}

/* Of what nothing leads to from outside, those that nothing leads to at all come first: they hold the others. */
static void heap_reach_owned(struct heap_search *s) {
  const struct dumped *d = s->dumped;
  uint8_t *led_to = model_alloc(d->count);
  for (uint64_t e = 0; e < d->edge_count; e++) led_to[d->edges[e]] = 1;
  for (uint32_t i = 0; i < d->count; i++)
    if (!led_to[i] && !s->before[i] && dumped_is_kept(d, i, true)) heap_reach(s, i, heap_from_root);
  free(led_to);
  heap_run(s);
  for (size_t b = 0; b < d->block_count; b++) { /* cycles: one after the other, for each one may be reached from the last */
    const struct dumped_block *block = &d->blocks[b];
    if (block->kind != DUMP_MALLOC || !d->malloc_kept) continue;
    for (uint32_t i = block->first; i < block->first + block->count; i++) {
      heap_reach(s, i, heap_from_root);
      heap_run(s);
    }
  }
}

static void heap_reach_tier(struct heap_search *s, enum heap_tier tier) {
  if (tier == HEAP_FROM_OWNED) {
    heap_reach_owned(s);
    return;
  }
  heap_reach_roots(s, tier);
  if (tier == HEAP_FROM_ROOTS) heap_reach_kept(s, false);
  heap_run(s);
}

static void heap_begin(struct heap_search *s, const struct dumped *d) {
  *s = (struct heap_search){.dumped = d};
  s->before = model_alloc(((size_t)d->count + 1) * sizeof *s->before);
  s->queue = model_alloc(((size_t)d->count + 1) * sizeof *s->queue);
  s->roots = model_alloc(((size_t)d->count + 1) * sizeof *s->roots);
}

static void heap_end(struct heap_search *s) {
  free(s->before);
  free(s->queue);
  free(s->roots);
}

/* --- the way to one object --- */

static void heap_find_root(const struct dumped *d, struct heap_path *path) {
  for (size_t i = 0; i < d->root_count && !path->root; i++) {
    const struct dumped_root *root = &d->roots[i];
    if (heap_tier_of(root) != path->tier) continue;
    for (size_t e = root->first; e < root->first + root->count && !path->root; e++)
      if (d->root_edges[e].object == path->objects[0]) {
        path->root = root;
        path->root_at = d->root_edges[e].at;
      }
  }
}

void heap_find_path(const struct dumped *d, uint32_t object, struct heap_path *path) {
  struct heap_search search;
  *path = (struct heap_path){.tier = HEAP_FROM_ROOTS};
  heap_begin(&search, d);
  for (; path->tier < heap_tiers; path->tier++) {
    heap_reach_tier(&search, path->tier);
    if (search.before[object]) break;
  }
  if (search.before[object]) {
    for (uint32_t at = object;; at = search.before[at] - 1) {
      path->count++;
      if (search.before[at] == heap_from_root) break;
    }
    path->objects = model_alloc(path->count * sizeof *path->objects);
    for (size_t i = path->count; i-- > 0; object = search.before[object] - 1) path->objects[i] = object;
    heap_find_root(d, path);
  }
  heap_end(&search);
}

/* --- retained sizes --- */

void heap_retain(const struct dumped *d, struct heap_retained *retained) {
  struct heap_search search;
  *retained = (struct heap_retained){0};
  heap_begin(&search, d);
  for (enum heap_tier tier = 0; tier < heap_tiers; tier++) heap_reach_tier(&search, tier);
  retained->bytes = model_alloc(((size_t)d->count + 1) * sizeof *retained->bytes);
  for (size_t b = 0; b < d->block_count; b++) {
    const struct dumped_block *block = &d->blocks[b];
    for (uint32_t i = block->first; i < block->first + block->count; i++) {
      uint64_t size = d->size[i] != UINT32_MAX ? d->size[i] : block->size;
      retained->bytes[i] = size;
      if (search.before[i]) retained->reached++, retained->reached_bytes += size;
      else retained->unreached++, retained->unreached_bytes += size;
    }
  }
  free(search.before), search.before = NULL;
  free(search.queue), search.queue = NULL;
  retained->idom = model_alloc(((size_t)d->count + 1) * sizeof *retained->idom);
  struct dominators_graph graph = {d->count, d->edges_from, d->edges, search.roots, search.root_count};
  dominators_retain(&graph, retained->idom, retained->bytes);
  heap_end(&search);
}
