/* SPDX-License-Identifier: MIT
 * gc.h and gc_ext.h: collecting, thresholds, counts, statistics, freezing, sizes and bounds. "leaks": in a mode that collects
 * nothing. */
#include "collect.h"

#include <errno.h>
#include <pthread.h>

static struct crowd crowd;
static void *keep[crowd_size];

/* --- collecting --- */

static void test_collect(void) {
  struct GC_collection collection = {0};
  crowd_make(&crowd, GC_malloc, 48, NULL);
  wipe();
  GC_word number = GC_get_gc_no();
  errno = 4711;
  long collected = GC_collect(2, &collection);
  OK(collected >= crowd_nearly && crowd_lost(&crowd), "GC_collect(2) reclaims what is lost, and says how much");
  OK(errno == 4711, "it keeps errno");
  OK((size_t)collected == collection.collected && collection.collected_bytes >= collection.collected * 48, "objects and bytes");
  OK(collection.number == number + 1 && GC_get_gc_no() == number + 1, "it has the next number");
  OK(collection.generation == 2 && collection.error == 0 && strcmp(collection.reason, "asked") == 0, "its generation, and why");
  OK(collection.pause > 0 && collection.duration >= collection.pause && collection.threads == 1 && collection.markers >= 1,
     "how long it took, threads and markers");
  GC_disable();
  crowd_make(&crowd, GC_malloc, 100000, NULL);
  wipe();
  GC_collect(2, &collection);
  GC_enable();
  OK(collection.live_before >= 20000000 && collection.live_before - collection.live_after >= 18000000,
     "live bytes before and after");

  crowd_make(&crowd, GC_malloc, 48, NULL);
  crowd_collect(0);
  OK(crowd_lost(&crowd), "GC_collect(0) reclaims new objects");
  crowd_make(&crowd, GC_malloc, 48, keep);
  crowd_collect(0);
  memset(keep, 0, sizeof keep);
  crowd_collect(0);
  OK(crowd_kept(&crowd), "but none that survived a collection before");
  crowd_collect(1);
  OK(crowd_lost(&crowd), "GC_collect(1) does");
  crowd_make(&crowd, GC_malloc, 48, keep);
  crowd_collect(1);
  crowd_collect(1);
  memset(keep, 0, sizeof keep);
  crowd_collect(1);
  OK(crowd_kept(&crowd), "but none that survived two");
  wipe();
  GC_gcollect();
  OK(crowd_lost(&crowd), "GC_gcollect reclaims these as well");
  crowd_make(&crowd, GC_malloc, 100000, NULL);
  wipe();
  GC_gcollect();
  OK(crowd_lost(&crowd), "and large ones");
}

static void test_collect_refused(void) {
  errno = 0;
  OK(GC_collect(3, NULL) == -1 && errno == EINVAL, "there is no generation 3");
  errno = 0;
  OK(GC_collect(-1, NULL) == -1 && errno == EINVAL, "nor -1");
  struct GC_generation_stats stats;
  errno = 0;
  OK(GC_get_stats(3, &stats) == -1 && errno == EINVAL && GC_get_stats(-1, &stats) == -1, "nor statistics of them");
}

/* Old objects that are written to point to young ones. */
static void test_old_to_young(void) {
  static void ***old;
  old = GC_malloc(crowd_size * sizeof *old);
  for (int i = 0; i < crowd_size; i++) old[i] = GC_malloc(5000);
  for (int i = 0; i < 3; i++) crowd_collect(2);
  bool good = true;
  for (int round = 0; round < 5 && good; round++) {
    crowd_make(&crowd, GC_malloc, 48, keep);
    for (int i = 0; i < crowd_size; i++) old[i][(i * 37 + round) % 600] = keep[i];
    memset(keep, 0, sizeof keep);
    for (int k = 0; k <= round && good; k++) {
      crowd_collect(0);
      good = crowd_kept(&crowd);
    }
    crowd_collect(1);
    good = good && crowd_kept(&crowd);
  }
  OK(good, "what only old objects point to survives young collections, again and again");
  for (int i = 0; i < crowd_size; i++) GC_free(old[i]);
  old = NULL;
}

