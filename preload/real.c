/* SPDX-License-Identifier: MIT
 * See real.h. */
#include "config.h"

#include "real.h"

#include "base/print.h"

#include <dlfcn.h>
#include <errno.h>

_Atomic(void *) real_functions[real_count];

#define REAL_NAME(name) #name,
static const char *const real_names[] = {REAL_FUNCTIONS(REAL_NAME)};

void *real_find_slow(enum real_index index) {
  int keep = errno;
  void *function = dlsym(RTLD_NEXT, real_names[index]);
  if (!function) {
    print_fd(2, "gleaner: the C library has no %s\n", real_names[index]);
    __builtin_trap();
  }
  atomic_store_explicit(&real_functions[index], function, memory_order_relaxed);
  errno = keep;
  return function;
}

__attribute__((constructor)) static void real_find_all(void) {
  for (int i = 0; i < real_count; i++) real_find((enum real_index)i);
}
