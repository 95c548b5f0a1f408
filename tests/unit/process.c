/* SPDX-License-Identifier: MIT
 * Running another program unnoticed. */
#include "config.h"

#include "os/process.h"

#include "os/memory.h"
#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static int run_io(const char *script, int in, int out, int err) {
  char *argv[] = {"sh", "-c", (char *)script, NULL};
  return os_process_run("/bin/sh", argv, environ, in, out, err);
}

static int run(const char *script) { return run_io(script, 0, 1, 2); }

static volatile sig_atomic_t children;
static void count_child(int number) {
  (void)number;
  children++;
}

static const char *text_of(int fd) {
  static char buffer[4096];
  lseek(fd, 0, SEEK_SET);
  ssize_t got = read(fd, buffer, sizeof buffer - 1);
  buffer[got > 0 ? got : 0] = 0;
  return buffer;
}

static void test_status(void) {
  errno = 4711;
  OK(run("exit 0") == 0, "success");
  OK(run("exit 42") == 42, "an exit status");
  OK(run("kill -TERM $$") == 128 + SIGTERM, "a signal");
  char *argv[] = {"none", NULL};
  OK(os_process_run("/nowhere/none", argv, environ, 0, 1, 2) == -ENOENT, "a program that is not there");
  OK(errno == 4711, "errno is kept");
}

static void test_unnoticed(void) {
  signal(SIGCHLD, count_child);
  run("exit 1");
  OK(children == 0, "no SIGCHLD comes");
  signal(SIGCHLD, SIG_IGN);
  OK(run("exit 3") == 3, "a program that ignores SIGCHLD gets the status");
  signal(SIGCHLD, SIG_DFL);
  pid_t child = fork();
  if (child == 0) _exit(7);
  OK(run("exit 5") == 5, "another child of the program does not disturb");
  int status;
  OK(waitpid(-1, &status, 0) == child && WEXITSTATUS(status) == 7, "and is still there to be waited for");
  OK(waitpid(-1, &status, 0) == -1 && errno == ECHILD, "ours never was");
}

static void test_signals(void) {
  sigset_t set, old, now;
  sigfillset(&set);
  sigprocmask(SIG_SETMASK, &set, &old);
  signal(SIGUSR1, SIG_IGN);
  int out = os_process_memory_file();
  run_io("grep -E '^Sig(Blk|Ign)' /proc/self/status", 0, out, 2);
  sigprocmask(SIG_SETMASK, NULL, &now);
  OK(strstr(text_of(out), "SigBlk:\t0000000000000000") && strstr(text_of(out), "SigIgn:\t0000000000000000"),
     "it starts with no signal blocked or ignored");
  OK(sigismember(&now, SIGINT) && sigismember(&now, SIGUSR2), "while the caller's mask stays");
  OK(signal(SIGUSR1, SIG_DFL) == SIG_IGN, "and its actions, too");
  sigprocmask(SIG_SETMASK, &old, NULL);
  close(out);
}

static void test_descriptors(void) {
  int in = os_process_memory_file(), out = os_process_memory_file(), err = os_process_memory_file();
  if (write(in, "input", 5) != 5) return;
  lseek(in, 0, SEEK_SET);
  OK(run_io("cat; echo message >&2", in, out, err) == 0, "three descriptors");
  OK(strcmp(text_of(out), "input") == 0 && strcmp(text_of(err), "message\n") == 0, "each in its place");
  int saved[3];
  for (int i = 0; i < 3; i++) saved[i] = fcntl(i, F_DUPFD_CLOEXEC, 10);
  lseek(in, 0, SEEK_SET);
  if (ftruncate(out, 0) != 0 || ftruncate(err, 0) != 0) return;
  lseek(out, 0, SEEK_SET);
  lseek(err, 0, SEEK_SET);
  dup2(out, 0);
  dup2(err, 1);
  dup2(in, 2);
  int status = run_io("cat; echo message >&2", 2, 0, 1);
  for (int i = 0; i < 3; i++) dup2(saved[i], i);
  OK(status == 0 && strcmp(text_of(out), "input") == 0 && strcmp(text_of(err), "message\n") == 0,
     "also when they stand in each other's places");
  int extra = open("/dev/null", O_RDONLY); /* not close-on-exec */
  if (ftruncate(out, 0) != 0) return;
  lseek(out, 0, SEEK_SET);
  run_io("ls /proc/$$/fd | tr '\\n' ' '", 0, out, 2);
  OK(strncmp(text_of(out), "0 1 2 ", 6) == 0 && !strstr(text_of(out), " 4 ") && extra > 3, "no other descriptor is passed on");
  lseek(out, 0, SEEK_SET);
  for (int i = 0; i < 3; i++) close(i);
  status = run_io("echo closed", out, out, out);
  for (int i = 0; i < 3; i++) dup2(saved[i], i);
  OK(status == 0 && strncmp(text_of(out), "closed\n", 7) == 0, "it works with the standard descriptors closed");
}

int main(void) {
  char path[4096];
  os_memory_init();
  test_status();
  test_unnoticed();
  test_signals();
  test_descriptors();
  os_process_path(path, sizeof path);
  OK(path[0] == '/' && access(path, X_OK) == 0, "the path of this program is known");
  return tap_end();
}
