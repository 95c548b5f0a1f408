/* SPDX-License-Identifier: MIT
 * The malloc family, one line each. Semantics: POSIX.1-2024, C23 and glibc's manual; the work is done behind the
 * hooks. */
#include "config.h"

#include "api/hooks.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PUBLIC __attribute__((visibility("default")))

void cfree(void *p);
void free_sized(void *p, size_t size);
void free_aligned_sized(void *p, size_t align, size_t size);

bool hook_serves_malloc = true;

PUBLIC void *malloc(size_t size) {
  void *p = hook_try_malloc(size);
  return likely(p) ? p : hook_malloc(size);
}

PUBLIC void free(void *p) {
  if (unlikely(!hook_try_free(p))) hook_free(p);
}

PUBLIC void cfree(void *p) { hook_free(p); }
PUBLIC void free_sized(void *p, size_t size) { (void)size, free(p); }
PUBLIC void free_aligned_sized(void *p, size_t align, size_t size) { (void)align, (void)size, free(p); }

PUBLIC void *calloc(size_t count, size_t size) {
  void *p = hook_try_calloc(count, size);
  return likely(p) ? p : hook_calloc(count, size);
}

PUBLIC void *realloc(void *old, size_t size) { return hook_realloc(old, size); }
PUBLIC void *reallocarray(void *old, size_t count, size_t size) { return hook_reallocarray(old, count, size); }
PUBLIC void *aligned_alloc(size_t align, size_t size) { return hook_aligned_alloc(align, size); }
PUBLIC void *memalign(size_t align, size_t size) { return hook_memalign(align, size); }
PUBLIC int posix_memalign(void **out, size_t align, size_t size) { return hook_posix_memalign(out, align, size); }
PUBLIC void *valloc(size_t size) { return hook_valloc(size); }
PUBLIC void *pvalloc(size_t size) { return hook_pvalloc(size); }
PUBLIC size_t malloc_usable_size(void *p) { return hook_usable_size(p); }
PUBLIC int malloc_trim(size_t pad) { return hook_trim(pad); }

/* Every parameter of glibc's is accepted, and none changes anything: 1 is success. */
PUBLIC int mallopt(int parameter, int value) {
  (void)parameter, (void)value;
  return 1;
}

PUBLIC struct mallinfo2 mallinfo2(void) {
  struct hook_usage usage;
  hook_usage(&usage);
  return (struct mallinfo2){
      .arena = usage.mapped - usage.large,
      .hblks = usage.large_blocks,
      .hblkhd = usage.large,
      .uordblks = usage.live,
      .fordblks = usage.free,
  };
}

static int malloc_clip(size_t n) { return n > 0x7fffffff ? 0x7fffffff : (int)n; }

PUBLIC struct mallinfo mallinfo(void) {
  struct mallinfo2 info = mallinfo2();
  return (struct mallinfo){
      .arena = malloc_clip(info.arena),
      .hblks = malloc_clip(info.hblks),
      .hblkhd = malloc_clip(info.hblkhd),
      .uordblks = malloc_clip(info.uordblks),
      .fordblks = malloc_clip(info.fordblks),
  };
}

PUBLIC int malloc_info(int options, FILE *out) {
  if (options != 0) return EINVAL;
  struct hook_usage usage;
  hook_usage(&usage);
  int done = fprintf(out,
                     "<malloc version=\"1\">\n<total type=\"live\" count=\"%zu\" size=\"%zu\"/>\n"
                     "<total type=\"large\" count=\"%zu\" size=\"%zu\"/>\n<system type=\"current\" size=\"%zu\"/>\n</malloc>\n",
                     usage.live_blocks, usage.live, usage.large_blocks, usage.large, usage.mapped);
  return done < 0 ? -1 : 0;
}

PUBLIC void malloc_stats(void) {
  struct hook_usage usage;
  hook_usage(&usage);
  fprintf(stderr, "system bytes     = %10zu\nin use bytes     = %10zu\nlarge blocks     = %10zu\nlarge bytes      = %10zu\n",
          usage.mapped, usage.live, usage.large_blocks, usage.large);
}
