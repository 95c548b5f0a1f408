/* SPDX-License-Identifier: MIT
 * gc_ext.h's weak hash maps and ephemerons. */
#include "collect.h"

#include <errno.h>
#include <pthread.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct crowd keys, values;
static void *keep[crowd_size], *keep_values[crowd_size];
static struct GC_weak_map *map, *maps[crowd_size];

static void lose(void) { memset(keep, 0, sizeof keep); }
static void lose_values(void) { memset(keep_values, 0, sizeof keep_values); }

/* One step older. */
static void age(int times) {
  while (times-- > 0) crowd_collect(1);
}

/* Each key has a value; both are held. */
__attribute__((noinline)) static bool fill(struct GC_weak_map *into) {
  bool good = true;
  for (int i = 0; i < crowd_size; i++) good = good && GC_weak_map_set(into, keep[i], keep_values[i]) == 0;
  for (int i = 0; i < crowd_size; i++) good = good && GC_weak_map_get(into, keep[i]) == keep_values[i];
  return good;
}

__attribute__((noinline)) static void make(void) {
  crowd_make(&keys, GC_malloc, 48, keep);
  crowd_make(&values, GC_malloc, 64, keep_values);
  map = GC_weak_map_new();
}

/* Each key has the value that it was given. */
__attribute__((noinline)) static bool right(void) {
  for (int i = 0; i < crowd_size; i++)
    if (~(uintptr_t)GC_weak_map_get(map, keep[i]) != values.hidden[i]) return false;
  return true;
}

static void test_calls(void) {
  static int outside;
  map = GC_weak_map_new();
  void *key = GC_malloc(32), *other = GC_malloc(32), *value = GC_malloc(32);
  OK(map && GC_weak_map_count(map) == 0 && !GC_weak_map_get(map, key) && !GC_weak_map_remove(map, key), "a new map is empty");
  OK(GC_weak_map_set(map, key, value) == 0 && GC_weak_map_get(map, key) == value && GC_weak_map_count(map) == 1, "a key has a value");
  OK(!GC_weak_map_get(map, other) && !GC_weak_map_get(map, (char *)key + 8), "others have none");
  OK(GC_weak_map_set(map, key, other) == 0 && GC_weak_map_get(map, key) == other && GC_weak_map_count(map) == 1, "it may get another");
  struct GC_weak_map *second = GC_weak_map_new();
  OK(GC_weak_map_set(second, key, value) == 0 && GC_weak_map_get(map, key) == other, "which has nothing to do with another map");
  OK(GC_weak_map_remove(map, key) == 1 && !GC_weak_map_get(map, key) && GC_weak_map_count(map) == 0 && GC_weak_map_get(second, key) == value,
     "and be removed from one of them");
  errno = 0;
  OK(GC_weak_map_set(map, &outside, value) == -1 && errno == EINVAL, "a key is in the heap");
  OK(GC_weak_map_set(map, NULL, value) == -1 && GC_weak_map_set(map, (char *)key + 8, value) == -1, "and an object's beginning");
  OK(GC_weak_map_set(map, key, &outside) == 0 && GC_weak_map_get(map, key) == &outside, "a value may be anything");
  GC_free(key);
  OK(GC_weak_map_count(map) == 0 && GC_weak_map_count(second) == 0, "a key that is freed leaves all maps");
  GC_free(map);
  GC_free(second);
}

static void test_death(void) {
  make();
  OK(fill(map), "keys and values");
  lose_values();
  for (int generation = 0; generation < 3; generation++) crowd_collect(generation);
  OK(right() && crowd_kept(&values) && GC_weak_map_count(map) == crowd_size, "values live through their keys");
  lose();
  crowd_collect(2);
  OK(crowd_lost(&keys) && crowd_lost(&values), "and die with them");
  OK((int)GC_weak_map_count(map) == crowd_alive(&keys), "their entries vanish");
  make();
  fill(map);
  lose_values();
  map = NULL;
  crowd_collect(2);
  OK(crowd_kept(&keys) && crowd_lost(&values), "values die with the map");
  make();
  fill(map);
  lose_values();
  GC_free(map);
  crowd_collect(2);
  OK(crowd_kept(&keys) && crowd_lost(&values), "also when it is freed");
  make();
  fill(map);
  lose();
  crowd_collect(2);
  OK(crowd_lost(&keys) && crowd_kept(&values), "values do not keep keys");
}