static void test_disabled(void) {
  OK(!GC_is_disabled(), "collecting is enabled at first");
  GC_enable();
  OK(!GC_is_disabled(), "to enable it once more changes nothing");
  GC_disable();
  GC_disable();
  OK(GC_is_disabled(), "GC_disable disables it");
  crowd_make(&crowd, GC_malloc, 48, NULL);
  wipe();
  GC_word number = GC_get_gc_no();
  GC_gcollect();
  OK(crowd_kept(&crowd) && GC_get_gc_no() == number, "then GC_gcollect does nothing");
  for (int i = 0; i < 200000; i++) GC_malloc(100);
  OK(GC_get_gc_no() == number, "and nothing is collected by itself");
  GC_enable();
  OK(GC_is_disabled(), "GC_disable nests");
  wipe();
  OK(GC_collect(2, NULL) > 0 && crowd_lost(&crowd), "GC_collect collects all the same, as Python's gc.collect does");
  GC_enable();
  OK(!GC_is_disabled(), "as many GC_enable enable it again");
  for (int i = 0; i < 1000000 && GC_get_gc_no() == number + 1; i++) GC_malloc(100);
  OK(GC_get_gc_no() > number + 1, "and then it collects by itself");
}

/* --- when --- */

static void test_thresholds(void) {
  size_t before[3], now[3] = {256 * 1024, 3, 5}, got[3], count[3];
  GC_get_threshold(before);
  OK(before[1] == 10 && before[2] == 10, "the thresholds are 10 collections of the younger generation");
  GC_set_threshold(now);
  GC_get_threshold(got);
  OK(memcmp(got, now, sizeof now) == 0, "they can be set");
  GC_collect(2, NULL);
  GC_word number = GC_get_gc_no();
  for (int i = 0; i < 10000; i++) GC_malloc(1000);
  OK(GC_get_gc_no() - number >= 9 && GC_get_gc_no() - number <= 80, "10 MB by steps of 256 KiB are some 40 collections");
  tap_note("%lu collections", GC_get_gc_no() - number);
  now[0] = 64 * 1024 * 1024;
  GC_set_threshold(now);
  GC_collect(2, NULL);
  number = GC_get_gc_no();
  for (int i = 0; i < 10000; i++) GC_malloc(1000);
  OK(GC_get_gc_no() == number, "by a step of 64 MiB there is none");
  GC_get_count(count);
  OK(count[0] >= 9000000 && count[0] < 20000000 && GC_get_bytes_since_gc() == count[0], "the count of generation 0 is in bytes");
  OK(count[1] == 0 && count[2] == 0, "a full collection begins the others anew");
  GC_collect(0, NULL);
  GC_collect(0, NULL);
  GC_get_count(count);
  OK(count[0] < 1000000 && count[1] == 2 && count[2] == 0, "that of generation 1 in collections of 0");
  GC_collect(1, NULL);
  GC_get_count(count);
  OK(count[1] == 0 && count[2] == 1, "that of generation 2 in collections of 1");
  GC_set_threshold(before);
}

static void test_stats(void) {
  struct GC_generation_stats before[3], after[3];
  for (int g = 0; g < 3; g++) GC_get_stats(g, &before[g]);
  crowd_make(&crowd, GC_malloc, 48, NULL);
  crowd_collect(1);
  for (int g = 0; g < 3; g++) GC_get_stats(g, &after[g]);
  OK(after[1].collections == before[1].collections + 1 && after[0].collections == before[0].collections &&
         after[2].collections == before[2].collections,
     "a collection counts for its generation");
  OK(after[1].collected >= before[1].collected + crowd_nearly &&
         after[1].collected_bytes >= before[1].collected_bytes + crowd_nearly * 48,
     "with what it reclaimed");
  OK(after[1].time > before[1].time && after[1].pause > before[1].pause && after[1].pause_max > 0 &&
         after[1].pause_50 <= after[1].pause_99 && after[1].pause_99 <= after[1].pause_max,
     "and the time that it took");
  OK(after[1].uncollectable == 0 && after[1].given_up == 0, "nothing is uncollectable, and nothing stood in its way");
  crowd_make(&crowd, GC_malloc, 48, NULL);
  crowd_collect(2);
  struct GC_generation_stats full;
  GC_get_stats(2, &full);
  OK(full.collected >= after[2].collected + crowd_nearly, "a full collection's count is whole when GC_collect returns");
}

/* --- freezing --- */

