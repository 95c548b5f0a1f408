/* SPDX-License-Identifier: MIT
 * Ephemerons. Must not know how marking goes, nor what maps are for.
 *
 * To mark until nothing is found. Values may lead to keys of other entries, which lead to values, and so on: a chain of n entries in random order
 * takes n rounds if each round looks at all that are left. So after two rounds, which all markers share and which do for nearly everything, one
 * marker goes on and tells of each object that it takes: an object that is the key of an entry, or a map, says so by its word beside the slot
 * (COUNT_LISTED), and brings up its entries at once. So each object and each entry is looked at once, whatever the order.
 *
 * A minor collection must find the old key of a young value: an entry is new when it gets another value (watch_renew), and grows no older than the
 * value does, for entries become older by one at a time as objects do. */
#include "config.h"

#include "gc/ephemeron.h"

#include "gc/mark.h"
#include "os/memory.h"

#include <errno.h>

enum { ephemeron_rounds = 2 };

struct ephemeron {
  struct watch key;
  uintptr_t value;
  struct ephemeron_map *map;
  struct table_link by_key;     /* and map */
  struct ephemeron *next, **at; /* in the map */
  struct ephemeron *wait;       /* among those whose value may be dead; or not in use */
  struct ephemeron *ready;      /* among those whose value is to be marked */
  bool waits;
};

struct ephemeron_map {
  struct watch object;
  struct ephemeron *first;
  size_t count;
  struct ephemeron_map *spare;
};

static struct ephemeron *ephemeron_of_link(const struct table_link *link) {
  return (struct ephemeron *)((uintptr_t)link - offsetof(struct ephemeron, by_key));
}
static uintptr_t ephemeron_hash(const struct ephemeron_map *map, uintptr_t key) { return (key >> 4) ^ ((uintptr_t)map >> 3); }
static uintptr_t ephemeron_hash_key(const struct table_link *link) {
  return ephemeron_hash(ephemeron_of_link(link)->map, ephemeron_of_link(link)->key.object);
}

static struct {
  struct table table;
  struct ephemeron *spare;
  struct ephemeron_map *spare_map;
  /* of one collection */
  struct ephemeron *waiting, *ready;
  unsigned generation;
} ephemerons = {.table = {.key = ephemeron_hash_key}};

/* --- by map and key --- */

struct ephemeron *ephemeron_find(struct ephemeron_map *map, uintptr_t key) {
  for (struct table_link *link = table_chain(&ephemerons.table, ephemeron_hash(map, key)); link; link = link->same) {
    struct ephemeron *entry = ephemeron_of_link(link);
    if (entry->key.object == key && entry->map == map) return entry;
  }
  return NULL;
}

/* --- maps and entries --- */

struct ephemeron_map *ephemeron_map_make(uintptr_t object) {
  struct ephemeron_map *map = ephemerons.spare_map;
  if (map) ephemerons.spare_map = map->spare;
  else map = os_arena_alloc(sizeof *map, _Alignof(struct ephemeron_map));
  if (!map) return NULL;
  *map = (struct ephemeron_map){0};
  if (watch_add(&map->object, WATCH_MAP, object)) return map;
  map->spare = ephemerons.spare_map;
  ephemerons.spare_map = map;
  return NULL;
}

uintptr_t ephemeron_key(const struct ephemeron *entry) { return entry->key.object; }
uintptr_t ephemeron_value(const struct ephemeron *entry) { return entry->value; }
size_t ephemeron_count(const struct ephemeron_map *map) { return map->count; }
struct ephemeron *ephemeron_first(const struct ephemeron_map *map) { return map->first; }
struct ephemeron *ephemeron_next(const struct ephemeron *entry) { return entry->next; }

static void ephemeron_recycle(struct ephemeron *entry) {
  entry->wait = ephemerons.spare;
  ephemerons.spare = entry;
}

static int ephemeron_add(struct ephemeron_map *map, uintptr_t key, uintptr_t value) {
  if (!table_make_room(&ephemerons.table)) return ENOMEM;
  struct ephemeron *entry = ephemerons.spare;
  if (entry) ephemerons.spare = entry->wait;
  else entry = os_arena_alloc(sizeof *entry, _Alignof(struct ephemeron));
  if (!entry) return ENOMEM;
  *entry = (struct ephemeron){.value = value, .map = map, .next = map->first, .at = &map->first};
  if (!watch_add(&entry->key, WATCH_KEY, key)) {
    ephemeron_recycle(entry);
    return ENOMEM;
  }
  if (entry->next) entry->next->at = &entry->next;
  map->first = entry;
  map->count++;
  table_put(&ephemerons.table, &entry->by_key);
  return 0;
}

int ephemeron_set(struct ephemeron_map *map, uintptr_t key, uintptr_t value) {
  struct ephemeron *entry = ephemeron_find(map, key);
  if (!entry) return key && watch_object(key) == key ? ephemeron_add(map, key, value) : EINVAL;
  entry->value = value;
  watch_renew(&entry->key);
  return 0;
}

