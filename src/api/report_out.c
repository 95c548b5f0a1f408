/* SPDX-License-Identifier: MIT
 * Where reports go, and who draws them. Must not know what is reported. */
#include "config.h"

#include "api/report_out.h"

#include "api/api.h"
#include "base/print.h"
#include "os/process.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static int report_stderr = -1;          /* a copy of the standard error the program began with */
static struct stat report_stderr_file;  /* what it is, to see whether the copy is still ours */
static char report_tool[4096];

static bool report_same_file(int fd) {
  struct stat now;
  return fd >= 0 && fstat(fd, &now) == 0 && now.st_dev == report_stderr_file.st_dev &&
         now.st_ino == report_stderr_file.st_ino;
}

int report_out_stderr(void) { return report_same_file(report_stderr) ? report_stderr : STDERR_FILENO; }
const char *report_out_tool(void) { return report_tool; }

int report_out_high(int fd) {
  struct rlimit limit;
  int least = getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < 1024 ? (int)limit.rlim_cur - 2 : 1000;
  return fcntl(fd, F_DUPFD_CLOEXEC, least < 3 ? 3 : least);
}

/* Beside the preloaded library (a build tree), or where it was installed. */
static void report_find_tool(void) {
  Dl_info info;
  if (birth_options.tool) {
    print_buffer(report_tool, sizeof report_tool, "%s", birth_options.tool);
    return;
  }
  if (dladdr((void *)(uintptr_t)report_find_tool, &info) && info.dli_fname) {
    const char *slash = strrchr(info.dli_fname, '/');
    size_t length = slash ? (size_t)(slash - info.dli_fname) : 0;
    if (slash && length + sizeof "/gleaner" < sizeof report_tool) {
      memcpy(report_tool, info.dli_fname, length);
      memcpy(report_tool + length, "/gleaner", sizeof "/gleaner");
      struct stat file;
      if (stat(report_tool, &file) == 0 && S_ISREG(file.st_mode) && access(report_tool, X_OK) == 0) return;
    }
  }
  print_buffer(report_tool, sizeof report_tool, "%s", BINDIR "/gleaner");
}

void report_out_init(void) {
  if (*report_tool) return;
  report_find_tool();
  if (!birth_options.report && fstat(STDERR_FILENO, &report_stderr_file) == 0)
    report_stderr = report_out_high(STDERR_FILENO);
}

static void (*report_tell)(void);

/* A fatal signal: report, then let it be fatal. */
static void report_signal(int signal_number) {
  signal(signal_number, SIG_DFL);
  report_tell();
  raise(signal_number);
}

void report_out_at_signal(void (*tell)(void)) {
  static const int fatal[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTERM, SIGINT, SIGHUP, SIGQUIT};
  report_tell = tell;
  for (size_t i = 0; i < sizeof fatal / sizeof fatal[0]; i++) {
    struct sigaction action;
    if (sigaction(fatal[i], NULL, &action) != 0 || action.sa_handler != SIG_DFL) continue;
    action = (struct sigaction){.sa_handler = report_signal, .sa_flags = SA_NODEFER | SA_ONSTACK};
    sigaction(fatal[i], &action, NULL);
  }
}

void report_out_name(char *path, size_t size, const char *pattern) {
  char *to = path;
  for (const char *from = pattern; *from && to < path + size - 24; from++) {
    if (from[0] == '%' && from[1] == 'p') to += print_buffer(to, 24, "%d", (int)getpid()), from++;
    else *to++ = *from;
  }
  *to = '\0';
}

int report_out_open(bool *close_it) {
  char path[4096];
  *close_it = false;
  if (!birth_options.report) return report_out_stderr();
  report_out_name(path, sizeof path, birth_options.report);
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd >= 0) {
    *close_it = true;
    return fd;
  }
  print_fd(STDERR_FILENO, "gleaner: cannot write the report to '%s': %s; it follows here\n", path, strerrordesc_np(errno));
  return STDERR_FILENO;
}

int report_out_draw(int record, int out) {
  char suppressions[4200];
  char *argv[8] = {report_tool, "--draw-record"};
  char *environment[] = {"LC_ALL=C.UTF-8", "PATH=/usr/bin:/bin", NULL};
  int n = 2;
  if (birth_options.format == FORMAT_JSON) argv[n++] = "--format=json";
  if (birth_options.show_reachable) argv[n++] = "--show-reachable";
  if (birth_options.verbose) argv[n++] = "--verbose";
  if (birth_options.suppressions) {
    print_buffer(suppressions, sizeof suppressions, "--suppressions=%s", birth_options.suppressions);
    argv[n++] = suppressions;
  }
  argv[n++] = "--error-exitcode=3"; /* report_status_lost in leak_report.c */
  argv[n] = NULL;
  lseek(record, 0, SEEK_SET);
  return os_process_run(report_tool, argv, environment, record, out, report_out_stderr());
}
