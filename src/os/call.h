/* SPDX-License-Identifier: MIT
 * System calls without the C library's wrappers: no errno, no cancellation point, nothing that another
 * preloaded library could have replaced. They return what the kernel returns: -errno on failure. */
#ifndef GLEANER_OS_CALL_H
#define GLEANER_OS_CALL_H

#include "base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

static inline long os_call6(long number, long a, long b, long c, long d, long e, long f) {
  long result;
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = e;
  register long r9 __asm__("r9") = f;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return result;
}

#define OS_CALL_7(number, a, b, c, d, e, f, ...)                                                             \
  os_call6((number), (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))
#define os_call(...) OS_CALL_7(__VA_ARGS__, 0, 0, 0, 0, 0, 0, 0)

/* Opens for reading. A program that has used up its descriptors is lent some above its soft limit meanwhile. */
static inline int os_call_open(const char *path, int flags) {
  long fd = os_call(SYS_openat, AT_FDCWD, path, flags | O_RDONLY | O_CLOEXEC);
  if (fd != -EMFILE) return (int)fd;
  struct rlimit old, more;
  if (os_call(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &old) != 0 || old.rlim_cur >= old.rlim_max) return (int)fd;
  more = old;
  more.rlim_cur = old.rlim_max - old.rlim_cur > 64 ? old.rlim_cur + 64 : old.rlim_max;
  if (os_call(SYS_prlimit64, 0, RLIMIT_NOFILE, &more, NULL) != 0) return (int)fd;
  fd = os_call(SYS_openat, AT_FDCWD, path, flags | O_RDONLY | O_CLOEXEC);
  os_call(SYS_prlimit64, 0, RLIMIT_NOFILE, &old, NULL);
  return (int)fd;
}

/* Reads once, again when interrupted. */
static inline long os_call_read(int fd, void *buffer, size_t size) {
  long got;
  do got = os_call(SYS_read, fd, buffer, size);
  while (got == -EINTR);
  return got;
}

static inline void os_call_close(int fd) { os_call(SYS_close, fd); }

#endif
