/* SPDX-License-Identifier: MIT
 * src/base/print.c. */
#include "config.h"

#include "base/print.h"

#include "tap.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Ours and printf's must agree wherever both know the format. */
#define SAME(format, ...)                                                                                      \
  do {                                                                                                         \
    char ours[256], theirs[256];                                                                               \
    size_t length = print_buffer(ours, sizeof ours, format, __VA_ARGS__);                                      \
    snprintf(theirs, sizeof theirs, format, __VA_ARGS__);                                                      \
    OK(strcmp(ours, theirs) == 0 && length == strlen(theirs), "%s prints as printf does", #format);            \
  } while (0)

static void test_streams(void) {
  char back[3 * 4096 + 1], expected[sizeof back];
  int fd = memfd_create("print", MFD_CLOEXEC);
  struct printer out;
  print_open(&out, fd);
  expected[0] = '\0';
  for (int i = 0; i < 1000; i++) {
    print(&out, "line %d\n", i);
    snprintf(expected + strlen(expected), 16, "line %d\n", i);
  }
  OK(print_flush(&out), "a stream longer than its buffer is written");
  ssize_t n = pread(fd, back, sizeof back - 1, 0);
  back[n > 0 ? n : 0] = '\0';
  OK(strcmp(back, expected) == 0, "and nothing of it is lost");
  close(fd);
  errno = 5;
  print_open(&out, fd);
  print_text(&out, "x", 1);
  OK(!print_flush(&out) && errno == 5, "a failed write is told, and errno kept");
}

int main(void) {
  char buffer[8];
  SAME("%s|%c|%%", "text", 'x');
  SAME("%d %d %d", 0, INT_MIN, INT_MAX);
  SAME("%u %x", UINT_MAX, 0xdeadbeefu);
  SAME("%ld %lu %lx", LONG_MIN, ULONG_MAX, ULONG_MAX);
  SAME("%zu", SIZE_MAX);
  SAME("%p", (void *)buffer);

  OK(print_buffer(buffer, sizeof buffer, "%s", "0123456789") == 10, "the length is told as if there were room");
  OK(strcmp(buffer, "0123456") == 0, "what does not fit is cut off and terminated");
  OK(print_buffer(NULL, 0, "%d", 42) == 2, "no buffer is needed to learn the length");
  const char *volatile none = NULL;
  print_buffer(buffer, sizeof buffer, "%s", none);
  OK(strcmp(buffer, "(null)") == 0, "a missing string does not crash");
  test_streams();
  return tap_end();
}
