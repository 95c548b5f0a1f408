/* SPDX-License-Identifier: MIT
 * The public names of weak hash maps and of ephemerons, which are maps of one entry. Must not know how values are kept (gc/ephemeron.c). */
#include "config.h"

#include "api/alloc.h"
#include "api/collector.h"
#include "gc/ephemeron.h"
#include "gc_ext.h"

#include <errno.h>

#define PUBLIC __attribute__((visibility("default"), noinline))

/* The program's object, which is not looked into. */
struct GC_weak_map {
  struct ephemeron_map *entries;
};

struct GC_ephemeron {
  struct GC_weak_map map;
};

static int map_errno(int error) {
  if (!error) return 0;
  errno = error;
  return -1;
}

static struct GC_weak_map *map_make(const struct site_start *start) {
  collector_arm();
  struct alloc_request request = {.size = sizeof(struct GC_weak_map), .align = 1, .kind = KIND_POINTER_FREE, .zero = true};
  struct GC_weak_map *map = alloc(&request, start);
  if (!map) return NULL;
  watch_lock();
  map->entries = ephemeron_map_make((uintptr_t)map);
  watch_unlock();
  if (map->entries) return map;
  alloc_free(map, MISUSE_FREE, start);
  errno = ENOMEM;
  return NULL;
}

static int map_set(struct GC_weak_map *map, void *key, void *value) {
  watch_lock();
  int error = ephemeron_set(map->entries, (uintptr_t)key, (uintptr_t)value);
  watch_unlock();
  keep_alive(key);
  keep_alive(value);
  keep_alive(map);
  return error;
}

PUBLIC struct GC_weak_map *GC_weak_map_new(void) {
  struct site_start start;
  SITE_CALLER(&start);
  return map_make(&start);
}

/* What was read under the lock is held from then on: the world does not stop as long as it is taken. */
PUBLIC void *GC_weak_map_get(struct GC_weak_map *map, const void *key) {
  watch_lock();
  const struct ephemeron *entry = ephemeron_find(map->entries, (uintptr_t)key);
  void *value = entry ? (void *)ephemeron_value(entry) : NULL;
  keep_alive(value);
  watch_unlock();
  keep_alive(value);
  keep_alive(map);
  return value;
}

PUBLIC int GC_weak_map_set(struct GC_weak_map *map, void *key, void *value) { return map_errno(map_set(map, key, value)); }

PUBLIC int GC_weak_map_remove(struct GC_weak_map *map, const void *key) {
  watch_lock();
  struct ephemeron *entry = ephemeron_find(map->entries, (uintptr_t)key);
  if (entry) ephemeron_remove(entry);
  watch_unlock();
  keep_alive(map);
  return entry != NULL;
}

PUBLIC size_t GC_weak_map_count(struct GC_weak_map *map) {
  watch_lock();
  size_t count = ephemeron_count(map->entries);
  watch_unlock();
  keep_alive(map);
  return count;
}

/* --- all of a map --- */

struct map_pair {
  void *key, *value;
};

/* False: there are more than fit. */
static bool map_copy(const struct GC_weak_map *map, struct map_pair *pairs, size_t *count) {
  size_t room = *count, i = 0;
  watch_lock();
  *count = ephemeron_count(map->entries);
  if (*count <= room)
    for (const struct ephemeron *entry = ephemeron_first(map->entries); entry; entry = ephemeron_next(entry), i++)
      pairs[i] = (struct map_pair){(void *)ephemeron_key(entry), (void *)ephemeron_value(entry)};
  watch_unlock();
  return *count <= room;
}

/* The copy holds what it tells of. */
static struct map_pair *map_copy_all(struct GC_weak_map *map, size_t *count, const struct site_start *start) {
  *count = GC_weak_map_count(map);
  for (;;) {
    size_t room = *count += *count / 8;
    struct alloc_request request = {.size = room * sizeof(struct map_pair), .align = 1, .kind = KIND_COLLECTED, .zero = true};
    struct map_pair *pairs = alloc(&request, start);
    if (!pairs || map_copy(map, pairs, count)) return pairs;
    alloc_free(pairs, MISUSE_FREE, start);
  }
}

PUBLIC int GC_weak_map_each(struct GC_weak_map *map, void (*function)(void *key, void *value, void *arg), void *arg) {
  struct site_start start;
  SITE_CALLER(&start);
  size_t count;
  struct map_pair *pairs = map_copy_all(map, &count, &start);
  if (!pairs) return -1;
  for (size_t i = 0; i < count; i++) function(pairs[i].key, pairs[i].value, arg);
  alloc_free(pairs, MISUSE_FREE, &start);
  keep_alive(map);
  return 0;
}

/* --- ephemerons --- */

PUBLIC struct GC_ephemeron *GC_ephemeron_new(void *key, void *value) {
  struct site_start start;
  SITE_CALLER(&start);
  struct GC_weak_map *map = map_make(&start);
  if (!map) return NULL;
  int error = map_set(map, key, value);
  if (!error) return (struct GC_ephemeron *)map;
  alloc_free(map, MISUSE_FREE, &start);
  errno = error;
  return NULL;
}

PUBLIC void *GC_ephemeron_get(struct GC_ephemeron *ephemeron, void **value) {
  watch_lock();
  const struct ephemeron *entry = ephemeron_first(ephemeron->map.entries);
  void *key = entry ? (void *)ephemeron_key(entry) : NULL, *held = entry ? (void *)ephemeron_value(entry) : NULL;
  keep_alive(key);
  keep_alive(held);
  watch_unlock();
  keep_alive(key);
  keep_alive(held);
  keep_alive(ephemeron);
  if (value) *value = held;
  return key;
}

PUBLIC int GC_ephemeron_set(struct GC_ephemeron *ephemeron, void *value) {
  watch_lock();
  const struct ephemeron *entry = ephemeron_first(ephemeron->map.entries);
  int error = entry ? ephemeron_set(ephemeron->map.entries, ephemeron_key(entry), (uintptr_t)value) : EINVAL;
  watch_unlock();
  keep_alive(value);
  keep_alive(ephemeron);
  return map_errno(error);
}
