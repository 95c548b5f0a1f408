/* SPDX-License-Identifier: MIT
 * A program that restricts its own system calls: what it will be punished for is looked at before that is in force.
 * The C library has no seccomp; who wants it calls syscall, or prctl. */
#include "config.h"

#include "filters.h"

#include "api/hooks.h"

#include <linux/seccomp.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#define PR_SYS_DISPATCH_ON 1
#endif

#define PUBLIC __attribute__((visibility("default")))

bool filters_is_number(long number) { return number == SYS_seccomp || number == SYS_prctl; }

void filters_before(long number, const long *arguments) {
  if (number == SYS_prctl && arguments[0] == PR_SET_SECCOMP)
    hook_before_filter(arguments[1] == SECCOMP_MODE_FILTER ? (const void *)arguments[2] : NULL);
  if (number == SYS_prctl && arguments[0] == PR_SET_SYSCALL_USER_DISPATCH && arguments[1] == PR_SYS_DISPATCH_ON)
    hook_before_filter(NULL); /* at times no call may be made in that thread, not even by a signal handler */
  if (number == SYS_seccomp && arguments[0] == SECCOMP_SET_MODE_FILTER) hook_before_filter((const void *)arguments[2]);
  if (number == SYS_seccomp && arguments[0] == SECCOMP_SET_MODE_STRICT) hook_before_filter(NULL);
}

PUBLIC int prctl(int option, ...) {
  va_list more;
  va_start(more, option);
  unsigned long a = va_arg(more, unsigned long), b = va_arg(more, unsigned long);
  unsigned long c = va_arg(more, unsigned long), d = va_arg(more, unsigned long);
  va_end(more);
  return (int)syscall(SYS_prctl, option, a, b, c, d); /* ours, which looks */
}
