/* SPDX-License-Identifier: MIT
 * One thread that stands still until it is let go, and the whole world, for programs that ask for it (libgc's). Knows threads and signals; knows nothing
 * of collections, but that one must be able to stop and search a thread that stands still: it waits in the handler of the reserved signal with that
 * signal open, so that a stop is met as anywhere else, and its registers are on its stack. */
#ifndef GLEANER_SUSPEND_H
#define GLEANER_SUSPEND_H

#include "base/base.h"

#include <signal.h>
#include <sys/types.h>

/* The thread with this thread pointer, which is another one, stands still when it returns; where it has all signals blocked, as soon as it has not. It has
 * none of the locks of a collection then. Does nothing where there is no such thread, or when it stands still already. 0, ESRCH, ENOMEM, EAGAIN.
 * Asked by a thread that holds no lock of ours. */
int suspend_thread(uintptr_t tcb);
/* The calling thread waits until another one resumes it. */
int suspend_myself(void);
/* Whether it stood still. */
bool suspend_resume(uintptr_t tcb);
bool suspend_is_suspended(uintptr_t tcb);

/* Whether this thread is in the midst of what others wait for, beside the locks: then it is let go, and asked again a little later. Called in the handler.
 * Set once. */
extern bool (*suspend_not_now)(void);

/* In the handler of the reserved signal: whether the signal was for this, which has been done then. */
bool suspend_told(const siginfo_t *info);
void suspend_fork_child(void);

/* Every other thread stands still from the first to the second, which the same thread calls; all locks of a collection are held, so that nothing may
 * be allocated in between, and its signals are blocked. 0 or an errno value; the second is owed all the same. */
int suspend_world(void);
void suspend_world_over(void);

#endif
