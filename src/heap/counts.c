/* SPDX-License-Identifier: MIT
 * Words beside slots. Must not know what they mean. */
#include "config.h"

#include "heap/counts.h"

#include "heap/heap.h"
#include "os/memory.h"

#include <string.h>

/* A block that is made anew may have had them before, and keeps the memory. */
static _Atomic uint32_t *counts_memory(struct block *block) {
  size_t bytes = block->nslots * sizeof *block->counts_kept;
  if (!block->counts_kept) block->counts_kept = os_arena_alloc(bytes, _Alignof(uint64_t));
  else memset((void *)block->counts_kept, 0, bytes);
  return block->counts_kept;
}

_Atomic uint32_t *counts_make(struct block *block, uint32_t slot) {
  _Atomic uint32_t *counts = atomic_load_explicit(&block->counts, memory_order_acquire);
  if (likely(counts)) return &counts[slot];
  heap_lock();
  counts = atomic_load(&block->counts);
  if (!counts && (counts = counts_memory(block))) {
    atomic_store(&block->quick, NULL);
    atomic_store(&block->counts, counts);
  }
  heap_unlock();
  return counts ? &counts[slot] : NULL;
}
