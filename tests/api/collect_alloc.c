/* SPDX-License-Identifier: MIT
 * gc.h: allocating, changing sizes, freeing, looking at objects. "leaks": in a mode that collects nothing. */
#include "collect.h"

#include <errno.h>
#include <stdint.h>

static bool collects = true;

static bool is_zero(const void *p, size_t from, size_t to) {
  const unsigned char *bytes = p;
  for (size_t i = from; i < to; i++)
    if (bytes[i]) return false;
  return true;
}

/* --- allocating --- */

static const size_t sizes[] = {0,    1,    7,    8,     15,    16,    17,     31,     32,      33,      100,    112,
                               127,  128,  129,  255,   256,   257,   1000,   4095,   4096,    4097,    20000,  32766,
                               32767, 32768, 32769, 65535, 65536, 65537, 100000, 262144, 1000000, 3000000, 10000000};
enum { size_count = sizeof sizes / sizeof sizes[0] };

typedef void *maker(size_t);

/* The compiler must not know them: it takes for granted that their memory is new. */
static maker *volatile make_object = GC_malloc, *volatile make_atomic = GC_malloc_atomic;
static maker *volatile make_uncollectable = GC_malloc_uncollectable;
static void *(*volatile resize)(void *, size_t) = GC_realloc;

static void test_sizes(maker *make, const char *name, bool zeroed) {
  bool good = true, zero = true, aligned = true, distinct = true;
  for (int round = 0; round < 3; round++)
    for (size_t i = 0; i < size_count; i++) {
      char *p = make(sizes[i]), *q = make(sizes[i]);
      if (!p || !q) good = false;
      if (!good) break;
      good = good && GC_size(p) >= sizes[i] && GC_base(p) == p;
      zero = zero && is_zero(p, 0, GC_size(p));
      aligned = aligned && (uintptr_t)p % 16 == 0;
      distinct = distinct && p != q && (p + sizes[i] < q || q + sizes[i] < p);
      memset(p, 0xa5, GC_size(p));
      memset(q, 0x5a, GC_size(q));
      GC_free(p);
      GC_free(q);
    }
  OK(good, "%s serves all sizes", name);
  if (zeroed) OK(zero, "%s returns zeroes to the end of what it can hold, also where memory was used before", name);
  OK(aligned, "%s aligns to 16 bytes", name);
  OK(distinct, "%s returns memory of its own each time, also for size 0", name);
}

static void test_refused(maker *make, const char *name) {
  errno = 0;
  OK(make(SIZE_MAX) == NULL && errno == ENOMEM, "%s refuses SIZE_MAX", name);
  errno = 0;
  OK(make((size_t)PTRDIFF_MAX + 1) == NULL && errno == ENOMEM, "%s refuses what no object can be", name);
  errno = 0;
  OK(make(PTRDIFF_MAX) == NULL && errno == ENOMEM, "%s refuses what is larger than the address space", name);
  errno = 4711;
  void *p = make(100);
  OK(p && errno == 4711, "%s keeps errno", name);
  GC_free(p);
  OK(errno == 4711, "so does GC_free");
}

/* Nothing is zeroed in memory that holds no pointers: what was there may be seen, or not. */
static void test_kinds(void) {
  static struct crowd crowd;
  static void **keep;
  keep = GC_malloc_uncollectable(crowd_size * sizeof *keep);
  crowd_make(&crowd, GC_malloc, 48, keep);
  crowd_collect(2);
  OK(crowd_kept(&crowd), "what uncollectable memory points to is kept");
  memset(keep, 0, crowd_size * sizeof *keep);
  crowd_collect(2);
  OK(!collects || crowd_lost(&crowd), "until it points there no more");

  static void **outer;
  outer = GC_malloc_atomic(crowd_size * sizeof *outer);
  crowd_make(&crowd, GC_malloc, 48, outer);
  crowd_collect(2);
  OK(GC_base(outer) == outer && (!collects || crowd_lost(&crowd)), "what only memory without pointers points to is lost");
  GC_free(outer);
  outer = GC_malloc(crowd_size * sizeof *outer);
  crowd_make(&crowd, GC_malloc_atomic, 48, outer);
  crowd_collect(2);
  OK(crowd_kept(&crowd), "what an object points to is kept, also what is without pointers itself");
  outer = NULL;
  crowd_collect(2);
  OK(!collects || crowd_lost(&crowd), "and is lost with it");

  crowd_make(&crowd, GC_malloc_uncollectable, 48, NULL);
  crowd_collect(2);
  OK(crowd_kept(&crowd), "uncollectable memory is never reclaimed");
  for (int i = 0; i < crowd_size; i++) GC_free(crowd_get(&crowd, i));
  OK(crowd_alive(&crowd) == 0, "but freed");
  crowd_make(&crowd, GC_malloc_atomic_uncollectable, 48, NULL);
  crowd_collect(2);
  OK(crowd_kept(&crowd), "nor is such without pointers");
  for (int i = 0; i < crowd_size; i++) GC_free(crowd_get(&crowd, i));
}

