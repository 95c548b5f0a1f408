/* SPDX-License-Identifier: MIT
 * malloc at both ends of a process: before any constructor (.preinit_array), in constructors, in handlers of exit and in
 * destructors. */
#include "config.h"

#include "tap.h"

#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { early_count = 300, early_status = 42 };

static char *early_first[early_count], *early_constructed[early_count];
static bool early_good = true, early_leave_by_destructor;

static void early_fill(char **p) {
  for (unsigned i = 0; i < early_count; i++) {
    p[i] = i % 3 == 0 ? calloc(1, i * i + 1) : malloc(i * i + 1);
    early_good = early_good && p[i] && (uintptr_t)p[i] % 16 == 0;
    p[i][0] = p[i][i * i] = (char)i;
  }
}

static bool early_check(char **p) {
  bool good = true;
  for (unsigned i = 0; i < early_count; i++) {
    good = good && p[i][0] == (char)i && p[i][i * i] == (char)i && malloc_usable_size(p[i]) > i * i;
    p[i] = realloc(p[i], i * i + 5000);
    good = good && p[i][i * i] == (char)i;
    free(p[i]);
  }
  return good;
}

static void early_preinit(int argc, char **argv, char **env) {
  (void)argc, (void)argv, (void)env;
  early_fill(early_first);
}
__attribute__((section(".preinit_array"), used)) static void (*early_entry)(int, char **, char **) = early_preinit;

__attribute__((constructor(101))) static void early_constructor(void) { early_fill(early_constructed); }

static void early_at_exit(void) { early_good = early_good && early_check(early_first); }

__attribute__((destructor(101))) static void early_destructor(void) {
  if (!early_leave_by_destructor) return;
  _exit(early_good && early_check(early_constructed) ? early_status : 1);
}

static int early_run(void (*leave)(int)) {
  int status = 0;
  pid_t pid = fork();
  if (pid == 0) {
    alarm(120);
    early_leave_by_destructor = true;
    atexit(early_at_exit);
    leave(3);
  }
  return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int main(void) {
  OK(early_good, "malloc works before any constructor and in constructors");
  OK(early_run(exit) == early_status, "handlers of exit and destructors allocate and free");
  OK(early_run(quick_exit) == 3 && early_run(_exit) == 3, "quick_exit and _exit keep the status");
  OK(early_check(early_first) && early_check(early_constructed), "what was allocated early is as good as any");
  return tap_end();
}
