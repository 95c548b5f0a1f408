/* SPDX-License-Identifier: MIT
 * When a heap dump is made: by a call, at exit, or because another process asks. Must not know what is in one.
 *
 * Asked, the handler of the reserved signal takes a snapshot at once, if nobody holds the locks that this takes; else the request is
 * noted for the next slow path of allocation, and the asker asks again. The process goes on, its child writes. When that
 * has ended the kernel tells by the same signal, and the handler lets go of it. */
#include "config.h"

#include "api/gc_dump.h"

#include "api/collector.h"
#include "api/dump_out.h"
#include "api/hooks.h"
#include "api/report_out.h"
#include "base/bits.h"
#include "base/print.h"
#include "gc/suspend.h"
#include "gc/why.h"
#include "gc_ext.h"
#include "os/call.h"
#include "os/memory.h"
#include "os/spawn.h"
#include "report/dump.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#define PUBLIC __attribute__((visibility("default"), noinline))

static _Atomic pid_t dump_writer; /* a child that nobody waits for */
static _Atomic uint64_t dump_answered; /* the last request */
static _Atomic bool dump_busy;         /* a thread deals with one */
_Atomic uint64_t gc_dump_noted;

/* --- by a call --- */

static int dump_act(const struct snapshot *snapshot, void *arg) { return dump_write(snapshot, arg); }

/* The calling thread: what it has in registers, and its stack from here up. */
static __attribute__((noinline)) int dump_take(struct snapshot_request *request, struct snapshot_taken *taken) {
  struct site_registers registers;
  site_here(&registers);
  request->self = (struct world_thread){
      .tid = os_thread_id(),
      .sp = (uintptr_t)(&registers + 1),
      .frame_lo = (uintptr_t)&registers,
      .frame_hi = (uintptr_t)(&registers + 1),
  };
  int error = snapshot_take(request, taken);
  keep_alive(request);
  return error;
}

/* In a snapshot; waits for its end. An errno value. */
static int dump_wait(struct snapshot_request *request) {
  struct snapshot_taken taken;
  if (!birth_ensure() || !birth_is_mine()) return EAGAIN;
  int error = world_signal ? 0 : world_init();
  if (!error) error = dump_take(request, &taken);
  if (error) return error;
  int status = snapshot_reap(taken.pid, true);
  return status == -ECHILD ? 0 : status < 0 ? -status : status;
}

