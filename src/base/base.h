/* SPDX-License-Identifier: MIT
 * The common ground: integer types, the branch hints, and CHECK. Everything may include this; it includes
 * nothing of ours. */
#ifndef GLEANER_BASE_H
#define GLEANER_BASE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* Invariants of our own. They cost nothing unless configured with --enable-checks; a program's error (a double
 * free, say) is never a CHECK but a report. */
#ifdef GLEANER_CHECKS
enum { checks_enabled = 1 };
#else
enum { checks_enabled = 0 };
#endif

#define CHECK(condition)                                                                                     \
  do {                                                                                                       \
    if (checks_enabled && unlikely(!(condition))) check_failed(#condition, __FILE__, __LINE__);              \
  } while (0)

/* Prints the broken invariant to standard error without allocating, and aborts. */
_Noreturn void check_failed(const char *condition, const char *file, int line);

/* Up to here p is in a register or on the stack, so that a thread that is stopped meanwhile holds the object, whatever the
 * compiler thinks that it no longer needs. */
#define keep_alive(p) __asm__ volatile("" : "+r"(p))

/* Thread-local storage that a preloaded library may use: one load, no call that could allocate. */
#define THREAD_LOCAL __thread __attribute__((tls_model("initial-exec")))

#endif
