/* SPDX-License-Identifier: MIT
 * Calls that wait and that a handled signal ends in spite of SA_RESTART: interposed, so that the program does not see that we
 * stopped it. In modes that never stop it, and where nothing is waited for, they pass straight through.
 *
 * Here is how one wait goes on, and those for descriptors; sleeps.c has those for a time or a signal, queues.c the others; transfers.c
 * reads and writes.
 *
 * What must hold: a call that only our signal ended goes on waiting, until the time at which it would have ended without us. A signal
 * of the program's whose handler runs while the call waits ends it with EINTR, as ever; none may be handled unseen between two
 * tries, or a pause() for it would last for ever. So between the tries nothing can be handled:
 *
 *     os_wait_call ──waits──┐ our signal; the world stands still; other signals pend: all are blocked in our handler
 *          ▲                └─▶ comes back, the program's signals still blocked, their mask in w->mask
 *          │                                     │
 *          └─ the next call lets them in ◀───────┘ not -EINTR: the mask is put back, done
 *
 * - Where the call takes a mask (ppoll, pselect6, epoll_pwait, rt_sigsuspend, which also serve for poll, select, epoll_wait and
 *   pause), it is given the program's, and waits and lets signals in at once: exact. One that pends ends the call before it
 *   waits, its handler run. A mask of the program's own is used again as it is: what it lets in and the thread's mask does not is
 *   blocked outside the call in any case.
 * - Where it takes none, pending signals with a handler are looked for first; if there is one, the mask is put back, the handler runs,
 *   and the result is EINTR. Otherwise os_wait_call puts the mask back and calls, a dozen instructions later: a signal that comes in
 *   just these is handled as if it had come before the call. A program that cannot bear that has no way to call it
 *   without us either.
 * - A handler of the program's that was already running, or had returned to the call's end, when ours came: ours interrupts it, not the
 *   call, so the result is EINTR. (Left: ours coming at the very instruction behind the call after that handler's return.)
 * - That our signal ended the call is known by the address at which it interrupted us, not by a note in memory: nothing is left
 *   behind if a handler jumps out of the call.
 *
 * Cancellation: asynchronous during the call and tested before it, which is what the C library itself does (up to 2.40).
 *
 * The next definition of a name may be some other preloaded library's, which wants to see the call: then it is called first, and only
 * if that was cut short (os_wait_cuts) the rest of the wait is ours.
 *
 * Not here, because they go on by themselves: pthread_cond_timedwait, mutexes, joins and C11's likes (the C library calls the
 * futex again); sem_wait, mq_receive, mq_timedreceive and their likes, waitpid, flock, accept and what else the kernel
 * restarts; sigwait; std::this_thread::sleep_for and sleep_until (C++ sleeps again). system and popen wait with waitpid.
 * getaddrinfo polls inside the C library and goes on by itself.
 * Not here, because they cannot be: system calls made in place without the C library (liburing; static code); stdio reading from a
 * socket with a time limit; gai_suspend; a call that was already waiting when the first GC_malloc armed the collector of a program in
 * mode=malloc; close of a lingering socket, which cannot be asked again; sendfile, splice and copy_file_range may move less at
 * a time, as they may anyway. */
#include "config.h"

#include "waits.h"

#include "real.h"
#include "signals.h"

#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/syscall.h>

int __poll_chk(struct pollfd *fds, nfds_t count, int timeout, size_t fds_size);
int __ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask, size_t fds_size);

#define WAITS_SECOND 1000000000u
#define WAITS_FOREVER (UINT64_C(9000000000) * WAITS_SECOND) /* 285 years */

/* --- one wait --- */

void waits_begin(struct waits *w, bool point) {
  w->call.enter = NULL;
  w->point = point;
  w->timed = w->held = w->cut = false;
  w->began = w->end = 0;
}

uint64_t waits_nanoseconds(const struct timespec *time) {
  if ((uint64_t)time->tv_sec >= WAITS_FOREVER / WAITS_SECOND) return WAITS_FOREVER;
  return (uint64_t)time->tv_sec * WAITS_SECOND + (uint64_t)time->tv_nsec;
}

struct timespec waits_timespec(uint64_t nanoseconds) {
  return (struct timespec){(time_t)(nanoseconds / WAITS_SECOND), (long)(nanoseconds % WAITS_SECOND)};
}

uint64_t waits_now(clockid_t clock) {
  struct timespec now = {0};
  int saved = errno;
  clock_gettime(clock, &now);
  errno = saved;
  return waits_nanoseconds(&now);
}

void waits_limit(struct waits *w, const struct timespec *timeout) {
  if (!timeout || timeout->tv_sec < 0 || (unsigned long)timeout->tv_nsec >= WAITS_SECOND) return;
  if (timeout->tv_sec == 0 && timeout->tv_nsec == 0) {
    w->timed = true;
    w->end = 0;
    return;
  }
  w->timed = true;
  w->end = (w->began ? w->began : os_clock()) + waits_nanoseconds(timeout);
}