static void test_pointers(void) {
  static struct crowd crowd;
  static char *inside[crowd_size];
  crowd_make(&crowd, GC_malloc, 100, (void **)inside);
  for (int i = 0; i < crowd_size; i++) inside[i] += 57;
  crowd_collect(2);
  OK(crowd_kept(&crowd), "a pointer to the inside keeps an object");
  for (int i = 0; i < crowd_size; i++) inside[i] += 100 - 57;
  crowd_collect(2);
  OK(crowd_kept(&crowd), "so does one to its end");
  memset(inside, 0, sizeof inside);
  crowd_collect(2);
  OK(!collects || crowd_lost(&crowd), "without one it is reclaimed");
  crowd_make(&crowd, GC_malloc, 128, (void **)inside);
  for (int i = 0; i < crowd_size; i++) inside[i] += 128;
  crowd_collect(2);
  OK(crowd_kept(&crowd), "the end of an object is its own also where its size is that of a slot");
  crowd_make(&crowd, GC_malloc, 65536, (void **)inside);
  for (int i = 0; i < crowd_size; i++) inside[i] += 65536;
  crowd_collect(2);
  OK(crowd_kept(&crowd), "also of large ones");
  memset(inside, 0, sizeof inside);
  crowd_collect(2);
  OK(!collects || crowd_lost(&crowd), "which are reclaimed, too");
}

/* --- changing the size --- */

static void fill(unsigned char *p, size_t size) {
  for (size_t i = 0; i < size; i++) p[i] = (unsigned char)(i * 7 + 1);
}

static bool is_filled(const unsigned char *p, size_t size) {
  for (size_t i = 0; i < size; i++)
    if (p[i] != (unsigned char)(i * 7 + 1)) return false;
  return true;
}

static void test_realloc(void) {
  static const size_t steps[] = {1, 16, 15, 100, 60, 112, 30, 4000, 2100, 4095, 33000, 32767, 32768, 40000, 36000, 90000,
                                 70000, 300000, 2000000, 1500000, 2000000, 5000000, 100000, 3000, 20, 1};
  bool kept = true, zeroed = true, sized = true;
  unsigned char *p = resize(NULL, 10);
  OK(p && is_zero(p, 0, 10), "GC_realloc(NULL) is GC_malloc");
  size_t size = 10;
  fill(p, size);
  for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
    p = resize(p, steps[i]);
    sized = sized && p && GC_size(p) >= steps[i];
    if (!sized) break;
    size_t keep = size < steps[i] ? size : steps[i];
    kept = kept && is_filled(p, keep);
    zeroed = zeroed && is_zero(p, keep, GC_size(p));
    size = steps[i];
    fill(p, size);
  }
  OK(sized, "GC_realloc makes objects larger and smaller, from 1 byte to 5 million");
  OK(kept, "it keeps the contents");
  OK(zeroed, "behind what it keeps all is zeroed, also where it took bytes away before");
  for (size_t i = 0; i < size_count; i++) {
    unsigned char *q = GC_malloc(sizes[i]);
    size_t all = GC_size(q);
    fill(q, all);
    q = resize(q, all);
    kept = kept && is_filled(q, all);
    GC_free(q);
  }
  OK(kept, "also what was written as far as GC_size allows");
  errno = 4711;
  OK(resize(p, 0) == NULL && GC_base(p) == NULL && errno == 4711, "GC_realloc to 0 is GC_free");

  p = GC_malloc(100);
  fill(p, 100);
  errno = 0;
  OK(resize(p, SIZE_MAX) == NULL && errno == ENOMEM && GC_base(p) == p && is_filled(p, 100),
     "when it fails the object stays as it is");
  errno = 0;
  OK(resize(p, PTRDIFF_MAX) == NULL && errno == ENOMEM && GC_base(p) == p && is_filled(p, 100), "in whatever way");
  GC_free(p);
}

