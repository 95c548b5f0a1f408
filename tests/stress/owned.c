/* SPDX-License-Identifier: MIT
 * The random graph (graph.h) of malloc'ed memory, of which the program frees most and leaks some. With a collector preloaded
 * the leaks are taken back; without one the program does the same, and its leaks stay. */
#include "config.h"

#include "graph.h"

#include "tap.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

enum { owned_slack = 48 << 20 }; /* libraries, stacks, our shadow, and the collector's tables */

/* The collector's names, when it is there. */
static void *(*owned_base)(void *p);
static long (*owned_collect_now)(int generation, void *facts);

static bool owned_is_object(void *p) { return owned_base && owned_base(p) == p; }

static bool owned_collect(unsigned generation) { return owned_collect_now && owned_collect_now((int)generation, NULL) >= 0; }

static void *owned_calloc(size_t size) { return calloc(1, size); }
static void *owned_aligned(size_t size) { return aligned_alloc(64, size); }

static const struct graph_kind owned_kinds[] = {
    {"malloc", malloc, SHADOW_SCANNED, false, 70},
    {"calloc", owned_calloc, SHADOW_SCANNED, true, 25},
    {"aligned_alloc", owned_aligned, SHADOW_SCANNED, false, 5},
};

/* New objects are looked at by the second full collection, and given up by the third, if no stale word on a stack led to them
 * meanwhile; what is spared until then spares what it points to. */
static const struct graph_setup owned_setup = {
    .kinds = owned_kinds,
    .kind_count = sizeof owned_kinds / sizeof owned_kinds[0],
    .resize = realloc,
    .release = free,
    .is_object = owned_is_object,
    .collect = owned_collect,
    .full_collections = 5,
    .release_percent = 85,
};

/* The most memory that the process has had. */
static size_t owned_peak(void) {
  char line[128];
  size_t kib = 0;
  FILE *f = fopen("/proc/self/status", "r");
  while (f && fgets(line, sizeof line, f))
    if (sscanf(line, "VmHWM: %zu", &kib) == 1) break;
  if (f) fclose(f);
  return kib << 10;
}

int main(int argc, char **argv) {
  owned_base = (void *(*)(void *))dlsym(RTLD_DEFAULT, "GC_base");
  owned_collect_now = (long (*)(int, void *))dlsym(RTLD_DEFAULT, "GC_collect");
  struct graph_facts facts = graph_main(argc, argv, &owned_setup);
  size_t peak = owned_peak(), most = 3 * facts.live_bytes + owned_slack;
  tap_note("at most %zu KiB lived, %zu KiB died unfreed; the process held %zu KiB", facts.live_bytes >> 10,
           facts.dead_bytes >> 10, peak >> 10);
  if (owned_collect_now && facts.dead_bytes > 2 * most) OK(peak < most, "what the process holds is bounded by what lives");
  return tap_end();
}
