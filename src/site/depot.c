/* SPDX-License-Identifier: MIT
 * The depot: nodes in the order of their ids, and a hash table over (outer, pc).
 *
 *   node    | pc : 64 | outer : 32 |                    never changed once its id is in the table
 *   table   | hash : 32 | id : 32 |                     replaced by one of twice the size when it is half full
 *
 * An entry is in the bucket of its outer id, or, if that is full, where its hash says. Frames that came
 * together have ids in a row, so that what is found for one of them brings the next ones into the
 * processor's cache.
 *
 * A node is counted last. So a fork child may find the lock's work half done, but nothing of it is visible. */
#include "config.h"

#include "site/depot.h"

#include "base/bits.h"
#include "base/lock.h"
#include "base/options.h"
#include "os/memory.h"

enum {
  depot_chunk_bits = 10,
  depot_chunk = 1 << depot_chunk_bits, /* nodes */
  depot_chunks = 1 << 16,
  depot_table_least = 1024,
  depot_bucket = 4, /* entries: half a cache line */
  depot_buffers = 8,
};

struct depot_node {
  uintptr_t pc;
  uint32_t outer; /* id, or root */
};

struct depot_table {
  uint64_t mask;
  _Alignas(64) _Atomic uint64_t entries[];
};

static struct lock depot_lock = LOCK_INIT(LOCK_UNWIND);
static _Atomic(struct depot_node *) depot_nodes[depot_chunks];
static _Atomic(struct depot_table *) depot_current;
static _Atomic uint32_t depot_used; /* ids given: 1 .. depot_used */

static struct {
  uint32_t count, epoch;
  uintptr_t pc[options_max_frames];
} depot_buffer[depot_buffers];
static _Atomic uint32_t depot_buffer_next;

static struct depot_node *depot_node(uint32_t id) {
  return &atomic_load_explicit(&depot_nodes[id >> depot_chunk_bits], memory_order_acquire)[id % depot_chunk];
}

static uint64_t depot_hash(uint32_t outer, uintptr_t pc) {
  return (pc + (uint64_t)outer * 0x9e3779b97f4a7c15u) * 0xd6e8feb86659fd93u;
}

/* The i-th place at which an entry may be. */
static _Atomic uint64_t *depot_slot(struct depot_table *table, uint64_t hash, uint32_t outer, uint64_t i) {
  return &table->entries[(i < depot_bucket ? (uint64_t)outer * depot_bucket + i : (hash >> 32) + i) &
                         table->mask];
}

/* 0 when there is none. */
static uint32_t depot_find(uint64_t hash, uint32_t outer, uintptr_t pc) {
  struct depot_table *table = atomic_load_explicit(&depot_current, memory_order_acquire);
  if (!table) return 0;
  for (uint64_t i = 0;; i++) {
    uint64_t entry = atomic_load_explicit(depot_slot(table, hash, outer, i), memory_order_acquire);
    if (entry == 0) return 0;
    if (entry >> 32 != hash >> 32) continue;
    struct depot_node *node = depot_node((uint32_t)entry);
    if (node->pc == pc && node->outer == outer) return (uint32_t)entry;
  }
}

static void depot_put(struct depot_table *table, uint64_t hash, uint32_t outer, uint32_t id) {
  uint64_t i = 0;
  while (atomic_load_explicit(depot_slot(table, hash, outer, i), memory_order_relaxed) != 0) i++;
  atomic_store_explicit(depot_slot(table, hash, outer, i), (hash & (UINT64_MAX << 32)) | id,
                        memory_order_release);
}

/* A table with room for one more than used. */
static struct depot_table *depot_room(uint32_t used) {
  struct depot_table *old = atomic_load_explicit(&depot_current, memory_order_relaxed);
  if (old && used < old->mask / 2) return old;
  uint64_t size = old ? (old->mask + 1) * 2 : depot_table_least;
  struct depot_table *table = os_arena_alloc(sizeof *table + size * sizeof table->entries[0], 64);
  if (!table) return NULL;
  os_arena_populate(table, sizeof *table + size * sizeof table->entries[0]);
  table->mask = size - 1;
  for (uint32_t id = 1; id <= used; id++) {
    const struct depot_node *node = depot_node(id);
    depot_put(table, depot_hash(node->outer, node->pc), node->outer, id);
  }
  atomic_store_explicit(&depot_current, table, memory_order_release);
  return table;
}

static struct depot_node *depot_place(uint32_t id) {
  if (id >> depot_chunk_bits >= depot_chunks) return NULL;
  _Atomic(struct depot_node *) *link = &depot_nodes[id >> depot_chunk_bits];
  if (!atomic_load_explicit(link, memory_order_relaxed)) {
    struct depot_node *chunk = os_arena_alloc(depot_chunk * sizeof *chunk, 16);
    if (!chunk) return NULL;
    os_arena_populate(chunk, depot_chunk * sizeof *chunk);
    atomic_store_explicit(link, chunk, memory_order_release);
  }
  return depot_node(id);
}

static uint32_t depot_make(uint64_t hash, uint32_t outer, uintptr_t pc) {
  CHECK(lock_is_held(&depot_lock));
  uint32_t id = atomic_load_explicit(&depot_used, memory_order_relaxed) + 1;
  struct depot_node *node = depot_place(id);
  struct depot_table *table = node ? depot_room(id - 1) : NULL;
  if (!table) return 0;
  *node = (struct depot_node){.pc = pc, .outer = outer};
  atomic_store_explicit(&depot_used, id, memory_order_release);
  depot_put(table, hash, outer, id);
  return id;
}

uint32_t depot_push(uint32_t outer, uintptr_t pc) {
  if (outer == 0) return 0;
  uint64_t hash = depot_hash(outer, pc);
  uint32_t id = depot_find(hash, outer, pc);
  if (likely(id)) return id;
  lock_acquire(&depot_lock);
  id = depot_find(hash, outer, pc);
  if (!id) id = depot_make(hash, outer, pc);
  lock_release(&depot_lock);
  return id;
}

uint32_t depot_enter(const uintptr_t *pc, uint32_t count, uint32_t epoch) {
  uint32_t id = depot_root(epoch);
  while (count > 0 && id != 0) id = depot_push(id, pc[--count]);
  return id >> 31 ? 0 : id;
}

const struct site_stack *depot_stack(uint32_t id) {
  if (id == 0 || id > depot_count()) return NULL;
  uint32_t buffer = atomic_fetch_add_explicit(&depot_buffer_next, 1, memory_order_relaxed) % depot_buffers,
           count = 0;
  for (; !(id >> 31); id = depot_node(id)->outer)
    if (count < options_max_frames) depot_buffer[buffer].pc[count++] = depot_node(id)->pc;
  depot_buffer[buffer].count = count;
  depot_buffer[buffer].epoch = id & (UINT32_MAX >> 1);
  return (const struct site_stack *)&depot_buffer[buffer];
}

uint32_t depot_count(void) { return atomic_load_explicit(&depot_used, memory_order_acquire); }

/* Of a table that was half filled nothing was visible; of a node, at most that it is not in the table: it is
 * made again. */
void depot_fork_child(void) { lock_reset(&depot_lock); }
