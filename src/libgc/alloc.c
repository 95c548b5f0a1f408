/* SPDX-License-Identifier: MIT
 * libgc's further ways to allocate, and to begin and end. */
#include "config.h"

#include "api/alloc.h"
#include "api/collector.h"
#define GC_REQUIRE_WCSDUP
#include "gc.h"
#include "libgc/libgc.h"

#include <errno.h>
#include <string.h>
#include <wchar.h>

/* The next power of two. */
static size_t alloc_power(size_t align) {
  size_t power = 1;
  while (power < align && power <= PTRDIFF_MAX / 2) power *= 2;
  return power;
}

PUBLIC void *GC_memalign(size_t align, size_t size) {
  struct site_start start;
  SITE_CALLER(&start);
  return gc_alloc_aligned(alloc_power(align), size, &start);
}

PUBLIC int GC_posix_memalign(void **object, size_t align, size_t size) {
  struct site_start start;
  SITE_CALLER(&start);
  if (align < sizeof(void *) || (align & (align - 1)) != 0) return EINVAL;
  int saved = errno;
  void *p = gc_alloc_aligned(align, size, &start);
  errno = saved;
  if (!p) return ENOMEM;
  *object = p;
  return 0;
}

PUBLIC wchar_t *GC_wcsdup(const wchar_t *text) {
  size_t bytes = (wcslen(text) + 1) * sizeof *text;
  wchar_t *copy = GC_malloc_atomic(bytes);
  return copy ? memcpy(copy, text, bytes) : NULL;
}

PUBLIC void *GC_malloc_stubborn(size_t size) { return GC_malloc(size); }

PUBLIC int GC_is_init_called(void) { return collector_is_armed || birth_options.mode == MODE_LEAKS; }

/* Nothing need be given back; but nothing goes on in the background afterwards. */
PUBLIC void GC_deinit(void) { collector_rest(); }

PUBLIC void GC_noop1(GC_word value) { (void)value; }
PUBLIC void GC_use_threads_discovery(void) { collector_arm(); }
