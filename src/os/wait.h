/* SPDX-License-Identifier: MIT
 * System calls that wait, in a process whose threads are stopped by a signal.
 *
 * The kernel lets most calls go on after a handler with SA_RESTART; some it ends with EINTR, or with a part of what was
 * asked for. Here is what it takes that a program does not see that: a system call that can tell whether it was our
 * signal that ended it, and what our handler does last, so that no signal of the program's is lost meanwhile. */
#ifndef GLEANER_OS_WAIT_H
#define GLEANER_OS_WAIT_H

#include "base/base.h"

#include <ucontext.h>

struct os_wait {
  long number;
  long argument[6];
  const uint64_t *enter; /* this signal mask is put in force before the call, as close as can be; NULL: none */
  /* Filled in when our signal came while the call was waiting or at its end. The program's signals are blocked then, and
   * mask is what was in force, so that whoever calls again can let them in by that call itself. */
  uint64_t mask;
  bool stopped;
};

/* The call: its result, or -errno. No cancellation point. */
long os_wait_call(struct os_wait *wait) __attribute__((visibility("hidden")));

/* Of this thread. How often our signal alone came at the end of a system call that was not made by os_wait_call: one that failed
 * with EINTR; one that had moved bytes or the like, perhaps fewer than it would have. How often a handler of the program's began. */
struct os_wait_cuts {
  uint32_t failed, part, handled;
};
extern THREAD_LOCAL struct os_wait_cuts os_wait_cuts;

/* The last thing in the handler of our signal, which comes with all signals blocked; ours: the mask of such signals. Changes what the
 * interrupted call returns where it must. Uses TLS if the thread has any. */
void os_wait_after_stop(ucontext_t *context, uint64_t ours);

/* The first thing in each handler of the program's, as far as they can be known. */
void os_wait_before_handler(int signal, ucontext_t *context) __attribute__((visibility("hidden")));

/* Blocks what os_wait_call blocks when it was stopped; the mask before. And puts a mask in force. */
uint64_t os_wait_block(void);
void os_wait_unblock(uint64_t mask);

/* Whether a signal is pending for this thread that the mask lets in and that has a handler; with restarting false, only one
 * whose handler makes calls fail that could be restarted. All signals that matter are blocked now. */
bool os_wait_is_due(uint64_t mask, bool restarting);

/* Signals that are pending for the process as a whole and for this thread, those blocked now. */
uint64_t os_wait_pending(void);

#endif
