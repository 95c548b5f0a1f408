/* SPDX-License-Identifier: MIT
 * malloc and fork: the child of a program in which other threads were in the middle of malloc, free or stdio. A child that
 * hangs is killed after a while and fails the test. */
#include "config.h"

#include "tap.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum { fork_threads = 4, fork_patience = 120 };

static _Atomic bool fork_stop;
static char *fork_kept[2000];

static bool fork_churn(unsigned seed, unsigned rounds) {
  char *p[50] = {0};
  bool good = true;
  for (unsigned i = 0; i < rounds; i++) {
    unsigned k = (seed = seed * 1103515245 + 12345) >> 16 & 31, n = (seed >> 10) % 3000 + 1;
    if (seed % 199 == 0) n = 200000;
    if (p[k] && p[k][0] != (char)k) good = false;
    p[k] = realloc(p[k], n);
    p[k][0] = p[k][n - 1] = (char)k;
    if (seed % 3 == 0) free(p[k]), p[k] = NULL;
  }
  for (unsigned k = 0; k < 50; k++) free(p[k]);
  return good;
}

static void *fork_busy(void *arg) {
  for (unsigned i = (unsigned)(uintptr_t)arg; !fork_stop; i += 100) fork_churn(i, 100);
  return NULL;
}

static void *fork_busy_stdio(void *arg) {
  char text[200];
  (void)arg;
  while (!fork_stop) {
    FILE *f = fopen("/dev/null", "w");
    if (!f) continue;
    fprintf(f, "%s\n", "text");
    fflush(NULL);
    fclose(f);
    f = fopen("/proc/self/maps", "r");
    if (f && !fgets(text, sizeof text, f)) text[0] = '\0';
    if (f) fclose(f);
    char *memory = NULL;
    size_t size;
    f = open_memstream(&memory, &size);
    fprintf(f, "%500d", 1);
    fclose(f);
    free(memory);
  }
  return NULL;
}

/* 0 when the child ended with the status wanted. */
static int fork_wait(pid_t pid, int want) {
  int status;
  if (pid < 0 || waitpid(pid, &status, 0) != pid) return 1;
  if (WIFSIGNALED(status)) tap_note("the child died of signal %d", WTERMSIG(status));
  else if (WEXITSTATUS(status) != want) tap_note("the child ended with %d", WEXITSTATUS(status));
  return !(WIFEXITED(status) && WEXITSTATUS(status) == want);
}

static bool fork_child_works(void) {
  alarm(fork_patience);
  bool good = fork_churn(7, 2000);
  for (unsigned i = 0; i < 2000; i++) {
    good = good && fork_kept[i][0] == (char)i;
    free(fork_kept[i]);
  }
  return good && fork_churn(8, 1000);
}

static void *fork_child_thread(void *arg) {
  (void)arg;
  return fork_churn(5, 500) ? (void *)1 : NULL;
}

static void fork_start(pthread_t *thread, void *(*run)(void *)) {
  fork_stop = false;
  for (unsigned i = 0; i < fork_threads; i++) pthread_create(&thread[i], NULL, run, (void *)(uintptr_t)i);
}

static void fork_end(pthread_t *thread) {
  fork_stop = true;
  for (unsigned i = 0; i < fork_threads; i++) pthread_join(thread[i], NULL);
}

static void test_threads(void) {
  pthread_t thread[fork_threads];
  int bad = 0;
  for (unsigned i = 0; i < 2000; i++) fork_kept[i] = memset(malloc(i + 1), (int)i, 1);
  fork_start(thread, fork_busy);
  for (unsigned i = 0; i < 8; i++) {
    pid_t pid = fork();
    if (pid == 0) _exit(fork_child_works() ? 42 : 1);
    bad += fork_wait(pid, 42);
  }
  OK(bad == 0, "a child forked while others allocate has a sound heap, and may free what its parent allocated");
  bad = 0;
  for (unsigned i = 0; i < 4; i++) {
    pid_t pid = fork();
    if (pid == 0) {
      alarm(fork_patience);
      pthread_t one;
      void *result = NULL;
      pthread_create(&one, NULL, fork_child_thread, NULL);
      pthread_join(one, &result);
      pid_t grandchild = fork();
      if (grandchild == 0) _exit(fork_child_works() ? 43 : 1);
      _exit(result && fork_wait(grandchild, 43) == 0 ? 42 : 1);
    }
    bad += fork_wait(pid, 42);
  }
  OK(bad == 0, "the child may start threads and fork again");
  fork_end(thread);
  bool good = true;
  for (unsigned i = 0; i < 2000; i++) good = good && fork_kept[i][0] == (char)i, free(fork_kept[i]);
  OK(good, "the parent's blocks are its own");
}

/* glibc takes stdio's locks after the atfork handlers ran: an allocator that holds its own by then deadlocks with a
 * thread that allocates under a stdio lock. */
