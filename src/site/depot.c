/* SPDX-License-Identifier: MIT
 * The depot: a hash trie under a table of roots. A node has four children, chosen by two bits of the hash a level, so
 * that it grows without being rebuilt: entering is one compare-and-swap on an empty link.
 *
 *   roots[hash]  ->  node  -child 0..3->  node  ...
 *   chunks[id]   ->  node
 *
 * An id is taken, and can be looked up, before the node is linked; the loser of a race for the same stack leaves its
 * node and id unused. */
#include "config.h"

#include "site/depot.h"

#include "base/bits.h"
#include "os/memory.h"

#include <string.h>

enum {
  depot_root_bits = 12,
  depot_chunk_bits = 12,
  depot_chunk = 1 << depot_chunk_bits, /* ids in a chunk of the table */
  depot_chunks = 1 << 14,
};

struct depot_node {
  _Atomic(struct depot_node *) child[4];
  uint64_t hash;
  uint32_t id;
  struct site_stack stack; /* last: its pcs follow */
};

static _Atomic(struct depot_node *) depot_roots[1 << depot_root_bits];
static _Atomic(_Atomic(struct depot_node *) *) depot_chunk_table[depot_chunks];
static _Atomic uint32_t depot_used; /* ids given: 1 .. depot_used */

/* Two lanes, so that the multiplications overlap. */
static uint64_t depot_hash(const uintptr_t *pc, uint32_t count, uint32_t epoch) {
  const uint64_t k = 0x9e3779b97f4a7c15u;
  uint64_t a = count, b = epoch;
  uint32_t i = 0;
  for (; i + 2 <= count; i += 2) {
    a = (a ^ pc[i]) * k;
    b = (b ^ pc[i + 1]) * k;
    a ^= a >> 32;
    b ^= b >> 32;
  }
  if (i < count) a = (a ^ pc[i]) * k;
  return bits_mix(a ^ (b << 32 | b >> 32));
}

static bool depot_is(const struct depot_node *node, uint64_t hash, const uintptr_t *pc, uint32_t count,
                     uint32_t epoch) {
  return node->hash == hash && node->stack.count == count && node->stack.epoch == epoch &&
         memcmp(node->stack.pc, pc, count * sizeof *pc) == 0;
}

/* The place of an id in the table, whose chunk is made if it is not there. */
static _Atomic(struct depot_node *) *depot_place(uint32_t id) {
  if (id >> depot_chunk_bits >= depot_chunks) return NULL;
  _Atomic(_Atomic(struct depot_node *) *) *link = &depot_chunk_table[id >> depot_chunk_bits];
  _Atomic(struct depot_node *) *chunk = atomic_load_explicit(link, memory_order_acquire);
  if (!chunk) {
    _Atomic(struct depot_node *) *fresh = os_arena_alloc(depot_chunk * sizeof *fresh, sizeof *fresh);
    if (!fresh) return NULL;
    if (atomic_compare_exchange_strong(link, &chunk, fresh)) chunk = fresh;
  }
  return &chunk[id % depot_chunk];
}

/* A node of its own for the stack, with an id. */
static struct depot_node *depot_make(uint64_t hash, const uintptr_t *pc, uint32_t count, uint32_t epoch) {
  struct depot_node *node = os_arena_alloc(sizeof *node + count * sizeof *pc, _Alignof(struct depot_node));
  if (!node) return NULL;
  node->hash = hash;
  node->stack.count = count;
  node->stack.epoch = epoch;
  memcpy(node->stack.pc, pc, count * sizeof *pc);
  uint32_t id = atomic_load_explicit(&depot_used, memory_order_relaxed);
  do { /* no id is taken that has no place */
    if (id == UINT32_MAX || !depot_place(id + 1)) return NULL;
  } while (!atomic_compare_exchange_weak(&depot_used, &id, id + 1));
  node->id = id + 1;
  atomic_store_explicit(depot_place(id + 1), node, memory_order_release);
  return node;
}

uint32_t depot_enter(const uintptr_t *pc, uint32_t count, uint32_t epoch) {
  uint64_t hash = depot_hash(pc, count, epoch), path = hash >> depot_root_bits;
  _Atomic(struct depot_node *) *link = &depot_roots[hash & ((1 << depot_root_bits) - 1)];
  struct depot_node *fresh = NULL;
  for (;;) {
    struct depot_node *node = atomic_load_explicit(link, memory_order_acquire);
    if (!node) {
      if (!fresh) fresh = depot_make(hash, pc, count, epoch);
      if (!fresh) return 0;
      if (atomic_compare_exchange_strong(link, &node, fresh)) return fresh->id;
    }
    if (depot_is(node, hash, pc, count, epoch)) return node->id;
    link = &node->child[path & 3];
    path = path >> 2 | path << 62;
  }
}

const struct site_stack *depot_stack(uint32_t id) {
  if (id == 0 || id > depot_count()) return NULL;
  _Atomic(struct depot_node *) *chunk =
      atomic_load_explicit(&depot_chunk_table[id >> depot_chunk_bits], memory_order_acquire);
  struct depot_node *node = chunk ? atomic_load_explicit(&chunk[id % depot_chunk], memory_order_acquire) : NULL;
  return node ? &node->stack : NULL;
}

uint32_t depot_count(void) { return atomic_load_explicit(&depot_used, memory_order_acquire); }
