/* SPDX-License-Identifier: MIT
 * gleaner dump PID: asks a running process for a heap dump, through a pipe, and puts it into a file. How one asks is told in
 * report/dump.h.
 *
 * A thread may be asked at a bad moment, or never answer; so one after the other is asked until the first byte comes. */
#include "config.h"

#include "command.h"

#include "report/dump.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { dump_ask_every_ms = 50, dump_patience_s = 10, dump_silence_s = 120, dump_piece = 1 << 16 };

struct dump {
  pid_t pid;
  int number;   /* the signal */
  int pipe[2];
  unsigned nonce;
  const char *file; /* NULL: standard output */
  int out;
  bool made;    /* the file is ours to remove */
};

static double dump_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* --- whom to ask, and how --- */

static FILE *dump_proc(pid_t pid, const char *name) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
  return fopen(path, "re");
}

/* The signal that the process has announced; 0: none, and errno is 0 or why that cannot be known. */
static int dump_find_signal(pid_t pid) {
  char *line = NULL;
  size_t room = 0;
  int number = 0;
  errno = 0;
  FILE *maps = dump_proc(pid, "maps");
  if (!maps) return 0;
  while (!number && getline(&line, &room, maps) > 0) {
    const char *found = strstr(line, "/memfd:" DUMP_ASK_MAPPING);
    if (found) number = atoi(found + strlen("/memfd:" DUMP_ASK_MAPPING));
  }
  if (!number && ferror(maps) && !errno) errno = EACCES;
  fclose(maps);
  free(line);
  return number > 0 && number <= SIGRTMAX ? number : 0;
}

static uint64_t dump_mask(const char *text, const char *name) {
  const char *found = strstr(text, name);
  return found ? strtoull(found + strlen(name), NULL, 16) : 0;
}

/* Whether the thread would see the signal: it has a handler, is not blocked, and none is waiting already. */
static bool dump_may_ask(const struct dump *dump, const char *tid) {
  char path[300], text[8192];
  snprintf(path, sizeof path, "/proc/%d/task/%s/status", (int)dump->pid, tid);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
  if (fd >= 0) close(fd);
  if (got <= 0) return false;
  text[got] = '\0';
  uint64_t bit = (uint64_t)1 << (dump->number - 1);
  return dump_mask(text, "\nSigCgt:") & bit && !((dump_mask(text, "\nSigBlk:") | dump_mask(text, "\nSigPnd:")) & bit);
}

static bool dump_ask_thread(const struct dump *dump, pid_t tid) {
  siginfo_t info = {.si_signo = dump->number, .si_code = SI_QUEUE};
  info.si_pid = getpid();
  info.si_uid = getuid();
  info.si_value.sival_ptr = (void *)(uintptr_t)DUMP_ASK(dump->pipe[1], dump->nonce, getpid());
  return syscall(SYS_rt_tgsigqueueinfo, dump->pid, tid, dump->number, &info) == 0;
}

/* The turn-th of the threads that can be asked, the first after the last. Whether any was. */
static bool dump_ask(const struct dump *dump, unsigned turn) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/task", (int)dump->pid);
  DIR *tasks = opendir(path);
  pid_t first = 0, chosen = 0;
  unsigned at = 0;
  for (struct dirent *entry; tasks && (entry = readdir(tasks));) {
    if (!isdigit((unsigned char)entry->d_name[0]) || !dump_may_ask(dump, entry->d_name)) continue;
    pid_t tid = (pid_t)atoi(entry->d_name);
    if (!first) first = tid;
    if (at++ == turn) chosen = tid;
  }
  if (tasks) closedir(tasks);
  if (!chosen && at) return dump_ask(dump, turn % at);
  return chosen && dump_ask_thread(dump, chosen);
}

/* --- what comes --- */

static bool dump_wait(const struct dump *dump, int milliseconds) {
  struct pollfd wait = {dump->pipe[0], POLLIN, 0};
  return poll(&wait, 1, milliseconds) > 0;
}

static bool dump_begin(struct dump *dump) {
  double give_up = dump_now() + dump_patience_s;
  dump->nonce = (unsigned)(dump_now() * 1000);
  bool asked = false;
  for (unsigned turn = 0; dump_now() < give_up; turn++) {
    asked |= dump_ask(dump, turn);
    if (dump_wait(dump, dump_ask_every_ms)) return true;
    if (kill(dump->pid, 0) != 0 && errno == ESRCH) {
      command_say("process %d has ended", (int)dump->pid);
      return false;
    }
  }
  if (asked) command_say("process %d does not answer (it may be stopped, or see another /proc)", (int)dump->pid);
  else command_say("process %d has no thread that can be asked: all block signal %d", (int)dump->pid, dump->number);
  return false;
}

