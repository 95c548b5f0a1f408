/* SPDX-License-Identifier: MIT
 * A process that limits its own address space while it runs: what is merely reserved must not count against it. */
#include "config.h"

#include "tap.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { lowered_limit = 600 << 20, lowered_block = 1 << 20, lowered_most = 2000 };

static unsigned char *lowered_block_at[lowered_most];

static __attribute__((noinline)) int lowered_deep(int depth) {
  volatile char frame[4096];
  frame[0] = (char)depth;
  return depth == 0 ? frame[0] : lowered_deep(depth - 1) + frame[0] - (char)depth;
}

static void *lowered_thread(void *arg) {
  free(memset(malloc(100000), 1, 100000));
  return arg;
}

/* Megabytes had until malloc refuses; each is filled with its number. */
static unsigned lowered_exhaust(void) {
  unsigned n = 0;
  while (n < lowered_most && (lowered_block_at[n] = malloc(lowered_block)) != NULL) {
    memset(lowered_block_at[n], (int)n, lowered_block);
    n++;
  }
  return n;
}

static bool lowered_release(unsigned n) {
  bool good = true;
  for (unsigned i = 0; i < n; i++) {
    good = good && lowered_block_at[i][0] == (unsigned char)i && lowered_block_at[i][lowered_block - 1] == (unsigned char)i;
    free(lowered_block_at[i]);
  }
  return good;
}

/* As a shell does in a pipeline; waits for 7. */
static bool lowered_fork(void) {
  int status = 0;
  pid_t pid = fork();
  if (pid == 0) {
    unsigned n = lowered_exhaust();
    _exit(n > 100 && lowered_release(n) ? 7 : 1);
  }
  return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 7;
}

int main(void) {
  char *before = strcpy(malloc(3000000), "before");
  struct rlimit limit;
  getrlimit(RLIMIT_AS, &limit);
  limit.rlim_cur = lowered_limit;
  int (*volatile set)(__rlimit_resource_t, const struct rlimit *) = setrlimit;
  OK(set(RLIMIT_AS, NULL) == 0, "no limit at all changes none");
  OK(setrlimit(RLIMIT_AS, &limit) == 0, "a process limits its own address space");
  OK(lowered_deep(1500) == 0, "its stack grows all the same");
  void *p = mmap(NULL, 50 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  OK(p != MAP_FAILED && munmap(p, 50 << 20) == 0, "it may map memory");
  pthread_t thread;
  void *result = NULL;
  OK(pthread_create(&thread, NULL, lowered_thread, &limit) == 0 && pthread_join(thread, &result) == 0 && result == &limit,
     "and start a thread, which may allocate");
  errno = 0;
  unsigned had = lowered_exhaust();
  OK(had > 300 && had < lowered_limit >> 20 && errno == ENOMEM, "malloc gives most of the limit, then NULL and ENOMEM: %u MiB", had);
  OK(lowered_release(had), "all of it distinct");
  OK(lowered_fork(), "a child lives under the same limit");
  limit.rlim_cur = limit.rlim_max;
  OK(prlimit(getpid(), RLIMIT_AS, &limit, NULL) == 0, "the limit is raised again");
  void *big = malloc((size_t)1 << 30);
  OK(big != NULL, "and more than it can be had");
  free(big);
  OK(strcmp(before, "before") == 0, "what there was before is intact");
  free(before);
  return tap_end();
}
