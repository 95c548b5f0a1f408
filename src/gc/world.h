/* SPDX-License-Identifier: MIT
 * The threads of this process, and stopping them.
 *
 * Threads are found in /proc/self/task at each stop until the list is stable, so raw clone threads are found as well;
 * each is sent one reserved real-time signal and parks in its handler on a futex, its registers (vector state
 * included) in the signal frame. A thread that cannot be stopped in time is listed as not stopped.
 *
 * The caller holds LOCK_WORLD and LOCK_HEAP, so that no stopped thread holds a lock of ours. With the world stopped
 * nothing may call a libc function that locks or allocates. */
#ifndef GLEANER_WORLD_H
#define GLEANER_WORLD_H

#include "base/base.h"

#include <sys/types.h>

struct world_thread {
  pid_t tid;
  bool stopped;
  uintptr_t sp;              /* stack pointer; 0 when unknown */
  uintptr_t tcb;             /* thread pointer; 0 when unknown */
  uintptr_t frame_lo, frame_hi; /* the signal frame with all registers; or the caller's saved registers */
};

extern int world_signal; /* the reserved signal; 0 before world_init */

/* Installs the handler. 0 or an errno value. */
int world_init(void);

/* Stops all others. self describes the calling thread (tid, sp, frame). Returns the number of threads, self first, in
 * *threads (valid until world_resume), or -errno when /proc cannot be read: nothing is stopped then, and *threads
 * is self alone. */
int world_stop(const struct world_thread *self, struct world_thread **threads);
void world_resume(void);

/* A pthread is at its end (last TSD destructor): remembers its descriptor and stack, whose contents are dead from
 * then on, its unjoined result excepted. */
void world_thread_exiting(void);
void world_fork_child(void);

/* True when [lo, hi) reaches into the dead part of a stack: see roots.c. */
#endif
