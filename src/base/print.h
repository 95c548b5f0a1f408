/* SPDX-License-Identifier: MIT
 * Printing without stdio: no allocation, no locks, usable in a signal handler and with the world stopped.
 *
 * The formats are a subset of printf's: %s %c %d %u %ld %lu %zu %x %lx %p %% . %p prints 0x and hex digits. */
#ifndef GLEANER_PRINT_H
#define GLEANER_PRINT_H

#include "base/base.h"

#include <stdarg.h>

/* Formats into buffer, always terminated when size > 0; returns the length it would have had. */
size_t print_buffer_v(char *buffer, size_t size, const char *format, va_list args);
size_t print_buffer(char *buffer, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Formats (at most 1 KiB) and writes to a file descriptor, resuming short and interrupted writes; keeps errno. */
void print_fd(int fd, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A stream over a descriptor for longer output; flush it at the end. */
struct printer {
  int fd;
  bool failed; /* a write failed: the rest is dropped */
  size_t length;
  char buffer[4096];
};

void print_open(struct printer *out, int fd);
void print(struct printer *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
void print_text(struct printer *out, const char *text, size_t length);
bool print_flush(struct printer *out); /* false when any write failed */

#endif
