/* SPDX-License-Identifier: MIT
 * Where memory ends: sizes that cannot be had, products that overflow, and address space that runs out. With an argument
 * ("address" or "data") it first limits itself, by RLIMIT_AS or RLIMIT_DATA, and starts again under that limit. */
#include "config.h"

#include "tap.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static void *(*volatile limits_malloc)(size_t) = malloc;
static void *(*volatile limits_calloc)(size_t, size_t) = calloc;
static void *(*volatile limits_realloc)(void *, size_t) = realloc;
static void *(*volatile limits_reallocarray)(void *, size_t, size_t) = reallocarray;

enum { limits_block = 1 << 20, limits_most = 1000000 };

static bool limits_refused(void *p) {
  bool good = !p && errno == ENOMEM;
  errno = 0;
  return good;
}

/* Sizes near 2^64 and near 2^63, where sums with a header or an alignment overflow. */
static void test_sizes(void) {
  bool alloc = true, zeroed = true, moved = true, array = true;
  unsigned char *p = limits_malloc(40);
  memset(p, 0x5c, 40);
  errno = 0;
  for (unsigned i = 0; i < 2 * 5000; i++) {
    size_t n = i < 5000 ? SIZE_MAX - i * 13 : (size_t)PTRDIFF_MAX + 1 + (i - 5000) * 13;
    alloc = alloc && limits_refused(limits_malloc(n));
    zeroed = zeroed && limits_refused(limits_calloc(1, n)) && limits_refused(limits_calloc(n, 1)) &&
             limits_refused(limits_calloc(n / 7 + 1, 7));
    moved = moved && limits_refused(limits_realloc(p, n)) && limits_refused(limits_realloc(NULL, n));
    array = array && limits_refused(limits_reallocarray(p, n, 1)) && limits_refused(limits_reallocarray(p, 3, n));
  }
  OK(alloc, "malloc beyond PTRDIFF_MAX: NULL and ENOMEM");
  OK(zeroed, "calloc likewise");
  OK(moved, "realloc likewise");
  OK(array, "reallocarray likewise");
  bool kept = true;
  for (unsigned i = 0; i < 40; i++) kept = kept && p[i] == 0x5c;
  OK(kept && malloc_usable_size(p) >= 40, "a realloc that fails keeps the block and its contents");
  free(p);
}

static void test_products(void) {
  bool good = true;
  char *p = limits_malloc(10);
  errno = 0;
  for (unsigned shift = 1; shift < 64; shift++) {
    size_t a = (size_t)1 << shift, b = (size_t)1 << (64 - shift);
    good = good && limits_refused(limits_calloc(a, b)) && limits_refused(limits_calloc(a + 1, b + 1));
    good = good && limits_refused(limits_reallocarray(p, a, b)) && limits_refused(limits_reallocarray(NULL, a, b + 1));
  }
  good = good && limits_refused(limits_calloc(SIZE_MAX, SIZE_MAX));
  OK(good, "a product that overflows: NULL and ENOMEM, however small it seems");
  free(p);
}

static void test_impossible(void) {
  errno = 0;
  bool good = limits_refused(limits_malloc(PTRDIFF_MAX)) && limits_refused(limits_calloc(1, PTRDIFF_MAX)) &&
              limits_refused(limits_malloc((size_t)1 << 60)) && limits_refused(limits_malloc((size_t)1 << 47));
  OK(good, "more than the address space: NULL and ENOMEM");
  char *p = limits_malloc(100000);
  memset(p, 7, 100000);
  good = limits_refused(limits_realloc(p, (size_t)1 << 47));
  OK(good && p[0] == 7 && p[99999] == 7, "and a large block survives the attempt");
  free(p);
}

/* Takes blocks until there are no more; a chain through their first words needs no other memory. */
static unsigned limits_exhaust(size_t size, void **chain) {
  unsigned count = 0;
  void **p;
  errno = 0;
  while (count < limits_most && (p = limits_malloc(size))) {
    *p = *chain;
    *chain = p;
    count++;
  }
  return count;
}

static void limits_release(void **chain) {
  while (*chain) {
    void *next = *(void **)*chain;
    free(*chain);
    *chain = next;
  }
}

static void test_exhaustion(void) {
  void *chain = NULL;
  unsigned first = limits_exhaust(limits_block, &chain);
  OK(first >= 20 && first < limits_most && errno == ENOMEM, "memory runs out with NULL and ENOMEM, after %u MiB", first);
  char *p = limits_malloc(100);
  if (p) strcpy(p, "kept");
  errno = 0;
  OK(limits_refused(limits_calloc(50, limits_block)) && limits_refused(limits_realloc(p, 50 * limits_block)),
     "calloc and realloc say so, too");
  OK(!p || strcmp(p, "kept") == 0, "and the block is kept");
  free(p);
  limits_release(&chain);
  unsigned second = limits_exhaust(limits_block, &chain);
  OK(second >= first - first / 8, "what was freed can be had again: %u MiB", second);
  limits_release(&chain);
  unsigned small = limits_exhaust(1000, &chain);
  OK(small >= 10000 && errno == ENOMEM, "small blocks run out with NULL and ENOMEM, after %u", small);
  limits_release(&chain);
  p = limits_malloc(10 * limits_block);
  OK(p != NULL, "memory of small blocks serves a large one");
  free(p);
}

static void limits_restart(char **argv) {
  struct rlimit limit = {.rlim_cur = 256u << 20, .rlim_max = RLIM_INFINITY};
  if (setrlimit(strcmp(argv[1], "data") == 0 ? RLIMIT_DATA : RLIMIT_AS, &limit) != 0) return;
  execl("/proc/self/exe", argv[0], argv[1], "limited", (char *)NULL);
}

int main(int argc, char **argv) {
  if (argc == 2) {
    limits_restart(argv);
    perror("cannot start again");
    return 1;
  }
  if (argc > 2) {
    test_exhaustion();
  } else {
    test_sizes();
    test_products();
    test_impossible();
  }
  return tap_end();
}
