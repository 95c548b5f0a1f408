/* SPDX-License-Identifier: MIT
 * libgc's figures and dumps, its further ways to allocate, and what is asked of addresses. */
#define GC_THREADS
#define GC_NO_THREAD_REDIRECTS
#define GC_REQUIRE_WCSDUP
#define GC_I_HIDE_POINTERS
#include "crowd.h"
#include "gc_inline.h"
#include "gc_mark.h"
#include "javaxfc.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>
#include <wchar.h>

/* --- memory --- */

static void test_usage(void) {
  GC_word heap, free_bytes, unmapped, since, total;
  void *volatile kept = hoard(4 << 20);
  GC_get_heap_usage_safe(&heap, &free_bytes, &unmapped, &since, &total);
  OK(heap >= 4 << 20 && heap <= GC_get_heap_size() + (1 << 20), "the heap is as large as what is in it at least");
  OK(free_bytes < heap && total >= 4 << 20 && since <= total, "five figures fit together");
  GC_get_heap_usage_safe(NULL, NULL, NULL, NULL, NULL);
  size_t used = GC_get_memory_use();
  OK(used >= 3 << 20 && used <= GC_get_heap_size(), "what is in blocks is a part of the heap");
  OK(GC_get_obtained_from_os_bytes() >= heap + GC_get_unmapped_bytes(), "all was obtained from the kernel");
  OK(GC_base(kept) == kept, "what is held lives");
}

static void test_prof_stats(void) {
  struct GC_prof_stats_s stats;
  struct {
    struct GC_prof_stats_s known;
    GC_word unknown;
  } newer;
  litter(8 << 20);
  GC_gcollect();
  void *volatile kept = hoard(1 << 20);
  OK(GC_get_prof_stats(&stats, sizeof stats) == sizeof stats, "all figures are known");
  OK(stats.heapsize_full >= stats.unmapped_bytes + (1 << 20), "the heap with what was given back");
  OK(stats.free_bytes_full >= stats.unmapped_bytes && stats.free_bytes_full < stats.heapsize_full, "what is free, likewise");
  OK(stats.gc_no > 0 && stats.gc_no <= GC_get_gc_no() && stats.markers_m1 == (GC_word)GC_get_parallel(), "numbers of collections and of markers");
  OK(stats.bytes_allocd_since_gc >= 1 << 20 && stats.allocd_bytes_before_gc >= 8 << 20, "what was allocated before the last collection, and since");
  OK(stats.bytes_reclaimed_since_gc >= 3 << 20, "what that one reclaimed: %lu", stats.bytes_reclaimed_since_gc);
  GC_word before = stats.reclaimed_bytes_before_gc, last = stats.bytes_reclaimed_since_gc;
  GC_gcollect();
  GC_get_prof_stats_unsafe(&stats, sizeof stats);
  OK(stats.reclaimed_bytes_before_gc == before + last, "is what was reclaimed before the next one");
  OK(GC_get_prof_stats(&stats, sizeof(GC_word)) == sizeof(GC_word), "an older program asks for fewer");
  OK(GC_get_prof_stats(&newer.known, sizeof newer) == sizeof stats && newer.unknown == (GC_word)-1, "a newer one finds what is unknown to be so");
  OK(GC_base(kept) == kept, "what is held lives");
}

static void test_freed(void) {
  enum { count = 2000, size = 2000 };
  static void *volatile all[count];
  GC_disable(); /* nothing is to come in between */
  for (int i = 0; i < count; i++) all[i] = GC_malloc(size);
  size_t before = GC_get_expl_freed_bytes_since_gc();
  for (int i = 0; i < count; i++) {
    GC_free(all[i]);
    all[i] = NULL;
  }
  size_t freed = GC_get_expl_freed_bytes_since_gc() - before;
  OK(freed >= count * size * 3 / 4 && freed <= count * size * 2, "what was freed is counted, as far as it was noticed: %zu", freed);
  GC_enable();
}

static void test_non_gc(void) {
  GC_word before = GC_get_non_gc_bytes();
  void *p = GC_malloc_uncollectable(1 << 20);
  OK(GC_get_non_gc_bytes() >= before + (1 << 20), "an uncollectable object counts as no candidate");
  GC_free(p);
  OK(GC_get_non_gc_bytes() < before + (1 << 20), "until it is freed");
  before = GC_get_non_gc_bytes();
  GC_non_gc_bytes += 5000;
  OK(GC_get_non_gc_bytes() == before + 5000, "the program adds its own");
  GC_set_non_gc_bytes(before);
  OK(GC_get_non_gc_bytes() == before, "and takes them away");
}

