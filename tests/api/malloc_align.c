/* SPDX-License-Identifier: MIT
 * The aligned family: memalign, aligned_alloc, posix_memalign, valloc, pvalloc, and C23's sized frees. */
#include "config.h"

#include "tap.h"

#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

/* Through pointers, so that the compiler neither knows better nor leaves a call out. */
static void *(*volatile align_memalign)(size_t, size_t) = memalign;
static void *(*volatile align_aligned)(size_t, size_t) = aligned_alloc;
static int (*volatile align_posix)(void **, size_t, size_t) = posix_memalign;
static void *(*volatile align_valloc)(size_t) = valloc;
static void *(*volatile align_pvalloc)(size_t) = pvalloc;

static const size_t align_sizes[] = {0, 1, 7, 16, 24, 100, 1000, 4095, 4096, 5000, 32768, 65536, 100000, 1 << 20};
enum { align_size_count = sizeof align_sizes / sizeof align_sizes[0] };

static void *align_call(int which, size_t align, size_t size) {
  void *p = NULL;
  if (which == 0) return align_memalign(align, size);
  if (which == 1) return align_aligned(align, size);
  return align < sizeof(void *) ? malloc(size) : align_posix(&p, align, size) == 0 ? p : NULL;
}

static void test_alignments(int which, const char *name) {
  bool aligned = true, usable = true, intact = true, moved = true;
  for (size_t align = 1; align <= (4 << 20); align *= 2) {
    unsigned char *p[align_size_count];
    for (unsigned i = 0; i < align_size_count; i++) {
      size_t size = align_sizes[i];
      p[i] = align_call(which, align, size);
      aligned = aligned && p[i] && ((uintptr_t)p[i] & (align - 1)) == 0 && (uintptr_t)p[i] % 16 == 0;
      usable = usable && malloc_usable_size(p[i]) >= size;
      memset(p[i], (int)i + 1, size);
    }
    for (unsigned i = 0; i < align_size_count; i++)
      for (size_t k = 0; k < align_sizes[i]; k++) intact = intact && p[i][k] == i + 1;
    for (unsigned i = 0; i < align_size_count; i++) {
      size_t size = align_sizes[i];
      if (i % 2 && align <= 65536) {
        p[i] = realloc(p[i], size * 2 + 50);
        for (size_t k = 0; k < size; k++) moved = moved && p[i][k] == i + 1;
      }
      free(p[i]);
    }
  }
  OK(aligned, "%s aligns to any power of two up to 4 MiB, and never to less than 16", name);
  OK(usable && intact, "%s gives all bytes of the block", name);
  OK(moved, "realloc keeps the contents of a block from %s", name);
}

static void test_odd_alignments(void) {
  bool good = true;
  static const size_t odd[] = {0, 3, 7, 17, 24, 33, 100, 1000, 5000};
  static const size_t even[] = {1, 4, 8, 32, 32, 64, 128, 1024, 8192};
  for (unsigned i = 0; i < sizeof odd / sizeof odd[0]; i++) {
    void *p = align_memalign(odd[i], 40);
    good = good && p && (uintptr_t)p % even[i] == 0;
    free(p);
  }
  OK(good, "memalign rounds an alignment up to a power of two");
  errno = 0;
  OK(!align_memalign(SIZE_MAX / 2 + 2, 8) && errno == EINVAL, "an alignment beyond the largest power of two: EINVAL");
  errno = 0;
  void *p = align_aligned(24, 48);
  if (p && !dlsym(RTLD_DEFAULT, "GC_leak_check")) tap_skip("aligned_alloc of an odd alignment: EINVAL", "old glibc");
  else OK(!p && errno == EINVAL, "aligned_alloc of an odd alignment: EINVAL");
}

