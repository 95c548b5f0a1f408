/* SPDX-License-Identifier: MIT
 * See real.h. */
#include "config.h"

#include "real.h"

#include "base/print.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdint.h>

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

/* Where the C library lies. */
static _Atomic uintptr_t real_libc_lo, real_libc_hi;

#ifdef HAVE__DL_FIND_OBJECT
static void real_find_libc(void *inside) {
  struct dl_find_object object;
  if (_dl_find_object(inside, &object) != 0) return;
  real_libc_lo = (uintptr_t)object.dlfo_map_start;
  real_libc_hi = (uintptr_t)object.dlfo_map_end;
}
#else
/* Up to the next thing that belongs to something else. */
static void real_find_libc(void *inside) {
  Dl_info first, info;
  if (!dladdr(inside, &first)) return;
  uintptr_t lo = (uintptr_t)first.dli_fbase, hi = (uintptr_t)inside + 1;
  for (int i = 0; i < real_count; i++) {
    uintptr_t at = (uintptr_t)atomic_load(&real_functions[i]);
    if (at > hi && dladdr((void *)at, &info) && info.dli_fbase == first.dli_fbase) hi = at + 1;
  }
  real_libc_lo = lo;
  real_libc_hi = hi;
}
#endif

bool real_is_libc(enum real_index index) {
  uintptr_t at = (uintptr_t)real_find(index);
  return at >= atomic_load_explicit(&real_libc_lo, memory_order_relaxed) &&
         at < atomic_load_explicit(&real_libc_hi, memory_order_relaxed);
}

__attribute__((constructor)) static void real_find_all(void) {
  for (int i = 0; i < real_count; i++) real_find((enum real_index)i);
  void *inside = dlsym(RTLD_NEXT, "gnu_get_libc_version"); /* which nobody replaces */
  if (inside) real_find_libc(inside);
}
