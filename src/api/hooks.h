/* SPDX-License-Identifier: MIT
 * What the preload library may call: the malloc family behind its public names, and the hooks around process calls.
 * All of it is safe as the first call of the process.
 *
 * Memory functions have glibc's semantics to the letter (see the public names for the standards); errno is set on
 * failure and kept otherwise. */
#ifndef GLEANER_HOOKS_H
#define GLEANER_HOOKS_H

#include "gc/pins.h"
#include "heap/cache.h"
#include "os/threads.h"
#include "os/wait.h"

#include <string.h>

/* The fast paths, inline in the public names. Those that allocate do nothing in a mode that records allocations. */

/* A slot for size bytes from this thread's free word, or NULL: then the slow path. Some 15 instructions. */
static inline void *hook_try_malloc(size_t size) {
  if (unlikely(size > size_class_most - 1)) return NULL;
  size += region.extra;
  return cache_take(&cache_fast->bins[KIND_SCANNED][size_class_of(size)]);
}

/* The same, zeroed. Fresh memory is zero, but a slot is small enough to be zeroed without asking. */
static inline void *hook_try_calloc(size_t count, size_t size) {
  size_t bytes;
  if (unlikely(__builtin_mul_overflow(count, size, &bytes))) return NULL;
  void *p = hook_try_malloc(bytes);
  return likely(p) ? memset(p, 0, bytes) : NULL;
}

/* Frees a live slot of a block of this thread's. False: nothing was done, take the slow path. */
static inline bool hook_try_free(void *p) {
  struct block *block = region_find((uintptr_t)p);
  if (unlikely(!block)) return false;
  struct cache *cache = cache_own;
  uint32_t slot = block_slot(block, (uintptr_t)p);
  if (unlikely(atomic_load_explicit(&block->quick, memory_order_relaxed) != cache)) return false;
  if (unlikely(block_slot_address(block, slot) != (uintptr_t)p || (block->state[slot] & region.live_mask) != STATE_LIVE))
    return false;
  cache_free_own(cache, block, slot);
  keep_alive(p);
  return true;
}

/* The current stack as a misuse report or a site sees it begins at the caller of these. */
void *hook_malloc(size_t size);
void *hook_calloc(size_t count, size_t size);
void *hook_realloc(void *old, size_t size);
void *hook_reallocarray(void *old, size_t count, size_t size);
void hook_free(void *p);
void *hook_aligned_alloc(size_t align, size_t size);              /* EINVAL unless align is a power of two */
void *hook_memalign(size_t align, size_t size);                   /* rounds align up to a power of two */
int hook_posix_memalign(void **out, size_t align, size_t size);   /* returns an error number */
void *hook_valloc(size_t size);
void *hook_pvalloc(size_t size);
size_t hook_usable_size(void *p); /* 0 for NULL */
int hook_trim(size_t pad);        /* 1 when memory was given back */

/* Sums over the heap, for mallinfo and its relatives. */
struct hook_usage {
  size_t mapped;      /* bytes of address space committed */
  size_t live_blocks; /* objects not freed */
  size_t live;        /* bytes in them */
  size_t large;       /* of these, in large objects */
  size_t large_blocks;
  size_t free;        /* bytes committed and not live */
};
void hook_usage(struct hook_usage *usage);

/* Around the real dlclose: note what is loaded, then see what is gone, so that stacks can still be named. Nothing in
 * modes that record no sites. Neither is called with a lock of ours held; both may take the loader's lock. */
void hook_before_dlclose(void);
void hook_after_dlclose(void);

/* The program is about to limit its own address space to so many bytes. What is merely reserved counts, so that without
 * this even its stack could not grow any more. Does nothing in a vfork child. */
void hook_before_limit(size_t limit);

/* The program is about to call mprotect; and has called it, with what the first returned. */
int hook_before_mprotect(void *address, size_t size, int protection);
void hook_after_mprotect(int barred);

/* The program is about to do what a process may do only while it has one thread: none of ours is there when this returns. */
void hook_before_alone(void);

/* The program is about to put itself under a filter of system calls: a struct sock_fprog, of which nothing is trusted; NULL: the
 * strict mode. If that would end the process for what a collection calls, there will be none. */
void hook_before_filter(const void *program);

/* The program calls _exit or _Exit: perhaps in a signal handler, in a vfork child (which must do nothing here: it
 * shares the memory of its parent), or in one of several threads. Reports if that was asked for; returns the status to
 * end with. */
int hook__exit(int status);

/* The malloc of this process is ours: true where the malloc family is linked in, which defines it anew. */
extern bool hook_serves_malloc;

/* The reserved signal; 0 as long as there is none (none in this mode, or not yet). Async-signal-safe. */
int hook_world_signal(void);

/* Of this thread: counts the system calls that this signal alone cut short with EINTR, those through os_wait_call
 * apart. A caller that sees EINTR and another count than before calls again. */
static inline uint32_t hook_world_cuts(void) { return os_wait_cuts.failed; }

/* Pointers that the kernel holds for the program (gc/pins.h). Async-signal-safe; errno is kept. */
bool hook_pins(void); /* there is, or will be, something that asks for them */
static inline struct pin hook_pin_of(enum pin_kind kind, uint64_t id) { return pins_of(kind, id); }
static inline void hook_pin(struct pin pin) { pins_set(&pin); }
static inline bool hook_pin_take(struct pin pin, struct pin *taken) { return pins_take(pin.key, taken); }

#endif