static void test_posix_errors(void) {
  static const size_t bad[] = {0, 1, 2, 4, 3, 9, 12, 24, 40, 4097, SIZE_MAX, SIZE_MAX / 2 + 2};
  bool refused = true, untouched = true;
  for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    void *p = &p;
    errno = 1234;
    refused = refused && align_posix(&p, bad[i], 64) == EINVAL;
    untouched = untouched && p == &p && errno == 1234;
  }
  OK(refused, "posix_memalign returns EINVAL for what is no power of two or no multiple of a pointer's size");
  OK(untouched, "and leaves the pointer and errno alone");
  void *p = &p;
  OK(align_posix(&p, 64, SIZE_MAX - 100) == ENOMEM && p == &p, "posix_memalign returns ENOMEM for too large a size");
  OK(align_posix(&p, 64, PTRDIFF_MAX) == ENOMEM && p == &p, "also for the largest size that is not an overflow");
  OK(align_posix(&p, 64, 0) == 0 && p && p != &p, "posix_memalign of size 0 is not NULL");
  free(p);
}

static bool align_refuses(void *p) {
  bool good = !p && errno == ENOMEM;
  free(p);
  errno = 0;
  return good;
}

static void test_too_large(void) {
  bool good = true;
  errno = 0;
  for (size_t align = 8; align <= (1 << 22); align *= 2) {
    good = good && align_refuses(align_memalign(align, SIZE_MAX - align));
    good = good && align_refuses(align_memalign(align, (size_t)PTRDIFF_MAX + 1));
    good = good && align_refuses(align_aligned(align, (size_t)PTRDIFF_MAX + 1));
    good = good && align_refuses(align_aligned(align, SIZE_MAX));
  }
  OK(good, "too large a size with any alignment: NULL and ENOMEM");
  /* The largest possible alignment of all cannot be had, but must not be mistaken for anything else. */
  void *p = align_memalign((size_t)1 << 62, 1);
  OK(!p && errno == ENOMEM, "an alignment that no address space can satisfy: NULL and ENOMEM");
  errno = 0;
  good = align_refuses(align_valloc(SIZE_MAX)) && align_refuses(align_valloc(PTRDIFF_MAX));
  good = good && align_refuses(align_pvalloc(SIZE_MAX)) && align_refuses(align_pvalloc(SIZE_MAX - 4000)) &&
         align_refuses(align_pvalloc(PTRDIFF_MAX));
  OK(good, "valloc and pvalloc of too large a size: NULL and ENOMEM");
}

static void test_pages(void) {
  bool aligned = true, whole = true;
  for (unsigned i = 0; i < align_size_count; i++) {
    char *p = align_valloc(align_sizes[i]), *q = align_pvalloc(align_sizes[i]);
    aligned = aligned && p && q && (uintptr_t)p % 4096 == 0 && (uintptr_t)q % 4096 == 0;
    size_t pages = (align_sizes[i] + 4095) & ~(size_t)4095;
    whole = whole && malloc_usable_size(q) >= pages;
    memset(q, 1, pages);
    free(p), free(q);
  }
  OK(aligned, "valloc and pvalloc align to a page");
  OK(whole, "pvalloc gives whole pages");
}

static void test_sized_frees(void) {
  void (*free_sized)(void *, size_t) = (void (*)(void *, size_t))dlsym(RTLD_DEFAULT, "free_sized");
  void (*free_aligned_sized)(void *, size_t, size_t) =
      (void (*)(void *, size_t, size_t))dlsym(RTLD_DEFAULT, "free_aligned_sized");
  if (!free_sized || !free_aligned_sized) {
    tap_skip("free_sized and free_aligned_sized free", "this libc has neither");
    return;
  }
  errno = 1234;
  free_sized(NULL, 0);
  free_aligned_sized(NULL, 64, 0);
  for (unsigned i = 0; i < 100000; i++) {
    free_sized(malloc(i % 3000), i % 3000);
    free_sized(calloc(3, i % 300), 3 * (i % 300));
    free_aligned_sized(align_aligned(64, 64 * (i % 90)), 64, 64 * (i % 90));
  }
  OK(errno == 1234, "free_sized and free_aligned_sized free, take NULL, and keep errno");
}

int main(void) {
  test_alignments(0, "memalign");
  test_alignments(1, "aligned_alloc");
  test_alignments(2, "posix_memalign");
  test_odd_alignments();
  test_posix_errors();
  test_too_large();
  test_pages();
  test_sized_frees();
  return tap_end();
}
