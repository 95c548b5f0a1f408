/* SPDX-License-Identifier: MIT
 * gc.h and gc_ext.h in a forked child. For the log (collect_log.sh): with "log", a parent and two children that collect;
 * with "close", a program that closes all descriptors, and puts others there; with "lose", one that loses memory; with
 * "end", one that ends as it is told. */
#include "collect.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static struct crowd crowd;
static void *keep[crowd_size];
static int told;

static void tell(const struct GC_event *event, void *arg) {
  (void)arg;
  told += event->phase == GC_PHASE_START;
}

/* In the child: 0 when all holds, else the number of what does not. */
static int child(void) {
  GC_word number = GC_get_gc_no();
  struct GC_generation_stats stats;
  if (GC_get_stats(2, &stats) != 0 || stats.collections != 0) return 1;
  if (!crowd_kept(&crowd)) return 2;
  crowd_collect(0);
  crowd_collect(2);
  if (!crowd_kept(&crowd)) return 3;
  memset(keep, 0, sizeof keep);
  crowd_collect(2);
  if (!crowd_lost(&crowd)) return 4;
  if (GC_get_gc_no() != number + 3) return 5;
  GC_get_stats(2, &stats);
  if (stats.collections != 2 || stats.collected < crowd_nearly) return 6;
  if (told != 3) return 7;
  for (int i = 0; i < 1200000; i++) {
    void **p = GC_malloc(80);
    if (p[0] || p[9]) return 8;
    p[0] = p[9] = p;
  }
  return GC_get_gc_no() > number + 3 ? 0 : 9;
}

static int status_of(pid_t pid) {
  int status;
  if (waitpid(pid, &status, 0) != pid) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static void test_child(void) {
  crowd_make(&crowd, GC_malloc, 48, keep);
  GC_collect(2, NULL);
  GC_add_callback(tell, NULL);
  pid_t pid = fork();
  if (pid == 0) _exit(child());
  int status = status_of(pid);
  OK(status == 0, "a child collects on its own, and its statistics begin with zero (%d)", status);
  crowd_collect(2);
  OK(crowd_kept(&crowd), "its parent has what it had");
  GC_remove_callback(tell, NULL);
}

static _Atomic int stop;

static void *disturb(void *arg) {
  for (unsigned i = 0; !stop; i++) {
    GC_malloc(16 + i % 300);
    if (i % 3000 == 0) GC_collect((int)(i / 3000) % 3, NULL);
  }
  return arg;
}

static int work(void) {
  void **list = NULL;
  for (int i = 0; i < 20000; i++) {
    void **p = GC_malloc(32);
    if (!p || p[0] || p[1]) return 1;
    p[0] = list;
    p[1] = (void *)(uintptr_t)i;
    list = p;
    if (i % 4000 == 0 && GC_collect(i / 4000 % 3, NULL) < 0) return 2;
  }
  for (int i = 20000; i-- > 0; list = list[0])
    if (list[1] != (void *)(uintptr_t)i) return 3;
  return list ? 4 : 0;
}

/* fork at any moment of others' collections. */
static void test_storm(void) {
  pthread_t threads[3];
  int fault = 0, rounds = 40;
  for (int i = 0; i < 3; i++) pthread_create(&threads[i], NULL, disturb, NULL);
  for (int i = 0; i < rounds && !fault; i++) {
    pid_t pid = fork();
    if (pid == 0) {
      alarm(120);
      _exit(work());
    }
    fault = status_of(pid);
  }
  stop = 1;
  for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
  OK(!fault, "%d children, forked while other threads collect, allocate and collect (%d)", rounds, fault);
}

static int log_something(void) {
  for (int i = 0; i < 3; i++) GC_collect(i, NULL);
  if (fork() == 0) {
    GC_collect(2, NULL);
    if (fork() == 0) {
      GC_collect(1, NULL);
      exit(0);
    }
    wait(NULL);
    exit(0);
  }
  wait(NULL);
  return 0;
}

/* Another file under each number that the log could have had. */
static int close_all(const char *name) {
  GC_collect(0, NULL);
  for (int fd = 3; fd < 1100; fd++) close(fd);
  int file = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0666);
  GC_collect(0, NULL);
  for (int fd = 4; fd < 1100; fd++)
    if (fd != file && dup2(file, fd) != fd) break;
  GC_collect(0, NULL);
  return 0;
}

__attribute__((noinline)) static void lose_here(void) {
  crowd_make(&crowd, GC_malloc, 5000, NULL);
}

static int lose(void) {
  lose_here();
  crowd_collect(2);
  for (int i = 0; i < 9; i++) GC_collect(0, NULL);
  return 7;
}

static void end(const char *how) {
  GC_collect(2, NULL);
  if (strcmp(how, "_exit") == 0) _exit(7);
  if (strcmp(how, "quick_exit") == 0) quick_exit(7);
  if (strcmp(how, "signal") == 0) raise(SIGTERM);
}

int main(int argc, char **argv) {
  GC_INIT();
  if (argc > 1 && strcmp(argv[1], "log") == 0) return log_something();
  if (argc > 2 && strcmp(argv[1], "close") == 0) return close_all(argv[2]);
  if (argc > 1 && strcmp(argv[1], "lose") == 0) return lose();
  if (argc > 2 && strcmp(argv[1], "end") == 0) end(argv[2]);
  if (argc > 1) return 0;
  test_child();
  test_storm();
  return tap_end();
}