/* Values that lead to keys: their own, and the next one's. */
static void test_cycles(void) {
  for (int next = 0; next < 2; next++) {
    make();
    fill(map);
    for (int i = 0; i < crowd_size; i++) *(void **)keep_values[i] = keep[(i + next) % crowd_size];
    lose_values();
    for (int i = 1 - next; i < crowd_size; i++) keep[i] = NULL;
    if (!next) keep[0] = NULL;
    else keep[0] = crowd_get(&keys, 0);
    crowd_collect(0);
    crowd_collect(2);
    if (next) OK(crowd_kept(&keys) && crowd_kept(&values), "a key holds what its value leads to, and so on");
    else OK(crowd_lost(&keys) && crowd_lost(&values), "a value that leads to its own key does not keep it");
    lose();
    crowd_collect(2);
    OK(crowd_lost(&keys) && crowd_lost(&values), "and all die at once");
  }
}

/* Every age of map, key and value, through all collections. */
static void test_ages(void) {
  for (int way = 0; way < 8; way++) {
    bool old_map = way & 1, old_key = way & 2, old_value = way & 4;
    lose();
    lose_values();
    map = NULL;
    if (old_map) map = GC_weak_map_new();
    if (old_key) crowd_make(&keys, GC_malloc, 48, keep);
    if (old_value) crowd_make(&values, GC_malloc, 64, keep_values);
    age(3);
    if (!old_map) map = GC_weak_map_new();
    if (!old_key) crowd_make(&keys, GC_malloc, 48, keep);
    if (!old_value) crowd_make(&values, GC_malloc, 64, keep_values);
    fill(map);
    lose_values();
    bool good = true;
    for (int i = 0; i < 9; i++) {
      crowd_collect(i % 3 == 2 && i > 5 ? 2 : i % 3 == 2);
      good = good && right();
    }
    OK(good && crowd_kept(&values), "%s map, %s key, %s value: it lives", old_map ? "old" : "young", old_key ? "old" : "young",
       old_value ? "old" : "young");
    crowd_make(&values, GC_malloc, 64, keep_values);
    fill(map);
    lose_values();
    crowd_collect(0);
    crowd_collect(0);
    crowd_collect(1);
    OK(right() && crowd_kept(&values), "and so does a later one");
    lose();
    crowd_collect(2);
    OK(crowd_lost(&keys) && crowd_lost(&values), "until the key dies");
  }
}

/* A young map that dies in a collection of the young does not keep young values of old keys. */
static void test_young_map(void) {
  lose();
  crowd_make(&keys, GC_malloc, 48, keep);
  age(3);
  crowd_make(&values, GC_malloc, 64, keep_values);
  for (int i = 0; i < crowd_size; i++) {
    maps[i] = GC_weak_map_new();
    GC_weak_map_set(maps[i], keep[i], keep_values[i]);
  }
  lose_values();
  crowd_collect(0);
  OK(crowd_kept(&values), "young values of old keys in young maps");
  crowd_make(&values, GC_malloc, 64, keep_values);
  for (int i = 0; i < crowd_size; i++) {
    maps[i] = GC_weak_map_new();
    GC_weak_map_set(maps[i], keep[i], keep_values[i]);
  }
  lose_values();
  memset(maps, 0, sizeof maps);
  crowd_collect(0);
  OK(crowd_lost(&values), "die with the maps at once");
}

static void test_replaced(void) {
  make();
  fill(map);
  struct crowd before = values;
  crowd_make(&values, GC_malloc, 64, keep_values);
  fill(map);
  lose_values();
  crowd_collect(2);
  OK(crowd_lost(&before) && crowd_kept(&values), "a value that was replaced is let go");
  for (int i = 0; i < crowd_size; i++) GC_weak_map_remove(map, keep[i]);
  crowd_collect(2);
  OK(crowd_lost(&values), "one that was removed, too");
}

/* --- long chains --- */

/* Of the processor: what else runs on the machine does not count. */
static uint64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static int chains_died;

/* The value of each key leads to the next one, by so many objects between; the entries are made in random order. Returns the time of a collection. */
static uint64_t chain(size_t length, int between, uint64_t *random, bool *kept) {
  void ***link = GC_malloc(length * sizeof *link);
  for (size_t i = 0; i < length; i++) link[i] = GC_malloc(48);
  size_t *order = GC_malloc_atomic(length * sizeof *order);
  for (size_t i = 0; i < length; i++) order[i] = i;
  for (size_t i = length; i > 1; i--) {
    size_t j = tap_random(random) % i, swap = order[j];
    order[j] = order[i - 1];
    order[i - 1] = swap;
  }
  map = GC_weak_map_new();
  for (size_t i = 0; i < length; i++) {
    size_t at = order[i];
    void **value = at + 1 < length ? link[at + 1] : NULL;
    for (int j = 0; j < between && value; j++) {
      void **outer = GC_malloc(32);
      outer[1] = value;
      value = outer;
    }
    GC_weak_map_set(map, link[at], value);
  }
  keep[0] = link[0];
  struct GC_weak *last = GC_weak_new(link[length - 1], GC_WEAK_SHORT, NULL, NULL);
  GC_free(link);
  wipe();
  uint64_t begin = now();
  GC_collect(2, NULL);
  uint64_t took = now() - begin;
  *kept = GC_weak_map_count(map) == length && GC_weak_get(last);
  keep[0] = NULL;
  crowd_collect(2);
  chains_died += GC_weak_map_count(map) < length / 100;
  return took;
}

