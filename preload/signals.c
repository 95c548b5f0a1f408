/* SPDX-License-Identifier: MIT
 * Keeps the one reserved signal, by which the world is stopped, from being blocked, waited for or replaced by the
 * program. In modes that have none everything passes straight through; otherwise handlers of all other signals are entered through
 * handlers.c.
 *
 * What cannot be kept: raw system calls, and masks that swapcontext or sigreturn restore from memory that the program
 * wrote. The world notices that such a thread does not answer.
 *
 * The calls that wait, some of which take a mask or wait for signals, are in waits.c. */
#include "config.h"

#include "api/hooks.h"
#include "handlers.h"
#include "real.h"
#include "signals.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <sys/signalfd.h>

#define PUBLIC __attribute__((visibility("default")))

/* Names without a declaration in today's headers, or only under other feature macros. */
sighandler_t bsd_signal(int signal_number, sighandler_t handler);
sighandler_t __sysv_signal(int signal_number, sighandler_t handler);
int __sigaction(int signal_number, const struct sigaction *action, struct sigaction *old);
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

static bool signals_is_ours(int signal_number) {
  return signal_number > 0 && signal_number == hook_world_signal();
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
  struct sigaction copy;
  sigset_t store;
  if (action) {
    copy = *action;
    copy.sa_handler = handlers_wrap(action->sa_handler);
    if (signals_without_ours(&action->sa_mask, &store) == &store) copy.sa_mask = store;
  }
  int result = real(signal_number, action ? &copy : NULL, old);
  if (result == 0 && old) old->sa_handler = handlers_unwrap(old->sa_handler);
  return result;
}

PUBLIC int sigaction(int signal_number, const struct sigaction *action, struct sigaction *old) {
  return signals_action(REAL(sigaction), signal_number, action, old);
}

PUBLIC int __sigaction(int signal_number, const struct sigaction *action, struct sigaction *old) {
  return signals_action(REAL(__sigaction), signal_number, action, old);
}

static sighandler_t signals_handler(__typeof__(&signal) real, int signal_number, sighandler_t handler) {
  if (!signals_is_ours(signal_number)) return handlers_unwrap(real(signal_number, handlers_wrap(handler)));
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

/* Waiting for. The C library's sigwait goes on by itself when it is interrupted. */
PUBLIC int sigwait(const sigset_t *set, int *signal_number) {
  sigset_t store;
  return REAL(sigwait)(signals_without_ours(set, &store), signal_number);
}

PUBLIC int signalfd(int fd, const sigset_t *set, int flags) {
  sigset_t store;
  return REAL(signalfd)(fd, signals_without_ours(set, &store), flags);
}
