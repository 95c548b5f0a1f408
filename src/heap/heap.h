/* SPDX-License-Identifier: MIT
 * The heap as a whole: its lock, its blocks, its life across fork.
 *
 * Unless said otherwise a function here is called with the heap lock held. */
#ifndef GLEANER_HEAP_H
#define GLEANER_HEAP_H

#include "heap/block.h"

/* Sets the heap up; called once, before anything else. notes: keep a note (site, size) of each allocation.
 * 0 or an errno value. */
int heap_init(bool notes);
bool heap_has_notes(void);

/* By kind: bytes of units in blocks; bytes of slots that were handed out and not freed or swept, as far as was noticed: what was
 * handed out counts within 64 KiB a thread, what was freed once an eighth of its block is. Read by anybody. */
extern _Atomic size_t heap_bytes[kind_count];
extern _Atomic ptrdiff_t heap_in_use[kind_count];

/* From now on blocks have at most so many bytes, beyond which memory is refused; 0: no limit. Without the lock. */
void heap_set_limit(size_t bytes);
size_t heap_limit(void);

/* Rings when all that is in use passes heap_alarm_at: one load tells the slow paths that there is something to see to. Whoever
 * waits for something else may ring it, too. It stays rung until it is stopped. */
extern _Atomic bool heap_alarm;
extern _Atomic ptrdiff_t heap_alarm_at;
void heap_alarm_check(void);
ptrdiff_t heap_in_use_sum(void);

void heap_lock(void);
/* For who may have interrupted the holder: gives up after so many milliseconds, returning false. */
bool heap_lock_within(unsigned milliseconds);
void heap_unlock(void);

/* Blocks (block.c). NULL when memory is refused. room: bytes that should be free behind a large block, to grow into. */
/* *zero: its slots were never written. */
struct block *block_make(unsigned class, enum kind kind, struct cache *owner, bool notes, bool *zero);
struct block *block_make_large(size_t size, size_t align, size_t room, enum kind kind, bool *zero);
/* Grows or shrinks a large block where it stands. *zero: what was added reads as zero. False when there is no room. */
bool block_resize_large(struct block *block, size_t size, bool *zero);
void block_unmake(struct block *block);
/* The program is about to change the protection of [address, address + size). Without the lock; safe in a signal handler. */
void block_note_protection(uintptr_t address, size_t size);
void block_repair(void);
bool block_check(const struct block *block);

/* Gives pages that have been free for a while back to the kernel. Called without the lock, after memory was freed. Returns
 * the bytes given back. all: also those that are not due. */
size_t heap_purge(bool all);

/* The process is about to limit its address space: runs_limit_span, and called without the lock. */
void heap_limit_span(size_t limit);

/* In a fork child: the other threads are gone, perhaps from inside the lock. mine: the cache of this thread. */
void heap_fork_child(struct cache *mine);

/* Checks everything that can be checked while other threads run (mine: the caller's cache) and, when checks are enabled, ends
 * the process if something does not hold; returns whether all held. Called without the lock. */
bool heap_verify(struct cache *mine);

#endif