void ephemeron_remove(struct ephemeron *entry) {
  watch_remove(&entry->key);
  table_remove(&ephemerons.table, &entry->by_key);
  *entry->at = entry->next;
  if (entry->next) entry->next->at = entry->at;
  entry->map->count--;
  ephemeron_recycle(entry);
}

static void ephemeron_map_end(struct ephemeron_map *map) {
  while (map->first) ephemeron_remove(map->first);
  watch_remove(&map->object);
  map->spare = ephemerons.spare_map;
  ephemerons.spare_map = map;
}

/* --- marking values --- */

static bool ephemeron_lives(const struct ephemeron *entry) {
  return watch_lives(entry->key.object, ephemerons.generation) && watch_lives(entry->map->object.object, ephemerons.generation);
}

static void ephemeron_mark_value(struct ephemeron *entry) {
  entry->waits = false;
  mark_range((uintptr_t)&entry->value, (uintptr_t)(&entry->value + 1));
}

static void ephemeron_begin_with(struct watch *watch, void *arg) {
  struct ephemeron *entry = (struct ephemeron *)watch;
  (void)arg;
  if (ephemeron_lives(entry)) {
    ephemeron_mark_value(entry);
    return;
  }
  entry->waits = true;
  entry->wait = ephemerons.waiting;
  ephemerons.waiting = entry;
}

/* Marks the values of those that live by now. False: there are none. */
static bool ephemeron_round(void) {
  bool found = false;
  for (struct ephemeron **link = &ephemerons.waiting, *entry; (entry = *link) != NULL;) {
    if (entry->waits && !ephemeron_lives(entry)) {
      link = &entry->wait;
      continue;
    }
    *link = entry->wait;
    if (!entry->waits) continue; /* brought up meanwhile */
    ephemeron_mark_value(entry);
    found = true;
  }
  return found;
}

static void ephemeron_bring_up(struct ephemeron *entry) {
  if (!entry->waits || !ephemeron_lives(entry)) return;
  entry->waits = false;
  entry->ready = ephemerons.ready;
  ephemerons.ready = entry;
}

/* In the midst of marking. */
static void ephemeron_told(uintptr_t object) {
  const struct block *block = region_find(object);
  _Atomic uint32_t *count = counts_find(block, block_slot(block, object));
  if (likely(!count) || !(atomic_load_explicit(count, memory_order_relaxed) & COUNT_LISTED)) return;
  for (struct watch *watch = watch_first(object); watch; watch = watch_after(watch)) {
    if (watch->kind == WATCH_KEY) ephemeron_bring_up((struct ephemeron *)watch);
    if (watch->kind != WATCH_MAP) continue;
    for (struct ephemeron *entry = ((struct ephemeron_map *)watch)->first; entry; entry = entry->next) ephemeron_bring_up(entry);
  }
}

static bool ephemeron_round_told(void) {
  mark_tell(ephemeron_told);
  bool found = ephemeron_round();
  while (ephemerons.ready) {
    struct ephemeron *entry = ephemerons.ready;
    ephemerons.ready = entry->ready;
    ephemeron_mark_value(entry);
  }
  mark_tell(NULL);
  return found;
}

void ephemeron_mark_again(unsigned generation) {
  ephemerons.generation = generation;
  mark_all();
  for (unsigned round = 0; ephemerons.waiting; round++) {
    if (round < ephemeron_rounds ? !ephemeron_round() : !ephemeron_round_told()) return;
    mark_all();
  }
}

void ephemeron_mark(unsigned generation) {
  ephemerons.generation = generation;
  ephemerons.waiting = NULL;
  watch_each(WATCH_KEY, generation, ephemeron_begin_with, NULL);
  ephemeron_mark_again(generation);
}

/* --- the end --- */

static void ephemeron_commit_map(struct watch *watch, void *arg) {
  if (!watch_lives(watch->object, *(const unsigned *)arg)) ephemeron_map_end((struct ephemeron_map *)watch);
}

void ephemeron_commit(unsigned generation) {
  for (struct ephemeron *entry = ephemerons.waiting, *next; entry; entry = next) {
    next = entry->wait;
    entry->waits = false;
    if (!watch_lives(entry->key.object, generation)) ephemeron_remove(entry);
  }
  ephemerons.waiting = NULL;
  watch_each(WATCH_MAP, generation, ephemeron_commit_map, &generation);
}

void ephemeron_forget(void) {
  for (struct ephemeron *entry = ephemerons.waiting; entry; entry = entry->wait) entry->waits = false;
  ephemerons.waiting = NULL;
}

/* --- with the program running --- */

static struct watch *ephemeron_of(uintptr_t object) {
  struct watch *watch = watch_first(object);
  while (watch && watch->kind != WATCH_KEY && watch->kind != WATCH_MAP) watch = watch_after(watch);
  return watch;
}

void ephemeron_freed(uintptr_t object) {
  for (struct watch *watch; (watch = ephemeron_of(object)) != NULL;) {
    if (watch->kind == WATCH_KEY) ephemeron_remove((struct ephemeron *)watch);
    else ephemeron_map_end((struct ephemeron_map *)watch);
  }
}