static void test_sizes(void) {
  size_t good = 0, sizes[] = {0, 1, 15, 16, 17, 100, 255, 256, 1000, 2048, 30000};
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) good += GC_get_size_map_at((int)sizes[i]) == GC_size(GC_malloc(sizes[i]));
  OK(good == sizeof sizes / sizeof sizes[0], "the map of sizes tells what room objects get");
  OK(GC_get_size_map_at(-1) == (size_t)-1 && GC_get_size_map_at(1 << 20) == (size_t)-1, "and nothing beyond");
}

static void test_time(void) {
  OK(GC_get_full_gc_total_time() == 0, "no time is told before it is measured");
  GC_start_performance_measurement();
  void *volatile kept = hoard(64 << 20);
  for (int i = 0; i < 200 && GC_get_full_gc_total_time() == 0; i++) GC_gcollect();
  OK(GC_get_full_gc_total_time() > 0 && GC_base(kept) == kept, "then the time of full collections adds up");
}

/* --- allocating --- */

static void test_aligned(void) {
  size_t aligned = 0, zero = 0, n = 0;
  for (size_t align = 1; align <= 1 << 18; align *= 2)
    for (size_t size = 1; size < 100000; size = size * 7 + 1, n++) {
      char *p = GC_memalign(align, size);
      aligned += (uintptr_t)p % align == 0 && GC_size(p) >= size;
      zero += p[0] == 0 && p[size - 1] == 0;
      memset(p, 1, size);
    }
  OK(aligned == n && zero == n, "GC_memalign aligns, and zeroes");
  OK((uintptr_t)GC_memalign(3, 10) % 4 == 0, "to a power of two");
  void *p = &n;
  OK(GC_posix_memalign(&p, 3, 10) == EINVAL && GC_posix_memalign(&p, 4, 10) == EINVAL && GC_posix_memalign(&p, 0, 10) == EINVAL && p == &n,
     "GC_posix_memalign refuses what is no alignment");
  OK(GC_posix_memalign(&p, 4096, 10) == 0 && (uintptr_t)p % 4096 == 0 && GC_base(p) == p, "and takes what is one");
  errno = 5;
  OK(GC_posix_memalign(&p, 16, PTRDIFF_MAX) == ENOMEM && errno == 5, "it tells that there is no memory, and keeps errno");
}

static void test_texts(void) {
  wchar_t *copy = GC_WCSDUP(L"text");
  OK(wcscmp(copy, L"text") == 0 && GC_base(copy) == copy && GC_wcsdup(L"")[0] == 0, "GC_wcsdup copies");
  char *p = GC_MALLOC_STUBBORN(100);
  OK(GC_base(p) == p && p[99] == 0 && GC_NEW_STUBBORN(int) && GC_malloc_stubborn(4), "the old name allocates as well");
}

/* --- lists of the program's own --- */

static void *lists[GC_TINY_FREELISTS];

static void test_lists(void) {
  void *p;
  size_t good = 0, n = 0;
  for (size_t words = 0; words < 60; words++)
    for (int i = 0; i < 300; i++, n++) {
      GC_MALLOC_WORDS(p, words, lists);
      size_t bytes = words ? words * sizeof(GC_word) : 1, zeroes = 0;
      for (size_t j = 0; j < bytes; j++) zeroes += ((char *)p)[j] == 0;
      good += zeroes == bytes && GC_base(p) == p;
      memset(p, 1, bytes);
    }
  OK(good == n, "objects from lists are there, and zero");
  GC_MALLOC_ATOMIC_WORDS(p, 3, lists);
  OK(p && GC_get_kind_and_size(p, NULL) == GC_I_PTRFREE, "and those without pointers are so");
  void *a = GC_malloc(16), *b = GC_malloc(16);
  GC_CONS(p, a, b, lists);
  OK(((void **)p)[0] == a && ((void **)p)[1] == b, "GC_CONS fills in both");
  p = NULL;
  for (int i = 0; i < 10000; i++) {
    void *cell;
    GC_CONS(cell, (GC_word)i, p, lists);
    p = cell;
    if (i % 1000 == 0) GC_gcollect();
  }
  GC_word sum = 0;
  for (void **cell = p; cell; cell = cell[1]) sum += (GC_word)cell[0];
  OK(sum == 10000 * 9999 / 2, "a list that was made so lives through collections");
}