static void test_freeze(void) {
  OK(GC_get_freeze_count() == 0, "nothing is frozen at first");
  crowd_make(&crowd, GC_malloc, 48, keep);
  OK(GC_freeze() == 0 && GC_get_freeze_count() >= crowd_size, "GC_freeze freezes what there is");
  memset(keep, 0, sizeof keep);
  for (int g = 0; g < 3; g++) crowd_collect(g);
  crowd_collect(2);
  OK(crowd_kept(&crowd), "what is frozen is not reclaimed");

  static struct crowd younger;
  void **frozen = crowd_get(&crowd, 0);
  crowd_make(&younger, GC_malloc, 48, NULL);
  for (int i = 0; i < 6; i++) frozen[i] = crowd_get(&younger, i);
  crowd_collect(0);
  crowd_collect(2);
  bool held = true;
  for (int i = 0; i < 6; i++) held = held && GC_base(frozen[i]) == frozen[i];
  OK(held, "what it points to is kept");
  OK(crowd_alive(&younger) < crowd_size / 2, "other new objects are reclaimed as ever");
  frozen = NULL;
  size_t count = GC_get_freeze_count();
  GC_free(crowd_get(&crowd, 1));
  OK(GC_get_freeze_count() == count - 1, "what is frozen can be freed");
  OK(GC_unfreeze() == 0 && GC_get_freeze_count() == 0, "GC_unfreeze puts all back");
  crowd_collect(1);
  OK(crowd_alive(&crowd) >= crowd_size - 1, "into the oldest generation");
  crowd_collect(2);
  OK(crowd_lost(&crowd), "where it is reclaimed");
}

/* --- sizes and bounds --- */

static void test_sizes(void) {
  GC_collect(2, NULL);
  size_t heap = GC_get_heap_size(), live = GC_get_live_bytes(), total = GC_get_total_bytes();
  static char *large;
  large = GC_malloc(8 << 20);
  OK(GC_get_heap_size() >= heap && GC_get_heap_size() >= 8 << 20, "the heap grows by a large object");
  OK(GC_get_live_bytes() >= live + (8 << 20), "so do the bytes that are live");
  OK(GC_get_total_bytes() >= total + (8 << 20) && GC_get_total_bytes() < total + (9 << 20), "and those that were ever allocated");
  total = GC_get_total_bytes();
  for (int i = 0; i < 1000; i++) GC_free(GC_malloc(90));
  OK(GC_get_total_bytes() == total + 1000 * 96, "each small object counts as large as it is");
  size_t before = GC_get_free_bytes(), had = GC_get_heap_size();
  GC_free(large);
  OK(GC_get_free_bytes() >= before + (4 << 20) || GC_get_heap_size() <= had - (4 << 20), "what is freed is free, or given back");
  OK(GC_get_live_bytes() < live + (1 << 20), "and live no more");
  OK(GC_get_free_bytes() <= GC_get_heap_size(), "the heap has no more free bytes than it has");
}

__attribute__((noinline)) static int grow(size_t most) {
  static void *chain;
  int blocks = 0;
  for (chain = NULL; blocks < 4000; blocks++) {
    void **block = GC_malloc(32000);
    if (!block) break;
    block[0] = chain;
    chain = block;
    if (GC_get_heap_size() > most + (20 << 20)) return -1;
  }
  chain = NULL;
  return blocks;
}

__attribute__((noinline)) static int churn(size_t bytes) {
  for (int i = 0; i < 4000; i++)
    if (!GC_malloc(bytes)) return i;
  return 4000;
}

static void test_bounds(void) {
  enum { most = 24 << 20 };
  GC_collect(2, NULL);
  OK(GC_get_max_heap_size() == 0, "the heap has no bound at first");
  GC_set_max_heap_size(most);
  OK(GC_get_max_heap_size() == most, "it can be set");
  GC_word number = GC_get_gc_no();
  errno = 0;
  int blocks = grow(most);
  OK(blocks > 100 && blocks < 1000 && errno == ENOMEM, "beyond it memory is refused");
  tap_note("%d blocks of 32000 bytes", blocks);
  OK(GC_get_gc_no() > number, "after a collection");
  wipe();
  int done = churn(100000);
  OK(done == 4000, "what is lost makes room, so that a program which holds little is never refused any");
  OK(GC_expand_hp((size_t)100 << 20) == 0, "the heap cannot be expanded beyond its bound");
  GC_set_max_heap_size(0);
  OK(GC_get_max_heap_size() == 0 && GC_malloc(40 << 20) != NULL, "without it there is memory again");
}

static void test_expand(void) {
  OK(GC_expand_hp(0) == 1, "to expand the heap by nothing succeeds");
  OK(GC_expand_hp(SIZE_MAX) == 0 && GC_expand_hp(SIZE_MAX / 2) == 0, "by too much does not");
  GC_collect(2, NULL);
  OK(GC_expand_hp((size_t)256 << 20) == 1, "by 256 MiB does");
  GC_word number = GC_get_gc_no();
  for (int i = 0; i < 200000; i++) GC_malloc(1000);
  OK(GC_get_gc_no() == number, "then as much is allocated without a collection");
}