static void test_chains(void) {
  uint64_t random = tap_seed();
  for (int between = 0; between < 3; between++) {
    bool small_kept, large_kept;
    uint64_t small = chain(10000, between, &random, &small_kept), large = chain(100000, between, &random, &large_kept);
    tap_note("%d objects between: 10000 in %.1f ms, 100000 in %.1f ms", between, (double)small / 1e6, (double)large / 1e6);
    OK(small_kept && large_kept, "a chain of 100000 ephemerons is kept by its first key");
    OK(large < 20000000000u, "whatever its order, in bounded time");
  }
  /* One stale word that leads to some place in a chain keeps all behind it. */
  OK(chains_died >= 1, "and dies with it (%d of 6)", chains_died);
}

/* --- all of a map --- */

static size_t seen;
static void see(void *key, void *value, void *arg) {
  seen += GC_weak_map_get(arg, key) == value;
  if (seen % 2) GC_weak_map_remove(arg, key);
  else GC_weak_map_set(arg, GC_malloc(32), value);
  GC_malloc(1000);
}

static void test_each(void) {
  make();
  fill(map);
  lose_values();
  seen = 0;
  OK(GC_weak_map_each(map, see, map) == 0 && seen == crowd_size, "a function is called for each, and may change the map");
  OK(GC_weak_map_count(map) >= crowd_size / 2, "which then is as it left it");
  map = GC_weak_map_new();
  seen = 0;
  OK(GC_weak_map_each(map, see, map) == 0 && seen == 0, "for none in an empty one");
}

/* --- many --- */

static void test_shared_key(void) {
  enum { many = 30000 };
  void *key = GC_malloc(48), **all = GC_malloc(many * sizeof *all);
  for (int i = 0; i < many; i++) {
    all[i] = GC_weak_map_new();
    GC_weak_map_set(all[i], key, all);
  }
  bool good = true;
  for (int i = 0; i < many; i++) good = good && GC_weak_map_get(all[i], key) == all && GC_weak_map_count(all[i]) == 1;
  for (int i = 0; i < many; i += 2) good = good && GC_weak_map_remove(all[i], key) == 1;
  GC_free(key);
  for (int i = 0; i < many; i++) good = good && GC_weak_map_count(all[i]) == 0;
  OK(good, "%d maps with the same key", many);
}

static long resident(void) {
  long size, pages = 0;
  FILE *file = fopen("/proc/self/statm", "r");
  if (file && fscanf(file, "%ld %ld", &size, &pages) != 2) pages = 0;
  if (file) fclose(file);
  return pages / 256;
}

static void test_memory(void) {
  enum { many = 20000 };
  long most = 0, early = 0;
  for (int round = 0; round < 30; round++) {
    map = GC_weak_map_new();
    for (int i = 0; i < many; i++) GC_weak_map_set(map, GC_malloc(32), GC_malloc(64));
    if (round % 2) GC_free(map);
    map = NULL;
    crowd_collect(2);
    long megabytes = resident();
    if (round == 9) early = megabytes;
    if (megabytes > most) most = megabytes;
  }
  OK(most <= early + 20, "maps that were lost leave nothing behind (%ld MB, then %ld MB)", early, most);
}

/* --- threads --- */

enum { threads = 8, rounds = 2000, places = 64 };
static void *shared_keys[places];

static void *use(void *arg) {
  uint64_t random = (uintptr_t)arg + 1;
  for (int i = 0; i < rounds; i++) {
    void *key = shared_keys[tap_random(&random) % places];
    uintptr_t *value = GC_weak_map_get(map, key);
    if (value && (value[0] != (uintptr_t)key || value[7] != ~(uintptr_t)key)) return (void *)1;
    if (tap_random(&random) % 4 == 0) {
      value = GC_malloc(64);
      value[0] = (uintptr_t)key;
      value[7] = ~(uintptr_t)key;
      GC_weak_map_set(map, key, value);
    }
    if (tap_random(&random) % 16 == 0) GC_weak_map_remove(map, key);
    uintptr_t *mine = GC_malloc(64);
    mine[0] = (uintptr_t)mine;
    GC_weak_map_set(map, mine, mine);
    if (tap_random(&random) % 500 == 0) GC_collect((int)(tap_random(&random) % 3), NULL);
  }
  return NULL;
}

