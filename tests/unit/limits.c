/* SPDX-License-Identifier: MIT
 * os/limits.c: limits of the kernel's on memory. */
#include "os/limits.h"

#include "os/memory.h"
#include "tap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[] = "/tmp/gleaner-limits.XXXXXX";

static const char *path(const char *name) {
  static char at[4][256];
  static int next;
  char *p = at[next++ % 4];
  snprintf(p, sizeof at[0], "%s%s", root, name);
  return p;
}

static void put(const char *name, const char *text) {
  FILE *file = fopen(path(name), "w");
  fputs(text, file);
  fclose(file);
}

static bool group(const char *told, size_t *used, size_t *most) {
  put("/told", told);
  *used = *most = 0;
  return os_limit_group(path("/told"), root, used, most);
}

static void test_version_2(void) {
  size_t used, most;
  mkdir(path("/a"), 0700);
  mkdir(path("/a/b"), 0700);
  OK(!group("0::/a/b\n", &used, &most), "a group without files has no limit");
  put("/a/b/memory.max", "max\n");
  put("/a/b/memory.current", "500\n");
  OK(!group("0::/a/b\n", &used, &most), "nor has one whose limit is max");
  put("/a/b/memory.max", "1000\n");
  OK(group("0::/a/b\n", &used, &most) && used == 500 && most == 1000, "a limit, and what is used of it");
  OK(!group("0::/a\n", &used, &most), "the group above has none");
  put("/a/b/memory.stat", "anon 100\nfile 150\ninactive_anon 7\ninactive_file 120\nactive_file 30\n");
  OK(group("0::/a/b\n", &used, &most) && used == 380, "less what could be taken back at once");
  put("/a/memory.max", "2000\n");
  put("/a/memory.current", "1900\n");
  OK(group("0::/a/b\n", &used, &most) && used == 1900 && most == 2000, "a group that it is in may be closer to its limit");
  put("/memory.max", "10000\n");
  put("/memory.current", "9900\n");
  OK(group("0::/a/b\n", &used, &most) && used == 9900 && most == 10000, "up to the outermost, which a container sees");
  OK(group("3:cpu:/\n1:name=systemd:/x\n0::/\n", &used, &most) && most == 10000, "it may be the only one, behind others of version 1");
  OK(!group("", &used, &most) && !group("0::\n", &used, &most), "a file that tells none");
  unlink(path("/told"));
  OK(!os_limit_group(path("/told"), root, &used, &most), "no file");
}

static void test_version_1(void) {
  size_t used, most;
  unlink(path("/memory.max"));
  mkdir(path("/memory"), 0700);
  mkdir(path("/memory/c"), 0700);
  put("/memory/memory.limit_in_bytes", "9223372036854771712\n");
  put("/memory/c/memory.limit_in_bytes", "4096000\n");
  put("/memory/c/memory.usage_in_bytes", "96000\n");
  put("/memory/c/memory.stat", "cache 1\nrss 2\ninactive_file 11\ntotal_inactive_file 6000\n");
  OK(group("4:memory:/c\n1:cpu:/c\n0::/\n", &used, &most) && used == 90000 && most == 4096000, "version 1 has other names");
  OK(!group("4:memory:/\n0::/\n", &used, &most), "and a number for no limit");
}

static void test_process(void) {
  size_t used, most, data, data_most;
  struct rlimit old, limit;
  OK(os_limit_find(OS_LIMIT_MACHINE, &used, &most) && most > (size_t)64 << 20 && used < most, "the machine's memory");
  getrlimit(RLIMIT_DATA, &old);
  limit = (struct rlimit){(size_t)1 << 33, old.rlim_max};
  bool set = setrlimit(RLIMIT_DATA, &limit) == 0;
  OK(!set || (os_limit_find(OS_LIMIT_DATA, &data, &data_most) && data_most == limit.rlim_cur && data > 1000 && data < data_most), "RLIMIT_DATA");
  setrlimit(RLIMIT_DATA, &old);
  OK(old.rlim_cur != RLIM_INFINITY || !os_limit_find(OS_LIMIT_DATA, &data, &data_most), "there may be none");
  getrlimit(RLIMIT_AS, &old);
  limit = (struct rlimit){(size_t)1 << 40, old.rlim_max};
  set = setrlimit(RLIMIT_AS, &limit) == 0;
  OK(!set || (os_limit_find(OS_LIMIT_ADDRESS_SPACE, &used, &most) && most == limit.rlim_cur && used > data), "RLIMIT_AS");
  setrlimit(RLIMIT_AS, &old);
}

int main(void) {
  os_memory_init();
  if (!mkdtemp(root)) return 99;
  test_version_2();
  test_version_1();
  test_process();
  char command[300];
  snprintf(command, sizeof command, "rm -rf %s", root);
  if (system(command) != 0) return 1;
  return tap_end();
}
