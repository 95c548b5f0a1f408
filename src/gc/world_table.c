/* SPDX-License-Identifier: MIT
 * The threads that a stop has met. Must not know what is done with them. */
#include "config.h"

#include "gc/world_table.h"

#include "base/bits.h"
#include "os/memory.h"

#include <string.h>

struct world_table world;

static size_t world_table_bytes(size_t capacity) {
  size_t bytes = capacity * (sizeof(struct world_thread) + sizeof(struct world_entry) + 2 * sizeof(uint32_t));
  return bits_align_up(bytes, os_page_size);
}

/* The place of a tid: where it is, or would be. */
static uint32_t *world_place(pid_t tid) {
  size_t mask = 2 * world.capacity - 1, at = (size_t)bits_mix((uint64_t)tid) & mask;
  while (world.hash[at] && world.entries[world.hash[at] - 1].tid != tid) at = (at + 1) & mask;
  return &world.hash[at];
}

static bool world_table_map(size_t capacity) {
  char *at = os_memory_map(world_table_bytes(capacity));
  if (!at) return false;
  world.threads = (void *)at;
  world.hash = (void *)(world.threads + capacity);
  world.entries = (void *)(world.hash + 2 * capacity);
  world.capacity = capacity;
  return true;
}

bool world_table_clear(void) {
  enum { first_capacity = 64 };
  world.count = 0;
  if (!world.threads) return world_table_map(first_capacity);
  memset(world.hash, 0, 2 * world.capacity * sizeof *world.hash);
  return true;
}

static bool world_table_grow(void) {
  struct world_table old = world;
  if (!world_table_map(old.capacity * 2)) return false;
  memcpy(world.threads, old.threads, old.count * sizeof *old.threads);
  memcpy(world.entries, old.entries, old.count * sizeof *old.entries);
  for (size_t i = 0; i < old.count; i++) *world_place(old.entries[i].tid) = (uint32_t)i + 1;
  os_memory_unmap(old.threads, world_table_bytes(old.capacity));
  return true;
}

struct world_entry *world_enter(pid_t tid) {
  if (world.count == world.capacity && !world_table_grow()) return NULL;
  uint32_t *place = world_place(tid);
  if (!*place) {
    world.entries[world.count] = (struct world_entry){.tid = tid};
    world.threads[world.count] = (struct world_thread){.tid = tid};
    *place = (uint32_t)++world.count;
  }
  return &world.entries[*place - 1];
}
