/* SPDX-License-Identifier: MIT
 * A program that exports names which are also used inside the preload library, each a function that must not be called
 * by it, and names of libgc's that it defines itself. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRAP(name)                                                                                           \
  __attribute__((visibility("default"))) void name(void);                                                    \
  void name(void) { abort(); }

TRAP(region_find) TRAP(region_next) TRAP(lock_acquire) TRAP(lock_release) TRAP(print_fd) TRAP(print_buffer)
TRAP(options_parse) TRAP(options_init) TRAP(os_memory_map) TRAP(os_arena_alloc) TRAP(os_futex_wait)
TRAP(heap_alloc) TRAP(cache_refill) TRAP(site_capture) TRAP(world_stop) TRAP(leaks_search) TRAP(hook_malloc)
TRAP(hook_free) TRAP(birth_ensure) TRAP(misuse_pointer) TRAP(real_find_slow) TRAP(check_failed)
TRAP(unw_step) TRAP(unw_init_local) TRAP(unw_getcontext)

/* The library's tables, with other contents. */
#define DATA(name) __attribute__((visibility("default"))) char name[256] = "none of yours";
DATA(region) DATA(world_signal) DATA(options_table) DATA(options_count) DATA(real_functions) DATA(birth_options)

int main(void) {
  for (unsigned i = 0; i < 2000; i++) free(realloc(malloc(i), i + 5000));
  puts(region);
  return strcmp(world_signal, options_table);
}
