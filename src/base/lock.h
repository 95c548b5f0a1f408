/* SPDX-License-Identifier: MIT
 * A futex lock with a rank. Threads take locks in rising rank only; --enable-checks proves it.
 *
 * Statically initialised, four bytes and a rank, usable before any constructor. Errno is kept. A lock may be
 * taken with the world about to stop, so no lock is ever held while program code runs. */
#ifndef GLEANER_LOCK_H
#define GLEANER_LOCK_H

#include "base/base.h"

/* The lock order. */
enum lock_rank {
  LOCK_NONE,
  LOCK_WORLD,   /* one collection or report at a time */
  LOCK_WATCH,   /* who waits for the end of an object */
  LOCK_HEAP,    /* runs of blocks, idle caches */
  LOCK_UNWIND,  /* learning a frame rule from libunwind */
  LOCK_MODULES, /* the table of modules seen */
  LOCK_MARKERS, /* the work that markers share */
  LOCK_ARENA,   /* metadata memory */
  LOCK_EVENTS,  /* the list of the program's callbacks */
};

struct lock {
  _Atomic uint32_t word; /* 0 free, 1 held, 2 held and waited for */
  enum lock_rank rank;
};

#define LOCK_INIT(rank_) {.word = 0, .rank = (rank_)}

void lock_acquire(struct lock *lock);
void lock_release(struct lock *lock);
bool lock_try(struct lock *lock);

/* True when some thread holds it. */
bool lock_is_held(struct lock *lock);

/* This thread holds none, as far as is known: only where invariants are checked is it known at all. */
bool lock_holds_none(void);

/* In a fork child: whoever held it is gone. What it protected must be repaired by the caller. */
void lock_reset(struct lock *lock);

#endif
