/* SPDX-License-Identifier: MIT
 * The functions behind the interposed ones: those of the libraries after us in the search order, nearly always libc's.
 *
 * Each is found by dlsym at its first use, or by our constructor if that comes first, so that a signal handler seldom
 * has to. Nothing on malloc's path may use this: dlsym may allocate. */
#ifndef GLEANER_REAL_H
#define GLEANER_REAL_H

#include <stdatomic.h>
#include <stdbool.h>

/* dlopen, dlmopen and syscall come first: the jumps in process.c and syscall.c count on it. */
#define REAL_FUNCTIONS(X)                                                                                    \
  X(dlopen) X(dlmopen) X(syscall) X(dlclose) X(setrlimit) X(setrlimit64) X(prlimit) X(prlimit64)             \
  X(sigaction) X(__sigaction) X(signal) X(bsd_signal) X(ssignal) X(sysv_signal) X(__sysv_signal) X(sigset)   \
  X(sigignore) X(sighold) X(siginterrupt)                                                                    \
  X(sigprocmask) X(pthread_sigmask) X(pthread_attr_setsigmask_np) X(posix_spawnattr_setsigmask)              \
  X(sigwait) X(signalfd)                                                                                     \
  X(poll) X(__poll_chk) X(ppoll) X(__ppoll_chk) X(select) X(pselect) X(epoll_wait) X(epoll_pwait) X(epoll_pwait2) \
  X(clock_nanosleep) X(nanosleep) X(usleep) X(sleep) X(thrd_sleep)                                           \
  X(pause) X(sigsuspend) X(__sigpause) X(sigwaitinfo) X(sigtimedwait)                                        \
  X(semop) X(semtimedop) X(msgrcv) X(msgsnd) X(sem_timedwait) X(sem_clockwait) X(aio_suspend) X(aio_suspend64) \
  X(read) X(__read_chk) X(readv) X(recv) X(__recv_chk) X(recvfrom) X(__recvfrom_chk) X(recvmsg) X(recvmmsg)  \
  X(accept) X(accept4) X(connect) X(write) X(writev) X(send) X(sendto) X(sendmsg) X(sendmmsg) X(setsockopt)  \
  X(getrandom)                                                                                               \
  X(epoll_ctl) X(timer_create) X(timer_delete) X(sigqueue) X(pthread_sigqueue) X(mq_notify) X(mq_close)

#define REAL_INDEX(name) real_index_##name,
enum real_index { REAL_FUNCTIONS(REAL_INDEX) real_count };
#undef REAL_INDEX

extern _Atomic(void *) real_functions[real_count] __attribute__((visibility("hidden")));

/* Looks the function up and enters it in the table; keeps errno. Never NULL: a libc without it ends the process. */
void *real_find_slow(enum real_index index) __attribute__((visibility("hidden")));

static inline void *real_find(enum real_index index) {
  void *function = atomic_load_explicit(&real_functions[index], memory_order_relaxed);
  return function ? function : real_find_slow(index);
}

/* Whether it is the C library's own, and not one that another preloaded library has put before that. */
bool real_is_libc(enum real_index index) __attribute__((visibility("hidden")));

#define REAL(name) ((__typeof__(&name))real_find(real_index_##name))

#endif