static int dump_to_file(const char *path) {
  int fd = (int)os_call(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return -fd;
  struct dump_request what = {fd, !hook_serves_malloc, (pid_t)os_call(SYS_getpid)};
  struct snapshot_request request = {.keep = fd, .act = dump_act, .arg = &what};
  int error = dump_wait(&request);
  os_call_close(fd);
  return error;
}

PUBLIC int GC_dump_heap(const char *path) {
  int saved = errno, error = path ? dump_to_file(path) : EINVAL;
  errno = error ? error : saved;
  return error ? -1 : 0;
}

/* --- at exit --- */

void gc_dump_exit(void) {
  char path[4096];
  if (!birth_options.dump_at_exit) return;
  report_out_name(path, sizeof path, birth_options.dump_at_exit);
  int error = dump_to_file(path);
  if (error) print_fd(report_out_stderr(), "gleaner: no heap dump in '%s': %s\n", path, strerrordesc_np(error));
}

/* --- for another process --- */

/* The writing end of the asker's pipe; -1: what is asked for makes no sense. */
static int dump_open(uint64_t asked) {
  char path[64];
  struct stat file;
  print_buffer(path, sizeof path, "/proc/%u/fd/%u", DUMP_ASK_PID(asked), DUMP_ASK_FD(asked));
  int fd = os_call_open(path, O_WRONLY | O_NONBLOCK);
  if (fd < 0) return -1;
  if (os_call(SYS_newfstatat, fd, "", &file, AT_EMPTY_PATH) == 0 && S_ISFIFO(file.st_mode)) return fd;
  os_call_close(fd);
  return -1;
}

/* Lets go of the child if it has ended, which another thread may have been told before this process knew its number. */
static bool dump_reap(pid_t pid) {
  if (!pid) return true;
  if (snapshot_reap(pid, false) == -EAGAIN) return false;
  atomic_compare_exchange_strong(&dump_writer, &pid, 0);
  return true;
}

static const char *dump_refusal(int error) {
  if (error == EPERM) return "the program has put itself under a filter of system calls";
  if (error == EALREADY) return "another dump is being written";
  if (error == EACCES) return "the program has made itself undumpable";
  return strerrordesc_np(error);
}

static void dump_refuse(int fd, int error) {
  const char *why = dump_refusal(error);
  os_call(SYS_write, fd, DUMP_REFUSAL, sizeof DUMP_REFUSAL - 1);
  os_call(SYS_write, fd, why, strlen(why));
}

/* self: as the handler was told it; NULL: no handler. EBUSY: it is not the moment. */
static int dump_answer(int fd, const struct world_thread *self) {
  struct dump_request what = {fd, !hook_serves_malloc, (pid_t)os_call(SYS_getpid)};
  struct snapshot_request request = {.announced = true, .in_handler = self != NULL, .keep = fd, .act = dump_act, .arg = &what};
  struct snapshot_taken taken;
  if (os_call(SYS_prctl, PR_GET_DUMPABLE) != 1) return EACCES;
  if (!dump_reap(atomic_load(&dump_writer))) return EALREADY;
  if (self) request.self = *self;
  int error = self ? snapshot_take(&request, &taken) : dump_take(&request, &taken);
  if (error) return error;
  atomic_store(&dump_writer, taken.pid);
  dump_reap(taken.pid);
  return 0;
}

static void dump_ask_later(uint64_t asked) {
  atomic_store(&gc_dump_noted, asked);
  atomic_store(&heap_alarm, true);
}

static void dump_asked_once(uint64_t asked, const struct world_thread *self) {
  int fd = atomic_load(&dump_answered) == asked ? -1 : dump_open(asked);
  if (fd < 0) return;
  int error = dump_answer(fd, self);
  if (error == EBUSY) dump_ask_later(asked);
  else atomic_store(&dump_answered, asked);
  if (error && error != EBUSY) dump_refuse(fd, error);
  os_call_close(fd);
}

/* Whoever asks asks again and again, other threads as well, until the first byte has come. */
static void dump_asked(uint64_t asked, const struct world_thread *self) {
  bool busy = false;
  if (!atomic_compare_exchange_strong(&dump_busy, &busy, true)) return;
  dump_asked_once(asked, self);
  atomic_store(&dump_busy, false);
}

/* A raw thread may have no TLS, which is needed here; and a vfork child is not the process. */
static void dump_told(const struct world_thread *self, const siginfo_t *info) {
  uint64_t asked = (uint64_t)(uintptr_t)info->si_value.sival_ptr;
  if (suspend_told(info)) return;
  if (info->si_code > 0) {
    dump_reap(info->si_pid);
    return;
  }
  if (info->si_code != SI_QUEUE || asked >> 48 != DUMP_ASK_MAGIC) return;
  if (self->tcb && birth_is_mine() && lock_holds_none()) dump_asked(asked, self);
}

void gc_dump_noted_slow(void) {
  uint64_t asked = atomic_exchange(&gc_dump_noted, 0);
  int saved = errno;
  if (!collector_is_armed) atomic_store(&heap_alarm, birth_options.stress);
  if (asked && birth_is_mine()) dump_asked(asked, NULL);
  errno = saved;
}

/* A mapping without rights, of which only the name matters: it tells which signal is ours, comes and goes with the process image,
 * and costs neither memory nor a descriptor. */
static void dump_announce(void) {
  char name[64];
  print_buffer(name, sizeof name, DUMP_ASK_MAPPING "%d", world_signal);
  long fd = os_call(SYS_memfd_create, name, 1 /* MFD_CLOEXEC */);
  if (fd < 0) return;
  os_call(SYS_mmap, NULL, os_page_size, PROT_NONE, MAP_PRIVATE, fd, 0);
  os_call_close((int)fd);
}

void gc_dump_init(void) {
  world_told = dump_told;
  os_spawn_init();
  if (birth_options.dump_at_exit) report_out_init();
  if (world_signal || world_init() == 0) dump_announce();
}

void gc_dump_fork_child(void) {
  suspend_fork_child();
  atomic_store(&dump_writer, 0);
  atomic_store(&gc_dump_noted, 0);
  atomic_store(&dump_busy, false);
}

/* --- why --- */

struct dump_why {
  uintptr_t target;
  struct why_path *path; /* shared with the snapshot */
};

static int dump_why_act(const struct snapshot *snapshot, void *arg) {
  const struct dump_why *why = arg;
  enum roots_purpose purpose = birth_options.mode == MODE_LEAKS ? ROOTS_REPORT : hook_serves_malloc ? ROOTS_ALL : ROOTS_DECLARED;
  return why_find(snapshot, purpose, why->target, why->path);
}

static void dump_why_tell(const struct why_path *path, void (*step)(const struct GC_why_step *step, void *arg), void *arg) {
  struct GC_why_step told = {.root = (enum GC_root)path->kind, .thread = path->thread};
  for (uint32_t i = 0; i < path->count && step; i++) {
    told.index = (int)i;
    told.from = (void *)path->step[i].at;
    told.object = (void *)path->step[i].object;
    told.size = path->step[i].size;
    step(&told, arg);
  }
}

static long dump_why(const void *object, struct why_path *path, void (*step)(const struct GC_why_step *step, void *arg), void *arg) {
  struct dump_why why = {(uintptr_t)object, path};
  struct snapshot_request request = {.keep = -1, .act = dump_why_act, .arg = &why};
  int error = dump_wait(&request);
  if (error) {
    errno = error;
    return -1;
  }
  dump_why_tell(path, step, arg);
  return (long)path->length;
}

PUBLIC long GC_why(const void *object, void (*step)(const struct GC_why_step *step, void *arg), void *arg) {
  size_t bytes = bits_align_up(sizeof(struct why_path), os_page_size);
  int saved = errno;
  long at = os_call(SYS_mmap, NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (at < 0 && at > -4096) {
    errno = (int)-at;
    return -1;
  }
  long length = dump_why(object, (struct why_path *)at, step, arg);
  if (length >= 0) errno = saved;
  os_call(SYS_munmap, at, bytes);
  return length;
}
