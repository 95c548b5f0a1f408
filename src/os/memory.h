/* SPDX-License-Identifier: MIT
 * Memory from the kernel.
 *
 * Holds for all: addresses and sizes are multiples of os_page_size; a function returns 0 or an errno value, or
 * NULL where it returns an address; errno itself is kept; nothing allocates; nothing locks. What is mapped here
 * is entered in a table of our own mappings, so that root finding can leave it out (os_memory_own_*). */
#ifndef GLEANER_OS_MEMORY_H
#define GLEANER_OS_MEMORY_H

#include "base/base.h"

extern size_t os_page_size; /* 4096 until os_memory_init says otherwise */

void os_memory_init(void);

/* Address space without memory (PROT_NONE, not counted against overcommit). NULL when refused. */
void *os_memory_reserve(size_t size);
/* The same at an exact place that nothing else uses; EEXIST when something does. */
int os_memory_reserve_at(void *address, size_t size);
/* Reserved address space that may be read, all zero, though not written before it is committed. */
void *os_memory_reserve_readable(size_t size);

/* Makes reserved memory readable and writable. Fresh pages are zero. */
int os_memory_commit(void *address, size_t size);
/* Gives the pages back; they read as zero afterwards and stay committed. */
int os_memory_purge(void *address, size_t size);
/* Asks for huge pages. Only advice. */
void os_memory_huge(void *address, size_t size);
/* Has the kernel provide the pages now, in one call instead of a fault each. Only advice; needs Linux 5.14. */
void os_memory_populate(void *address, size_t size);
/* Moves the pages of [from, from+size) over the committed range at to, whose old contents are lost; from is left
 * committed and zero. When it fails (which it does where from is not one mapping to the kernel), both are as they were. */
int os_memory_move(void *from, void *to, size_t size);

/* Fresh zeroed memory, committed. NULL when refused. */
void *os_memory_map(size_t size);
void os_memory_unmap(void *address, size_t size);
/* Gives back all but the first keep bytes of what was mapped or reserved as one piece. */
void os_memory_trim(void *address, size_t size, size_t keep);

/* Whether the eight bytes at the address can be read. Any bits will do; one harmless system call, which no sandbox
 * forbids. */
bool os_memory_is_readable(uintptr_t address);
/* Whether all of [lo, hi) can be read in place. Pages that were never touched may be provided for it. */
bool os_memory_are_readable(uintptr_t lo, uintptr_t hi);
/* Whether anything is mapped at the page. */
bool os_memory_is_mapped(uintptr_t page);
/* Whether this machine has memory in swap. */
bool os_memory_is_swapping(void);

/* Metadata: zeroed memory that is never given back, in pieces of any size. Takes LOCK_ARENA. NULL when refused. */
void *os_arena_alloc(size_t size, size_t align);
/* os_memory_populate for a piece of the arena, or of a mapping, that will all be used. */
void os_arena_populate(void *piece, size_t size);
size_t os_arena_bytes(void);
void os_arena_fork_child(void);

/* Our own mappings. own_find returns true and the bounds of the one that contains the address. */
bool os_memory_own_find(uintptr_t address, uintptr_t *lo, uintptr_t *hi);
/* The first of our own mappings that ends above the address: its bounds; false when there is none. */
bool os_memory_own_next(uintptr_t address, uintptr_t *lo, uintptr_t *hi);
/* All of them, in no order; how many there are at most. */
void os_memory_own_each(void (*each)(uintptr_t lo, uintptr_t hi, void *arg), void *arg);
size_t os_memory_own_most(void);

#endif