static void test_realloc_aligned(void) {
  bool kept = true;
  for (size_t align = 64; align <= 131072; align *= 8)
    for (size_t i = 0; i < size_count; i++) {
      unsigned char *p = GC_memalign(align, sizes[i]);
      fill(p, sizes[i]);
      p = resize(p, sizes[i] * 2 + 1);
      kept = kept && is_filled(p, sizes[i]);
      GC_free(p);
    }
  OK(kept, "GC_realloc keeps what GC_memalign's hold");
}

static void test_realloc_kinds(void) {
  static struct crowd crowd;
  static void **keep;
  static const size_t grown[] = {3000, 100000};
  for (int i = 0; i < 2; i++) {
    keep = resize(GC_malloc_atomic(100), grown[i]);
    crowd_make(&crowd, GC_malloc, 48, keep);
    crowd_collect(2);
    OK(!collects || crowd_lost(&crowd), "memory without pointers stays so when it grows to %zu bytes", grown[i]);
    GC_free(keep);
    keep = resize(GC_malloc(100), grown[i]);
    crowd_make(&crowd, GC_malloc, 48, keep);
    crowd_collect(2);
    OK(crowd_kept(&crowd), "memory with pointers stays so when it grows to %zu bytes", grown[i]);
    uintptr_t hidden = ~(uintptr_t)resize(GC_malloc_uncollectable(100), grown[i]);
    keep = NULL;
    crowd_collect(2);
    crowd_collect(2);
    OK(GC_base((void *)~hidden) == (void *)~hidden, "uncollectable memory stays so when it grows to %zu bytes", grown[i]);
    OK(!collects || crowd_lost(&crowd), "what was in the other is lost with it");
    GC_free((void *)~hidden);
  }
}

/* --- texts --- */

static void test_texts(void) {
  char *copy = GC_strdup("hello");
  OK(copy && strcmp(copy, "hello") == 0 && GC_base(copy) == copy, "GC_strdup copies a text");
  copy = GC_strdup("");
  OK(copy && !*copy, "also an empty one");
  OK(GC_strdup(NULL) == NULL, "GC_strdup(NULL) is NULL");
  copy = GC_strndup("hello", 3);
  OK(copy && strcmp(copy, "hel") == 0, "GC_strndup copies a part");
  copy = GC_strndup("hello", 100);
  OK(copy && strcmp(copy, "hello") == 0, "not more than there is");
  char open[3] = {'a', 'b', 'c'};
  copy = GC_strndup(open, 3);
  OK(copy && strcmp(copy, "abc") == 0, "and not more than it is told, where no end is");
  copy = GC_strndup("x", 0);
  OK(copy && !*copy, "or nothing");
  static struct crowd crowd;
  static char **text;
  text = (char **)GC_strndup("0123456789012345678901234567890123456789", 40);
  text = GC_realloc(text, crowd_size * sizeof *text);
  crowd_make(&crowd, GC_malloc, 48, (void **)text);
  crowd_collect(2);
  OK(!collects || crowd_lost(&crowd), "a copy holds no pointers");
}

/* --- objects --- */

static int on_data;

