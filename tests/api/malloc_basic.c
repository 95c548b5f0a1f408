/* SPDX-License-Identifier: MIT
 * malloc, calloc, realloc, free and malloc_usable_size as a program may rely on them. Runs against any malloc. */
#include "config.h"

#include "tap.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { many = 1000 };

static void *(*volatile basic_malloc)(size_t) = malloc;
static void *(*volatile basic_calloc)(size_t, size_t) = calloc;
static void *(*volatile basic_realloc)(void *, size_t) = realloc;
static void *(*volatile basic_reallocarray)(void *, size_t, size_t) = reallocarray;
static void (*volatile basic_free)(void *) = free;
static size_t (*volatile basic_usable)(void *) = malloc_usable_size;

static const size_t basic_large[] = {4096,  8192,  16384,   32767,   32768,   32769,    65535,    65536,
                                     65537, 99999, 131072,  200000,  1 << 18, 1 << 20,  3000001,  1 << 24};
enum { basic_large_count = sizeof basic_large / sizeof basic_large[0] };

static size_t basic_size(unsigned i) { return i < 2100 ? i : basic_large[i - 2100]; }
enum { basic_sizes = 2100 + basic_large_count };

static bool basic_filled(const unsigned char *p, unsigned char value, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (p[i] != value) return false;
  return true;
}

static size_t basic_resident(void) {
  char text[128] = "";
  FILE *f = fopen("/proc/self/statm", "r");
  unsigned long total = 0, pages = 0;
  if (f && fgets(text, sizeof text, f)) sscanf(text, "%lu %lu", &total, &pages);
  if (f) fclose(f);
  return pages * 4096;
}

static void test_sizes(void) {
  bool aligned = true, large_enough = true, constant = true, intact = true, distinct = true;
  static unsigned char *p[basic_sizes];
  static size_t usable[basic_sizes];
  for (unsigned i = 0; i < basic_sizes; i++) {
    size_t n = basic_size(i);
    p[i] = basic_malloc(n);
    aligned = aligned && p[i] && (uintptr_t)p[i] % 16 == 0;
    usable[i] = basic_usable(p[i]);
    large_enough = large_enough && usable[i] >= n;
    memset(p[i], (int)(i * 7), usable[i]);
  }
  for (unsigned i = 0; i < basic_sizes; i++) {
    constant = constant && basic_usable(p[i]) == usable[i];
    intact = intact && basic_filled(p[i], (unsigned char)(i * 7), usable[i]);
    distinct = distinct && (i == 0 || p[i] != p[i - 1]);
  }
  OK(aligned, "malloc aligns to 16 bytes, whatever the size");
  OK(large_enough, "malloc_usable_size is at least what was asked for");
  OK(constant, "malloc_usable_size stays the same");
  OK(intact, "all usable bytes may be written and belong to one block");
  OK(distinct, "blocks differ");
  for (unsigned i = 0; i < basic_sizes; i++) basic_free(p[i]);
}

static void test_zero(void) {
  char *a = basic_malloc(0), *b = basic_malloc(0), *c = basic_calloc(0, 8), *d = basic_calloc(8, 0);
  char *e = basic_realloc(NULL, 0);
  OK(a && b && c && d && e, "a block of size 0 is not NULL");
  OK(a != b && c != d && b != c && d != e && a != e, "and unique");
  basic_free(a), basic_free(b), basic_free(c), basic_free(d), basic_free(e);
  basic_free(NULL);
  OK(basic_usable(NULL) == 0, "free(NULL) does nothing, and NULL has no usable bytes");
}

static void test_errno(void) {
  bool kept = true;
  for (unsigned i = 0; i < basic_sizes; i += 50) {
    void *p = basic_malloc(basic_size(i));
    errno = 1234;
    basic_free(p);
    kept = kept && errno == 1234;
  }
  void *p = basic_malloc(64 << 20);
  errno = 1234;
  basic_free(p);
  OK(kept && errno == 1234, "free keeps errno, for large blocks as well");
  errno = 1234;
  p = basic_realloc(basic_malloc(100), 0);
  OK(!p && errno == 1234, "realloc(p, 0) returns NULL and keeps errno");
}

static void test_calloc(void) {
  bool zero = true;
  for (unsigned i = 0; i < basic_sizes; i += 3) {
    size_t n = basic_size(i);
    void *p[4];
    for (unsigned k = 0; k < 4; k++) memset(p[k] = basic_malloc(n), 0xff, n);
    for (unsigned k = 0; k < 4; k++) basic_free(p[k]);
    for (unsigned k = 0; k < 4; k++) zero = zero && basic_filled(p[k] = basic_calloc(1, n), 0, n);
    for (unsigned k = 0; k < 4; k++) basic_free(p[k]);
  }
  OK(zero, "calloc gives zeros also where memory was used before");
  static unsigned char *small[many];
  for (unsigned i = 0; i < many; i++) memset(small[i] = basic_malloc(48), 0xee, 48);
  for (unsigned i = 0; i < many; i += 2) basic_free(small[i]);
  zero = true;
  for (unsigned i = 0; i < many; i += 2) {
    small[i] = basic_calloc(6, 8);
    zero = zero && basic_filled(small[i], 0, 48);
    memset(small[i], 0xdd, 48);
  }
  bool intact = true;
  for (unsigned i = 0; i < many; i++) {
    intact = intact && basic_filled(small[i], i % 2 ? 0xee : 0xdd, 48);
    basic_free(small[i]);
  }
  OK(zero && intact, "calloc between live blocks zeroes its own alone");
}