uint64_t waits_remain(const struct waits *w) {
  uint64_t now = w->end ? os_clock() : 0;
  return w->end > now ? w->end - now : 0;
}

struct timespec *waits_left(struct waits *w) {
  w->left = waits_timespec(waits_remain(w));
  return w->timed ? &w->left : NULL;
}

const uint64_t *waits_wanted(struct waits *w, const void *mask) {
  if (!mask) return NULL;
  __builtin_memcpy(&w->wanted, mask, sizeof w->wanted);
  w->wanted &= ~((uint64_t)1 << (hook_world_signal() - 1));
  return &w->wanted;
}

long waits_try(struct waits *w) {
  int type;
  if (w->point) pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &type);
  long result = os_wait_call(&w->call);
  if (w->point) pthread_setcanceltype(type, NULL);
  if (!w->call.stopped) return result;
  w->cut = true;
  if (w->held) return result; /* the mask known is the program's; this one is ours */
  w->held = true;
  w->mask = w->call.mask;
  return result;
}

bool waits_again(const struct waits *w, long result) { return result == -EINTR && w->cut && w->call.stopped; }

bool waits_again_unmasked(struct waits *w, long result) {
  if (!waits_again(w, result) || os_wait_is_due(w->mask, true)) return false;
  w->call.enter = &w->mask;
  w->held = false;
  return true;
}

long waits_end(struct waits *w, long result) {
  if (w->held) os_wait_unblock(w->mask);
  w->held = false;
  return result;
}

bool waits_passed(struct waits *w, bool interrupted, const struct os_wait_cuts *before) {
  if (!interrupted || os_wait_cuts.failed == before->failed) return false;
  w->mask = os_wait_block();
  w->cut = w->held = w->call.stopped = true;
  if (os_wait_cuts.handled == before->handled) return true;
  waits_end(w, 0);
  return false;
}

/* --- descriptors --- */

long waits_poll(struct waits *w, struct pollfd *fds, unsigned long count, int timeout) {
  struct timespec limit = {timeout / 1000, timeout % 1000 * 1000000L};
  waits_limit(w, timeout < 0 ? NULL : &limit);
  long result = WAITS_FIRST(w, SYS_poll, fds, count, timeout);
  while (waits_again(w, result))
    result = WAITS_TRY(w, SYS_ppoll, fds, count, waits_left(w), &w->mask, waits_mask_bytes);
  return waits_end(w, result);
}

long waits_ppoll(struct waits *w, struct pollfd *fds, unsigned long count, struct timespec *timeout, const void *mask) {
  const uint64_t *wanted = waits_wanted(w, mask);
  waits_limit(w, timeout);
  long result = WAITS_FIRST(w, SYS_ppoll, fds, count, timeout, wanted, waits_mask_bytes);
  while (waits_again(w, result)) {
    result = WAITS_TRY(w, SYS_ppoll, fds, count, waits_left(w), wanted ? wanted : &w->mask, waits_mask_bytes);
    if (timeout) *timeout = w->left; /* to which the kernel wrote */
  }
  return waits_end(w, result);
}

long waits_select(struct waits *w, int count, void *const sets[3], struct timespec *timeout, const void *mask) {
  struct {
    const uint64_t *mask;
    size_t size;
  } in = {waits_wanted(w, mask), waits_mask_bytes};
  waits_limit(w, timeout);
  long result = WAITS_FIRST(w, SYS_pselect6, count, sets[0], sets[1], sets[2], timeout, in.mask ? &in : NULL);
  while (waits_again(w, result)) {
    if (!mask) in.mask = &w->mask;
    result = WAITS_TRY(w, SYS_pselect6, count, sets[0], sets[1], sets[2], waits_left(w), &in);
    if (timeout) *timeout = w->left;
  }
  return waits_end(w, result);
}

static int waits_milliseconds(const struct waits *w) {
  if (!w->timed) return -1;
  uint64_t left = (waits_remain(w) + 999999) / 1000000;
  return left > INT32_MAX ? INT32_MAX : (int)left;
}

long waits_epoll(struct waits *w, int fd, struct epoll_event *events, int count, int timeout, const void *mask) {
  const uint64_t *wanted = waits_wanted(w, mask);
  struct timespec limit = {timeout / 1000, timeout % 1000 * 1000000L};
  waits_limit(w, timeout < 0 ? NULL : &limit);
  long result = wanted ? WAITS_FIRST(w, SYS_epoll_pwait, fd, events, count, timeout, wanted, waits_mask_bytes)
                       : WAITS_FIRST(w, SYS_epoll_wait, fd, events, count, timeout);
  while (waits_again(w, result))
    result = WAITS_TRY(w, SYS_epoll_pwait, fd, events, count, waits_milliseconds(w), wanted ? wanted : &w->mask,
                       waits_mask_bytes);
  return waits_end(w, result);
}