static void test_objects(void) {
  int on_stack;
  char *p = GC_malloc(100), *large = GC_malloc(200000);
  OK(GC_base(p) == p && GC_base(p + 1) == p && GC_base(p + 99) == p, "GC_base finds an object from inside");
  OK(GC_base(p + GC_size(p)) != p, "one past its end is outside");
  OK(GC_base(large + 150000) == large && GC_base(large + GC_size(large)) != large, "also of a large one");
  OK(GC_base(NULL) == NULL && GC_base(&on_stack) == NULL && GC_base(&on_data) == NULL && GC_base((void *)-1) == NULL &&
         GC_base((void *)0x123456789abcdef0) == NULL,
     "what is no object has no beginning");
  OK(GC_size(p) >= 100 && GC_size(large) >= 200000, "GC_size is at least what was asked for");
  OK(GC_size(p + 1) == 0 && GC_size(&on_stack) == 0 && GC_size(NULL) == 0, "and 0 where no object begins");
  OK(GC_is_heap_ptr(p) && GC_is_heap_ptr(p + 50) && GC_is_heap_ptr(large + 70000), "GC_is_heap_ptr knows the heap");
  OK(!GC_is_heap_ptr(&on_stack) && !GC_is_heap_ptr(&on_data) && !GC_is_heap_ptr(NULL) &&
         !GC_is_heap_ptr((void *)(uintptr_t)test_objects),
     "and what is not");
  GC_free(p);
  OK(GC_base(p) == NULL && GC_size(p) == 0, "what is freed is no object");
  GC_free(large);
  OK(GC_base(large) == NULL, "large or not");
  GC_free(NULL);
  OK(true, "GC_free(NULL) does nothing");
}

/* --- memory runs out --- */

static size_t oom_size;
static int oom_calls;
static void *oom_answer;

static void *on_oom(size_t size) {
  oom_size = size;
  oom_calls++;
  return oom_answer;
}

static void test_oom(void) {
  static char reserve[64];
  GC_oom_func before = GC_get_oom_fn();
  OK(before && before(5) == NULL, "there is a function for want of memory, which returns NULL");
  GC_set_oom_fn(on_oom);
  OK(GC_get_oom_fn() == on_oom, "it can be replaced");
  errno = 0;
  OK(make_object(SIZE_MAX / 4) == NULL && oom_calls == 1 && oom_size == SIZE_MAX / 4 && errno == ENOMEM,
     "it is called with the size that was asked for");
  oom_answer = reserve;
  OK(make_atomic(SIZE_MAX / 4) == reserve && make_uncollectable(SIZE_MAX / 4) == reserve && oom_calls == 3,
     "and what it returns is returned");
  oom_answer = NULL;
  char *p = GC_malloc(48);
  strcpy(p, "contents");
  OK(resize(p, SIZE_MAX / 4) == NULL && oom_calls == 4 && strcmp(p, "contents") == 0, "GC_realloc calls it, too");
  oom_answer = GC_malloc(16);
  OK(resize(p, SIZE_MAX / 4) == oom_answer && strncmp(oom_answer, "contents", 9) == 0 && GC_base(p) == NULL,
     "and has what it returned take the old one's place, as far as it reaches");
  int calls = oom_calls;
  void *(*volatile allocate)(size_t) = malloc;
  OK(allocate(SIZE_MAX / 4) == NULL && oom_calls == calls, "malloc does not");
  GC_set_oom_fn(before);
  OK(make_object(SIZE_MAX / 4) == NULL && oom_calls == calls, "and it can be put back");
}

int main(int argc, char **argv) {
  if (argc > 1 && strcmp(argv[1], "leaks") == 0) collects = false;
  GC_INIT();
  test_sizes(GC_malloc, "GC_malloc", true);
  test_sizes(GC_malloc_atomic, "GC_malloc_atomic", false);
  test_sizes(GC_malloc_uncollectable, "GC_malloc_uncollectable", true);
  test_sizes(GC_malloc_atomic_uncollectable, "GC_malloc_atomic_uncollectable", false);
  test_refused(GC_malloc, "GC_malloc");
  test_refused(GC_malloc_atomic, "GC_malloc_atomic");
  test_refused(GC_malloc_uncollectable, "GC_malloc_uncollectable");
  test_refused(GC_malloc_atomic_uncollectable, "GC_malloc_atomic_uncollectable");
  test_kinds();
  test_pointers();
  test_realloc();
  test_realloc_aligned();
  test_realloc_kinds();
  test_texts();
  test_objects();
  test_oom();
  return tap_end();
}
