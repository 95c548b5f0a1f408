/* SPDX-License-Identifier: MIT
 * Waiting for a time, or for a signal. See waits.c for how. */
#include "config.h"

#include "waits.h"

#include "real.h"
#include "signals.h"

#include <sys/syscall.h>
#include <threads.h>
#include <unistd.h>

int __sigpause(int signal_or_mask, int is_signal);
int __xpg_sigpause(int signal_number);
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

/* --- sleeping --- */

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
static bool sleeps_enter(struct waits *w, enum real_index index, bool *elsewhere) {
  if (likely(!waits_armed())) return false;
  waits_begin(w, true);
  w->began = os_clock();
  *elsewhere = !real_is_libc(index);
  return true;
}

PUBLIC int clock_nanosleep(clockid_t clock, int flags, const struct timespec *time, struct timespec *left) {
  struct waits w;
  bool elsewhere;
  if (clock == CLOCK_THREAD_CPUTIME_ID || !sleeps_enter(&w, real_index_clock_nanosleep, &elsewhere))
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
  if (!sleeps_enter(&w, real_index_sleep, &elsewhere)) return REAL(sleep)(seconds);
  struct os_wait_cuts before = os_wait_cuts;
  unsigned remain = elsewhere ? REAL(sleep)(seconds) : 0;
  if (elsewhere && !waits_passed(&w, remain > 0, &before)) return remain;
  struct timespec time = {seconds, 0};
  return waits_result(waits_sleep(&w, CLOCK_REALTIME, 0, &time, &time)) < 0 ? (unsigned)time.tv_sec : 0;
}

PUBLIC int thrd_sleep(const struct timespec *time, struct timespec *left) {
  struct waits w;
  bool elsewhere;
  if (!sleeps_enter(&w, real_index_thrd_sleep, &elsewhere)) return REAL(thrd_sleep)(time, left);
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
PUBLIC int sleeps_bsd_sigpause(int mask) __asm__("sigpause"); /* the header's sigpause is X/Open's */
PUBLIC int sleeps_bsd_sigpause(int mask) { return __sigpause(mask, 0); }
PUBLIC int __xpg_sigpause(int signal_number) { return __sigpause(signal_number, 1); }

/* The C library tells signals of pthread_kill as kill's. */
static int sleeps_signal(long result, siginfo_t *info) {
  if (result > 0 && info && info->si_code == SI_TKILL) info->si_code = SI_USER;
  return (int)waits_result(result);
}

PUBLIC int sigwaitinfo(const sigset_t *set, siginfo_t *info) {
  sigset_t store;
  set = signals_without_ours(set, &store);
  WAITS_ENTER(w, true, sigwaitinfo, set, info)
  return sleeps_signal(waits_signal(&w, set, info, NULL), info);
}

PUBLIC int sigtimedwait(const sigset_t *set, siginfo_t *info, const struct timespec *timeout) {
  sigset_t store;
  set = signals_without_ours(set, &store);
  WAITS_ENTER(w, true, sigtimedwait, set, info, timeout)
  return sleeps_signal(waits_signal(&w, set, info, timeout), info);
}