long waits_epoll2(struct waits *w, int fd, struct epoll_event *events, int count, const struct timespec *timeout,
                  const void *mask) {
  const uint64_t *wanted = waits_wanted(w, mask);
  waits_limit(w, timeout);
  long result = WAITS_FIRST(w, SYS_epoll_pwait2, fd, events, count, timeout, wanted, waits_mask_bytes);
  while (waits_again(w, result))
    result = WAITS_TRY(w, SYS_epoll_pwait2, fd, events, count, waits_left(w), wanted ? wanted : &w->mask,
                       waits_mask_bytes);
  return waits_end(w, result);
}

PUBLIC int poll(struct pollfd *fds, nfds_t count, int timeout) {
  WAITS_ENTER(w, timeout != 0, poll, fds, count, timeout)
  return (int)waits_result(waits_poll(&w, fds, count, timeout));
}
PUBLIC extern __typeof__(poll) __poll __attribute__((alias("poll")));

/* What poll becomes under _FORTIFY_SOURCE. */
PUBLIC int __poll_chk(struct pollfd *fds, nfds_t count, int timeout, size_t fds_size) {
  WAITS_ENTER(w, timeout != 0 && count <= fds_size / sizeof *fds, __poll_chk, fds, count, timeout, fds_size)
  return (int)waits_result(waits_poll(&w, fds, count, timeout));
}

PUBLIC int ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask) {
  sigset_t store;
  mask = signals_without_ours(mask, &store);
  WAITS_ENTER(w, true, ppoll, fds, count, timeout, mask)
  struct timespec copy = timeout ? *timeout : (struct timespec){0};
  return (int)waits_result(waits_ppoll(&w, fds, count, timeout ? &copy : NULL, mask));
}

PUBLIC int __ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask,
                       size_t fds_size) {
  sigset_t store;
  mask = signals_without_ours(mask, &store);
  WAITS_ENTER(w, count <= fds_size / sizeof *fds, __ppoll_chk, fds, count, timeout, mask, fds_size)
  struct timespec copy = timeout ? *timeout : (struct timespec){0};
  return (int)waits_result(waits_ppoll(&w, fds, count, timeout ? &copy : NULL, mask));
}

PUBLIC int select(int count, fd_set *restrict in, fd_set *restrict out, fd_set *restrict except,
                  struct timeval *restrict timeout) {
  struct timespec time = {0};
  if (timeout) time = (struct timespec){timeout->tv_sec + timeout->tv_usec / 1000000, timeout->tv_usec % 1000000 * 1000};
  bool good = !timeout || (timeout->tv_sec >= 0 && timeout->tv_usec >= 0 && time.tv_sec >= 0);
  WAITS_ENTER(w, good, select, count, in, out, except, timeout)
  long result = waits_select(&w, count, (void *const[]){in, out, except}, timeout ? &time : NULL, NULL);
  if (timeout) *timeout = (struct timeval){time.tv_sec, time.tv_nsec / 1000};
  return (int)waits_result(result);
}
PUBLIC extern __typeof__(select) __select __attribute__((alias("select")));

PUBLIC int pselect(int count, fd_set *restrict in, fd_set *restrict out, fd_set *restrict except,
                   const struct timespec *restrict timeout, const sigset_t *restrict mask) {
  sigset_t store;
  const sigset_t *wanted = signals_without_ours(mask, &store);
  WAITS_ENTER(w, true, pselect, count, in, out, except, timeout, wanted)
  struct timespec copy = timeout ? *timeout : (struct timespec){0};
  return (int)waits_result(
      waits_select(&w, count, (void *const[]){in, out, except}, timeout ? &copy : NULL, wanted));
}

PUBLIC int epoll_wait(int fd, struct epoll_event *events, int count, int timeout) {
  WAITS_ENTER(w, timeout != 0, epoll_wait, fd, events, count, timeout)
  return (int)waits_result(waits_epoll(&w, fd, events, count, timeout, NULL));
}

PUBLIC int epoll_pwait(int fd, struct epoll_event *events, int count, int timeout, const sigset_t *mask) {
  sigset_t store;
  mask = signals_without_ours(mask, &store);
  WAITS_ENTER(w, true, epoll_pwait, fd, events, count, timeout, mask)
  return (int)waits_result(waits_epoll(&w, fd, events, count, timeout, mask));
}

PUBLIC int epoll_pwait2(int fd, struct epoll_event *events, int count, const struct timespec *timeout,
                        const sigset_t *mask) {
  sigset_t store;
  mask = signals_without_ours(mask, &store);
  WAITS_ENTER(w, true, epoll_pwait2, fd, events, count, timeout, mask)
  return (int)waits_result(waits_epoll2(&w, fd, events, count, timeout, mask));
}
