/* SPDX-License-Identifier: MIT
 * Stopping the world: everybody stands still, wherever they were; and goes on as if nothing had been. */
#include "config.h"

#include "gc/world.h"

#include "os/call.h"
#include "os/memory.h"
#include "os/threads.h"
#include "tap.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct world_thread *threads;
static uint64_t old_mask;

static int stop(void) {
  struct world_thread self = {.tid = os_thread_id(), .sp = (uintptr_t)__builtin_frame_address(0)};
  old_mask = world_acquire();
  return world_stop(&self, &threads);
}

static void resume(void) {
  world_resume();
  world_release(old_mask);
}

static void nap(long milliseconds) {
  struct timespec time = {0, milliseconds * 1000000};
  while (nanosleep(&time, &time) != 0) continue;
}

static const struct world_thread *of(pid_t tid, int count) {
  for (int i = 0; i < count; i++)
    if (threads[i].tid == tid) return &threads[i];
  return NULL;
}

/* --- threads that do something --- */

static _Atomic bool done;
static _Atomic uint64_t work[8];
static _Atomic pid_t tids[8];
static _Atomic int errors;

static void *run_busy(void *arg) {
  size_t i = (size_t)arg;
  tids[i] = os_thread_id();
  while (!done) work[i]++;
  return NULL;
}

