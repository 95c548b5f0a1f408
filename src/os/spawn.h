/* SPDX-License-Identifier: MIT
 * Threads of our own, by clone(2) alone: the C library does not know of them, and they must not touch its state.
 *
 * Such a thread has a stack and thread-local storage of its own (zeroed, as far as our own variables and errno reach), all
 * signals blocked, and all else of the process. It runs code of ours that makes system calls directly. As the program
 * may be one that must not have a second thread (unshare(2), setns(2)), it lives for a task, not for ever. */
#ifndef GLEANER_OS_SPAWN_H
#define GLEANER_OS_SPAWN_H

#include "base/base.h"

#include <sys/types.h>

enum { os_spawn_most = 32 }; /* at a time */

/* Called early, from a process that nothing was forbidden yet: if the program puts itself under a filter of system calls
 * later, no thread is made, for the filter may kill who asks. */
void os_spawn_init(void);

/* Whether the program has put itself under no filter of system calls since os_spawn_init. */
bool os_spawn_is_allowed(void);

/* How many processors this process might use then. */
unsigned os_spawn_processors(void);

/* Runs run(arg) in a thread of its own. Its number, or -errno when it is refused. One thread at a time may call this and
 * os_spawn_join. */
int os_spawn(void (*run)(void *arg), void *arg);
/* Waits until it is gone, also from the list of tasks (but not for a debugger to let go of it). */
void os_spawn_join(int number);

/* Whether they share this process's memory: not in the child of a fork of which os_spawn_fork_child was not told (_Fork, clone), which has
 * a copy of it; in a child of vfork they do. */
bool os_spawn_is_here(void);

/* Whether the task is one of these. Safe at any time, in a signal handler, too. */
bool os_thread_is_ours(pid_t tid);

/* In the child there are none. */
void os_spawn_fork_child(void);

#endif
