/* SPDX-License-Identifier: MIT
 * One call that waits, through all the times that our signal ends it. See waits.c. */
#ifndef GLEANER_PRELOAD_WAITS_H
#define GLEANER_PRELOAD_WAITS_H

#include "api/hooks.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

struct waits {
  struct os_wait call;
  bool point;         /* a cancellation point */
  bool timed;         /* until end */
  bool held;          /* signals are blocked by us; mask is what the program had */
  bool cut;           /* ended by our signal at least once */
  uint64_t mask;
  uint64_t wanted;    /* the mask that the program wants in force while it waits */
  uint64_t began;     /* by os_clock; 0: at the first look at the clock */
  uint64_t end;
  struct timespec left;
};

#define WAITS_HIDDEN __attribute__((visibility("hidden")))

/* There is a signal of ours that can cut calls short. */
static inline bool waits_armed(void) { return unlikely(hook_world_signal() != 0); }

/* The last step: the C library's form of a result. */
static inline long waits_result(long result) {
  if (result >= 0) return result;
  errno = (int)-result;
  return -1;
}

WAITS_HIDDEN void waits_begin(struct waits *w, bool point);
/* Another function was called instead of the first try: whether our signal alone cut that short. Then the waits below go on. */
WAITS_HIDDEN long waits_end(struct waits *w, long result); /* lets signals in again; the result */
WAITS_HIDDEN bool waits_passed(struct waits *w, bool interrupted, const struct os_wait_cuts *before);

/* In kernel's form throughout: a result or -errno. Each waits on when our signal alone ended it, what was written to *timeout is
 * the time that is left where the kernel writes that, too. mask: 8 bytes, or NULL. */
struct pollfd;
struct epoll_event;
WAITS_HIDDEN long waits_poll(struct waits *w, struct pollfd *fds, unsigned long count, int timeout);
WAITS_HIDDEN long waits_ppoll(struct waits *w, struct pollfd *fds, unsigned long count, struct timespec *timeout,
                              const void *mask);
WAITS_HIDDEN long waits_select(struct waits *w, int count, void *const sets[3], struct timespec *timeout, const void *mask);
WAITS_HIDDEN long waits_epoll(struct waits *w, int fd, struct epoll_event *events, int count, int timeout, const void *mask);
WAITS_HIDDEN long waits_epoll2(struct waits *w, int fd, struct epoll_event *events, int count,
                               const struct timespec *timeout, const void *mask);
WAITS_HIDDEN long waits_sleep(struct waits *w, clockid_t clock, int flags, const struct timespec *time, struct timespec *left);
WAITS_HIDDEN long waits_pause(struct waits *w);
WAITS_HIDDEN long waits_suspend(struct waits *w, const void *mask);
WAITS_HIDDEN long waits_signal(struct waits *w, const void *set, void *info, const struct timespec *timeout);
WAITS_HIDDEN long waits_semaphore(struct waits *w, long number, int id, void *operations, size_t count,
                                  const struct timespec *timeout);
/* Any call in which nothing is a time that passes. */
WAITS_HIDDEN long waits_call(struct waits *w, long number, long a, long b, long c, long d, long e, long f);
WAITS_HIDDEN long waits_futex(struct waits *w, long word, long operation, long value, const struct timespec *timeout,
                              long word2, long value3);
WAITS_HIDDEN long waits_events(struct waits *w, long context, long least, long most, char *events,
                               const struct timespec *timeout);

#endif
