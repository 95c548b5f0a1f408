/* SPDX-License-Identifier: MIT
 * Memory from the kernel, the table of what is ours, and the arena for metadata. */
#include "config.h"

#include "os/memory.h"

#include "base/bits.h"
#include "base/lock.h"
#include "os/call.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

enum {
  memory_own_max = 8192,             /* our mappings; beyond these a mapping is refused */
  arena_chunk_least = 256 * 1024,    /* small programs touch only the pages they use of it */
  arena_chunk_most = 16 * 1024 * 1024,
  arena_huge_from = 8 * 1024 * 1024, /* metadata of this size deserves huge pages, */
  arena_populate_from = 1024 * 1024, /* and of this size that pages are asked for at once: it grows on */
  arena_populate_most = 512 * 1024,
};

size_t os_page_size = 4096;

/* Our own mappings. A free entry has lo 0; one being filled in or taken out has hi 0. */
static struct memory_own {
  _Atomic uintptr_t lo, hi;
} memory_own[memory_own_max];
static _Atomic unsigned memory_own_used; /* entries ever used: [0, used) */

void os_memory_init(void) {
  long size = sysconf(_SC_PAGESIZE);
  if (size > 0) os_page_size = (size_t)size;
}

static bool memory_own_enter(uintptr_t lo, size_t size) {
  for (unsigned i = 0; i < memory_own_max; i++) {
    uintptr_t none = 0;
    if (atomic_load_explicit(&memory_own[i].lo, memory_order_relaxed) != 0) continue;
    if (!atomic_compare_exchange_strong(&memory_own[i].lo, &none, lo)) continue;
    atomic_store(&memory_own[i].hi, lo + size);
    unsigned used = atomic_load(&memory_own_used);
    while (used <= i && !atomic_compare_exchange_weak(&memory_own_used, &used, i + 1)) continue;
    return true;
  }
  return false;
}

static void memory_own_leave(uintptr_t lo) {
  unsigned used = atomic_load(&memory_own_used);
  for (unsigned i = 0; i < used; i++) {
    if (atomic_load(&memory_own[i].lo) != lo) continue;
    atomic_store(&memory_own[i].hi, 0);
    atomic_store(&memory_own[i].lo, 0);
    return;
  }
}

bool os_memory_own_next(uintptr_t address, uintptr_t *lo, uintptr_t *hi) {
  uintptr_t best = UINTPTR_MAX;
  unsigned used = atomic_load(&memory_own_used);
  for (unsigned i = 0; i < used; i++) {
    uintptr_t l = atomic_load(&memory_own[i].lo), h = atomic_load(&memory_own[i].hi);
    if (l == 0 || h <= address || l >= best) continue;
    best = l;
    *lo = l;
    *hi = h;
  }
  return best != UINTPTR_MAX;
}

void os_memory_own_each(void (*each)(uintptr_t lo, uintptr_t hi, void *arg), void *arg) {
  unsigned used = atomic_load(&memory_own_used);
  for (unsigned i = 0; i < used; i++) {
    uintptr_t lo = atomic_load(&memory_own[i].lo), hi = atomic_load(&memory_own[i].hi);
    if (lo && lo < hi) each(lo, hi, arg);
  }
}

size_t os_memory_own_most(void) { return atomic_load(&memory_own_used); }

bool os_memory_own_find(uintptr_t address, uintptr_t *lo, uintptr_t *hi) {
  return os_memory_own_next(address, lo, hi) && *lo <= address;
}

/* The calls are made without the C library's names: in a preloaded process those are ours, and look after the program's. */
static int memory_error(long result) { return result < 0 && result >= -4095 ? (int)-result : 0; }

