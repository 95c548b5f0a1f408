/* SPDX-License-Identifier: MIT
 * Calls that wait and that a handled signal ends in spite of SA_RESTART: interposed, so that the program does not see that we
 * stopped it. In modes that never stop it, and where nothing is waited for, they pass straight through.
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

#include <aio.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/epoll.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/syscall.h>
#include <threads.h>
#include <unistd.h>

#define PUBLIC __attribute__((visibility("default")))

int __poll_chk(struct pollfd *fds, nfds_t count, int timeout, size_t fds_size);
int __ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask, size_t fds_size);
int __sigpause(int signal_or_mask, int is_signal);
int __xpg_sigpause(int signal_number);
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

enum { waits_mask_bytes = 8 };
#define WAITS_SECOND 1000000000u
#define WAITS_FOREVER (UINT64_C(9000000000) * WAITS_SECOND) /* 285 years */

/* --- one wait --- */

void waits_begin(struct waits *w, bool point) {
  w->call.enter = NULL;
  w->point = point;
  w->timed = w->held = w->cut = false;
  w->began = 0;
}

static uint64_t waits_nanoseconds(const struct timespec *time) {
  if ((uint64_t)time->tv_sec >= WAITS_FOREVER / WAITS_SECOND) return WAITS_FOREVER;
  return (uint64_t)time->tv_sec * WAITS_SECOND + (uint64_t)time->tv_nsec;
}

static struct timespec waits_timespec(uint64_t nanoseconds) {
  return (struct timespec){(time_t)(nanoseconds / WAITS_SECOND), (long)(nanoseconds % WAITS_SECOND)};
}

/* NULL, or one that the kernel refuses: no limit. */
static void waits_limit(struct waits *w, const struct timespec *timeout) {
  if (!timeout || timeout->tv_sec < 0 || (unsigned long)timeout->tv_nsec >= WAITS_SECOND) return;
  if (timeout->tv_sec == 0 && timeout->tv_nsec == 0) {
    w->timed = true;
    w->end = 0;
    return;
  }
  w->timed = true;
  w->end = (w->began ? w->began : os_clock()) + waits_nanoseconds(timeout);
}

static uint64_t waits_remain(const struct waits *w) {
  uint64_t now = w->end ? os_clock() : 0;
  return w->end > now ? w->end - now : 0;
}

/* In memory that the kernel may write to; NULL without a limit. */
static struct timespec *waits_left(struct waits *w) {
  w->left = waits_timespec(waits_remain(w));
  return w->timed ? &w->left : NULL;
}

static const uint64_t *waits_wanted(struct waits *w, const void *mask) {
  if (!mask) return NULL;
  __builtin_memcpy(&w->wanted, mask, sizeof w->wanted);
  w->wanted &= ~((uint64_t)1 << (hook_world_signal() - 1));
  return &w->wanted;
}

