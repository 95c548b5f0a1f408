/* SPDX-License-Identifier: MIT
 * Large objects. */
#include "config.h"

#include "heap/large.h"

#include "base/bits.h"
#include "heap/heap.h"
#include "os/memory.h"

#include <string.h>

enum { large_move_from = 1024 * 1024 }; /* above this, moving page tables beats copying bytes */

static void *large_make(size_t size, size_t align, size_t room, enum kind kind, bool *zero) {
  if (size > region.span || align > region.span) return NULL;
  heap_lock();
  struct block *block = block_make_large(size, align, room, kind, zero);
  void *p = block ? (void *)block->start : NULL;
  keep_alive(p); /* whoever waits for the lock may be about to stop us */
  heap_unlock();
  keep_alive(p);
  return p;
}

void *large_alloc(size_t size, size_t align, enum kind kind, bool *zero) {
  return large_make(size, align, 0, kind, zero);
}

bool large_free(struct block *block) {
  uint8_t state = atomic_load((_Atomic uint8_t *)block->state);
  do if ((state & region.live_mask) != STATE_LIVE) return false;
  while (!atomic_compare_exchange_weak((_Atomic uint8_t *)block->state, &state, STATE_FREE));
  heap_lock();
  block_unmake(block);
  heap_unlock();
  heap_purge(false);
  return true;
}

static uintptr_t large_type(const struct block *block) { return block->types ? atomic_load(&block->types[0]) : 0; }

/* Of what was of another size before. Where all of it was searched for pointers, all of it is. */
static void large_set_type(struct block *block, uintptr_t type, size_t was) {
  if (unlikely(block->types)) atomic_store(&block->types[0], type == was ? block->size : type);
}

static bool large_resize_in_place(struct block *block, size_t size) {
  bool zero;
  heap_lock();
  uintptr_t type = large_type(block);
  size_t was = block->size;
  bool done = block_resize_large(block, size, &zero);
  if (done) large_set_type(block, type, was);
  heap_unlock();
  return done;
}

/* On their way the pages are in neither object: under the lock, lest the world be stopped then. */
static bool large_move(void *old, void *new, size_t pages) {
  heap_lock();
  int error = os_memory_move(old, new, pages);
  heap_unlock();
  return error == 0;
}

void *large_resize(struct block *block, size_t size) {
  if (size > region.span) return NULL;
  bool zero;
  void *old = (void *)block->start;
  keep_alive(old);
  if (large_resize_in_place(block, size)) {
    keep_alive(old);
    return old;
  }
  size_t old_size = block->size;
  /* Who grows once grows again. */
  size_t room = size > old_size ? size : 0;
  void *new = large_make(size, 1, room, (enum kind)block->kind, &zero);
  if (!new) return NULL;
  large_set_type(region_find((uintptr_t)new), large_type(block), old_size); /* before anything is found there alone */
  size_t keep = old_size < size ? old_size : size;
  size_t pages = bits_align_down(keep, os_page_size);
  if (keep < large_move_from || !large_move(old, new, pages)) memcpy(new, old, keep);
  if (atomic_load(&block->reprotected)) atomic_store(&region_find((uintptr_t)new)->reprotected, true);
  large_free(block);
  keep_alive(new);
  keep_alive(old);
  return new;
}