static void test_realloc(void) {
  bool grown = true, shrunk = true, aligned = true;
  for (unsigned from = 0; from < basic_sizes; from += 70) {
    for (unsigned to = 1; to < basic_sizes; to += 60) {
      size_t a = basic_size(from), b = basic_size(to), least = a < b ? a : b;
      if (a + b > (4 << 20)) continue;
      unsigned char *p = basic_malloc(a);
      memset(p, 0x5a, a);
      p = basic_realloc(p, b);
      aligned = aligned && (uintptr_t)p % 16 == 0 && basic_usable(p) >= b;
      *(a < b ? &grown : &shrunk) &= basic_filled(p, 0x5a, least);
      memset(p, 0xa5, b);
      basic_free(p);
    }
  }
  OK(grown, "a block that grows keeps its contents");
  OK(shrunk, "a block that shrinks keeps what remains");
  OK(aligned, "realloc aligns and gives what was asked for");
  unsigned char *p = basic_realloc(NULL, 100);
  OK(p != NULL, "realloc(NULL, n) is malloc(n)");
  size_t usable = basic_usable(p);
  memset(p, 0x77, usable);
  p = basic_realloc(p, 100000);
  OK(basic_filled(p, 0x77, usable), "realloc copies all usable bytes, not only those asked for");
  p = basic_reallocarray(p, 10, 30000);
  OK(basic_filled(p, 0x77, usable) && basic_usable(p) >= 300000, "so does reallocarray");
  OK(basic_reallocarray(p, 0, 8) == NULL, "reallocarray of nothing frees");
}

static void test_growth(void) {
  unsigned char *p = basic_malloc(1);
  bool intact = true;
  p[0] = 1;
  for (size_t n = 1; n < (64 << 20); n = n * 2) {
    p = basic_realloc(p, n * 2);
    intact = intact && p[0] == 1 && p[n / 2] == 1 && p[n - 1] == 1;
    p[n] = p[n + n / 2] = p[2 * n - 1] = 1;
  }
  OK(intact, "a block grows to 64 MiB by doubling and keeps its contents");
  p = basic_realloc(p, 100);
  OK(p && p[0] == 1 && p[1] == 1 && p[63] == 1, "and shrinks to 100 bytes");
  basic_free(p);
  p = NULL;
  size_t used = 0;
  for (unsigned i = 0; i < 20000; i++) {
    p = basic_realloc(p, used + 13);
    memset(p + used, (int)i, 13);
    used += 13;
  }
  for (unsigned i = 0; i < 20000; i++) intact = intact && basic_filled(p + i * 13, (unsigned char)i, 13);
  OK(intact, "20000 small steps of growth keep every step");
  basic_free(p);
}

static void test_given_back(void) {
  size_t before = basic_resident();
  for (unsigned i = 0; i < 200000; i++) {
    void *p = basic_malloc(i % 5000 + 1);
    memset(p, 1, i % 5000 + 1);
    p = basic_realloc(p, 0);
  }
  for (unsigned i = 0; i < 200; i++) {
    void *p = basic_malloc(1 << 20);
    memset(p, 1, 1 << 20);
    basic_free(p);
  }
  OK(basic_resident() < before + (64 << 20), "realloc(p, 0) and free make memory usable again");
}

/* A block so large that libc, too, maps it by itself, and some pages of which the program made unwritable and left so. */
static void test_protected(void) {
  enum { whole = 40 << 20, size = 1 << 20, page = 4096, count = 40 };
  static const int protections[] = {PROT_READ, PROT_NONE};
  bool written = true;
  for (int k = 0; k < 2; k++) {
    char *p = memalign(page, whole), *after[count];
    memset(p, 1, size);
    mprotect(p + 16 * page, 64 * page, protections[k]);
    free(p);
    for (int i = 0; i < count; i++) {
      after[i] = malloc(size / (size_t)(1 + i % 30));
      memset(after[i], 2, size / (size_t)(1 + i % 30));
      written = written && after[i][0] == 2;
    }
    for (int i = 0; i < count; i++) free(after[i]);
  }
  OK(written, "memory that was freed unwritable is writable when it is handed out again");
}

int main(void) {
  test_sizes();
  test_zero();
  test_errno();
  test_calloc();
  test_realloc();
  test_growth();
  test_given_back();
  test_protected();
  return tap_end();
}
