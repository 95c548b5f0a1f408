/* SPDX-License-Identifier: MIT
 * Tasks of this process. */
#include "config.h"

#include "os/threads.h"

#include "tap.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static _Atomic uint32_t gate;
static _Atomic pid_t tid;

static void *run(void *arg) {
  tid = os_thread_id();
  while (gate == 0) os_futex_wait(&gate, 0, 0);
  return arg;
}

struct seen {
  int count;
  bool self, other;
};

static bool see(pid_t task, void *arg) {
  struct seen *seen = arg;
  seen->count++;
  if (task == getpid()) seen->self = true;
  if (task == tid) seen->other = true;
  return true;
}

static bool see_one(pid_t task, void *arg) {
  (void)task;
  ++*(int *)arg;
  return false;
}

int main(void) {
  pthread_t thread;
  OK(os_thread_id() == getpid(), "the first thread has the number of the process");
  OK(os_thread_pointer() == (uintptr_t)pthread_self(), "the thread pointer is the descriptor");
  pthread_create(&thread, NULL, run, NULL);
  while (!tid) sched_yield();

  errno = 4711;
  struct seen seen = {0};
  OK(os_threads_each(see, &seen) == 0 && seen.count == 2 && seen.self && seen.other, "all tasks are listed");
  int calls = 0;
  os_threads_each(see_one, &calls);
  OK(calls == 1, "until the callback has enough");
  OK(os_thread_exists(tid) && !os_thread_is_dead(tid), "a waiting thread exists and is not dead");
  OK(!os_thread_will_not_answer(tid, SIGUSR2), "and would take a signal");
  os_futex_wait(&gate, 1, 0);
  OK(true, "a futex that has changed is not waited for");
  uint64_t before = os_clock();
  os_futex_wait(&gate, 0, 1000000);
  OK(os_clock() > before, "a wait with a limit ends, and the clock goes on");
  gate = 1;
  os_futex_wake(&gate);
  pthread_join(thread, NULL);
  while (os_thread_exists(tid)) sched_yield();
  OK(os_thread_is_dead(tid) && os_thread_signal(tid, 0) == ESRCH, "one that ended is dead");
  OK(errno == 4711, "errno is kept");
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR2);
  pthread_sigmask(SIG_BLOCK, &set, NULL);
  OK(os_thread_will_not_answer(getpid(), SIGUSR2), "a thread that blocks a signal will not answer it");
  return tap_end();
}
