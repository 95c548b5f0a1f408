/* SPDX-License-Identifier: MIT
 * The futex lock. Three states, so that an uncontended lock makes no system call. */
#include "config.h"

#include "base/lock.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { lock_free, lock_held, lock_contended, lock_spins = 100 };

static THREAD_LOCAL unsigned lock_ranks_held; /* bit r: this thread holds a lock of rank r */

static void lock_rank_enter(const struct lock *lock) {
  if (!checks_enabled) return;
  CHECK((lock_ranks_held >> lock->rank) == 0); /* nothing of this rank or above is held */
  lock_ranks_held |= 1u << lock->rank;
}

static void lock_wait(struct lock *lock) {
  int saved = errno;
  while (atomic_exchange_explicit(&lock->word, lock_contended, memory_order_acquire) != lock_free)
    syscall(SYS_futex, &lock->word, FUTEX_WAIT_PRIVATE, lock_contended, NULL, NULL, 0);
  errno = saved;
}

void lock_acquire(struct lock *lock) {
  lock_rank_enter(lock);
  for (int i = 0; i < lock_spins; i++) {
    uint32_t expected = lock_free;
    if (atomic_compare_exchange_weak_explicit(&lock->word, &expected, lock_held, memory_order_acquire,
                                              memory_order_relaxed))
      return;
    if (expected == lock_contended) break;
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
  }
  lock_wait(lock);
}

bool lock_try(struct lock *lock) {
  uint32_t expected = lock_free;
  if (!atomic_compare_exchange_strong_explicit(&lock->word, &expected, lock_held, memory_order_acquire,
                                               memory_order_relaxed))
    return false;
  if (checks_enabled) lock_ranks_held |= 1u << lock->rank;
  return true;
}

void lock_release(struct lock *lock) {
  CHECK(atomic_load(&lock->word) != lock_free);
  if (checks_enabled) lock_ranks_held &= ~(1u << lock->rank);
  if (atomic_exchange_explicit(&lock->word, lock_free, memory_order_release) != lock_contended) return;
  int saved = errno;
  syscall(SYS_futex, &lock->word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
  errno = saved;
}

bool lock_is_held(struct lock *lock) { return atomic_load(&lock->word) != lock_free; }

bool lock_holds_none(void) { return lock_ranks_held == 0; }

void lock_reset(struct lock *lock) {
  atomic_store(&lock->word, lock_free);
  if (checks_enabled) lock_ranks_held &= ~(1u << lock->rank);
}
