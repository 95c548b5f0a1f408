/* SPDX-License-Identifier: MIT
 * Waiting for semaphores, messages, futexes and requests. See waits.c for how. */
#include "config.h"

#include "waits.h"

#include "real.h"

#include <aio.h>
#include <linux/futex.h>
#include <semaphore.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/syscall.h>

long waits_semaphore(struct waits *w, long number, int id, void *operations, size_t count, const struct timespec *timeout) {
  waits_limit(w, timeout);
  long result = WAITS_FIRST(w, number, id, operations, count, timeout);
  while (waits_again_unmasked(w, result)) result = WAITS_TRY(w, number, id, operations, count, waits_left(w));
  return waits_end(w, result);
}

long waits_call(struct waits *w, long number, long a, long b, long c, long d, long e, long f) {
  long result = WAITS_FIRST(w, number, a, b, c, d, e, f);
  while (waits_again_unmasked(w, result)) result = WAITS_TRY(w, number, a, b, c, d, e, f);
  return waits_end(w, result);
}

/* FUTEX_WAIT's time is relative, the others' is not. */
long waits_futex(struct waits *w, long word, long operation, long value, const struct timespec *timeout, long word2,
                 long value3) {
  bool relative = (operation & FUTEX_CMD_MASK) == FUTEX_WAIT;
  if (relative) waits_limit(w, timeout);
  long result = WAITS_FIRST(w, SYS_futex, word, operation, value, timeout, word2, value3);
  while (waits_again_unmasked(w, result))
    result = WAITS_TRY(w, SYS_futex, word, operation, value, relative ? waits_left(w) : timeout, word2, value3);
  return waits_end(w, result);
}

/* It also returns early with fewer events than the least that were asked for. */
long waits_events(struct waits *w, long context, long least, long most, char *events, const struct timespec *timeout) {
  enum { event_bytes = 32 };
  waits_limit(w, timeout);
  long got = 0, result = WAITS_FIRST(w, SYS_io_getevents, context, least, most, events, timeout);
  for (;;) {
    if (result > 0) got += result;
    bool early = result == -EINTR || (result > 0 && got < least);
    if (!early || !w->call.stopped || !waits_again_unmasked(w, -EINTR)) break;
    result = WAITS_TRY(w, SYS_io_getevents, context, least > got ? least - got : 0, most - got, events + got * event_bytes,
                       waits_left(w));
  }
  return waits_end(w, got ? got : result);
}

/* Neither is a cancellation point. */
PUBLIC int semop(int id, struct sembuf *operations, size_t count) {
  WAITS_ENTER(w, true, semop, id, operations, count)
  w.point = false;
  return (int)waits_result(waits_semaphore(&w, SYS_semop, id, operations, count, NULL));
}

PUBLIC int semtimedop(int id, struct sembuf *operations, size_t count, const struct timespec *timeout) {
  WAITS_ENTER(w, true, semtimedop, id, operations, count, timeout)
  w.point = false;
  return (int)waits_result(waits_semaphore(&w, SYS_semtimedop, id, operations, count, timeout));
}

PUBLIC ssize_t msgrcv(int id, void *message, size_t size, long type, int flags) {
  WAITS_ENTER(w, !(flags & IPC_NOWAIT), msgrcv, id, message, size, type, flags)
  return waits_result(waits_call(&w, SYS_msgrcv, id, (long)message, (long)size, type, flags, 0));
}

PUBLIC int msgsnd(int id, const void *message, size_t size, int flags) {
  WAITS_ENTER(w, !(flags & IPC_NOWAIT), msgsnd, id, message, size, flags)
  return (int)waits_result(waits_call(&w, SYS_msgsnd, id, (long)message, (long)size, flags, 0, 0));
}

/* These wait inside the C library, so that all there is to go by are the counts. Between two tries a signal may be handled unseen; so
 * after a first one that our signal cut short they are made in slices, and after each it is seen whether a handler ran. */
enum { queues_first_slice = 10 * 1000 * 1000, queues_last_slice = 640 * 1000 * 1000 };

