/* SPDX-License-Identifier: MIT
 * Keeps the one reserved signal, by which the world is stopped, from being blocked, waited for or replaced by the
 * program. In modes that have none, and for all other signals, everything passes straight through.
 *
 * What cannot be kept: raw system calls, and masks that swapcontext or sigreturn restore from memory that the program
 * wrote. The world notices that such a thread does not answer.
 *
 * Not here yet: the calls that the signal would cut short in spite of SA_RESTART. They matter once the world is stopped
 * while the program runs on, that is when garbage is collected; until then it stops for a report only. */
#include "config.h"

#include "api/hooks.h"
#include "real.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/signalfd.h>

#define PUBLIC __attribute__((visibility("default")))

/* Names without a declaration in today's headers, or only under other feature macros. */
sighandler_t bsd_signal(int signal_number, sighandler_t handler);
sighandler_t __sysv_signal(int signal_number, sighandler_t handler);
int __sigaction(int signal_number, const struct sigaction *action, struct sigaction *old);
int __ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask,
                size_t fds_size);
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

static bool signals_is_ours(int signal_number) {
  return signal_number > 0 && signal_number == hook_world_signal();
}

/* The mask without our signal: itself when the signal is not in it, else a copy in *store. The kernel's mask has 64
 * bits and a caller may have no more memory than that behind its pointer. */
static const sigset_t *signals_without_ours(const sigset_t *mask, sigset_t *store) {
  int ours = hook_world_signal();
  if (!mask || ours <= 0) return mask;
  uint64_t bit = (uint64_t)1 << (ours - 1), bits;
  __builtin_memcpy(&bits, mask, sizeof bits);
  if (!(bits & bit)) return mask;
  bits &= ~bit;
  __builtin_memset(store, 0, sizeof *store);
  __builtin_memcpy(store, &bits, sizeof bits);
  return store;
}

/* Replacing. As glibc refuses its own internal signals; but one may ask: the answer is what the program would see
 * without us. */
static int signals_action(__typeof__(&sigaction) real, int signal_number, const struct sigaction *action,
                          struct sigaction *old) {
  if (signals_is_ours(signal_number)) {
    if (action) {
      errno = EINVAL;
      return -1;
    }
    if (old) __builtin_memset(old, 0, sizeof *old);
    return 0;
  }
  sigset_t store;
  if (action && signals_without_ours(&action->sa_mask, &store) != &action->sa_mask) {
    struct sigaction copy = *action;
    copy.sa_mask = store;
    return real(signal_number, &copy, old);
  }
  return real(signal_number, action, old);
}

PUBLIC int sigaction(int signal_number, const struct sigaction *action, struct sigaction *old) {
  return signals_action(REAL(sigaction), signal_number, action, old);
}

PUBLIC int __sigaction(int signal_number, const struct sigaction *action, struct sigaction *old) {
  return signals_action(REAL(__sigaction), signal_number, action, old);
}

static sighandler_t signals_handler(__typeof__(&signal) real, int signal_number, sighandler_t handler) {
  if (!signals_is_ours(signal_number)) return real(signal_number, handler);
  errno = EINVAL;
  return SIG_ERR;
}

#define SIGNALS_HANDLER(name)                                                                                \
  PUBLIC sighandler_t name(int signal_number, sighandler_t handler) {                                        \
    return signals_handler(REAL(name), signal_number, handler);                                              \
  }
SIGNALS_HANDLER(signal)
SIGNALS_HANDLER(bsd_signal)
SIGNALS_HANDLER(ssignal)
SIGNALS_HANDLER(sysv_signal)
SIGNALS_HANDLER(__sysv_signal)
SIGNALS_HANDLER(sigset)

static int signals_refuse(void) {
  errno = EINVAL;
  return -1;
}

PUBLIC int sigignore(int signal_number) {
  return signals_is_ours(signal_number) ? signals_refuse() : REAL(sigignore)(signal_number);
}

PUBLIC int sighold(int signal_number) {
  return signals_is_ours(signal_number) ? signals_refuse() : REAL(sighold)(signal_number);
}

PUBLIC int siginterrupt(int signal_number, int flag) {
  return signals_is_ours(signal_number) ? signals_refuse() : REAL(siginterrupt)(signal_number, flag);
}

/* Blocking. sigfillset may say what it likes: the bit is dropped where a mask is put to use. */
PUBLIC int sigprocmask(int how, const sigset_t *mask, sigset_t *old) {
  sigset_t store;
  if (how != SIG_UNBLOCK) mask = signals_without_ours(mask, &store);
  return REAL(sigprocmask)(how, mask, old);
}

PUBLIC int pthread_sigmask(int how, const sigset_t *mask, sigset_t *old) {
  sigset_t store;
  if (how != SIG_UNBLOCK) mask = signals_without_ours(mask, &store);
  return REAL(pthread_sigmask)(how, mask, old);
}

PUBLIC int pthread_attr_setsigmask_np(pthread_attr_t *attr, const sigset_t *mask) {
  sigset_t store;
  return REAL(pthread_attr_setsigmask_np)(attr, signals_without_ours(mask, &store));
}

PUBLIC int posix_spawnattr_setsigmask(posix_spawnattr_t *attr, const sigset_t *mask) {
  sigset_t store;
  return REAL(posix_spawnattr_setsigmask)(attr, signals_without_ours(mask, &store));
}

/* Waiting for. */
PUBLIC int sigwait(const sigset_t *set, int *signal_number) {
  sigset_t store;
  return REAL(sigwait)(signals_without_ours(set, &store), signal_number);
}

PUBLIC int sigwaitinfo(const sigset_t *set, siginfo_t *info) {
  sigset_t store;
  return REAL(sigwaitinfo)(signals_without_ours(set, &store), info);
}

PUBLIC int sigtimedwait(const sigset_t *set, siginfo_t *info, const struct timespec *timeout) {
  sigset_t store;
  return REAL(sigtimedwait)(signals_without_ours(set, &store), info, timeout);
}

PUBLIC int signalfd(int fd, const sigset_t *set, int flags) {
  sigset_t store;
  return REAL(signalfd)(fd, signals_without_ours(set, &store), flags);
}

/* Blocking while waiting for something else. */
PUBLIC int sigsuspend(const sigset_t *mask) {
  sigset_t store;
  return REAL(sigsuspend)(signals_without_ours(mask, &store));
}

PUBLIC int ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask) {
  sigset_t store;
  return REAL(ppoll)(fds, count, timeout, signals_without_ours(mask, &store));
}

/* What ppoll becomes under _FORTIFY_SOURCE. */
PUBLIC int __ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask,
                       size_t fds_size) {
  sigset_t store;
  return REAL(__ppoll_chk)(fds, count, timeout, signals_without_ours(mask, &store), fds_size);
}

PUBLIC int pselect(int count, fd_set *restrict in, fd_set *restrict out, fd_set *restrict except,
                   const struct timespec *restrict timeout, const sigset_t *restrict mask) {
  sigset_t store;
  return REAL(pselect)(count, in, out, except, timeout, signals_without_ours(mask, &store));
}

PUBLIC int epoll_pwait(int fd, struct epoll_event *events, int count, int timeout, const sigset_t *mask) {
  sigset_t store;
  return REAL(epoll_pwait)(fd, events, count, timeout, signals_without_ours(mask, &store));
}

PUBLIC int epoll_pwait2(int fd, struct epoll_event *events, int count, const struct timespec *timeout,
                        const sigset_t *mask) {
  sigset_t store;
  return REAL(epoll_pwait2)(fd, events, count, timeout, signals_without_ours(mask, &store));
}
