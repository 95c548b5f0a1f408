/* SPDX-License-Identifier: MIT
 * Running another program unnoticed. Knows nothing of reports.
 *
 * Two processes are made, because exec turns any child into one that sends SIGCHLD and that wait(-1) sees:
 *
 *   this process --clone, no exit signal--> middle --vfork--> the program
 *
 * The middle one never execs, so only a wait with __WCLONE finds it; the program is its child alone. Both share
 * our memory (CLONE_VM), so no page table is copied, and both use plain system calls, since they share our TLS
 * as well. */
#include "config.h"

#include "os/process.h"

#include "os/call.h"
#include "os/memory.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { process_stack = 64 * 1024, process_signals = 64 };

struct process_job {
  const char *path;
  char *const *argv, *const *envp;
  int fd[3]; /* to be 0, 1, 2 */
  char *exec_stack_top;
  volatile int error;  /* why it could not be started */
  volatile int status; /* as wait(2) gives it */
};

/* Closes [from, to]. */
static void process_close(unsigned from, unsigned to) {
  if (from > to || os_call(SYS_close_range, from, to, 0) == 0) return;
  struct rlimit limit;
  if (os_call(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &limit) != 0 || limit.rlim_cur > 65536)
    limit.rlim_cur = 65536;
  for (unsigned fd = from; fd <= to && fd < limit.rlim_cur; fd++) os_call(SYS_close, fd);
}

/* Closes all from 3 on but the three that are needed. */
static void process_close_others(const int keep[3]) {
  unsigned from = 3;
  for (;;) {
    unsigned next = ~0u;
    for (int i = 0; i < 3; i++)
      if ((unsigned)keep[i] >= from && (unsigned)keep[i] < next) next = (unsigned)keep[i];
    if (next == ~0u) break;
    process_close(from, next - 1);
    from = next + 1;
  }
  process_close(from, ~0u);
}

/* The three are moved out of the way first, since they may stand in each other's places. */
static int process_descriptors(const int given[3]) {
  int moved[3];
  process_close_others(given);
  for (int i = 0; i < 3; i++) {
    moved[i] = (int)os_call(SYS_fcntl, given[i], F_DUPFD, 3);
    /* the program may have closed its standard error, of which only complaints would come */
    if (moved[i] == -EBADF && i == 2)
      moved[i] = (int)os_call(SYS_fcntl, os_call(SYS_openat, AT_FDCWD, "/dev/null", O_WRONLY, 0), F_DUPFD, 3);
    if (moved[i] < 0) return -moved[i];
  }
  for (int i = 0; i < 3; i++) {
    long got = os_call(SYS_dup3, moved[i], i, 0);
    if (got < 0) return (int)-got;
  }
  process_close(3, ~0u);
  return 0;
}

static void process_default_signals(void) {
  struct {
    void (*handler)(int);
    unsigned long flags;
    void (*restorer)(void);
    uint64_t mask;
  } action;
  for (int number = 1; number <= process_signals; number++) {
    memset(&action, 0, sizeof action);
    os_call(SYS_rt_sigaction, number, &action, NULL, sizeof action.mask);
  }
}

static void process_mask(int how, const uint64_t *new, uint64_t *old) {
  os_call(SYS_rt_sigprocmask, how, new, old, sizeof *new);
}

static int process_exec(void *arg) {
  struct process_job *job = arg;
  uint64_t none = 0;
  int error = process_descriptors(job->fd);
  if (!error) {
    process_mask(SIG_SETMASK, &none, NULL);
    error = (int)-os_call(SYS_execve, job->path, job->argv, job->envp);
  }
  job->error = error;
  os_call(SYS_exit_group, 127);
  return 0;
}

static int process_wait(pid_t pid, int options, int *status) {
  long got;
  do got = os_call(SYS_wait4, pid, status, options, NULL);
  while (got == -EINTR);
  return got < 0 ? (int)-got : 0;
}

static int process_middle(void *arg) {
  struct process_job *job = arg;
  int status = 0;
  process_default_signals(); /* an ignored SIGCHLD would lose the status */
  int pid = clone(process_exec, job->exec_stack_top, CLONE_VM | CLONE_VFORK | CLONE_UNTRACED | SIGCHLD, job);
  if (pid < 0)
    job->error = errno;
  else {
    int error = process_wait(pid, __WALL, &status);
    if (error && !job->error) job->error = error;
    job->status = status;
  }
  os_call(SYS_exit_group, 0);
  return 0;
}

static int process_result(const struct process_job *job) {
  if (job->error) return -job->error;
  int status = job->status;
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int os_process_run(const char *path, char *const argv[], char *const envp[], int in, int out, int err) {
  int saved = errno, status = 0;
  char *stacks = os_memory_map(2 * process_stack);
  if (!stacks) return -ENOMEM;
  struct process_job job = {path, argv, envp, {in, out, err}, stacks + process_stack, 0, 0};
  uint64_t all = ~(uint64_t)0, mask;
  process_mask(SIG_SETMASK, &all, &mask); /* no handler of the program may run in our children */
  int pid = clone(process_middle, stacks + 2 * process_stack, CLONE_VM | CLONE_UNTRACED, &job);
  if (pid < 0)
    job.error = errno;
  else
    process_wait(pid, __WALL, &status);
  process_mask(SIG_SETMASK, &mask, NULL);
  os_memory_unmap(stacks, 2 * process_stack);
  errno = saved;
  return process_result(&job);
}

int os_process_memory_file(void) { return (int)os_call(SYS_memfd_create, "gleaner", MFD_CLOEXEC); }

void os_process_path(char *buffer, size_t size) {
  long length = os_call(SYS_readlink, "/proc/self/exe", buffer, size - 1);
  buffer[length > 0 ? length : 0] = 0;
}
