/* SPDX-License-Identifier: MIT
 * How processes begin and end: fork, exec and spawn, and each way to leave. Each process reports for itself. */
#include "leaky.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

enum { size = 64 };

static _Atomic int ready;
static uintptr_t hidden;
static void *volatile held;

static void wait_ready(int count) {
  while (ready < count) sched_yield();
}

APART _Noreturn static void sleep_forever(void) {
  ready++;
  for (;;) pause();
}

APART static void wait_for(pid_t pid) {
  int status;
  while (waitpid(pid, &status, 0) != pid) continue;
  if (status != 0) scenario_status = 80;
}

/* @ plain definite 1 100 -- what the others execute */
APART static void plain(void) { make(100); }

/* @ forked definite 1 100 & definite 1 200 -- parent and child report what each of them lost */
static void forked(void) {
  pid_t pid = fork();
  if (pid == 0) {
    make(200);
    scrub();
    exit(0);
  }
  make(100);
  wait_for(pid);
}

/* @ forked_later definite 1 100 & definite 2 300 -- what was lost before the fork both have lost */
static void forked_later(void) {
  make(100);
  pid_t pid = fork();
  if (pid == 0) {
    make(200);
    return;
  }
  wait_for(pid);
}

/* @ forked_deep definite 1 1 & definite 1 2 & definite 1 3 -- children of children */
static void forked_deep(void) {
  pid_t child = fork(), pid = child ? child : fork();
  make(child ? 1 : pid ? 2 : 3);
  if (pid) wait_for(pid);
}

/* @ forked_quietly definite 1 100 -- a child that ends by _exit says nothing */
static void forked_quietly(void) {
  make(100);
  pid_t pid = fork();
  if (pid == 0) _exit(0);
  wait_for(pid);
}

/* @ daemon_like & definite 1 64 -- a child that goes on when its parent has ended */
static void daemon_like(void) {
  if (fork()) return;
  setsid();
  make(size);
}

static void *holder(void *arg) {
  void *volatile here = REVEAL(*(uintptr_t *)arg);
  scrub();
  if (here) sleep_forever();
  return NULL;
}

static void start(void *(*function)(void *), void *arg) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, function, arg)) abort();
}

/* @ forked_threads & definite 1 64 -- in the child the stacks of threads that exist only in the parent keep blocks */
static void forked_threads(void) {
  for (int i = 0; i < 4; i++) {
    hidden = make_hidden(size);
    start(holder, &hidden);
    wait_ready(i + 1);
  }
  hidden = 0;
  pid_t pid = fork();
  if (pid == 0) make(size);
  else wait_for(pid);
}

static void *busy(void *arg) {
  ready++;
  for (unsigned i = 0;; i++) free(malloc(i % 5000));
  return arg;
}

/* @ forked_busy definite 1 64 -- eight forks while four threads allocate; malloc works in each child */
static void forked_busy(void) {
  for (int i = 0; i < 4; i++) start(busy, NULL);
  wait_ready(4);
  make(size);
  for (int i = 0; i < 8; i++) {
    pid_t pid = fork();
    if (pid == 0) {
      for (size_t n = 1; n < 300; n++) free(realloc(malloc(n), n * 100));
      _exit(0);
    }
    wait_for(pid);
  }
}

static void *forker(void *arg) {
  pid_t pid = fork();
  make(pid ? 64 : 65);
  if (pid == 0) exit(0);
  wait_for(pid);
  return arg;
}

/* @ forked_by_thread definite 1 64 & definite 1 65 -- fork in a thread that is not the first */
static void forked_by_thread(void) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, forker, NULL) || pthread_join(thread, NULL)) abort();
}

static char *const plain_arguments[] = {"processes", "plain", NULL};

/* @ executed definite 1 100 -- exec: only what runs at the end reports */
static void executed(void) {
  make(7);
  execv("/proc/self/exe", plain_arguments);
  abort();
}

static void *executer(void *arg) {
  (void)arg;
  executed();
  return NULL;
}

/* @ executed_by_thread definite 1 100 -- exec in another thread */
static void executed_by_thread(void) {
  start(executer, NULL);
  for (;;) pause();
}

/* @ forked_and_executed definite 1 64 & definite 1 100 -- fork and exec */
static void forked_and_executed(void) {
  make(size);
  pid_t pid = fork();
  if (pid == 0) executed();
  wait_for(pid);
}

extern char **environ;

/* @ spawned definite 1 64 & definite 1 100 -- posix_spawn */
static void spawned(void) {
  make(size);
  pid_t pid;
  if (posix_spawn(&pid, "/proc/self/exe", NULL, NULL, plain_arguments, environ)) abort();
  wait_for(pid);
}

