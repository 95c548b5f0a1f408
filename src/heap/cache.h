/* SPDX-License-Identifier: MIT
 * A thread's cache: for each kind and class a block to allocate from, and a word of slots known free in it.
 *
 *   bin   free   ..0010110100   bit i: slot i of the group is free
 *         base   -> slot 0 of the group      state -> its byte
 *         block  -> current                  ready -> blocks with slots to hand out again
 *
 * What a minor collection sweeps is mostly free, and is handed out again first: so new objects stay together in few pages, and few
 * pages with old objects are written. Elsewhere the order does not matter, and there is one list.
 *
 * Invariants: a slot in some free word has state FREE; only a block's owner hands its slots out; a block is the
 * current one of a bin, in its ready list, or full (in neither). A thread that ends leaves its cache, with all its
 * blocks, to the idle ones: the next thread takes it over, and others take blocks from it. */
#ifndef GLEANER_CACHE_H
#define GLEANER_CACHE_H

#include "heap/block.h"
#include "heap/size_class.h"

struct bin {
  uint64_t free;
  uintptr_t base;
  uint8_t *state;
  uint32_t size;
  uint16_t class, kind;
  struct block *block;
  struct block *ready;
  uint32_t blocks_made; /* on fresh memory */
  struct block *sparse; /* like ready, less than half free: used last, and only of collected kinds */
};

struct cache {
  struct bin bins[kind_count][size_class_count]; /* all 0 until first used */
  _Atomic(struct block *) queue; /* blocks in which others freed many slots; pushed by anybody, emptied by the owner */
  struct cache *next_idle;       /* under the heap lock */
  struct cache *next;            /* all caches, never removed */
  ptrdiff_t in_use[kind_count];  /* bytes, not yet in heap_in_use */
  size_t handed_out;             /* bytes of collected kinds that ever were in its free words */
  size_t handed_before;          /* of these, in the words of threads before this one */
  bool idle;
  uint32_t stolen_from; /* how often others took a block from here (statistics) */
};

/* The cache for the fast path: this thread's, or one without slots where every call must take the slow path (no cache
 * yet, or allocations are recorded). */
extern struct cache cache_none;
extern THREAD_LOCAL struct cache *cache_fast;
/* The same for freeing, which is as fast where allocations are recorded. */
extern THREAD_LOCAL struct cache *cache_own;

/* A slot of the class, or NULL when the free word is empty. 9 instructions; writes the word and one state byte.
 *
 * The address is pinned in a register before the word is stored, so that a thread stopped at any instruction either
 * still has the slot in its free word or holds its address. */
static inline void *cache_take(struct bin *bin) {
  uint64_t free = bin->free;
  if (unlikely(free == 0)) return NULL;
  unsigned i = bits_lowest(free);
  uintptr_t p = bin->base + (uintptr_t)i * bin->size;
  __asm__ volatile("" : "+r"(p));
  bin->state[i] = STATE_LIVE;
  bin->free = free & (free - 1);
  return (void *)p;
}

/* Finds more slots for the bin. False when memory is refused. */
bool cache_refill(struct cache *cache, struct bin *bin);

/* Whether so many free slots are enough for the block to be handed out again. */
bool cache_is_worth(const struct block *block, uint32_t slots);

/* Gives back a slot whose state is LIVE. */
void cache_free_wake(struct cache *cache, struct block *block);
void cache_free_remote(struct block *block, uint32_t slot);

/* So many slots of the block were swept: their states are FREE already. Any thread, the owner running or stopped anywhere. */
void cache_swept(struct block *block, uint32_t slots);

/* Forgets which groups may hold new objects, but for those from which slots are being handed out. The world is stopped, and
 * every object has aged. */
void cache_forget_young(struct block *block);

/* By the owner. Writes the state byte and one line of the descriptor. */
static inline void cache_free_own(struct cache *cache, struct block *block, uint32_t slot) {
  block->state[slot] = STATE_FREE;
  block->groups |= (uint64_t)1 << (slot / block_group);
  if (unlikely(--block->used <= block->wake)) cache_free_wake(cache, block);
}

/* The bytes of slots of collected kinds that were ever taken from free words; never shrinks. Any thread. */
size_t cache_handed_out(void);

/* The same of the thread that has the cache, by itself. */
size_t cache_handed_out_mine(const struct cache *cache);

/* Gives up the blocks that a sweep has emptied: this thread's (NULL: none) and those of idle caches. Without the heap lock. */
void cache_tidy(struct cache *mine);

struct cache *cache_acquire(void);        /* an idle one or a new one; NULL when memory is refused */
void cache_retire(struct cache *cache);   /* its thread is at its end */
void cache_fork_child(struct cache *mine); /* all others become idle */
/* By its owner, with no other thread there: slots may be free of which nobody was told. */
void cache_recount(struct cache *mine);

bool cache_check(struct cache *cache);

#endif
