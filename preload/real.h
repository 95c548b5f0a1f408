/* SPDX-License-Identifier: MIT
 * The functions behind the interposed ones: those of the libraries after us in the search order, nearly always libc's.
 *
 * Each is found by dlsym at its first use, or by our constructor if that comes first, so that a signal handler seldom
 * has to. Nothing on malloc's path may use this: dlsym may allocate. */
#ifndef GLEANER_REAL_H
#define GLEANER_REAL_H

#include <stdatomic.h>

/* dlopen and dlmopen come first: the jump in process.c counts on it. */
#define REAL_FUNCTIONS(X)                                                                                    \
  X(dlopen) X(dlmopen) X(dlclose) X(setrlimit) X(setrlimit64) X(prlimit) X(prlimit64)                         \
  X(sigaction) X(__sigaction) X(signal) X(bsd_signal) X(ssignal) X(sysv_signal) X(__sysv_signal) X(sigset)   \
  X(sigignore) X(sighold) X(siginterrupt)                                                                    \
  X(sigprocmask) X(pthread_sigmask) X(pthread_attr_setsigmask_np) X(posix_spawnattr_setsigmask)              \
  X(sigwait) X(sigwaitinfo) X(sigtimedwait) X(signalfd)                                                      \
  X(sigsuspend) X(ppoll) X(__ppoll_chk) X(pselect) X(epoll_pwait) X(epoll_pwait2)

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

#define REAL(name) ((__typeof__(&name))real_find(real_index_##name))

#endif
