/* SPDX-License-Identifier: MIT
 * For environment.sh: allocates garbage, and tells in lines of name=value what the collector's settings are then. */
#define GC_THREADS
#include "gc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *(*volatile gc_malloc)(size_t) = GC_malloc;

static void *refuse(size_t size) {
  printf("refused=%zu\n", size);
  return NULL;
}

static void free_twice(void) {
  void *volatile p = gc_malloc(10);
  GC_free(p);
  GC_free(p);
}

int main(int argc, char **argv) {
  if (argc > 1 && strcmp(argv[1], "misuse") == 0) free_twice();
  GC_set_all_interior_pointers(0);
  size_t garbage = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
  GC_INIT();
  for (size_t i = 0; i < garbage; i++) gc_malloc(1000);
  printf("collections=%lu\nheap=%zu\n", GC_get_gc_no(), GC_get_heap_size());
  GC_set_oom_fn(refuse);
  printf("large=%d\n", gc_malloc((size_t)64 << 20) != NULL);
  GC_gcollect();
  printf("divisor=%lu\nfrequency=%d\nlimit=%lu\nincremental=%d\n", GC_free_space_divisor, GC_full_freq, GC_time_limit, GC_is_incremental_mode());
  GC_enable_incremental();
  printf("enabled=%d\ndisabled=%d\nparallel=%d\nentire=%d\n", GC_is_incremental_mode(), GC_is_disabled(), GC_get_parallel(), GC_use_entire_heap);
  printf("unmaps=%d\nleaks=%d\nunmapped=%zu\n", GC_get_force_unmap_on_gcollect(), GC_get_find_leak(), GC_get_unmapped_bytes());
  printf("interior=%d\n", GC_get_all_interior_pointers());
  return 0;
}