/* @ vforked definite 1 64 & definite 1 100 -- vfork and exec */
static void vforked(void) {
  make(size);
  pid_t pid = vfork();
  if (pid == 0) {
    execv("/proc/self/exe", plain_arguments);
    _exit(1);
  }
  wait_for(pid);
}

/* @ vforked_in_vain definite 1 64 -- vfork and _exit */
static void vforked_in_vain(void) {
  make(size);
  pid_t pid = vfork();
  if (pid == 0) _exit(0);
  wait_for(pid);
}

/* @ exited definite 1 64 status=42 -- exit */
static void exited(void) {
  make(size);
  scrub();
  exit(42);
}

/* @ exited_quickly definite 1 64 status=43 -- quick_exit */
static void exited_quickly(void) {
  make(size);
  scrub();
  quick_exit(43);
}

/* @ exited_at_once reports=0 status=44 -- _exit does not report ...
 * @ exited_at_once opt=--report-at-_exit definite 1 64 status=44 -- ... unless asked to */
static void exited_at_once(void) {
  make(size);
  scrub();
  _exit(44);
}

static void *exiter(void *arg) {
  (void)arg;
  scrub();
  exit(45);
}

/* @ exited_by_thread status=45 -- exit in another thread: the first one's stack is alive
 * @ exited_by_thread+drop definite 1 64 status=45 -- the control */
static void exited_by_thread(void) {
  void *volatile here = make(size);
  if (scenario_drop) here = NULL;
  scrub();
  start(exiter, NULL);
  while (here || scenario_drop) pause();
}

static void *last(void *arg) {
  pthread_t first = (pthread_t)arg;
  pthread_join(first, NULL);
  make(65);
  return NULL;
}

/* @ ended_by_last_thread definite 2 129 status=0 -- the last thread's end */
static void ended_by_last_thread(void) {
  make(size);
  start(last, (void *)pthread_self());
  pthread_exit(NULL);
}

static void *after_first(void *arg) {
  pthread_join((pthread_t)arg, NULL);
  make(65);
  scrub();
  exit(46);
}

/* @ exited_after_first definite 2 129 status=46 -- exit when the first thread has ended */
static void exited_after_first(void) {
  make(size);
  held = make(size);
  start(after_first, (void *)pthread_self());
  pthread_exit(NULL);
}

APART static void crash(void) {
  volatile char *nowhere = (volatile char *)8;
  KEEP(nowhere);
  *nowhere = 1;
}

/* @ crashed reports=0 status=-11 -- a fatal signal does not report ...
 * @ crashed opt=--report-at-signal definite 1 64 status=-11 -- ... unless asked to */
static void crashed(void) {
  make(size);
  scrub();
  crash();
}

/* @ aborted reports=0 status=-6 -- nor does abort ...
 * @ aborted opt=--report-at-signal definite 1 64 status=-6 -- ... unless asked to */
static void aborted(void) {
  make(size);
  scrub();
  abort();
}

/* @ terminated reports=0 status=-15 -- nor a signal from outside ...
 * @ terminated opt=--report-at-signal definite 1 64 status=-15 -- ... unless asked to */
static void terminated(void) {
  make(size);
  scrub();
  kill(getpid(), SIGTERM);
  for (;;) pause();
}

static sigjmp_buf back;
static void on_crash(int number) { siglongjmp(back, number); }

/* @ survived definite 1 64 status=0 opt=--report-at-signal -- a program's own handler comes first */
static void survived(void) {
  make(size);
  signal(SIGSEGV, on_crash);
  if (sigsetjmp(back, 1) == 0) crash();
}

/* @ ignored definite 1 64 status=0 opt=--report-at-signal -- an ignored signal is not fatal */
static void ignored(void) {
  make(size);
  signal(SIGTERM, SIG_IGN);
  raise(SIGTERM);
}

static const struct scenario table[] = {
    SCENARIO(plain), SCENARIO(forked), SCENARIO(forked_later), SCENARIO(forked_deep), SCENARIO(forked_quietly),
    SCENARIO(daemon_like), SCENARIO(forked_threads), SCENARIO(forked_busy), SCENARIO(forked_by_thread),
    SCENARIO(executed), SCENARIO(executed_by_thread), SCENARIO(forked_and_executed), SCENARIO(spawned),
    SCENARIO(vforked), SCENARIO(vforked_in_vain), SCENARIO(exited), SCENARIO(exited_quickly),
    SCENARIO(exited_at_once), SCENARIO(exited_by_thread), SCENARIO(ended_by_last_thread),
    SCENARIO(exited_after_first), SCENARIO(crashed), SCENARIO(aborted), SCENARIO(terminated),
    SCENARIO(survived),
    SCENARIO(ignored),
};

SCENARIO_MAIN(table)
