/* SPDX-License-Identifier: MIT
 * Signals as a program sees them with one of them reserved: that one cannot be blocked, waited for or replaced, all
 * others work as ever. Without a reserved signal nothing differs. */
#include "config.h"

#include "tap.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

static sigset_t signals_full;
static const struct timespec signals_no_time, signals_moment = {0, 20000000};

static uint64_t signals_blocked(void) {
  uint64_t mask = 0;
  syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &mask, sizeof mask);
  return mask;
}

/* The one signal that stays deliverable when all are blocked; 0 when there is none. */
static int signals_reserved(void) {
  sigset_t old;
  sigprocmask(SIG_SETMASK, &signals_full, &old);
  uint64_t mask = signals_blocked();
  sigprocmask(SIG_SETMASK, &old, NULL);
  int found = 0;
  for (int i = SIGRTMIN; i <= 64; i++)
    if (!(mask >> (i - 1) & 1)) found = found ? -1 : i;
  return found;
}

static void *signals_thread_mask(void *arg) {
  *(uint64_t *)arg = signals_blocked();
  return NULL;
}

static volatile sig_atomic_t signals_seen;
static uint64_t signals_mask_in_handler;
static void signals_handler(int number) {
  signals_seen = number;
  signals_mask_in_handler = signals_blocked();
}

static bool signals_free(uint64_t mask, int reserved) { return !reserved || !(mask >> (reserved - 1) & 1); }

static void test_blocking(int reserved) {
  sigset_t old, now;
  uint64_t mask = 0;
  OK(sigprocmask(SIG_BLOCK, &signals_full, &old) == 0 && signals_free(signals_blocked(), reserved),
     "sigprocmask blocks all but the reserved signal");
  OK(sigprocmask(SIG_BLOCK, NULL, &now) == 0 && sigismember(&now, SIGUSR1) && sigismember(&now, SIGRTMIN),
     "the others are blocked");
  sigprocmask(SIG_SETMASK, &old, NULL);
  OK(pthread_sigmask(SIG_SETMASK, &signals_full, &old) == 0 && signals_free(signals_blocked(), reserved),
     "so does pthread_sigmask");
  pthread_t thread;
  pthread_create(&thread, NULL, signals_thread_mask, &mask);
  pthread_join(thread, NULL);
  OK(mask && signals_free(mask, reserved), "a thread inherits that");
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  pthread_attr_t attr;
  pthread_attr_init(&attr);
  pthread_attr_setsigmask_np(&attr, &signals_full);
  pthread_create(&thread, &attr, signals_thread_mask, &mask);
  pthread_join(thread, NULL);
  OK(mask && signals_free(mask, reserved), "a thread created with all signals blocked keeps it deliverable");
  errno = 0;
  OK(sigprocmask(99, &signals_full, NULL) == -1 && errno == EINVAL && pthread_sigmask(99, &signals_full, NULL) == EINVAL,
     "errors are told as ever");
  if (reserved) {
    raise(reserved > 0 ? reserved : SIGCONT);
    OK(true, "the reserved signal, sent by a stranger, does nothing");
    OK(sighold(reserved) == -1 && errno == EINVAL && signals_free(signals_blocked(), reserved), "sighold refuses it");
  }
}

static void test_actions(int reserved) {
  struct sigaction action = {.sa_handler = signals_handler, .sa_mask = signals_full}, old;
  OK(sigaction(SIGUSR1, &action, &old) == 0 && old.sa_handler == SIG_DFL, "sigaction sets and tells");
  raise(SIGUSR1);
  OK(signals_seen == SIGUSR1 && signals_free(signals_mask_in_handler, reserved),
     "a handler that blocks all signals keeps the reserved one deliverable");
  OK(signal(SIGUSR1, SIG_IGN) == signals_handler && sigset(SIGUSR1, SIG_DFL) == SIG_IGN, "signal and sigset tell, too");
  if (!reserved) return;
  errno = 0;
  OK(sigaction(reserved, &action, NULL) == -1 && errno == EINVAL, "sigaction refuses the reserved signal: EINVAL");
  memset(&old, 0xff, sizeof old);
  OK(sigaction(reserved, NULL, &old) == 0 && old.sa_handler == SIG_DFL, "and says it had its default action");
  errno = 0;
  OK(signal(reserved, SIG_DFL) == SIG_ERR && errno == EINVAL, "signal refuses it");
  OK(sigset(reserved, SIG_IGN) == SIG_ERR && sigignore(reserved) == -1 && siginterrupt(reserved, 1) == -1,
     "so do sigset, sigignore and siginterrupt");
}

