/* SPDX-License-Identifier: MIT
 * Threads of our own: that they run apart from the program's, and leave nothing behind. */
#include "config.h"

#include "os/spawn.h"

#include "os/call.h"
#include "os/memory.h"
#include "os/threads.h"
#include "tap.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static __thread int variable = 7;
static _Atomic uint32_t gate;
static _Atomic int signals;
static struct {
  pid_t tid;
  uint64_t blocked;
  int variable, error;
  bool ours;
} seen;

static void look(void *arg) {
  seen.tid = os_thread_id();
  os_call(SYS_rt_sigprocmask, 0, NULL, &seen.blocked, 8);
  seen.variable = variable;
  variable = 9;
  errno = EDOM;
  seen.error = errno;
  seen.ours = os_thread_is_ours(seen.tid);
  *(int *)arg = 42;
  while (!atomic_load(&gate)) os_futex_wait(&gate, 0, 0);
}

static void open_gate(uint32_t value) {
  atomic_store(&gate, value);
  os_futex_wake(&gate);
}

static bool count_task(pid_t tid, void *arg) {
  (void)tid;
  ++*(int *)arg;
  return true;
}

static int tasks(void) {
  int count = 0;
  os_threads_each(count_task, &count);
  return count;
}

static void on_signal(int number) {
  (void)number;
  signals += os_thread_id() == getpid() ? 1 : 1000;
}

static void test_thread(void) {
  int told = 0;
  errno = ERANGE;
  gate = 0;
  int thread = os_spawn(look, &told);
  OK(thread >= 0, "a thread of ours is made");
  while (!*(volatile int *)&told) os_thread_sleep(1000000);
  OK(seen.tid != getpid() && tasks() == 2, "it is a task of this process");
  OK(seen.blocked == ~(uint64_t)((1 << (SIGKILL - 1)) | (1 << (SIGSTOP - 1))), "which blocks every signal");
  OK(seen.ours && !os_thread_is_ours(getpid()), "and is known as ours");
  OK(variable == 7 && seen.variable == 0, "its thread-local variables are its own");
  OK(errno == ERANGE && seen.error == EDOM, "and so is its errno");
  signal(SIGUSR1, on_signal);
  for (int i = 0; i < 100; i++) kill(getpid(), SIGUSR1);
  OK(signals == 100, "signals for the process go to the program's threads");
  open_gate(1);
  os_spawn_join(thread);
  OK(tasks() == 1 && !os_thread_is_ours(seen.tid), "when it is joined it is gone");
  OK(told == 42, "having done what it was to do");
}

static void quick(void *arg) { atomic_fetch_add((_Atomic int *)arg, 1); }

/* unshare(CLONE_NEWUSER) is refused while there are other threads; to the last instant of their life. */
static void test_unshare(void) {
  enum { rounds = 200, spaces = 24 }; /* as they may be nested */
  int status;
  pid_t child = fork();
  if (child == 0) {
    os_spawn_fork_child();
    if (unshare(CLONE_NEWUSER) != 0) _exit(2);
    _exit(0);
  }
  waitpid(child, &status, 0);
  if (!WIFEXITED(status) || WEXITSTATUS(status) == 2) {
    tap_skip("a joined thread does not keep the program from unshare", "unshare is refused here");
    return;
  }
  child = fork();
  if (child == 0) {
    os_spawn_fork_child();
    _Atomic int done = 0;
    for (int i = 0; i < rounds; i++) {
      int thread[2] = {os_spawn(quick, &done), os_spawn(quick, &done)};
      if (thread[0] < 0 || thread[1] < 0) _exit(3);
      os_spawn_join(thread[0]);
      os_spawn_join(thread[1]);
      if (i % 8 == 0 && i / 8 < spaces && unshare(CLONE_NEWUSER) != 0 && errno == EINVAL) _exit(4);
    }
    _exit(done == 2 * rounds ? 0 : 6);
  }
  waitpid(child, &status, 0);
  OK(WIFEXITED(status) && WEXITSTATUS(status) == 0, "a joined thread does not keep the program from unshare (status %x)",
     (unsigned)status);
}

static void test_many(void) {
  _Atomic int done = 0;
  int thread[os_spawn_most], made = 0;
  for (int round = 0; round < 50; round++) {
    for (made = 0; made < os_spawn_most; made++)
      if ((thread[made] = os_spawn(quick, (void *)&done)) < 0) break;
    for (int i = 0; i < made; i++) os_spawn_join(thread[i]);
  }
  OK(done == 50 * os_spawn_most && tasks() == 1, "%d at a time, 50 times", os_spawn_most);
}

static int filter(void) {
  struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  struct sock_fprog program = {1, &allow};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static void test_filtered(void) {
  int status;
  _Atomic int done = 0;
  pid_t child = fork();
  if (child == 0) {
    os_spawn_fork_child();
    if (filter() != 0) _exit(2);
    _exit(os_spawn(quick, &done) == -EPERM ? 0 : 1);
  }
  waitpid(child, &status, 0);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 2)
    tap_skip("a program that has put itself under a filter gets no thread", "no filters here");
  else
    OK(WIFEXITED(status) && WEXITSTATUS(status) == 0, "a program that has put itself under a filter gets no thread");
}

/* A container's filter is there from the beginning. */
static int main_filtered(bool refused) {
  _Atomic int done = 0;
  os_memory_init();
  os_spawn_init();
  int thread = os_spawn(quick, (void *)&done);
  if (refused) return thread == -EPERM && tasks() == 1 ? 0 : 1;
  if (thread < 0) return 1;
  os_spawn_join(thread);
  return done == 1 ? 0 : 1;
}

/* Nobody would get a thread: not the C library, and not we. */
static int filter_clone(void) {
  struct sock_filter no_clone[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {4, no_clone};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static void test_born_filtered(int (*how)(void), const char *as, const char *sentence) {
  const char *self = "/proc/self/exe";
  int status;
  pid_t child = fork();
  if (child == 0) {
    if (how() != 0) _exit(2);
    execl(self, self, as, (char *)NULL);
    _exit(3);
  }
  waitpid(child, &status, 0);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 2)
    tap_skip(sentence, "no filters here");
  else
    OK(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s", sentence);
}

int main(int argc, char **argv) {
  if (argc > 1) return main_filtered(strcmp(argv[1], "refused") == 0);
  os_memory_init();
  os_spawn_init();
  test_thread();
  test_many();
  test_unshare();
  test_filtered();
  test_born_filtered(filter, "filtered", "one that was born under a filter gets one");
  test_born_filtered(filter_clone, "refused", "unless that refuses it");
  return tap_end();
}
