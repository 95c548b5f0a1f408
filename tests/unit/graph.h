/* SPDX-License-Identifier: MIT
 * A random graph of objects of every kind and size, and what of it is marked, as a print that does not depend on the
 * order in which it was. */
#ifndef GRAPH_H
#define GRAPH_H

#include "gc_help.h"
#include "tap.h"

struct graph {
  size_t count;
  uintptr_t *node; /* hidden */
  size_t *words;   /* that may be linked */
};

static inline struct graph graph_make(size_t count, uint64_t *seed) {
  struct graph graph = {count, malloc(count * sizeof(uintptr_t)), malloc(count * sizeof(size_t))};
  for (size_t i = 0; i < count; i++) {
    uint64_t r = tap_random(seed);
    size_t size = r % 4000 == 0 ? 300000 + r % 500000 : r % 1000 == 1 ? 40000 + r % 150000 : 16 + (r >> 20) % 12 * 16;
    graph.words[i] = size / sizeof(uintptr_t);
    graph.node[i] = help_alloc(size, r % 16 == 2 ? KIND_POINTER_FREE : KIND_SCANNED);
  }
  return graph;
}

static inline void graph_free(struct graph *graph) {
  for (size_t i = 0; i < graph->count; i++) help_free(graph->node[i]);
  free(graph->node);
  free(graph->words);
}

/* So many links into each object on the average, more into long ones; a part of the nodes is a list besides. */
static inline void graph_link(struct graph *graph, double links, uint64_t *seed) {
  const uintptr_t none = ~(uintptr_t)0;
  size_t list = tap_random(seed) % (graph->count / 4 + 1);
  for (size_t i = 0; i < graph->count; i++) {
    for (size_t k = 0; k < graph->words[i]; k++) {
      bool link = (double)(tap_random(seed) % 1000000) < links * 1000000 / (double)(k < 8 ? 8 : 64);
      size_t to = tap_random(seed) % graph->count;
      help_link(graph->node[i], k, link ? graph->node[to] - tap_random(seed) % 16 : none);
    }
    if (i < list) help_link(graph->node[i], 0, graph->node[i + 1]);
  }
}

/* Adds up what has these bits among those of the mask; takes the mark of it off again. */
struct graph_sum {
  size_t count;
  uint64_t print;
};

static inline struct graph_sum graph_unmark(uint8_t mask, uint8_t want) {
  struct graph_sum sum = {0};
  struct block *block;
  for (size_t unit = 0; (block = region_next(&unit)) != NULL; unit += block->units)
    for (uint32_t slot = 0; slot < block->nslots; slot++) {
      if ((block->state[slot] & mask) != want) continue;
      uint64_t place = block_slot_address(block, slot);
      sum.count++;
      sum.print += (place ^ place >> 29) * 0x9e3779b97f4a7c15u;
      block->state[slot] ^= STATE_MARK;
    }
  return sum;
}

#endif
