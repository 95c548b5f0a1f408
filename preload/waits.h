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

#define PUBLIC __attribute__((visibility("default")))
#define WAITS_HIDDEN __attribute__((visibility("hidden")))

enum { waits_mask_bytes = 8 };

/* There is a signal of ours that can cut calls short. */
static inline bool waits_armed(void) { return unlikely(hook_world_signal() != 0); }

/* The last step: the C library's form of a result. */
static inline long waits_result(long result) {
  if (result >= 0) return result;
  errno = (int)-result;
  return -1;
}

/* --- the steps of a wait --- */

WAITS_HIDDEN void waits_begin(struct waits *w, bool point);
WAITS_HIDDEN void waits_limit(struct waits *w, const struct timespec *timeout); /* NULL, or one that the kernel refuses: none */
WAITS_HIDDEN uint64_t waits_remain(const struct waits *w);       /* of the limit, in nanoseconds */
WAITS_HIDDEN struct timespec *waits_left(struct waits *w);       /* the same, where the kernel may write; NULL: no limit */
WAITS_HIDDEN const uint64_t *waits_wanted(struct waits *w, const void *mask); /* the mask without our signal; NULL for NULL */
WAITS_HIDDEN long waits_try(struct waits *w);
/* After a try: whether to try again, with signals still blocked, to be let in by the call; or to be let in right before it. */
WAITS_HIDDEN bool waits_again(const struct waits *w, long result);
WAITS_HIDDEN bool waits_again_unmasked(struct waits *w, long result);
WAITS_HIDDEN long waits_end(struct waits *w, long result); /* lets signals in again; the result */
/* Another function was called instead of the first try: whether our signal alone cut that short, and no handler ran. Then the waits
 * below go on. */
WAITS_HIDDEN bool waits_passed(struct waits *w, bool interrupted, const struct os_wait_cuts *before);

#define WAITS_TRY_7(w, number_, a, b, c, d, e, f, ...)                                                                 \
  ((w)->call.number = (number_), (w)->call.argument[0] = (long)(a), (w)->call.argument[1] = (long)(b),                 \
   (w)->call.argument[2] = (long)(c), (w)->call.argument[3] = (long)(d), (w)->call.argument[4] = (long)(e),            \
   (w)->call.argument[5] = (long)(f), waits_try(w))
#define WAITS_TRY(w, ...) WAITS_TRY_7(w, __VA_ARGS__, 0, 0, 0, 0, 0, 0, 0)
/* The first one, unless another library made it. */
#define WAITS_FIRST(w, ...) ((w)->cut ? -EINTR : WAITS_TRY(w, __VA_ARGS__))

/* At the head of each function: where nothing is to be done for it the real one's result is returned at once. */
#define WAITS_ENTER(w, waiting, name, ...)                                                                             \
  if (likely(!waits_armed()) || !(waiting)) return REAL(name)(__VA_ARGS__);                                            \
  struct waits w;                                                                                                      \
  waits_begin(&w, true);                                                                                               \
  if (!real_is_libc(real_index_##name)) {                                                                              \
    struct os_wait_cuts before = os_wait_cuts;                                                                         \
    w.began = os_clock();                                                                                              \
    __typeof__(REAL(name)(__VA_ARGS__)) passed = REAL(name)(__VA_ARGS__);                                              \
    if (!waits_passed(&w, passed == -1 && errno == EINTR, &before)) return passed;                                      \
  }

WAITS_HIDDEN uint64_t waits_nanoseconds(const struct timespec *time);
WAITS_HIDDEN struct timespec waits_timespec(uint64_t nanoseconds);
WAITS_HIDDEN uint64_t waits_now(clockid_t clock);

/* --- the waits --- */

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
