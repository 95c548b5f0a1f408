/* SPDX-License-Identifier: MIT
 * Entries by object, and by kind and age. */
#include "config.h"

#include "gc/watch.h"

#include "base/lock.h"
#include "gc/mark.h"
#include "heap/sweep.h"
#include "os/memory.h"
#include "os/threads.h"

enum { watch_ages = 3 };

static struct lock watch_mutex = LOCK_INIT(LOCK_WATCH);

static struct watch *watch_of_link(const struct table_link *link) {
  return (struct watch *)((uintptr_t)link - offsetof(struct watch, by_object));
}
static uintptr_t watch_key_of(uintptr_t object) { return object >> 4; }
static uintptr_t watch_key(const struct table_link *link) { return watch_key_of(watch_of_link(link)->object); }

static struct {
  struct table table;
  struct watch *list[watch_kinds][watch_ages];
  size_t count[watch_kinds];
} watches = {.table = {.key = watch_key}};

/* --- the lock --- */

static THREAD_LOCAL bool watch_mine;

void watch_lock(void) {
  lock_acquire(&watch_mutex);
  watch_mine = true;
}

bool watch_is_locked(void) { return lock_is_held(&watch_mutex); }

bool watch_is_mine(void) { return watch_mine; }

void watch_unlock(void) {
  watch_mine = false;
  lock_release(&watch_mutex);
}

static THREAD_LOCAL bool watch_forks;
static bool watch_torn;

enum { watch_tries = 2000, watch_pause_ns = 100 * 1000 };

bool watch_try_lock(void) {
  for (int i = 0; i < watch_tries && !watch_mine; i++) {
    watch_mine = lock_try(&watch_mutex);
    if (watch_mine) return true;
    os_thread_sleep(watch_pause_ns);
  }
  return false;
}

/* A signal handler may fork that interrupted this thread anywhere, perhaps with the heap lock, for which another one waits that has
 * this one: so not for ever. And fork waits for locks of the C library with ours held: a program in which nobody waits for anything
 * has nothing to protect. */
void watch_before_fork(void) {
  watch_forks = watches.table.bucket && watch_try_lock();
  watch_mine = watch_mine && !watch_forks;
}

void watch_after_fork(void) {
  if (watch_forks) lock_release(&watch_mutex);
  watch_forks = false;
}

void watch_fork_child(void) {
  bool whole = watch_forks || watch_mine || !watches.table.bucket || !lock_is_held(&watch_mutex);
  watch_after_fork();
  if (!watch_mine && lock_is_held(&watch_mutex)) lock_reset(&watch_mutex);
  if (!whole) watch_torn = true;
}

bool watch_is_torn(void) { return watch_torn; }

/* --- by object --- */

static struct watch *watch_of(struct table_link *link, uintptr_t object) {
  for (; link; link = link->same) {
    struct watch *watch = watch_of_link(link);
    if (watch->object == object) return watch;
  }
  return NULL;
}

struct watch *watch_first(uintptr_t object) { return watch_of(table_chain(&watches.table, watch_key_of(object)), object); }
struct watch *watch_after(const struct watch *watch) { return watch_of(watch->by_object.same, watch->object); }

/* --- by kind and age --- */

static void watch_link(struct watch *watch, unsigned age) {
  struct watch **list = &watches.list[watch->kind][age];
  watch->age = (uint8_t)age;
  watch->next = *list;
  watch->at = list;
  if (watch->next) watch->next->at = &watch->next;
  *list = watch;
}

static void watch_unlink(struct watch *watch) {
  *watch->at = watch->next;
  if (watch->next) watch->next->at = watch->at;
}

void watch_renew(struct watch *watch) {
  watch_unlink(watch);
  watch_link(watch, 0);
}

uintptr_t watch_object(uintptr_t address) {
  const struct block *block = region_find(address);
  if (!block || !block_contains(block, address)) return 0;
  uint32_t slot = block_slot(block, address);
  _Atomic uint32_t *count = counts_find(block, slot);
  if (!state_is_live(((volatile uint8_t *)block->state)[slot]) || (count && atomic_load(count) & COUNT_DYING)) return 0;
  return block_slot_address(block, slot);
}

void watch_turn(struct watch *watch, enum watch_kind kind) {
  watch_unlink(watch);
  watches.count[watch->kind]--;
  watches.count[kind]++;
  watch->kind = (uint8_t)kind;
  watch_link(watch, 0);
}

bool watch_add(struct watch *watch, enum watch_kind kind, uintptr_t object) {
  struct block *block = region_find(object);
  _Atomic uint32_t *count = block ? counts_make(block, block_slot(block, object)) : NULL;
  if (!count || !table_make_room(&watches.table)) return false;
  watch->object = object;
  watch->kind = (uint8_t)kind;
  table_put(&watches.table, &watch->by_object);
  watch_link(watch, 0);
  watches.count[kind]++;
  atomic_fetch_or(count, COUNT_LISTED);
  return true;
}

static void watch_unlist(uintptr_t object) {
  struct block *block = region_find(object);
  _Atomic uint32_t *count = block && !watch_first(object) ? counts_find(block, block_slot(block, object)) : NULL;
  if (count) atomic_fetch_and(count, ~(uint32_t)COUNT_LISTED);
}

void watch_remove(struct watch *watch) {
  table_remove(&watches.table, &watch->by_object);
  watch_unlink(watch);
  watches.count[watch->kind]--;
  watch_unlist(watch->object);
}

void watch_each(enum watch_kind kind, unsigned generation, watch_visit *visit, void *arg) {
  for (unsigned age = 0; age <= generation; age++)
    for (struct watch *watch = watches.list[kind][age], *next; watch; watch = next) {
      next = watch->next;
      visit(watch, arg);
    }
}

size_t watch_count(enum watch_kind kind) { return watches.count[kind]; }

/* --- with the world stopped --- */

static uint8_t watch_state(uintptr_t object) {
  struct block *block = region_find(object);
  return block ? block->state[block_slot(block, object)] : STATE_FREE;
}

bool watch_lives(uintptr_t object, unsigned generation) {
  const struct block *block = region_find(object);
  uint8_t state = watch_state(object);
  if (block && sweep_policies[block->kind] == SWEEP_NEVER) return state_is_live(state);
  return sweep_is_reached(state, generation);
}

static void watch_note_age(struct watch *watch) {
  uint8_t state = watch_state(watch->object);
  unsigned age = state & STATE_AGE_2 ? 2 : state & STATE_AGE_1 ? 1 : 0;
  if (age > watch->age + 1u) age = watch->age + 1u; /* what it leads to may be younger than its object */
  if (age == watch->age) return;
  watch_unlink(watch);
  watch_link(watch, age);
}

/* From the oldest on, so that none is met twice. */
static void watch_note_list(struct watch *watch) {
  for (struct watch *next; watch; watch = next) {
    next = watch->next;
    watch_note_age(watch);
  }
}

void watch_note_ages(unsigned generation) {
  for (unsigned kind = 0; kind < watch_kinds; kind++)
    for (unsigned age = generation + 1; age-- > 0;) watch_note_list(watches.list[kind][age]);
}

void watch_mark_contents(uintptr_t object) {
  struct block *block = region_find(object);
  if (block) mark_contents(block, block_slot(block, object));
}

void watch_mark(uintptr_t object) {
  struct block *block = region_find(object);
  if (block) mark_slot(block, block_slot(block, object));
}