static bool dump_put(const struct dump *dump, const char *bytes, size_t size) {
  while (size) {
    ssize_t put = write(dump->out, bytes, size);
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) {
      command_say("cannot write %s: %s", dump->file ? dump->file : "standard output", strerror(errno));
      return false;
    }
    bytes += put;
    size -= (size_t)put;
  }
  return true;
}

/* The first bytes tell whether it is a dump. What comes is told apart from what it is not by its end: 'E' and its numbers are
 * seen by whoever reads it; here only that the writer closed its end. */
static bool dump_copy(const struct dump *dump) {
  static char piece[dump_piece];
  size_t length = 0;
  uint64_t total = 0;
  for (;;) {
    if (!dump_wait(dump, dump_silence_s * 1000)) {
      command_say("process %d stopped writing its dump", (int)dump->pid);
      return false;
    }
    ssize_t got = read(dump->pipe[0], piece + length, sizeof piece - length);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    length += (size_t)got;
    if (!total && length < sizeof DUMP_REFUSAL) continue;
    if (!total && memcmp(piece, DUMP_REFUSAL, sizeof DUMP_REFUSAL - 1) == 0) {
      if (length < sizeof piece) continue; /* the text follows */
    } else if (!dump_put(dump, piece, length)) {
      return false;
    } else {
      total += length;
      length = 0;
    }
  }
  if (total) return true;
  size_t head = sizeof DUMP_REFUSAL - 1;
  bool refused = length >= head && memcmp(piece, DUMP_REFUSAL, head) == 0;
  command_say("process %d cannot be dumped: %.*s", (int)dump->pid, refused ? (int)(length - head) : 24,
              refused ? piece + head : "it began, and gave up");
  return false;
}

static bool dump_open(struct dump *dump) {
  dump->out = STDOUT_FILENO;
  if (!dump->file) return true;
  struct stat before;
  dump->made = stat(dump->file, &before) != 0;
  dump->out = open(dump->file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (dump->out >= 0) return true;
  command_say("cannot write %s: %s", dump->file, strerror(errno));
  return false;
}

static bool dump_process(struct dump *dump) {
  if (pipe2(dump->pipe, O_CLOEXEC) != 0) {
    command_say("no pipe: %s", strerror(errno));
    return false;
  }
  if (!dump_begin(dump) || !dump_open(dump)) return false;
  close(dump->pipe[1]); /* now its end is the writer's */
  bool good = dump_copy(dump);
  if (dump->out != STDOUT_FILENO && close(dump->out) != 0 && good) {
    command_say("cannot write %s: %s", dump->file, strerror(errno));
    good = false;
  }
  if (!good && dump->made && dump->file) unlink(dump->file);
  return good;
}

static bool dump_find(struct dump *dump) {
  char path[64];
  struct stat process;
  snprintf(path, sizeof path, "/proc/%d", (int)dump->pid);
  if (stat(path, &process) != 0) {
    command_say("there is no process %d", (int)dump->pid);
    return false;
  }
  dump->number = dump_find_signal(dump->pid);
  if (dump->number) return true;
  if (errno == EACCES || errno == EPERM)
    command_say("process %d cannot be looked at: %s; only its user may dump it", (int)dump->pid, strerror(errno));
  else command_say("process %d does not run with Gleaner", (int)dump->pid);
  return false;
}

int dump_pid(const char *pid, const char *file) {
  char *end;
  struct dump dump = {.file = file && strcmp(file, "-") != 0 ? file : NULL};
  char name[64];
  long number = strtol(pid, &end, 10);
  if (*end || end == pid || number <= 0 || number > INT32_MAX) {
    command_say("'%s' is no process id", pid);
    return status_usage;
  }
  dump.pid = (pid_t)number;
  if (!file) {
    snprintf(name, sizeof name, "gleaner.%ld.dump", number);
    dump.file = name;
  }
  signal(SIGPIPE, SIG_IGN);
  if (!dump_find(&dump) || !dump_process(&dump)) return status_failed;
  if (dump.file) printf("%s\n", dump.file);
  return fflush(stdout) == 0 ? status_good : status_failed;
}
