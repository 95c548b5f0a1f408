/* SPDX-License-Identifier: MIT
 * Signal-safe printing. */
#include "config.h"

#include "base/print.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct sink {
  char *at;
  size_t room; /* bytes left, the terminator not counted */
  size_t length;
};

static void print_char(struct sink *sink, char c) {
  if (sink->length++ < sink->room) *sink->at++ = c;
}

static void print_string(struct sink *sink, const char *s) {
  for (s = s ? s : "(null)"; *s; s++) print_char(sink, *s);
}

static void print_number(struct sink *sink, unsigned long n, unsigned base) {
  char digits[24];
  int count = 0;
  do digits[count++] = "0123456789abcdef"[n % base];
  while ((n /= base) != 0);
  while (count > 0) print_char(sink, digits[--count]);
}

static void print_signed(struct sink *sink, long n) {
  if (n < 0) print_char(sink, '-');
  print_number(sink, n < 0 ? -(unsigned long)n : (unsigned long)n, 10);
}

static const char *print_directive(struct sink *sink, const char *f, va_list *args) {
  bool wide = *f == 'l' || *f == 'z';
  if (wide) f++;
  switch (*f) {
  case 's': print_string(sink, va_arg(*args, const char *)); break;
  case 'c': print_char(sink, (char)va_arg(*args, int)); break;
  case 'd': print_signed(sink, wide ? va_arg(*args, long) : va_arg(*args, int)); break;
  case 'u': print_number(sink, wide ? va_arg(*args, unsigned long) : va_arg(*args, unsigned), 10); break;
  case 'x': print_number(sink, wide ? va_arg(*args, unsigned long) : va_arg(*args, unsigned), 16); break;
  case 'p':
    print_string(sink, "0x");
    print_number(sink, (unsigned long)va_arg(*args, void *), 16);
    break;
  default: print_char(sink, *f); break;
  }
  return f + 1;
}

size_t print_buffer_v(char *buffer, size_t size, const char *format, va_list args) {
  struct sink sink = {.at = buffer, .room = size ? size - 1 : 0, .length = 0};
  va_list copy;
  va_copy(copy, args);
  for (const char *f = format; *f;) {
    if (*f != '%') print_char(&sink, *f++);
    else if (f[1] == '\0') break;
    else f = print_directive(&sink, f + 1, &copy);
  }
  va_end(copy);
  if (size) *sink.at = '\0';
  return sink.length;
}

size_t print_buffer(char *buffer, size_t size, const char *format, ...) {
  va_list args;
  va_start(args, format);
  size_t length = print_buffer_v(buffer, size, format, args);
  va_end(args);
  return length;
}

static bool print_write(int fd, const char *text, size_t length) {
  int saved = errno;
  while (length > 0) {
    ssize_t n = write(fd, text, length);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    text += n;
    length -= (size_t)n;
  }
  errno = saved;
  return length == 0;
}

void print_fd(int fd, const char *format, ...) {
  char buffer[1024];
  va_list args;
  va_start(args, format);
  size_t length = print_buffer_v(buffer, sizeof buffer, format, args);
  va_end(args);
  print_write(fd, buffer, length < sizeof buffer ? length : sizeof buffer - 1);
}

void print_open(struct printer *out, int fd) {
  out->fd = fd;
  out->failed = false;
  out->length = 0;
}

bool print_flush(struct printer *out) {
  if (!out->failed && !print_write(out->fd, out->buffer, out->length)) out->failed = true;
  out->length = 0;
  return !out->failed;
}

void print_text(struct printer *out, const char *text, size_t length) {
  while (length > 0) {
    size_t n = sizeof out->buffer - out->length;
    if (n > length) n = length;
    memcpy(out->buffer + out->length, text, n);
    out->length += n;
    text += n;
    length -= n;
    if (out->length == sizeof out->buffer) print_flush(out);
  }
}

void print(struct printer *out, const char *format, ...) {
  char buffer[1024];
  va_list args;
  va_start(args, format);
  size_t length = print_buffer_v(buffer, sizeof buffer, format, args);
  va_end(args);
  print_text(out, buffer, length < sizeof buffer ? length : sizeof buffer - 1);
}

void check_failed(const char *condition, const char *file, int line) {
  print_fd(STDERR_FILENO, "gleaner: internal error: %s does not hold (%s:%d)\n", condition, file, line);
  abort();
}
