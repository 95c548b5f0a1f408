/* SPDX-License-Identifier: MIT
 * Weak references read by threads while the collector clears them: what is got is whole, and stays so. */
#include "collect.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

enum { readers = 4, writers = 3, references = 64, words = 6, seconds_tenths = 12 };

struct object {
  uintptr_t word[words];
};

static struct GC_weak *weak[references], *counted[references];
static struct GC_weak_map *map;
static struct GC_ephemeron *ephemeron[references];
static void **links; /* hidden, in an object without pointers; each is one writer's */
static atomic_bool over;

enum source { WEAK, EPHEMERON, LINK, HELD, COUNTED };
static atomic_int broken[COUNTED + 1];
static atomic_long got, none;

static uintptr_t sign(const struct object *object, int i) { return ~(uintptr_t)object * (uintptr_t)(2 * i + 3); }

__attribute__((noinline)) static struct object *make(void) {
  struct object *object = GC_malloc(sizeof *object);
  for (int i = 0; i < words; i++) object->word[i] = sign(object, i);
  return object;
}

static void check(enum source source, const struct object *object) {
  for (int i = 0; i < words; i++)
    if (((const volatile struct object *)object)->word[i] != sign(object, i)) atomic_fetch_add(&broken[source], 1);
}

static void *reveal(void *arg) {
  void *hidden = *(void *volatile *)arg;
  return hidden ? GC_REVEAL_POINTER(hidden) : NULL;
}

/* A link shows only what it is registered for: readers look at it meanwhile. */
static void relink(void *volatile *link, struct object *key) {
  *link = NULL;
  GC_unregister_disappearing_link((void **)link);
  GC_general_register_disappearing_link((void **)link, key);
  *link = (void *)GC_HIDE_POINTER(key);
  GC_reachable_here(key);
}

/* Most of the time is spent where a stop would hurt: between the loads. */
static void *read_weak(void *arg) {
  uint64_t random = (uintptr_t)arg + 1;
  long found = 0, missed = 0;
  struct object *held[8] = {0};
  while (!atomic_load(&over)) {
    for (int i = 0; i < 500; i++) {
      struct object *object = GC_weak_get(weak[tap_random(&random) % references]);
      if (object) {
        check(WEAK, object);
        held[i % 8] = object;
        found++;
      } else {
        missed++;
      }
    }
    void *value, *key = GC_ephemeron_get(ephemeron[tap_random(&random) % references], &value);
    if (key) check(EPHEMERON, key), check(EPHEMERON, value);
    struct object *revealed = GC_call_with_alloc_lock(reveal, &links[tap_random(&random) % references]);
    if (revealed) check(LINK, revealed);
    for (int i = 0; i < 8; i++)
      if (held[i]) check(HELD, held[i]);
    for (int i = 0; i < 20; i++) memset(GC_malloc(sizeof *held[0]), 0x11, sizeof *held[0]);
  }
  atomic_fetch_add(&got, found);
  atomic_fetch_add(&none, missed);
  return NULL;
}

/* Each target is held for a moment or not at all. */
static void *write_weak(void *arg) {
  const int writer = (int)(intptr_t)arg - readers;
  uint64_t random = (uintptr_t)arg + 100;
  struct object *held[16] = {0};
  while (!atomic_load(&over)) {
    int at = (int)(tap_random(&random) % references);
    struct object *object = make();
    GC_weak_set(weak[at], object);
    GC_weak_map_set(map, object, object);
    held[tap_random(&random) % 16] = tap_random(&random) % 2 ? object : NULL;
    if (tap_random(&random) % 8 == 0) {
      struct object *key = make();
      ephemeron[at] = GC_ephemeron_new(key, make());
      if (at % writers == writer) relink(&links[at], key);
    }
    for (int i = 0; i < 16; i++)
      if (held[i]) check(HELD, held[i]);
  }
  return NULL;
}

/* Objects that end with their last reference; all but this thread find them through the weak ones. */
static void *count(void *arg) {
  uint64_t random = (uintptr_t)arg + 1000;
  while (!atomic_load(&over)) {
    int at = (int)(tap_random(&random) % references);
    struct object *object = GC_weak_get_ref(counted[at]);
    if (!object) {
      object = make();
      GC_weak_set(counted[at], object);
    }
    check(COUNTED, object);
    if (tap_random(&random) % 4 == 0) GC_malloc(40);
    check(COUNTED, object);
    GC_unref(object);
  }
  return NULL;
}

static void run(void *(*second)(void *), int seconds) {
  pthread_t thread[readers + writers];
  atomic_store(&over, false);
  for (intptr_t i = 0; i < readers; i++) pthread_create(&thread[i], NULL, second == count ? count : read_weak, (void *)i);
  for (intptr_t i = readers; i < readers + writers; i++) pthread_create(&thread[i], NULL, second, (void *)i);
  struct timespec begin, now;
  clock_gettime(CLOCK_MONOTONIC, &begin);
  for (unsigned i = 0;; i++) {
    clock_gettime(CLOCK_MONOTONIC, &now);
    if ((now.tv_sec - begin.tv_sec) * 10 + (now.tv_nsec - begin.tv_nsec) / 100000000 >= seconds) break;
    GC_collect(i % 8 == 7 ? 2 : i % 3 == 2, NULL);
  }
  atomic_store(&over, true);
  for (int i = 0; i < readers + writers; i++) pthread_join(thread[i], NULL);
}

int main(void) {
  map = GC_weak_map_new();
  links = GC_malloc_atomic(references * sizeof *links);
  memset(links, 0, references * sizeof *links);
  for (int i = 0; i < references; i++) {
    weak[i] = GC_weak_new(NULL, i % 2 ? GC_WEAK_LONG : GC_WEAK_SHORT, NULL, NULL);
    counted[i] = GC_weak_new(NULL, GC_WEAK_SHORT, NULL, NULL);
    ephemeron[i] = GC_ephemeron_new(make(), make());
  }
  run(write_weak, seconds_tenths);
  OK(broken[WEAK] + broken[EPHEMERON] + broken[LINK] + broken[HELD] == 0,
     "what %d threads got from weak references is whole and stays so (%ld got, %ld cleared; broken: %d weak, %d ephemeron, %d link, %d held)", readers,
     atomic_load(&got), atomic_load(&none), broken[WEAK], broken[EPHEMERON], broken[LINK], broken[HELD]);
  run(count, seconds_tenths / 2);
  OK(broken[COUNTED] == 0, "objects that end with their last reference are found whole, or not at all");
  return tap_end();
}