static void *signals_send(void *arg) {
  nanosleep(&signals_moment, NULL);
  pthread_kill(*(pthread_t *)arg, SIGUSR2);
  return NULL;
}

/* Another thread sends SIGUSR2 to this one in a moment. */
static void signals_soon(pthread_t *sender, pthread_t *self) {
  *self = pthread_self();
  pthread_create(sender, NULL, signals_send, self);
}

static void test_waiting(void) {
  sigset_t old, set, none;
  pthread_t sender, self;
  int number = 0;
  siginfo_t info;
  struct signalfd_siginfo from;
  sigemptyset(&set), sigemptyset(&none);
  sigaddset(&set, SIGUSR2);
  sigprocmask(SIG_BLOCK, &set, &old);
  signals_soon(&sender, &self);
  OK(sigwait(&set, &number) == 0 && number == SIGUSR2, "sigwait waits for another signal");
  pthread_join(sender, NULL);
  signals_soon(&sender, &self);
  OK(sigwaitinfo(&set, &info) == SIGUSR2 && info.si_signo == SIGUSR2, "so does sigwaitinfo");
  pthread_join(sender, NULL);
  OK(sigtimedwait(&signals_full, &info, &signals_no_time) == -1 && errno == EAGAIN, "sigtimedwait for all gives up in time");
  int fd = signalfd(-1, &signals_full, SFD_NONBLOCK);
  raise(SIGUSR2);
  OK(fd >= 0 && read(fd, &from, sizeof from) == sizeof from && from.ssi_signo == SIGUSR2, "signalfd tells a signal");
  struct epoll_event event;
  int epoll = epoll_create1(0);
  signal(SIGUSR2, signals_handler);
  raise(SIGUSR2); /* pending: each of these lets it in */
  OK(sigsuspend(&none) == -1 && errno == EINTR && signals_seen == SIGUSR2, "sigsuspend lets a blocked signal in");
  raise(SIGUSR2);
  OK(ppoll(NULL, 0, NULL, &none) == -1 && errno == EINTR, "so does ppoll");
  raise(SIGUSR2);
  OK(pselect(0, NULL, NULL, NULL, NULL, &none) == -1 && errno == EINTR, "so does pselect");
  raise(SIGUSR2);
  OK(epoll_pwait(epoll, &event, 1, -1, &none) == -1 && errno == EINTR, "so does epoll_pwait");
  OK(ppoll(NULL, 0, &signals_no_time, &signals_full) == 0 && pselect(0, NULL, NULL, NULL, &signals_no_time, &signals_full) == 0 &&
         epoll_pwait(epoll, &event, 1, 0, &signals_full) == 0,
     "all three time out with every signal blocked");
  close(epoll), close(fd);
  sigprocmask(SIG_SETMASK, &old, NULL);
}

static void *signals_deaf(void *arg) {
  uint64_t all = ~(uint64_t)0;
  syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, sizeof all);
  pthread_barrier_wait(arg);
  for (;;) pause();
  return NULL;
}

int main(int argc, char **argv) {
  sigfillset(&signals_full);
  if (argc > 2) { /* "start COMMAND...": a command that begins with every signal blocked */
    sigprocmask(SIG_SETMASK, &signals_full, NULL);
    execvp(argv[2], argv + 2);
    return 1;
  }
  if (argc > 1 && strcmp(argv[1], "inherited") == 0) { /* how many of the upper 32 are not blocked */
    printf("%d\n", __builtin_popcountll(~(signals_blocked() >> 32 | ~(uint64_t)0 << 32)));
    return 0;
  }
  if (argc > 1) { /* "deaf": a thread that cannot be reached is there at the end */
    static pthread_barrier_t barrier; /* the thread may still look at it when main has returned */
    pthread_t thread;
    pthread_barrier_init(&barrier, NULL, 2);
    pthread_create(&thread, NULL, signals_deaf, &barrier);
    pthread_barrier_wait(&barrier);
    return 42;
  }
  int reserved = signals_reserved();
  OK(reserved >= 0, "at most one signal is reserved (%d)", reserved);
  test_blocking(reserved);
  test_actions(reserved);
  test_waiting();
  return tap_end();
}
