/* SPDX-License-Identifier: MIT
 * What a program may find out about its own process: its descriptors, its threads, that it may unshare. */
#include "config.h"

#include "tap.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Not by opendir, which allocates: by asking for each. */
static unsigned descriptors_open(int from) {
  unsigned count = 0;
  for (int fd = from; fd < 1024; fd++) count += fcntl(fd, F_GETFD) >= 0;
  return count;
}

static unsigned descriptors_entries(const char *path) {
  unsigned count = 0;
  DIR *dir = opendir(path);
  while (dir && readdir(dir)) count++;
  if (dir) closedir(dir);
  return count - 2; /* . and .. */
}

static bool descriptors_use_heap(void) {
  static char *p[5000];
  bool good = true;
  for (unsigned i = 0; i < 5000; i++) memset(p[i] = malloc(i + 1), 1, i + 1);
  for (unsigned i = 0; i < 5000; i++) free(p[i]);
  char *large = malloc(20 << 20);
  good = large && (large = realloc(large, 40 << 20));
  free(large);
  return good;
}

static void test_counted(void) {
  unsigned before = descriptors_open(3);
  int fd = open("/dev/null", O_RDONLY);
  OK(before == 0 && fd == 3, "a program that starts with three descriptors gets 3 as its next");
  descriptors_use_heap();
  close(fd);
  OK(descriptors_open(3) == 0, "and using the heap opens none");
  OK(descriptors_entries("/proc/self/task") == 1, "there is one thread");
  pid_t pid = fork();
  int status = 0;
  if (pid == 0) _exit(unshare(CLONE_NEWUSER) == 0 ? 42 : errno == EINVAL ? 1 : 43);
  waitpid(pid, &status, 0);
  if (status == 43 << 8) tap_skip("unshare of the user namespace sees one thread, too", "not permitted here");
  else OK(status == 42 << 8, "unshare of the user namespace sees one thread, too");
}

static void test_limit(void) {
  struct rlimit limit = {3, 3}, old;
  getrlimit(RLIMIT_NOFILE, &old);
  limit.rlim_max = old.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  OK(descriptors_use_heap(), "the heap grows when no descriptor can be had");
  setrlimit(RLIMIT_NOFILE, &old);
}

/* Ends without descriptors at all: "closed" as the argument. */
static int descriptors_close_all(void) {
  for (int fd = 0; fd < 1024; fd++) close(fd);
  char *volatile lost = malloc(1234);
  lost = NULL;
  return descriptors_use_heap() && !lost && open("/dev/null", O_RDONLY) == 0 ? 42 : 1;
}

int main(int argc, char **argv) {
  if (argc > 1 && strcmp(argv[1], "closed") == 0) return descriptors_close_all();
  if (argc == 1) { /* start again with nothing inherited */
    for (int fd = 3; fd < 1024; fd++) close(fd);
    execl("/proc/self/exe", argv[0], "fresh", (char *)NULL);
  }
  test_counted();
  test_limit();
  return tap_end();
}
