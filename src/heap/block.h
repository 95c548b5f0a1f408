/* SPDX-License-Identifier: MIT
 * Blocks: what the heap is made of.
 *
 *   region  |unit|unit|unit|unit|unit|unit|unit|unit| ...       a unit is 64 KiB
 *           '-block--' '----block (large)----' 'free run'
 *   block   |slot 0|slot 1|slot 2|...|slot n-1| tail |          slots of one size and kind
 *   state   | byte | byte | byte |...| byte   |absent...        beside, never inside
 *   note    | site,size | ...                                   beside, only where sites are recorded
 *
 * A large object is a block of one slot. A descriptor is never unmapped, and never becomes anything else, so a stale
 * pointer to one may be read. The block map is the truth about which unit belongs to which block. */
#ifndef GLEANER_BLOCK_H
#define GLEANER_BLOCK_H

#include "base/base.h"
#include "heap/state.h"

enum {
  block_unit_shift = 16,
  block_unit = 1 << block_unit_shift,
  block_group = 64, /* slots that one free word covers */
};

enum kind {
  KIND_SCANNED,      /* the program's own: malloc */
  KIND_POINTER_FREE, /* collected, never holds pointers: GC_malloc_atomic */
  KIND_COLLECTED,    /* collected, scanned: GC_malloc */
  KIND_UNCOLLECTABLE, /* scanned, freed by the program alone, and a root: GC_malloc_uncollectable */
  KIND_UNCOLLECTABLE_POINTER_FREE,
  KIND_TYPED, /* collected; a word beside each slot tells where its pointers are: GC_malloc_explicitly_typed */
  kind_count,
};

static inline bool kind_is_scanned(unsigned kind) {
  return kind != KIND_POINTER_FREE && kind != KIND_UNCOLLECTABLE_POINTER_FREE;
}

/* What is known of one allocation. */
struct note {
  uint32_t site; /* of its call stack; 0 unknown */
  uint32_t size; /* bytes asked for; a large object's are in block.requested */
};

struct cache;

struct block {
  /* read by everybody, constant while the block is mapped */
  uintptr_t start;
  uint32_t slot_size; /* 0: large */
  uint32_t inverse;   /* offset * inverse >> 32 == offset / slot_size, for every offset in the block */
  uint8_t *state;     /* nslots bytes, padded with ABSENT to a multiple of block_group */
  struct note *notes; /* nslots of them, or NULL */
  uint32_t nslots;
  uint8_t class;
  uint8_t kind; /* enum kind */
  uint8_t large_state[2]; /* of a large object: its byte, and ABSENT */
  size_t size;  /* bytes that slots may use: nslots * slot_size, or the usable size of a large object */
  uint32_t units;

  _Atomic(struct cache *) owner; /* NULL: large, or not in use. Changes under the heap lock, never under a running owner */

  _Atomic(struct cache *) quick; /* the owner, but NULL where more than the state is to be cleared when a slot is freed */
  _Atomic(_Atomic uint32_t *) counts; /* nslots words (counts.h), or NULL */
  _Atomic uint32_t *counts_kept;      /* the memory of such, of the block or of the one before it */
  _Atomic uintptr_t *types;           /* KIND_TYPED: nslots words, 0 where nothing is known to hold pointers; else NULL */
  _Atomic uintptr_t *types_kept;

  /* changed by its owner only */
  _Alignas(64) uint64_t groups; /* bit g: group g may have slots freed since it was last handed out */
  uint32_t used;    /* slots handed to a free word, less those freed; frees by others are still in remote_freed */
  uint32_t accounted; /* of used: in some in_use already */
  uint32_t wake;    /* used at which the owner's free must look closer */
  uint32_t touched; /* groups that were ever handed out: [0, touched) */
  uint32_t group;   /* the group handed out last */
  bool sparse;      /* in its bin's sparse list, not in the ready one */
  bool full;        /* left behind with too few free slots: in no list */
  uint64_t young;   /* bit g: group g may hold new objects. Set by the owner before it hands slots out, cleared with the
                       world stopped: a set may come late and be one too many, never one too few */
  struct block *next, *prev; /* in its bin's ready list, or next free descriptor */

