/* SPDX-License-Identifier: MIT
 * Runs one command and says what it cost: run RESULT SECONDS STDIN STDOUT STDERR [NAME=VALUE ...] -- COMMAND
 * ...
 *
 * In C because Linux hands a process's peak memory on through exec: started by a large interpreter, every
 * small program would seem as large. RESULT gets one line: the wait status, then user, system and wall time
 * in microseconds, peak resident KiB of the largest process, minor faults, major faults, all over the
 * command and every descendant, also those that it leaves behind. SECONDS is the longest that it may take;
 * its end is a status of SIGKILL. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile pid_t child;

static void on_alarm(int number) {
  (void)number;
  if (child > 0) kill(-child, SIGKILL);
}

static void redirect(const char *path, int flags, int fd) {
  int opened = open(path, flags | O_CLOEXEC, 0666);
  if (opened < 0 || dup2(opened, fd) < 0) {
    perror(path);
    _exit(127);
  }
}

static void start(char **argv) {
  char **word = argv;
  setpgid(0, 0);
  redirect(argv[0], O_RDONLY, 0);
  redirect(argv[1], O_WRONLY | O_CREAT | O_TRUNC, 1);
  redirect(argv[2], O_WRONLY | O_CREAT | O_TRUNC, 2);
  for (word += 3; *word && strcmp(*word, "--") != 0; word++) putenv(*word);
  if (*word) word++;
  execvp(word[0], word);
  perror(word[0]);
  _exit(127);
}

static long long micro(struct timeval t) { return t.tv_sec * 1000000ll + t.tv_usec; }

int main(int argc, char **argv) {
  if (argc < 8) {
    fputs("usage: run RESULT SECONDS STDIN STDOUT STDERR [NAME=VALUE ...] -- COMMAND ...\n", stderr);
    return 2;
  }
  struct timespec from, to;
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  clock_gettime(CLOCK_MONOTONIC, &from);
  child = fork();
  if (child < 0) return perror("fork"), 1;
  if (child == 0) start(argv + 3);
  struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
  sigaction(SIGALRM, &action, NULL);
  alarm((unsigned)atoi(argv[2]));

  int status, own = 0;
  for (pid_t pid; (pid = waitpid(-1, &status, 0)) > 0 || errno == EINTR;)
    if (pid == child) own = status;
  clock_gettime(CLOCK_MONOTONIC, &to);
  struct rusage usage;
  getrusage(RUSAGE_CHILDREN, &usage);

  FILE *result = fopen(argv[1], "we");
  if (!result) return perror(argv[1]), 1;
  fprintf(result, "%d %lld %lld %lld %ld %ld %ld\n", own, micro(usage.ru_utime), micro(usage.ru_stime),
          (to.tv_sec - from.tv_sec) * 1000000ll + (to.tv_nsec - from.tv_nsec) / 1000, usage.ru_maxrss,
          usage.ru_minflt, usage.ru_majflt);
  return fclose(result) ? 1 : 0;
}
