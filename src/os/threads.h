/* SPDX-License-Identifier: MIT
 * Tasks, signals and futexes of this process, by plain system calls. Nothing allocates; errno is kept. */
#ifndef GLEANER_OS_THREADS_H
#define GLEANER_OS_THREADS_H

#include "base/base.h"

#include <sys/types.h>

pid_t os_thread_id(void);         /* gettid(2) */
uintptr_t os_thread_pointer(void); /* the TCB; 0 in a thread that has none */

/* Calls each(tid, arg) for every task in /proc/self/task until it returns false. An errno value when /proc
 * cannot be read. A task may vanish, or one appear, meanwhile. */
int os_threads_each(bool (*each)(pid_t tid, void *arg), void *arg);

/* tgkill(2). 0, or ESRCH when the thread is gone, or another errno value. */
int os_thread_signal(pid_t tid, int signal);
bool os_thread_exists(pid_t tid);

/* True when the task is a zombie or gone: it will never run again. */
bool os_thread_is_dead(pid_t tid);
/* The stack pointer of a task that is blocked in a system call (/proc/self/task/TID/syscall); 0 when it runs or
 * that cannot be read. */
uintptr_t os_thread_blocked_sp(pid_t tid);

/* True when the signal cannot reach the task for now: it blocks it, or sleeps uninterruptibly (in vfork,
 * say). */
bool os_thread_will_not_answer(pid_t tid, int signal);

/* The signals pending for the task; those for the whole process are added to *process. All bits when that cannot be
 * known. */
uint64_t os_thread_pending(pid_t tid, uint64_t *process);

/* True when a debugger or the like traces the calling thread. */
bool os_thread_is_traced(void);

/* Waits while *word == value, at most nanoseconds (0: for ever). Wakes all waiters. */
void os_futex_wait(_Atomic uint32_t *word, uint32_t value, uint64_t nanoseconds);
/* Waits for so long (0: for ever), or until a signal was handled. No cancellation point, no wakers. */
void os_thread_sleep(uint64_t nanoseconds);
void os_futex_wake(_Atomic uint32_t *word);

uint64_t os_clock(void); /* monotonic nanoseconds */
uint64_t os_clock_lap(uint64_t *since); /* how many since then, and from now on since now */
uint64_t os_thread_clock(void); /* nanoseconds that this thread has run */
uint64_t os_process_clock(void); /* and all threads together */

#endif