struct queues_slices {
  struct os_wait_cuts before;
  uint64_t next; /* how long */
  bool last;     /* the one that is waited for */
};

/* Whether there is to be a second try. */
static bool queues_was_cut(struct queues_slices *slices, int result) {
  slices->next = queues_first_slice;
  return unlikely(result == -1) && errno == EINTR && os_wait_cuts.failed != slices->before.failed &&
         os_wait_cuts.handled == slices->before.handled;
}

/* How long the next one is to be of what is left. */
static uint64_t queues_slice(struct queues_slices *slices, uint64_t left) {
  uint64_t slice = slices->next < left ? slices->next : left;
  slices->last = slice == left;
  if (slices->next < queues_last_slice) slices->next *= 2;
  return slice;
}

static struct timespec queues_slice_until(struct queues_slices *slices, clockid_t clock, const struct timespec *until) {
  uint64_t end = waits_nanoseconds(until), now = waits_now(clock);
  return waits_timespec(now + queues_slice(slices, end > now ? end - now : 0));
}

/* A slice is over: whether another is to follow. Otherwise the result is as it is, or EINTR when a handler ran. */
static bool queues_slice_over(struct queues_slices *slices, int *result, int late) {
  bool interrupted = *result == -1 && errno == EINTR, over = *result == -1 && errno == late;
  if (!interrupted && !over) return false;
  if (os_wait_cuts.handled != slices->before.handled) {
    *result = -1;
    errno = EINTR;
    return false;
  }
  bool cut = os_wait_cuts.failed != slices->before.failed;
  slices->before.failed = os_wait_cuts.failed;
  return interrupted ? cut : !slices->last;
}

PUBLIC int sem_clockwait(sem_t *restrict semaphore, clockid_t clock, const struct timespec *restrict until) {
  struct queues_slices slices = {.before = os_wait_cuts};
  int result = REAL(sem_clockwait)(semaphore, clock, until);
  if (likely(!queues_was_cut(&slices, result))) return result;
  struct timespec slice;
  do {
    slice = queues_slice_until(&slices, clock, until);
    result = REAL(sem_clockwait)(semaphore, clock, &slice);
  } while (queues_slice_over(&slices, &result, ETIMEDOUT));
  return result;
}

PUBLIC int sem_timedwait(sem_t *restrict semaphore, const struct timespec *restrict until) {
  struct queues_slices slices = {.before = os_wait_cuts};
  int result = REAL(sem_timedwait)(semaphore, until);
  if (likely(!queues_was_cut(&slices, result))) return result;
  struct timespec slice;
  do {
    slice = queues_slice_until(&slices, CLOCK_REALTIME, until);
    result = REAL(sem_timedwait)(semaphore, &slice);
  } while (queues_slice_over(&slices, &result, ETIMEDOUT));
  return result;
}

static int queues_aio(__typeof__(&aio_suspend) real, const struct aiocb *const list[], int count,
                      const struct timespec *timeout) {
  if (likely(!waits_armed()) || !timeout) return real(list, count, timeout);
  struct waits w;
  waits_begin(&w, true);
  waits_limit(&w, timeout);
  struct queues_slices slices = {.before = os_wait_cuts};
  int result = real(list, count, timeout);
  if (likely(!queues_was_cut(&slices, result))) return result;
  do {
    w.left = waits_timespec(queues_slice(&slices, waits_remain(&w)));
    result = real(list, count, &w.left);
  } while (queues_slice_over(&slices, &result, EAGAIN));
  return result;
}

PUBLIC int aio_suspend(const struct aiocb *const list[], int count, const struct timespec *timeout) {
  return queues_aio(REAL(aio_suspend), list, count, timeout);
}

PUBLIC int aio_suspend64(const struct aiocb64 *const list[], int count, const struct timespec *timeout) {
  return queues_aio((__typeof__(&aio_suspend))REAL(aio_suspend64), (const struct aiocb *const *)list, count, timeout);
}