static void *direct[GC_TINY_FREELISTS];

static void test_direct(void) {
  int fallbacks = 0;
  void *p;
  for (int i = 0; i < GC_TINY_FREELISTS; i++) direct[i] = (void *)1;
  for (int i = 0; i < 100; i++)
    GC_FAST_MALLOC_GRANS(p, 1, direct, 8, GC_I_NORMAL, (fallbacks++, GC_malloc(16)), *(void **)p = 0);
  OK(fallbacks == 4 && p, "a list is made when so many granules were taken otherwise: %d times", fallbacks);
}

/* --- addresses --- */

static void test_places(void) {
  long page = sysconf(_SC_PAGESIZE);
  char *map = mmap(NULL, 8 * (size_t)page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  mprotect(map, (size_t)page, PROT_NONE);
  mprotect(map + 7 * page, (size_t)page, PROT_NONE);
  OK(GC_find_limit(map + 2 * page + 5, 1) == map + 7 * page, "the first address that cannot be read is found upwards");
  OK(GC_find_limit(map + 2 * page + 5, 0) == map + page, "and the last that can be downwards");
  void *object = GC_malloc(10);
  OK(!GC_is_tmp_root(object) && !GC_is_tmp_root(&object), "an object is no library's data");
  OK(REVEAL_POINTER(HIDE_POINTER(object)) == object, "a pointer that was hidden is revealed");
  GC_noop1((GC_word)object);
  GC_reachable_here(object);
}

/* --- the lock --- */

static int *volatile counter;

static void *count_up(void *arg) {
  for (int i = 0; i < 20000; i++) {
    GC_alloc_lock();
    ++*counter;
    GC_alloc_unlock();
    if (i % 100 == 0) GC_malloc(1000);
  }
  return arg;
}

static void test_lock(void) {
  pthread_t threads[3];
  counter = GC_malloc(sizeof *counter);
  for (int i = 0; i < 3; i++) pthread_create(&threads[i], NULL, count_up, NULL);
  for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
  OK(*counter == 60000, "one thread has the lock");
}

/* --- dumps --- */

static void finalizer(void *object, void *data) { (void)object, (void)data; }

/* What is written to standard output meanwhile. */
static char written[1 << 20];

static const char *output_of(void (*act)(void)) {
  char path[] = "/tmp/gleaner-figures.XXXXXX";
  int fd = mkstemp(path), old = dup(1);
  unlink(path);
  fflush(stdout);
  dup2(fd, 1);
  act();
  dup2(old, 1);
  close(old);
  ssize_t n = pread(fd, written, sizeof written - 1, 0);
  written[n > 0 ? n : 0] = '\0';
  close(fd);
  return written;
}

static void dump_named(void) { GC_dump_named("of a test"); }
static void dump_list(void) { GC_print_free_list(GC_I_NORMAL, 2); }

static void test_dumps(void) {
  static void *volatile object;
  object = GC_malloc(20);
  GC_register_finalizer(object, finalizer, NULL, NULL, NULL);
  OK(strstr(output_of(GC_dump), "heap: ") && strstr(written, "end of GC dump"), "GC_dump tells of the heap");
  OK(strstr(output_of(dump_named), "of a test"), "GC_dump_named under a name");
  OK(strstr(output_of(GC_dump_regions), "slots of 32 bytes"), "GC_dump_regions of its blocks");
  OK(strstr(output_of(GC_dump_finalization), "finalizers: 1\n"), "GC_dump_finalization of who waits for the end of objects");
  OK(strstr(output_of(dump_list), "objects of 32 bytes"), "GC_print_free_list of what is free");
}

static void collect_logged(void) {
  GC_set_debug(GC_DEBUG_STATS);
  GC_set_log_fd(1);
  GC_gcollect();
  GC_set_log_fd(-1);
  GC_set_debug(0);
}

static void test_log(void) { OK(strstr(output_of(collect_logged), "of generation 2"), "the log goes where the program says"); }

int main(void) {
  GC_INIT();
  test_usage();
  test_prof_stats();
  test_freed();
  test_non_gc();
  test_sizes();
  test_aligned();
  test_texts();
  test_lists();
  test_direct();
  test_places();
  test_lock();
  test_dumps();
  test_log();
  test_time();
  GC_deinit();
  OK(GC_malloc(10) != NULL, "the heap may be used after the end");
  return tap_end();
}
