/* SPDX-License-Identifier: MIT
 * Snapshots. Knows stops and processes; must not know what is done with a copy.
 *
 *   this thread   stop ... clone ... wait for "ready" | resume
 *   the child              close what is the program's, "ready", act, _exit
 *
 * The program goes on only when the child has let go of its descriptors: the other end of a pipe that the program closes
 * must see that. */
#include "config.h"

#include "gc/snapshot.h"

#include "base/bits.h"
#include "base/print.h"
#include "gc/pins.h"
#include "gc/watch.h"
#include "heap/heap.h"
#include "os/call.h"
#include "os/memory.h"
#include "os/spawn.h"
#include "os/threads.h"

#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

enum {
  snapshot_pins_most = 32 * 1024,
  snapshot_ready_ms = 2000,
};

struct snapshot_stop {
  const struct snapshot_request *request;
  struct snapshot_taken *taken;
  struct snapshot snapshot;
  _Atomic uint32_t *ready; /* shared with the child */
  int error;
};

static uintptr_t *snapshot_pins; /* kept for the next time */

static void snapshot_pin(uintptr_t lo, uintptr_t hi, void *arg) {
  struct snapshot *snapshot = arg;
  for (; lo + sizeof(uintptr_t) <= hi && snapshot->pin_count < snapshot_pins_most; lo += sizeof(uintptr_t))
    snapshot_pins[snapshot->pin_count++] = *(const uintptr_t *)lo;
}

static int snapshot_copy_pins(struct snapshot *snapshot) {
  if (!snapshot_pins)
    snapshot_pins = os_memory_map(bits_align_up(snapshot_pins_most * sizeof *snapshot_pins, os_page_size));
  if (!snapshot_pins) return ENOMEM;
  snapshot->pins = snapshot_pins;
  pins_each(snapshot_pin, snapshot);
  return 0;
}

/* --- the child --- */

static void snapshot_close(unsigned from, unsigned to) {
  if (from > to || os_call(SYS_close_range, from, to, 0) == 0) return;
  struct rlimit limit;
  if (os_call(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &limit) != 0 || limit.rlim_cur > 65536) limit.rlim_cur = 65536;
  for (unsigned fd = from; fd <= to && fd < limit.rlim_cur; fd++) os_call(SYS_close, fd);
}

/* Whom to end when memory is short. */
static void snapshot_volunteer(void) {
  long fd = os_call(SYS_openat, AT_FDCWD, "/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC, 0);
  if (fd < 0) return;
  os_call(SYS_write, fd, "1000", 4);
  os_call(SYS_close, fd);
}

static _Noreturn void snapshot_child(struct snapshot_stop *stop) {
  const struct snapshot_request *request = stop->request;
  if (request->keep > 0) snapshot_close(0, (unsigned)request->keep - 1);
  snapshot_close(request->keep >= 0 ? (unsigned)request->keep + 1 : 0, ~0u);
  world_maps.kept.pagemap = world_maps.kept.memory = 0;
  atomic_store(stop->ready, 1);
  os_call(SYS_futex, stop->ready, FUTEX_WAKE, 1);
  snapshot_volunteer();
  os_arena_fork_child();
  int status = request->act(&stop->snapshot, request->arg);
  for (;;) os_call(SYS_exit_group, status);
}

/* --- the pause --- */

static _Atomic uint32_t *snapshot_map_shared(void) {
  long at = os_call(SYS_mmap, NULL, os_page_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  return at < 0 && at > -4096 ? NULL : (_Atomic uint32_t *)at;
}

/* A child that was ended before it got so far is no reason to stand still. */
static void snapshot_wait_ready(_Atomic uint32_t *ready) {
  const uint64_t give_up = os_clock() + snapshot_ready_ms * (uint64_t)1000000;
  struct timespec nap = {0, 10 * 1000 * 1000};
  while (!atomic_load(ready) && os_clock() < give_up) os_call(SYS_futex, ready, FUTEX_WAIT, 0, &nap);
}

static int snapshot_fork(struct snapshot_stop *stop) {
  /* a debugger stops the program at a signal of ours */
  int end = stop->request->announced && !os_thread_is_traced() ? world_signal : 0;
  long pid = os_call(SYS_clone, (unsigned)end | CLONE_UNTRACED, NULL, NULL, NULL, NULL);
  if (pid == 0) snapshot_child(stop);
  if (pid < 0) return (int)-pid;
  stop->taken->pid = (pid_t)pid;
  snapshot_wait_ready(stop->ready);
  return 0;
}

static int snapshot_stopped(struct snapshot_stop *stop, const struct world_thread *threads, unsigned count) {
  struct snapshot *snapshot = &stop->snapshot;
  *snapshot = (struct snapshot){.threads = threads, .count = count, .in_handler = stop->request->in_handler};
  for (unsigned i = 0; i < count; i++) snapshot->deaf += !threads[i].stopped;
  stop->taken->threads = count;
  stop->taken->deaf = snapshot->deaf;
  int error = snapshot_copy_pins(snapshot);
  return error ? error : snapshot_fork(stop);
}

/* On a stack of ours. */
static void snapshot_call(void *arg) {
  struct snapshot_stop *stop = arg;
  struct world_thread *threads;
  if (stop->request->in_handler) world_left = UINTPTR_MAX; /* frames of ours are no part of the interrupted stack */
  uint64_t begin = os_clock();
  int count = world_stop(&stop->request->self, &threads);
  stop->error = count < 0 ? -count : snapshot_stopped(stop, threads, (unsigned)count);
  world_resume();
  stop->taken->pause_ns = os_clock() - begin;
}

static int snapshot_lock(bool in_handler, uint64_t *mask) {
  if (!in_handler) {
    *mask = world_acquire();
    if (watch_try_lock()) {
      heap_lock();
      return 0;
    }
    world_release(*mask);
    return EAGAIN;
  }
  if (!lock_try(&world_lock)) return EBUSY;
  if (!watch_is_locked() && watch_try_lock()) {
    if (heap_lock_within(1)) return 0;
    watch_unlock();
  }
  lock_release(&world_lock);
  return EBUSY;
}

static void snapshot_unlock(bool in_handler, uint64_t mask) {
  heap_unlock();
  watch_unlock();
  if (in_handler) lock_release(&world_lock);
  else world_release(mask);
}

int snapshot_take(const struct snapshot_request *request, struct snapshot_taken *taken) {
  struct snapshot_stop stop = {.request = request, .taken = taken};
  uint64_t mask = 0;
  *taken = (struct snapshot_taken){0};
  if (!os_spawn_is_allowed()) return EPERM;
  if ((stop.ready = snapshot_map_shared()) == NULL) return ENOMEM;
  stop.error = snapshot_lock(request->in_handler, &mask);
  if (!stop.error) {
    if (world_is_ending()) stop.error = ECANCELED;
    else world_call(snapshot_call, &stop);
    snapshot_unlock(request->in_handler, mask);
  }
  os_call(SYS_munmap, stop.ready, os_page_size);
  return stop.error;
}

int snapshot_reap(pid_t pid, bool wait) {
  int status = 0;
  long got;
  do got = os_call(SYS_wait4, pid, &status, __WALL | (wait ? 0 : WNOHANG), NULL);
  while (got == -EINTR);
  if (got == 0) return -EAGAIN;
  if (got < 0) return (int)got;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -EINTR;
}