/* 0 and the address, or an errno value. */
static int memory_mmap_at(void *at, size_t size, int prot, int flags, void **out) {
  long p = os_call(SYS_mmap, at, size, prot, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
  int error = memory_error(p);
  if (!error && !memory_own_enter((uintptr_t)p, size)) {
    os_call(SYS_munmap, p, size);
    error = ENOMEM;
  }
  *out = error ? NULL : (void *)p;
  return error;
}

static void *memory_mmap(void *at, size_t size, int prot, int flags) {
  void *p;
  memory_mmap_at(at, size, prot, flags, &p);
  return p;
}

void *os_memory_reserve(size_t size) { return memory_mmap(NULL, size, PROT_NONE, MAP_NORESERVE); }

int os_memory_reserve_at(void *address, size_t size) {
  void *p;
  int error = memory_mmap_at(address, size, PROT_NONE, MAP_NORESERVE | MAP_FIXED_NOREPLACE, &p);
  if (error || p == address) return error;
  os_memory_unmap(p, size); /* a kernel before 4.17 took the address for a hint */
  return EEXIST;
}

void *os_memory_reserve_readable(size_t size) { return memory_mmap(NULL, size, PROT_READ, MAP_NORESERVE); }

int os_memory_commit(void *address, size_t size) {
  return memory_error(os_call(SYS_mprotect, address, size, PROT_READ | PROT_WRITE));
}

int os_memory_purge(void *address, size_t size) {
  return memory_error(os_call(SYS_madvise, address, size, MADV_DONTNEED));
}

void os_memory_huge(void *address, size_t size) { os_call(SYS_madvise, address, size, MADV_HUGEPAGE); }

void os_memory_populate(void *address, size_t size) {
  static _Atomic bool refused;
  if (atomic_load_explicit(&refused, memory_order_relaxed)) return;
  if (os_call(SYS_madvise, address, size, MADV_POPULATE_WRITE) == -EINVAL) atomic_store(&refused, true);
}

/* In two steps, since MREMAP_FIXED unmaps the target before it finds that the source lies in several mappings (huge pages
 * begin inside it, it was moved before, the process forked): EFAULT up to Linux 6.16, and then nothing is at the target. The
 * first step fails without harm; what it made is one mapping, so that the second has no such reason. */
int os_memory_move(void *from, void *to, size_t size) {
  long between = os_call(SYS_mremap, from, size, size, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
  if (memory_error(between)) return memory_error(between);
  if (memory_error(os_call(SYS_mremap, between, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, to))) {
    memcpy(to, (void *)between, size); /* too many mappings: this is found before the target is touched */
    os_call(SYS_munmap, between, size);
  }
  return 0;
}

void *os_memory_map(size_t size) { return memory_mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_NORESERVE); }

void os_memory_trim(void *address, size_t size, size_t keep) {
  unsigned used = atomic_load(&memory_own_used);
  for (unsigned i = 0; i < used; i++)
    if (atomic_load(&memory_own[i].lo) == (uintptr_t)address) atomic_store(&memory_own[i].hi, (uintptr_t)address + keep);
  os_call(SYS_munmap, (char *)address + keep, size - keep);
}

void os_memory_unmap(void *address, size_t size) {
  memory_own_leave((uintptr_t)address);
  os_call(SYS_munmap, address, size);
}

/* The arena: a bump pointer through chunks. */
static struct lock arena_lock = LOCK_INIT(LOCK_ARENA);
static struct {
  uintptr_t at, end;
  _Atomic size_t total;
} arena;

static bool arena_grow(size_t size) {
  size_t chunk = arena.total / 4;
  if (chunk < arena_chunk_least) chunk = arena_chunk_least;
  if (chunk > arena_chunk_most) chunk = arena_chunk_most;
  if (chunk < size) chunk = size;
  chunk = bits_align_up(chunk, os_page_size);
  void *p = os_memory_map(chunk);
  if (!p && chunk > size) {
    chunk = bits_align_up(size, os_page_size);
    p = os_memory_map(chunk);
  }
  if (!p) return false;
  if (arena.total >= arena_huge_from) os_memory_huge(p, chunk);
  if (arena.total >= arena_populate_from) os_memory_populate(p, chunk < arena_populate_most ? chunk : arena_populate_most);
  arena.total += chunk;
  if ((uintptr_t)p != arena.end) arena.at = (uintptr_t)p; /* else the chunks join */
  arena.end = (uintptr_t)p + chunk;
  return true;
}

void *os_arena_alloc(size_t size, size_t align) {
  lock_acquire(&arena_lock);
  uintptr_t p = bits_align_up(arena.at, align);
  if (p + size > arena.end || p + size < p) {
    if (!arena_grow(size + align)) {
      lock_release(&arena_lock);
      return NULL;
    }
    p = bits_align_up(arena.at, align);
  }
  arena.at = p + size;
  lock_release(&arena_lock);
  return (void *)p;
}

void os_arena_populate(void *piece, size_t size) {
  uintptr_t lo = bits_align_down((uintptr_t)piece, os_page_size);
  os_memory_populate((void *)lo, bits_align_up((uintptr_t)piece + size, os_page_size) - lo);
}

size_t os_arena_bytes(void) { return atomic_load(&arena.total); }

/* Another thread may have been inside when the fork happened: give up the rest of the chunk. */
void os_arena_fork_child(void) {
  if (!lock_is_held(&arena_lock)) return;
  lock_reset(&arena_lock);
  arena.at = arena.end = 0;
}

/* rt_sigprocmask reads the set before it finds that -1 is no way of using one: EINVAL, or EFAULT. */
bool os_memory_is_readable(uintptr_t address) {
  return os_call(SYS_rt_sigprocmask, -1, address, NULL, sizeof(uint64_t)) == -EINVAL;
}

bool os_memory_are_readable(uintptr_t lo, uintptr_t hi) {
  lo = bits_align_down(lo, os_page_size);
  hi = bits_align_up(hi, os_page_size);
  if (os_call(SYS_madvise, lo, hi - lo, MADV_POPULATE_READ) == 0) return true;
  for (; lo < hi; lo += os_page_size) /* no such advice before Linux 5.14, nor for memory that the kernel has no pages of */
    if (!os_memory_is_readable(lo)) return false;
  return true;
}

bool os_memory_is_mapped(uintptr_t page) {
  unsigned char core;
  return os_call(SYS_mincore, page, os_page_size, &core) != -ENOMEM;
}

bool os_memory_is_swapping(void) {
  struct sysinfo info;
  return os_call(SYS_sysinfo, &info) != 0 || info.totalswap != info.freeswap;
}