static void test_threads(void) {
  pthread_t thread[threads];
  bool good = true;
  map = GC_weak_map_new();
  for (int i = 0; i < places; i++) shared_keys[i] = GC_malloc(40);
  for (intptr_t i = 0; i < threads; i++) pthread_create(&thread[i], NULL, use, (void *)i);
  for (int i = 0; i < threads; i++) {
    void *result;
    pthread_join(thread[i], &result);
    good = good && !result;
  }
  crowd_collect(2);
  OK(good && GC_weak_map_count(map) < places + 1000, "%d threads use a map under collections (%zu entries left)", threads,
     GC_weak_map_count(map));
}

/* --- ephemerons --- */

static void test_ephemerons(void) {
  static struct GC_ephemeron *ephemeron[crowd_size];
  static int outside;
  void *value;
  crowd_make(&keys, GC_malloc, 48, keep);
  crowd_make(&values, GC_malloc, 64, keep_values);
  bool good = true;
  for (int i = 0; i < crowd_size; i++) {
    ephemeron[i] = GC_ephemeron_new(keep[i], NULL);
    good = good && ephemeron[i] && GC_ephemeron_get(ephemeron[i], &value) == keep[i] && !value;
    good = good && GC_ephemeron_set(ephemeron[i], keep_values[i]) == 0;
    *(void **)keep_values[i] = keep[i];
  }
  errno = 0;
  OK(!GC_ephemeron_new(&outside, &value) && errno == EINVAL, "an ephemeron has a key in the heap");
  lose_values();
  crowd_collect(0);
  crowd_collect(2);
  for (int i = 0; i < crowd_size; i++)
    good = good && GC_ephemeron_get(ephemeron[i], &value) == keep[i] && ~(uintptr_t)value == values.hidden[i];
  value = NULL;
  OK(good, "ephemerons have a key and a value");
  lose();
  crowd_collect(2);
  int gone = 0;
  for (int i = 0; i < crowd_size; i++) {
    errno = 0;
    value = &value;
    if (GC_ephemeron_get(ephemeron[i], &value)) continue;
    gone += !value && GC_ephemeron_set(ephemeron[i], NULL) == -1 && errno == EINVAL;
  }
  OK(crowd_lost(&keys) && crowd_lost(&values) && gone >= crowd_nearly, "and none when the key is dead (%d)", gone);
}

static void *allocate_malloc(size_t size) {
  void *(*volatile allocate)(size_t) = malloc;
  return allocate(size);
}

static void test_malloc(void) {
  if (!heap_serves_malloc()) return;
  crowd_make(&keys, allocate_malloc, 48, keep);
  crowd_make(&values, allocate_malloc, 64, keep_values);
  map = GC_weak_map_new();
  OK(fill(map), "malloc'ed keys and values");
  lose_values();
  for (int i = 0; i < 4; i++) crowd_collect(2);
  OK(right() && crowd_kept(&values), "a map holds malloc'ed values");
  for (int i = 0; i < crowd_size; i++) free(crowd_get(&values, i));
  for (int i = 0; i < crowd_size; i++) free(keep[i]);
  OK(GC_weak_map_count(map) == 0, "free removes a key");
  lose();
}

static void test_fork(void) {
  make();
  fill(map);
  lose_values();
  pid_t pid = fork();
  if (pid == 0) {
    crowd_collect(2);
    if (!right() || !crowd_kept(&values)) _exit(1);
    lose();
    crowd_collect(2);
    _exit((int)GC_weak_map_count(map) <= crowd_size - crowd_nearly ? 0 : 2);
  }
  int status = -1;
  waitpid(pid, &status, 0);
  crowd_collect(2);
  OK(status == 0 && right(), "a child's map is its own (%d)", status);
}

int main(void) {
  GC_disable(); /* ages are to be what the tests say */
  test_ages();
  test_young_map();
  GC_enable();
  test_calls();
  test_death();
  test_cycles();
  test_replaced();
  test_each();
  test_ephemerons();
  test_malloc();
  test_fork();
  test_shared_key();
  test_memory();
  test_threads();
  test_chains();
  return tap_end();
}
