/* SPDX-License-Identifier: MIT
 * The threads of this process, and stopping them.
 *
 * Threads are found in /proc/self/task at each stop until the list is stable, so raw clone threads are found as well;
 * each is sent one reserved real-time signal and parks in its handler on a futex, its registers (vector state
 * included) in the signal frame. A thread that cannot be stopped in time is listed as not stopped. Those of our own
 * (os/spawn.h) are neither stopped nor told.
 *
 * The caller holds LOCK_WORLD and LOCK_HEAP, so that no stopped thread holds a lock of ours. With the world stopped
 * nothing may call a libc function that locks or allocates. */
#ifndef GLEANER_WORLD_H
#define GLEANER_WORLD_H

#include "base/base.h"
#include "base/lock.h"
#include "os/maps.h"

#include <signal.h>
#include <sys/types.h>

struct world_thread {
  pid_t tid;
  bool stopped;
  bool stranger;             /* it runs on, and may: see world_strangers */
  uintptr_t sp;              /* stack pointer; 0 when unknown */
  uintptr_t tcb;             /* thread pointer; 0 when unknown */
  uintptr_t frame_lo, frame_hi; /* the signal frame with all registers; or the caller's saved registers */
  uintptr_t gs;                 /* the one address register that is not in the frame */
  uintptr_t alternate_lo, alternate_hi; /* its alternate signal stack; 0: none */
};

extern int world_signal; /* the reserved signal; 0 before world_init */
extern struct lock world_lock; /* LOCK_WORLD: one stop at a time */
extern struct os_maps world_maps; /* for who has stopped the world, to look at memory with; closed by world_resume */

/* Called in the handler when the reserved signal comes for something else than a stop: with all signals blocked, self as a stop
 * would describe it. Set once, before world_init. */
extern void (*world_told)(const struct world_thread *self, const siginfo_t *info);

/* Threads that cannot be stopped and that used() denies, told their thread pointers, may run on: strangers, of whom a libgc client need not tell libgc. Such
 * a thread is waited for once, and not again while it blocks the signal. NULL: there are none. Between world_acquire and world_release. */
void world_strangers(bool (*used)(uintptr_t tcb));

/* Chooses the signal, installs the handler, and learns where things lie in the C library's thread descriptor. Takes
 * no lock, allocates nothing, and calls nothing of the loader's, so that a path that malloc can reach may call it. 0
 * or an errno value. */
int world_init(void);

/* Takes world_lock with every signal of this thread blocked, so that no handler of the program runs under it; a
 * thread that waits for it can itself be stopped. Gives the old mask to world_release. */
uint64_t world_acquire(void);
void world_release(uint64_t mask);

/* Between these, with all signals blocked: calls act(arg) on a stack of ours, since the caller's may be a tiny one
 * with no room for what a collection does; on the caller's where memory is refused. */
void world_call(void (*act)(void *arg), void *arg);
/* Where the program's stack was left for it, so that from there to the caller's stack pointer lie frames of ours; 0:
 * it was not. */
extern uintptr_t world_left;

/* Stops all others. Only in the process of world_init or world_fork_child: not in a vfork child, nor in one that was
 * forked past the C library. self describes the calling thread (tid, sp, tcb, frame; stopped is set here). Returns
 * the number of threads, self first, in *threads (valid until world_resume), or -errno when /proc cannot be read,
 * memory is short, or a filter of system calls would end the process (EPERM): nothing is stopped then, and *threads
 * is self alone. Call world_resume in either case. */
int world_stop(const struct world_thread *self, struct world_thread **threads);
void world_resume(void);
bool world_is_stopped(void);
/* The next stop is the last thing before the end of the process: a thread whose system call it cuts short does not go
 * on. Called with LOCK_WORLD held: a thread that still waits for the lock can be stopped by others, and must go on. */
void world_end(void);
bool world_is_ending(void);

/* What is known of a glibc thread from its descriptor, which the thread pointer points to. */
struct world_stack {
  uintptr_t tcb;
  uintptr_t lo;        /* the stack is [lo, tcb): static TLS at its end; 0 when that is not known (main's) */
  uintptr_t tls;       /* static TLS is [tls, tcb) at most; 0: unknown */
  uintptr_t end;       /* of the descriptor, which begins at tcb */
  pid_t tid;           /* 0: ended, not joined or detached; below 0: joined */
  bool gone;           /* the thread has ended for good */
  bool detached;
  bool guarded;        /* the C library made the stack, with a guard page: nobody else can use it */
};

/* Reads a descriptor without trusting the address. False when there is none. */
bool world_stack_read(uintptr_t tcb, struct world_stack *stack);

/* Every descriptor that the C library has in use: of the threads that run, and of those that have ended and wait to
 * be joined. With the world stopped. False when its list is not understood: then some may not have been told. */
bool world_descriptors_each(void (*each)(const struct world_stack *stack, void *arg), void *arg);

/* What a thread keeps outside of its stack, static TLS and descriptor: blocks of values of pthread_setspecific, and
 * blocks of dynamic TLS (module number, address). With the world stopped. False when it cannot be known. */
bool world_storage_each(const struct world_stack *stack, void (*values)(uintptr_t lo, uintptr_t hi, void *arg),
                        void (*dynamic)(size_t module, uintptr_t at, void *arg), void *arg);

/* The same for the descriptor at the upper end of a stack that the C library has mapped up to top. */
bool world_stack_below(uintptr_t top, struct world_stack *stack);

/* A pthread is at its end (last TSD destructor): remembers its descriptor. Its stack is dead as soon as the
 * kernel has cleared its tid. Any number of threads may call it at once; nothing is allocated. */
void world_thread_exiting(void);

/* Calls each for every remembered thread that is gone for good and whose descriptor is still there. */
void world_exited_each(void (*each)(const struct world_stack *stack, void *arg), void *arg);
/* Whether the main thread of this process has ended, others living on. */
bool world_main_exited(void);

/* In the child: the other threads are gone, but nobody ended them, so their stacks may hold the only pointer to
 * what the child still uses and stay roots. */
void world_fork_child(void);

/* In world_ended.c, for world.c alone. */
void world_learn_layout(void);
void world_ended_fork_child(void);

#endif