  /* changed by anybody */
  _Alignas(64) _Atomic uint32_t remote_freed;
  _Atomic uint32_t swept;  /* of these, freed by a sweep: no longer in in_use */
  _Atomic uint32_t queued; /* on some cache's atomic list */
  struct block *queue_next;
  uint64_t requested;      /* large: bytes asked for */
  _Atomic bool reprotected; /* the program changed what may be done with some of its pages */
  struct note large_note;
  _Atomic uintptr_t large_type;
};

/* The region, and the map of its units. Readable without a lock at any time. */
struct region {
  uintptr_t base;
  size_t span;                     /* bytes of address space */
  _Atomic(struct block *) *blocks; /* one entry a unit */
  _Atomic size_t used;             /* units that were ever used: [0, used) */
  _Atomic uint8_t *ages;           /* one byte a unit: REGION_AGE_*, what may be found there; the truth or more */
  uint8_t extra;                   /* bytes that malloc adds to what is asked for: where memory is reclaimed, one, so that a pointer
                                      to the end of an object, which C allows, still points into it */
  uint8_t collected_extra;         /* the same for collected kinds: one, but where such a pointer would not count */
  uint8_t live_mask;               /* a slot may be freed at once when (state & live_mask) == STATE_LIVE */
};

enum { REGION_AGE_0 = 1, REGION_AGE_1 = 2 };

extern struct region region;

/* The block that holds the address, or NULL: safe for any bits. */
static inline struct block *region_find(uintptr_t address) {
  uintptr_t offset = address - region.base;
  if (offset >= region.span) return NULL;
  return atomic_load_explicit(&region.blocks[offset >> block_unit_shift], memory_order_acquire);
}

/* Objects of this age may be found in the block from now on. Any thread; usually one load. */
static inline void block_note_age(const struct block *block, uint8_t age) {
  _Atomic uint8_t *ages = &region.ages[(block->start - region.base) >> block_unit_shift];
  for (uint32_t i = 0; i < block->units; i++)
    if (!(atomic_load_explicit(&ages[i], memory_order_relaxed) & age)) atomic_fetch_or(&ages[i], age);
}

/* The slot of an address inside the block; nslots or more when it is in the tail. */
static inline uint32_t block_slot(const struct block *block, uintptr_t address) {
  return (uint32_t)(((address - block->start) * (uint64_t)block->inverse) >> 32);
}

/* For a large block, inverse is 0, so that every address is of slot 0; its tail is beyond size. */
static inline bool block_contains(const struct block *block, uintptr_t address) {
  return address - block->start < block->size;
}

static inline uint32_t block_first_unit(const struct block *block) {
  return (uint32_t)((block->start - region.base) >> block_unit_shift);
}

static inline size_t block_slot_bytes(const struct block *block) {
  return block->slot_size ? block->slot_size : block->size;
}

static inline uintptr_t block_slot_address(const struct block *block, uint32_t slot) {
  return block->start + (uintptr_t)slot * block->slot_size;
}

static inline struct note *block_note(struct block *block, uint32_t slot) {
  return block->slot_size ? (block->notes ? &block->notes[slot] : NULL) : &block->large_note;
}

/* Bytes the program asked for, where notes are kept; else what the slot holds. */
static inline size_t block_requested(struct block *block, uint32_t slot) {
  if (!block->slot_size) return block->requested;
  return block->notes ? block->notes[slot].size : block->slot_size;
}

/* The object is about to be given up, by whoever alone may do so: what is known of it beside its state. */
static inline void block_forget_slot(const struct block *block, uint32_t slot) {
  _Atomic uint32_t *counts = atomic_load_explicit(&block->counts, memory_order_acquire);
  if (unlikely(counts)) atomic_store_explicit(&counts[slot], 0, memory_order_relaxed);
  if (unlikely(block->types)) atomic_store_explicit(&block->types[slot], 0, memory_order_relaxed);
}

/* Whether there is anything to forget. */
static inline bool block_has_beside(const struct block *block) {
  return block->types || atomic_load_explicit(&block->counts, memory_order_relaxed);
}

/* The first block at or above the given unit, and its first unit in *unit; NULL at the end. To visit all:
 *   for (size_t u = 0; (b = region_next(&u)) != NULL; u += b->units)
 * With other threads running, blocks may come and go meanwhile. */
struct block *region_next(size_t *unit);

#endif