static void test_tracking(void) {
  const char *why = NULL, *way = GC_get_write_tracking(&why);
  OK(strcmp(way, "uffd") == 0 || strcmp(way, "soft-dirty") == 0 || strcmp(way, "scan") == 0,
     "written memory is found by %s", way);
  OK(why && *why && why[strlen(why) - 1] != '.', "because %s", why ? why : "?");
  OK(strcmp(GC_get_write_tracking(NULL), way) == 0, "who does not ask why is not told");
}

/* --- threads --- */

static void *allocate_and_collect(void *arg) {
  unsigned seed = (unsigned)(uintptr_t)arg;
  void **mine = NULL;
  for (int i = 0; i < 20000; i++) {
    void **p = GC_malloc(16 + seed % 200);
    seed = seed * 1103515245 + 12345;
    if (p[0] || p[1]) return "dirty";
    p[0] = mine;
    mine = i % 100 ? p : NULL;
    if (i % 5000 == 0 && GC_collect((int)(seed >> 16) % 3, NULL) < 0) return "refused";
  }
  return NULL;
}

static void test_threads(void) {
  pthread_t threads[6];
  const char *fault = NULL;
  for (uintptr_t i = 0; i < 6; i++) pthread_create(&threads[i], NULL, allocate_and_collect, (void *)(i + 1));
  for (int i = 0; i < 6; i++) {
    void *result;
    pthread_join(threads[i], &result);
    if (result) fault = result;
  }
  OK(!fault, "threads that allocate and collect at once do not disturb each other (%s)", fault ? fault : "good");
}

/* --- a mode that collects nothing --- */

static struct GC_weak_map *map;
static void *keys[20];

__attribute__((noinline)) static void hand_over(void) {
  map = GC_weak_map_new();
  for (int i = 0; i < 20; i++) {
    void *pinned = GC_malloc(64);
    keys[i] = GC_malloc(16);
    if (GC_weak_map_set(map, keys[i], GC_malloc(64)) != 0 || GC_pin(pinned) != 0) abort();
  }
}

static void test_leaks_held(void) {
  long before = GC_leak_check();
  hand_over();
  wipe();
  long after = GC_leak_check();
  OK(after <= before + 5, "but not what is pinned, nor values of weak maps: %ld, and %ld before", after, before);
}

static void *ends[20];
static int finalized;
static void GC_CALLBACK count_finalized(void *object, void *data) {
  (void)object;
  finalized += data != NULL;
}

__attribute__((noinline)) static void with_data(void) {
  for (int i = 0; i < 20; i++) {
    ends[i] = GC_malloc(32);
    GC_register_finalizer(ends[i], count_finalized, GC_malloc(64), NULL, NULL);
  }
}

/* What ends with its last reference does so in each mode. */
static void test_leaks_finalized(void) {
  long before = GC_leak_check();
  with_data();
  wipe();
  long after = GC_leak_check();
  OK(after <= before + 5, "nor what finalizers were given: %ld, and %ld before", after, before);
  for (int i = 0; i < 20; i++) GC_unref(ends[i]);
  OK(finalized == 20, "with the last reference they are run: %d", finalized);
}

static void test_leaks(void) {
  crowd_make(&crowd, GC_malloc, 48, NULL);
  wipe();
  GC_gcollect();
  OK(crowd_kept(&crowd), "GC_gcollect does nothing");
  errno = 0;
  OK(GC_collect(2, NULL) == -1 && errno == ENOTSUP, "GC_collect is refused");
  errno = 0;
  OK(GC_freeze() == -1 && errno == ENOTSUP && GC_unfreeze() == -1, "so are GC_freeze and GC_unfreeze");
  size_t count[3] = {1, 1, 1};
  GC_get_count(count);
  OK(count[0] == 0 && count[1] == 0 && count[2] == 0 && GC_get_gc_no() == 0, "there is nothing to count");
  const char *why;
  OK(strcmp(GC_get_write_tracking(&why), "none") == 0 && why, "and nothing to track");
  OK(GC_leak_check() > 0, "what is lost is reported");
  test_leaks_held();
  test_leaks_finalized();
}

int main(int argc, char **argv) {
  if (argc > 1 && strcmp(argv[1], "leaks") == 0) {
    test_leaks();
    return tap_end();
  }
  test_collect();
  test_collect_refused();
  test_old_to_young();
  test_disabled();
  test_thresholds();
  test_stats();
  test_freeze();
  test_sizes();
  test_bounds();
  test_tracking();
  test_threads();
  test_expand();
  return tap_end();
}