static void test_stdio(void) {
  pthread_t thread[fork_threads];
  int bad = 0;
  fork_start(thread, fork_busy_stdio);
  for (unsigned i = 0; i < 20; i++) {
    pid_t pid = fork();
    if (pid == 0) {
      alarm(fork_patience);
      FILE *f = fopen("/dev/null", "w");
      fprintf(f, "%d", 1);
      fclose(f);
      free(malloc(100000));
      _exit(42);
    }
    bad += fork_wait(pid, 42);
  }
  fork_end(thread);
  OK(bad == 0, "fork while other threads are in stdio neither hangs nor harms");
}

static void fork_handler(void) { fork_churn(3, 50); }

static void test_handlers(void) {
  pthread_t thread[fork_threads];
  int bad = 0;
  pthread_atfork(fork_handler, fork_handler, fork_handler);
  fork_start(thread, fork_busy);
  for (unsigned i = 0; i < 5; i++) {
    pid_t pid = fork();
    if (pid == 0) _exit(fork_churn(1, 100) ? 42 : 1);
    bad += fork_wait(pid, 42);
  }
  fork_end(thread);
  OK(bad == 0, "handlers of fork may allocate");
}

static void *fork_from_thread(void *arg) {
  int bad = 0;
  (void)arg;
  for (unsigned i = 0; i < 4; i++) {
    pid_t pid = fork();
    if (pid == 0) {
      alarm(fork_patience);
      bool good = fork_churn(2, 300);
      if (i % 2) _exit(good ? 42 : 1);
      exit(good ? 42 : 1); /* runs the handlers of exit in a thread that was never main */
    }
    bad += fork_wait(pid, 42);
  }
  return (void *)(uintptr_t)bad;
}

static void test_from_threads(void) {
  pthread_t thread[fork_threads];
  void *bad;
  uintptr_t all = 0;
  fflush(stdout);
  for (unsigned i = 0; i < fork_threads; i++) pthread_create(&thread[i], NULL, fork_from_thread, NULL);
  for (unsigned i = 0; i < fork_threads; i++) pthread_join(thread[i], &bad), all += (uintptr_t)bad;
  OK(all == 0, "threads fork at once; their children allocate, then _exit or exit");
}

static int fork_vfork(const char *program, int want) {
  pid_t pid = vfork();
  if (pid == 0) {
    if (program) execl(program, program, (char *)NULL);
    _exit(42);
  }
  return fork_wait(pid, want);
}

static void test_vfork(void) {
  int bad = 0;
  for (unsigned i = 0; i < 10; i++) bad += fork_vfork("/bin/true", 0) + fork_vfork(NULL, 42);
  OK(bad == 0 && fork_churn(1, 500), "vfork, then exec or _exit");
  FILE *f = popen("echo through a shell", "r");
  char text[100] = "";
  OK(f && fgets(text, sizeof text, f) && strcmp(text, "through a shell\n") == 0 && pclose(f) == 0 &&
         system("exit 3") == 3 << 8,
     "popen and system run a shell");
}

/* Forks wherever the signal came: in the middle of malloc, perhaps, whose locks must not matter. The child only ends. */
static volatile sig_atomic_t fork_handled, fork_bad;
static void fork_in_handler(int signal_number) {
  (void)signal_number;
  int keep = errno;
  pid_t pid = fork();
  if (pid == 0) _exit(42);
  fork_bad += fork_wait(pid, 42);
  fork_handled++;
  errno = keep;
}

static void test_signal(void) {
  struct sigaction action = {.sa_handler = fork_in_handler, .sa_flags = SA_RESTART};
  struct itimerval often = {{0, 2000}, {0, 2000}}, never = {{0, 0}, {0, 0}};
  sigaction(SIGUSR1, &action, NULL);
  raise(SIGUSR1);
  OK(fork_handled == 1 && fork_bad == 0, "fork in a signal handler");
  if (!dlsym(RTLD_DEFAULT, "GC_leak_check")) {
    tap_skip("fork in a signal handler that interrupts malloc", "libc deadlocks once there have been threads");
    return;
  }
  sigaction(SIGPROF, &action, NULL); /* counts time of ours only */
  setitimer(ITIMER_PROF, &often, NULL);
  bool good = true;
  for (unsigned i = 0; i < 100000 && fork_handled < 60; i++) good = good && fork_churn(i, 200);
  setitimer(ITIMER_PROF, &never, NULL);
  OK(good && fork_bad == 0 && fork_handled > 1, "fork in a signal handler that interrupts malloc (%d times)",
     (int)fork_handled);
}

int main(void) {
  test_threads();
  test_stdio();
  test_signal(); /* before there are handlers that allocate */
  test_handlers();
  test_from_threads();
  test_vfork();
  return tap_end();
}
