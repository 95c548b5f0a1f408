/* SPDX-License-Identifier: MIT
 * For tests of what is told on standard error: what a function makes us say, in a child. */
#ifndef SAYS_H
#define SAYS_H

#include "tap.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char said[1 << 16];
static int said_status; /* of the child, as waitpid tells it */

/* Runs it in a child with its standard error in a pipe. */
__attribute__((unused)) static void hear(void (*act)(void)) {
  int ends[2];
  size_t length = 0;
  said[0] = '\0';
  fflush(NULL);
  if (pipe(ends)) return;
  pid_t pid = fork();
  if (pid == 0) {
    close(ends[0]);
    dup2(ends[1], 2);
    close(ends[1]);
    act();
    _exit(0);
  }
  close(ends[1]);
  for (ssize_t got; length < sizeof said - 1 && (got = read(ends[0], said + length, sizeof said - 1 - length)) > 0;) length += (size_t)got;
  said[length] = '\0';
  close(ends[0]);
  waitpid(pid, &said_status, 0);
}

__attribute__((unused)) static int said_times(const char *what) {
  int times = 0;
  for (const char *at = said; (at = strstr(at, what)); at += strlen(what)) times++;
  return times;
}

__attribute__((unused)) static bool said_it(const char *what) {
  if (strstr(said, what)) return true;
  tap_note("not %s, but: %s", what, said);
  return false;
}

__attribute__((unused)) static bool said_nothing(void) {
  if (!*said && said_status == 0) return true;
  tap_note("status %d, said: %s", said_status, said);
  return false;
}

#endif