static long waits_try(struct waits *w) {
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

#define WAITS_TRY_7(w, number_, a, b, c, d, e, f, ...)                                                                 \
  ((w)->call.number = (number_), (w)->call.argument[0] = (long)(a), (w)->call.argument[1] = (long)(b),                 \
   (w)->call.argument[2] = (long)(c), (w)->call.argument[3] = (long)(d), (w)->call.argument[4] = (long)(e),            \
   (w)->call.argument[5] = (long)(f), waits_try(w))
#define WAITS_TRY(w, ...) WAITS_TRY_7(w, __VA_ARGS__, 0, 0, 0, 0, 0, 0, 0)
/* The first one, unless another library made it. */
#define WAITS_FIRST(w, ...) ((w)->cut ? -EINTR : WAITS_TRY(w, __VA_ARGS__))

/* After a try: whether to try again with signals still blocked, to be let in by the call. */
static bool waits_again(const struct waits *w, long result) { return result == -EINTR && w->cut && w->call.stopped; }

/* The same for a call that takes no mask: they will be let in right before it. */
static bool waits_again_unmasked(struct waits *w, long result) {
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

/* Another library's function was called instead of the first try: whether our signal cut that short, and no handler ran. */
bool waits_passed(struct waits *w, bool interrupted, const struct os_wait_cuts *before) {
  if (!interrupted || os_wait_cuts.failed == before->failed) return false;
  w->mask = os_wait_block();
  w->cut = w->held = w->call.stopped = true;
  if (os_wait_cuts.handled == before->handled) return true;
  waits_end(w, 0);
  return false;
}

/* At the head of each function: where nothing is to be done for it the real one's result is returned at once. */
#define WAITS_ENTER(w, waiting, name, ...)                                                                             \
  if (likely(!waits_armed()) || !(waiting)) return REAL(name)(__VA_ARGS__);                                            \
  struct waits w;                                                                                                      \
  waits_begin(&w, true);                                                                                               \
  if (!real_is_libc(real_index_##name)) {                                                                              \
    struct os_wait_cuts before = os_wait_cuts;                                                                         \
    w.began = os_clock();                                                                                              \
    __typeof__(REAL(name)(__VA_ARGS__)) passed = REAL(name)(__VA_ARGS__);                                              \
    if (!waits_passed(&w, passed == -1 && errno == EINTR, &before)) return passed;                                                         \
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

/* --- sleeping --- */

static uint64_t waits_now(clockid_t clock) {
  struct timespec now = {0};
  int saved = errno;
  clock_gettime(clock, &now);
  errno = saved;
  return waits_nanoseconds(&now);
}

/* A relative sleep goes on as one until a time, by the clock that the kernel measures it with. */
long waits_sleep(struct waits *w, clockid_t clock, int flags, const struct timespec *time, struct timespec *left) {
  bool absolute = flags & TIMER_ABSTIME;
  clockid_t by = !absolute && (clock == CLOCK_REALTIME || clock == CLOCK_TAI) ? CLOCK_MONOTONIC : clock;
  uint64_t end = waits_nanoseconds(time); /* in seconds since whenever that clock began */
  if (!absolute) end += w->began && by == CLOCK_MONOTONIC ? w->began : waits_now(by);
  struct timespec told; /* not the program's: it is written to at a cut, too */
  long result = WAITS_FIRST(w, SYS_clock_nanosleep, clock, flags, time, &told);
  bool cut = w->cut;
  while (waits_again_unmasked(w, result)) {
    w->left = waits_timespec(end);
    result = WAITS_TRY(w, SYS_clock_nanosleep, by, TIMER_ABSTIME, &w->left, NULL);
  }
  if (result == -EINTR && !absolute) {
    uint64_t now = cut ? waits_now(by) : 0;
    if (cut) told = waits_timespec(end > now ? end - now : 0);
    if (left) *left = told;
  }
  return waits_end(w, result);
}

/* What the others of the family, whose results tell EINTR in ways of their own, begin with. */
static bool waits_sleep_enter(struct waits *w, enum real_index index, bool *elsewhere) {
  if (likely(!waits_armed())) return false;
  waits_begin(w, true);
  w->began = os_clock();
  *elsewhere = !real_is_libc(index);
  return true;
}

PUBLIC int clock_nanosleep(clockid_t clock, int flags, const struct timespec *time, struct timespec *left) {
  struct waits w;
  bool elsewhere;
  if (clock == CLOCK_THREAD_CPUTIME_ID || !waits_sleep_enter(&w, real_index_clock_nanosleep, &elsewhere))
    return REAL(clock_nanosleep)(clock, flags, time, left);
  struct os_wait_cuts before = os_wait_cuts;
  int error = elsewhere ? REAL(clock_nanosleep)(clock, flags, time, left) : 0;
  if (elsewhere && !waits_passed(&w, error == EINTR, &before)) return error;
  return (int)-waits_sleep(&w, clock, flags, time, left);
}

PUBLIC int nanosleep(const struct timespec *time, struct timespec *left) {
  WAITS_ENTER(w, true, nanosleep, time, left)
  return (int)waits_result(waits_sleep(&w, CLOCK_REALTIME, 0, time, left));
}
PUBLIC extern __typeof__(nanosleep) __nanosleep __attribute__((alias("nanosleep")));

PUBLIC int usleep(useconds_t microseconds) {
  struct timespec time = {microseconds / 1000000, (long)(microseconds % 1000000) * 1000};
  WAITS_ENTER(w, true, usleep, microseconds)
  return (int)waits_result(waits_sleep(&w, CLOCK_REALTIME, 0, &time, NULL));
}

/* Returns the seconds not slept; errno is EINTR then, and kept otherwise. */
PUBLIC unsigned sleep(unsigned seconds) {
  struct waits w;
  bool elsewhere;
  if (!waits_sleep_enter(&w, real_index_sleep, &elsewhere)) return REAL(sleep)(seconds);
  struct os_wait_cuts before = os_wait_cuts;
  unsigned remain = elsewhere ? REAL(sleep)(seconds) : 0;
  if (elsewhere && !waits_passed(&w, remain > 0, &before)) return remain;
  struct timespec time = {seconds, 0};
  return waits_result(waits_sleep(&w, CLOCK_REALTIME, 0, &time, &time)) < 0 ? (unsigned)time.tv_sec : 0;
}

PUBLIC int thrd_sleep(const struct timespec *time, struct timespec *left) {
  struct waits w;
  bool elsewhere;
  if (!waits_sleep_enter(&w, real_index_thrd_sleep, &elsewhere)) return REAL(thrd_sleep)(time, left);
  struct os_wait_cuts before = os_wait_cuts;
  int passed = elsewhere ? REAL(thrd_sleep)(time, left) : 0;
  if (elsewhere && !waits_passed(&w, passed == -1, &before)) return passed;
  long result = waits_sleep(&w, CLOCK_REALTIME, 0, time, left);
  return result == 0 ? 0 : result == -EINTR ? -1 : -2;
}

/* --- signals --- */

long waits_pause(struct waits *w) {
  long result = WAITS_FIRST(w, SYS_pause);
  while (waits_again(w, result)) result = WAITS_TRY(w, SYS_rt_sigsuspend, &w->mask, waits_mask_bytes);
  return waits_end(w, result);
}

long waits_suspend(struct waits *w, const void *mask) {
  const uint64_t *wanted = waits_wanted(w, mask);
  long result = WAITS_FIRST(w, SYS_rt_sigsuspend, wanted, waits_mask_bytes);
  while (waits_again(w, result)) result = WAITS_TRY(w, SYS_rt_sigsuspend, wanted, waits_mask_bytes);
  return waits_end(w, result);
}

long waits_signal(struct waits *w, const void *set, void *info, const struct timespec *timeout) {
  const uint64_t *wanted = waits_wanted(w, set);
  waits_limit(w, timeout);
  long result = WAITS_FIRST(w, SYS_rt_sigtimedwait, wanted, info, timeout, waits_mask_bytes);
  while (waits_again_unmasked(w, result))
    result = WAITS_TRY(w, SYS_rt_sigtimedwait, wanted, info, waits_left(w), waits_mask_bytes);
  return waits_end(w, result);
}

PUBLIC int pause(void) {
  WAITS_ENTER(w, true, pause)
  return (int)waits_result(waits_pause(&w));
}

PUBLIC int sigsuspend(const sigset_t *mask) {
  sigset_t store;
  mask = signals_without_ours(mask, &store);
  WAITS_ENTER(w, true, sigsuspend, mask)
  return (int)waits_result(waits_suspend(&w, mask));
}
PUBLIC extern __typeof__(sigsuspend) __sigsuspend __attribute__((alias("sigsuspend")));

/* BSD's takes a mask of the first 32 signals, X/Open's a signal to let in. */
PUBLIC int __sigpause(int signal_or_mask, int is_signal) {
  if (likely(!waits_armed())) return REAL(__sigpause)(signal_or_mask, is_signal);
  uint64_t mask = (uint32_t)signal_or_mask;
  sigset_t set;
  sigemptyset(&set);
  if (!is_signal)
    __builtin_memcpy(&set, &mask, sizeof mask);
  else if (sigprocmask(SIG_BLOCK, NULL, &set) != 0 || sigdelset(&set, signal_or_mask) != 0)
    return -1;
  return sigsuspend(&set);
}
PUBLIC int waits_bsd_sigpause(int mask) __asm__("sigpause"); /* the header's sigpause is X/Open's */
PUBLIC int waits_bsd_sigpause(int mask) { return __sigpause(mask, 0); }
PUBLIC int __xpg_sigpause(int signal_number) { return __sigpause(signal_number, 1); }

/* The C library tells signals of pthread_kill as kill's. */
static int waits_signal_told(long result, siginfo_t *info) {
  if (result > 0 && info && info->si_code == SI_TKILL) info->si_code = SI_USER;
  return (int)waits_result(result);
}

PUBLIC int sigwaitinfo(const sigset_t *set, siginfo_t *info) {
  sigset_t store;
  set = signals_without_ours(set, &store);
  WAITS_ENTER(w, true, sigwaitinfo, set, info)
  return waits_signal_told(waits_signal(&w, set, info, NULL), info);
}

PUBLIC int sigtimedwait(const sigset_t *set, siginfo_t *info, const struct timespec *timeout) {
  sigset_t store;
  set = signals_without_ours(set, &store);
  WAITS_ENTER(w, true, sigtimedwait, set, info, timeout)
  return waits_signal_told(waits_signal(&w, set, info, timeout), info);
}

/* --- semaphores, messages, futexes, events --- */

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
enum { waits_slice = 20 * 1000 * 1000 };

static bool waits_was_cut(long result, const struct os_wait_cuts *before) {
  return result == -1 && errno == EINTR && os_wait_cuts.failed != before->failed && os_wait_cuts.handled == before->handled;
}

/* The end of the next slice, or what it lasts; whether it is the last one. */
static bool waits_slice_until(clockid_t clock, const struct timespec *until, struct timespec *slice) {
  uint64_t end = waits_nanoseconds(until), next = waits_now(clock) + waits_slice;
  *slice = waits_timespec(next < end ? next : end);
  return next >= end;
}

/* A slice is over: whether another is to follow. Otherwise the result is as it is, or EINTR when a handler ran. */
static bool waits_slice_over(int *result, int late, bool last, struct os_wait_cuts *before) {
  bool interrupted = *result == -1 && errno == EINTR, over = *result == -1 && errno == late;
  if (!interrupted && !over) return false;
  if (os_wait_cuts.handled != before->handled) {
    *result = -1;
    errno = EINTR;
    return false;
  }
  bool cut = os_wait_cuts.failed != before->failed;
  before->failed = os_wait_cuts.failed;
  return interrupted ? cut : !last;
}

PUBLIC int sem_clockwait(sem_t *restrict semaphore, clockid_t clock, const struct timespec *restrict until) {
  struct os_wait_cuts before = os_wait_cuts;
  int result = REAL(sem_clockwait)(semaphore, clock, until);
  if (likely(!waits_was_cut(result, &before))) return result;
  struct timespec slice;
  bool last;
  do {
    last = waits_slice_until(clock, until, &slice);
    result = REAL(sem_clockwait)(semaphore, clock, &slice);
  } while (waits_slice_over(&result, ETIMEDOUT, last, &before));
  return result;
}

PUBLIC int sem_timedwait(sem_t *restrict semaphore, const struct timespec *restrict until) {
  struct os_wait_cuts before = os_wait_cuts;
  int result = REAL(sem_timedwait)(semaphore, until);
  if (likely(!waits_was_cut(result, &before))) return result;
  struct timespec slice;
  bool last;
  do {
    last = waits_slice_until(CLOCK_REALTIME, until, &slice);
    result = REAL(sem_timedwait)(semaphore, &slice);
  } while (waits_slice_over(&result, ETIMEDOUT, last, &before));
  return result;
}

static int waits_aio(__typeof__(&aio_suspend) real, const struct aiocb *const list[], int count,
                     const struct timespec *timeout) {
  if (likely(!waits_armed()) || !timeout) return real(list, count, timeout);
  struct waits w;
  waits_begin(&w, true);
  waits_limit(&w, timeout);
  struct os_wait_cuts before = os_wait_cuts;
  int result = real(list, count, timeout);
  if (likely(!waits_was_cut(result, &before))) return result;
  bool last;
  do {
    uint64_t left = waits_remain(&w);
    last = left <= waits_slice;
    w.left = waits_timespec(last ? left : waits_slice);
    result = real(list, count, &w.left);
  } while (waits_slice_over(&result, EAGAIN, last, &before));
  return result;
}

PUBLIC int aio_suspend(const struct aiocb *const list[], int count, const struct timespec *timeout) {
  return waits_aio(REAL(aio_suspend), list, count, timeout);
}

PUBLIC int aio_suspend64(const struct aiocb64 *const list[], int count, const struct timespec *timeout) {
  return waits_aio((__typeof__(&aio_suspend))REAL(aio_suspend64), (const struct aiocb *const *)list, count, timeout);
}
