/* SPDX-License-Identifier: MIT
 * Tasks, signals and futexes, by plain system calls. Knows nothing of stopping or of pthreads. */
#include "config.h"

#include "os/threads.h"

#include "base/print.h"
#include "os/call.h"

#include <asm/prctl.h>
#include <dirent.h>
#include <linux/futex.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

pid_t os_thread_id(void) { return (pid_t)os_call(SYS_gettid); }

/* By a system call: a thread made by raw clone may have no thread pointer to read through. */
uintptr_t os_thread_pointer(void) {
  uintptr_t pointer = 0;
  os_call(SYS_arch_prctl, ARCH_GET_FS, &pointer);
  return pointer;
}

struct threads_entry { /* what getdents64(2) fills in */
  uint64_t inode;
  int64_t offset;
  uint16_t length;
  uint8_t type;
  char name[];
};

static pid_t threads_number(const char *digits) {
  pid_t n = 0;
  for (; *digits >= '0' && *digits <= '9'; digits++) n = n * 10 + (*digits - '0');
  return *digits ? 0 : n;
}

int os_threads_each(bool (*each)(pid_t tid, void *arg), void *arg) {
  int fd = os_call_open("/proc/self/task", O_DIRECTORY);
  if (fd < 0) return -fd;
  _Alignas(8) char buffer[4096];
  long size;
  bool more = true;
  while (more && (size = os_call(SYS_getdents64, fd, buffer, sizeof buffer)) > 0)
    for (long at = 0; more && at < size;) {
      const struct threads_entry *entry = (const struct threads_entry *)(buffer + at);
      pid_t tid = threads_number(entry->name);
      if (tid > 0) more = each(tid, arg);
      at += entry->length;
    }
  os_call_close(fd);
  return more && size < 0 ? (int)-size : 0;
}

int os_thread_signal(pid_t tid, int signal) {
  return (int)-os_call(SYS_tgkill, os_call(SYS_getpid), tid, signal);
}

bool os_thread_exists(pid_t tid) { return os_thread_signal(tid, 0) != ESRCH; }

/* The start of /proc/self/task/TID/name; its length, or -errno. */
static long threads_read(pid_t tid, const char *name, char *buffer, size_t size) {
  char path[64];
  print_buffer(path, sizeof path, "/proc/self/task/%d/%s", (int)tid, name);
  int fd = os_call_open(path, 0);
  if (fd < 0) return fd;
  long got = os_call_read(fd, buffer, size - 1);
  os_call_close(fd);
  if (got >= 0) buffer[got] = 0;
  return got;
}

/* The letter of its state ('R', 'S', 'D', 'Z' ...), 'X' when it is gone, 0 when that cannot be known. */
static char threads_state(pid_t tid) {
  char text[512];
  long got = threads_read(tid, "stat", text, sizeof text);
  if (got == -ENOENT || got == -ESRCH) return 'X';
  const char *end = got > 0 ? strrchr(text, ')') : NULL; /* the name before it may hold anything */
  return end && end[1] == ' ' ? end[2] : 0;
}

bool os_thread_is_dead(pid_t tid) {
  char state = threads_state(tid);
  return state ? state == 'Z' || state == 'X' || state == 'x' : !os_thread_exists(tid);
}

static uint64_t threads_hex(const char *text) {
  uint64_t n = 0;
  for (;; text++) {
    unsigned digit = (unsigned)*text - '0';
    if (digit > 9) digit = ((unsigned)*text | 32u) - 'a' + 10;
    if (digit > 15) return n;
    n = n << 4 | digit;
  }
}

bool os_thread_will_not_answer(pid_t tid, int signal) {
  if (threads_state(tid) == 'D') return true;
  char text[4096];
  if (threads_read(tid, "status", text, sizeof text) <= 0) return false;
  const char *blocked = strstr(text, "\nSigBlk:\t");
  return blocked && (threads_hex(blocked + 9) >> (signal - 1) & 1);
}

static uint64_t threads_mask(const char *status, const char *name) {
  const char *line = strstr(status, name);
  return line ? threads_hex(line + strlen(name)) : ~(uint64_t)0;
}

uint64_t os_thread_pending(pid_t tid, uint64_t *process) {
  char text[4096];
  if (threads_read(tid, "status", text, sizeof text) <= 0) return *process = ~(uint64_t)0;
  *process |= threads_mask(text, "\nShdPnd:\t");
  return threads_mask(text, "\nSigPnd:\t");
}

bool os_thread_is_traced(void) {
  char text[4096];
  if (threads_read(os_thread_id(), "status", text, sizeof text) <= 0) return false;
  const char *tracer = strstr(text, "\nTracerPid:\t");
  return tracer && tracer[12] != '0';
}

/* "NR 0xARG .. 0xSP 0xPC", or "-1 0xSP 0xPC" when blocked outside a call, or "running". */
uintptr_t os_thread_blocked_sp(pid_t tid) {
  char text[256];
  long got = threads_read(tid, "syscall", text, sizeof text);
  if (got <= 0 || text[0] == 'r') return 0;
  const char *pc = strrchr(text, 'x');
  if (!pc) return 0;
  const char *sp = pc - 1;
  while (sp > text && *--sp != 'x') continue;
  return sp > text ? threads_hex(sp + 1) : 0;
}

void os_futex_wait(_Atomic uint32_t *word, uint32_t value, uint64_t nanoseconds) {
  struct timespec time = {(time_t)(nanoseconds / 1000000000u), (long)(nanoseconds % 1000000000u)};
  os_call(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, nanoseconds ? &time : NULL);
}

void os_thread_sleep(uint64_t nanoseconds) {
  _Atomic uint32_t nobody = 0;
  os_futex_wait(&nobody, 0, nanoseconds);
}

void os_futex_wake(_Atomic uint32_t *word) { os_call(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT32_MAX); }

static uint64_t threads_clock(clockid_t which) {
  int saved = errno;
  struct timespec now = {0};
  clock_gettime(which, &now);
  errno = saved;
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t os_clock(void) { return threads_clock(CLOCK_MONOTONIC); }

uint64_t os_clock_lap(uint64_t *since) {
  uint64_t now = os_clock(), lap = now - *since;
  *since = now;
  return lap;
}
uint64_t os_thread_clock(void) { return threads_clock(CLOCK_THREAD_CPUTIME_ID); }
uint64_t os_process_clock(void) { return threads_clock(CLOCK_PROCESS_CPUTIME_ID); }