static int pipe_ends[2];
static void *run_read(void *arg) {
  char c;
  tids[(size_t)arg] = os_thread_id();
  if (read(pipe_ends[0], &c, 1) != 1) errors++; /* not even EINTR */
  return NULL;
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static void *run_wait(void *arg) {
  tids[(size_t)arg] = os_thread_id();
  pthread_mutex_lock(&mutex);
  while (!done) pthread_cond_wait(&condition, &mutex);
  pthread_mutex_unlock(&mutex);
  return NULL;
}

static void test_stops(void) {
  pthread_t thread[6];
  OK(stop() == 1 && threads[0].stopped && threads[0].tid == getpid(), "a single thread is alone in the world");
  OK(threads[0].tcb == (uintptr_t)pthread_self(), "and knows its thread pointer");
  resume();
  if (pipe(pipe_ends) != 0) abort();
  for (size_t i = 0; i < 4; i++) pthread_create(&thread[i], NULL, run_busy, (void *)i);
  pthread_create(&thread[4], NULL, run_read, (void *)4);
  pthread_create(&thread[5], NULL, run_wait, (void *)5);
  for (int i = 0; i < 6; i++)
    while (!tids[i]) nap(1);
  nap(5);
  bool all = true, still = true, places = true;
  for (int round = 0; round < 30; round++) {
    int count = stop();
    if (count != 7) all = false;
    for (int i = 1; i < count; i++) {
      const struct world_thread *t = &threads[i];
      if (!t->stopped) all = false;
      if (t->frame_lo >= t->frame_hi || t->sp < t->frame_lo || t->tcb <= t->sp) places = false;
    }
    uint64_t before[4];
    for (int i = 0; i < 4; i++) before[i] = work[i];
    for (volatile int spin = 0; spin < 1000000; spin++) continue;
    for (int i = 0; i < 4; i++)
      if (work[i] != before[i]) still = false;
    resume();
  }
  OK(all, "busy, reading and waiting threads all stop, 30 times over");
  OK(places, "each with its stack pointer, its frame and its thread pointer");
  OK(still, "nobody works while the world is stopped");
  uint64_t before = work[0];
  while (work[0] == before) nap(1);
  OK(true, "and all work afterwards");
  done = true;
  pthread_cond_broadcast(&condition);
  if (write(pipe_ends[1], "x", 1) != 1) abort();
  for (int i = 0; i < 6; i++) pthread_join(thread[i], NULL);
  OK(errors == 0, "a read that was stopped 30 times reads on");
  OK(stop() == 1, "threads that ended are not in the world");
  resume();
  done = false;
}

/* --- storms --- */

static _Atomic int caught;
static void catch(int number) {
  (void)number;
  caught++;
}

static void *run_short(void *arg) { return arg; }

static void *run_births(void *arg) {
  while (!done) {
    pthread_t thread[4];
    for (int i = 0; i < 4; i++) pthread_create(&thread[i], NULL, run_short, NULL);
    for (int i = 0; i < 4; i++) pthread_join(thread[i], NULL);
  }
  return arg;
}

static void *run_shots(void *arg) {
  while (!done) {
    for (int i = 0; i < 2; i++) os_thread_signal(tids[i], SIGUSR1);
    sched_yield();
  }
  return arg;
}

static void test_storms(void) {
  pthread_t thread[5];
  signal(SIGUSR1, catch);
  memset((void *)tids, 0, sizeof tids);
  for (size_t i = 0; i < 2; i++) pthread_create(&thread[i], NULL, run_busy, (void *)i);
  while (!tids[0] || !tids[1]) nap(1);
  pthread_create(&thread[2], NULL, run_births, NULL);
  pthread_create(&thread[3], NULL, run_births, NULL);
  pthread_create(&thread[4], NULL, run_shots, NULL);
  bool all = true;
  int late = 0;
  for (int round = 0; round < 200; round++) {
    int count = stop(), deaf = 0;
    if (count < 6) all = false;
    uint64_t before = work[0];
    for (int i = 0; i < count; i++) deaf += !threads[i].stopped;
    for (volatile int spin = 0; spin < 100000; spin++) continue;
    if (work[0] != before && !deaf) all = false;
    late += deaf > 0; /* on a machine with much else to do: the collection would be given up */
    resume();
  }
  done = true;
  for (int i = 0; i < 5; i++) pthread_join(thread[i], NULL);
  done = false;
  OK(all && late < 20, "200 stops while threads come and go and signals rain (%d too late)", late);
  OK(caught > 0, "and the signals arrive");
}

/* --- threads that cannot be stopped --- */

static void *run_deaf(void *arg) {
  sigset_t all;
  sigfillset(&all);
  uint64_t every = ~(uint64_t)0;
  os_call(SYS_rt_sigprocmask, SIG_SETMASK, &every, NULL, sizeof every);
  tids[(size_t)arg] = os_thread_id();
  while (!done) nap(1);
  return NULL;
}

static void *run_vfork(void *arg) {
  tids[(size_t)arg] = os_thread_id();
  pid_t child = vfork();
  if (child == 0) {
    execl("/bin/sleep", "sleep", "0", (char *)NULL);
    _exit(1);
  }
  int status = 1;
  waitpid(child, &status, 0);
  return (void *)(intptr_t)status;
}

static void test_deaf(void) {
  pthread_t thread;
  tids[0] = 0;
  pthread_create(&thread, NULL, run_deaf, (void *)0);
  while (!tids[0]) nap(1);
  uint64_t begin = os_clock();
  int count = stop();
  const struct world_thread *deaf = of(tids[0], count);
  bool listed = deaf && !deaf->stopped;
  resume();
  OK(count == 2 && listed, "a thread that blocks the signal is listed as not stopped");
  OK(os_clock() - begin < (uint64_t)60 * 1000000000, "and is not waited for for ever");
  done = true;
  pthread_join(thread, NULL);
  done = false;

  void *status;
  tids[1] = 0;
  pthread_create(&thread, NULL, run_vfork, (void *)1);
  while (!tids[1]) nap(1);
  for (int i = 0; i < 5; i++) {
    stop();
    resume();
  }
  pthread_join(thread, &status);
  OK(status == NULL, "a thread in vfork survives stops");
}

static _Atomic bool deaf_listens;
static _Atomic int deaf_queued;
static void *run_deaf_for_a_while(void *arg) {
  uint64_t every = ~(uint64_t)0, none = 0, ours = (uint64_t)1 << (world_signal - 1);
  struct timespec now = {0};
  os_call(SYS_rt_sigprocmask, SIG_SETMASK, &every, NULL, sizeof every);
  tids[(size_t)arg] = os_thread_id();
  while (!deaf_listens) nap(1);
  while (os_call(SYS_rt_sigtimedwait, &ours, NULL, &now, sizeof ours) == world_signal) deaf_queued++;
  os_call(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, sizeof none);
  tids[(size_t)arg] = 0;
  while (!done) nap(1);
  return NULL;
}

static void test_queue(void) {
  enum { stops = 8 };
  pthread_t thread;
  tids[0] = 0;
  pthread_create(&thread, NULL, run_deaf_for_a_while, (void *)0);
  while (!tids[0]) nap(1);
  bool listed = true;
  for (int i = 0; i < stops; i++) {
    int count = stop();
    const struct world_thread *deaf = of(tids[0], count);
    if (!deaf || deaf->stopped) listed = false;
    resume();
  }
  OK(listed, "a thread that stays deaf is listed at each stop");
  pid_t tid = tids[0];
  deaf_listens = true;
  while (tids[0]) nap(1);
  OK(deaf_queued == 1, "but gets one signal, so that the queue does not fill up");
  bool good = true;
  for (int i = 0; i < 3; i++) {
    int count = stop();
    const struct world_thread *heard = of(tid, count);
    if (!heard || !heard->stopped) good = false;
    resume();
  }
  OK(good, "and stops again when it listens");
  done = true;
  pthread_join(thread, NULL);
  done = deaf_listens = false;
}

/* --- small stacks --- */

enum { small_stack = 16 * 1024, small_alternate = 8 * 1024, small_threads = 4 };

static void on_small(int number) {
  (void)number;
  work[6]++;
}

static void *run_small(void *arg) {
  static char alternates[small_threads][small_alternate];
  stack_t stack = {.ss_sp = alternates[(size_t)arg], .ss_size = small_alternate}, none = {.ss_flags = SS_DISABLE};
  if ((size_t)arg % 2 && sigaltstack(&stack, NULL) != 0) errors++;
  tids[(size_t)arg] = os_thread_id();
  while (!done) os_thread_signal(os_thread_id(), SIGUSR2); /* caught on the alternate stack */
  sigaltstack(&none, NULL);
  return NULL;
}

static void test_small_stacks(void) {
  enum { stops = 60 };
  pthread_t thread[small_threads];
  pthread_attr_t small;
  struct sigaction action = {.sa_handler = on_small, .sa_flags = SA_ONSTACK};
  sigaction(SIGUSR2, &action, NULL);
  pthread_attr_init(&small);
  OK(pthread_attr_setstacksize(&small, small_stack) == 0, "threads may have 16 KiB of stack");
  memset((void *)tids, 0, sizeof tids);
  for (size_t i = 0; i < small_threads; i++) pthread_create(&thread[i], &small, run_small, (void *)i);
  for (int i = 0; i < small_threads; i++)
    while (!tids[i]) nap(1);
  bool all = true;
  for (int i = 0; i < stops; i++) {
    int count = stop();
    if (count != small_threads + 1) all = false;
    for (int k = 0; k < count; k++)
      if (!threads[k].stopped) all = false;
    resume();
  }
  done = true;
  for (int i = 0; i < small_threads; i++) pthread_join(thread[i], NULL);
  done = false;
  OK(all && errors == 0, "and alternate stacks of 8 KiB: 60 stops while signals are caught on them");
}

/* --- fork --- */

static _Atomic int forked, failed;

static int wait_for(pid_t child) {
  int status = 1;
  while (waitpid(child, &status, 0) < 0) continue;
  return status;
}

static void *run_forks(void *arg) {
  while (!done) {
    pid_t child = fork();
    if (child == 0) {
      world_fork_child();
      int count = stop();
      resume();
      _exit(count == 1 ? 0 : 1);
    }
    if (wait_for(child) != 0) failed++;
    forked++;
  }
  return arg;
}

static void *run_spawns(void *arg) {
  static char *const argv[] = {(char *)"true", NULL};
  while (!done) {
    pid_t child;
    if (posix_spawn(&child, "/bin/true", NULL, NULL, argv, NULL) != 0 || wait_for(child) != 0) failed++;
    forked++;
  }
  return arg;
}

static void test_forks(void) {
  enum { stops = 60 };
  pthread_t thread[3];
  pthread_create(&thread[0], NULL, run_forks, NULL);
  pthread_create(&thread[1], NULL, run_forks, NULL);
  pthread_create(&thread[2], NULL, run_spawns, NULL);
  for (int i = 0; i < stops || forked < 30; i++) {
    stop();
    for (volatile int spin = 0; spin < 10000; spin++) continue;
    resume();
  }
  done = true;
  for (int i = 0; i < 3; i++) pthread_join(thread[i], NULL);
  done = false;
  OK(failed == 0, "threads that fork and spawn meanwhile: each child begins with a world of its own");

  pid_t child = vfork();
  if (child == 0) {
    struct world_thread self = {.tid = os_thread_id(), .sp = (uintptr_t)__builtin_frame_address(0)};
    uint64_t mask = world_acquire();
    int count = world_stop(&self, &threads);
    world_resume();
    world_release(mask);
    _exit(count == -EAGAIN ? 0 : 1);
  }
  OK(wait_for(child) == 0, "a vfork child stops nobody");
  child = (pid_t)os_call(SYS_fork);
  if (child == 0) {
    int count = stop();
    resume();
    os_call(SYS_exit_group, count == -EAGAIN ? 0 : 1);
  }
  OK(wait_for(child) == 0, "nor does a child that was forked past the C library");
  OK(stop() == 1, "after which the parent can");
  resume();
}

/* --- a stack of ours --- */

static uintptr_t called_at;
static int called_count;
static void call(void *arg) {
  struct world_thread self = {.tid = os_thread_id(), .sp = (uintptr_t)arg};
  called_at = (uintptr_t)__builtin_frame_address(0);
  called_count = world_stop(&self, &threads);
  world_resume();
}

static void test_call(void) {
  char here;
  uintptr_t lo, hi;
  old_mask = world_acquire();
  world_call(call, &here);
  OK(called_count == 1 && os_memory_own_find(called_at, &lo, &hi), "the world can be stopped from a stack of ours");
  world_release(old_mask);
}

/* --- raw clone --- */

static _Atomic pid_t raw_tid;
static int run_raw(void *arg) {
  (void)arg;
  raw_tid = (pid_t)os_call(SYS_gettid);
  while (!done) work[7]++;
  os_call(SYS_exit, 0);
  return 0;
}

static void test_raw(void) {
  char *stack = os_memory_map(65536);
  int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;
  if (clone(run_raw, stack + 65536, flags, NULL) < 0) abort();
  while (!raw_tid) nap(1);
  int count = stop();
  const struct world_thread *raw = of(raw_tid, count);
  bool found = raw && raw->stopped && raw->sp > (uintptr_t)stack && raw->sp < (uintptr_t)stack + 65536;
  resume();
  OK(found, "a thread made by raw clone is stopped, too");
  done = true;
  while (os_thread_exists(raw_tid)) nap(1);
  done = false;
}

/* --- descriptors --- */

static struct world_stack seen;
static _Atomic bool seen_all;
static uintptr_t seen_here;
static void *run_describe(void *arg) {
  seen_here = (uintptr_t)__builtin_frame_address(0);
  if (!world_stack_read((uintptr_t)pthread_self(), &seen)) seen.tid = 0;
  world_thread_exiting();
  seen_all = true;
  return arg;
}

static struct world_stack gone[8];
static int ngone;
static void note_gone(const struct world_stack *stack, void *arg) {
  (void)arg;
  if (ngone < 8) gone[ngone++] = *stack;
}

static void wait_for_seen(void) {
  while (!seen_all) nap(1);
  while (os_thread_exists(seen.tid)) nap(1);
  seen_all = false;
}

static void test_descriptors(void) {
  pthread_t thread;
  pthread_attr_t detached;
  pthread_create(&thread, NULL, run_describe, NULL);
  wait_for_seen();
  OK(seen.lo < seen_here && seen_here < seen.tcb && seen.guarded, "a thread's descriptor tells its stack");
  ngone = 0;
  world_exited_each(note_gone, NULL);
  OK(ngone == 1 && gone[0].tcb == (uintptr_t)thread && gone[0].tid == 0 && !gone[0].detached, "one that ended waits to be joined");
  pthread_join(thread, NULL);
  ngone = 0;
  world_exited_each(note_gone, NULL);
  OK(ngone == 1 && gone[0].tid < 0, "then it is joined");
  pthread_attr_init(&detached);
  pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
  pthread_create(&thread, &detached, run_describe, NULL);
  wait_for_seen();
  ngone = 0;
  world_exited_each(note_gone, NULL);
  OK(seen.detached && ngone == 1 && gone[0].detached, "a detached one is known to be detached");
  OK(!world_stack_read(0, &seen) && !world_stack_read((uintptr_t)&seen, &seen), "other addresses are no descriptors");
  pid_t child = fork();
  if (child == 0) {
    world_fork_child();
    ngone = 0;
    world_exited_each(note_gone, NULL);
    int count = stop();
    resume();
    _exit(ngone == 0 && count == 1 ? 0 : 1);
  }
  int status = 1;
  waitpid(child, &status, 0);
  OK(status == 0, "a fork child forgets them, and can stop its own world");
}

int main(void) {
  os_memory_init();
  if (world_init() != 0) abort();
  OK(world_signal >= SIGRTMIN && world_signal <= SIGRTMAX, "a real-time signal is reserved");
  test_stops();
  test_storms();
  test_deaf();
  test_queue();
  test_small_stacks();
  test_raw();
  test_descriptors();
  test_forks();
  test_call();
  return tap_end();
}
