/* SPDX-License-Identifier: MIT
 * The random graph (graph.h) of collected memory: objects with and without pointers, and such that are never collected. */
#include "config.h"

#include "graph.h"

#include "tap.h"

#include "gc.h"
#include "gc_ext.h"

static bool collected_is_object(void *p) { return GC_base(p) == p; }

static bool collected_collect(unsigned generation) { return GC_collect((int)generation, NULL) >= 0; }

static void *collected_hold(size_t size) { return GC_malloc_uncollectable(size); }

static const struct graph_kind collected_kinds[] = {
    {"scanned", GC_malloc, SHADOW_SCANNED, true, 70},
    {"pointer-free", GC_malloc_atomic, SHADOW_POINTER_FREE, false, 25},
    {"uncollectable", GC_malloc_uncollectable, SHADOW_UNCOLLECTABLE, true, 5},
};

static const struct graph_setup collected_setup = {
    .kinds = collected_kinds,
    .kind_count = sizeof collected_kinds / sizeof collected_kinds[0],
    .resize = GC_realloc,
    .release = GC_free,
    .is_object = collected_is_object,
    .collect = collected_collect,
    .disable = GC_disable,
    .enable = GC_enable,
    .add_root = GC_add_roots,
    .hold = collected_hold,
    .full_collections = 2,
    .release_percent = 20,
};

int main(int argc, char **argv) {
  graph_main(argc, argv, &collected_setup);
  return tap_end();
}
