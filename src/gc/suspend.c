/* SPDX-License-Identifier: MIT
 * Threads that stand still. Must not know who asks. */
#include "config.h"

#include "gc/suspend.h"

#include "gc/collect.h"
#include "gc/world.h"
#include "heap/heap.h"
#include "os/call.h"
#include "os/memory.h"
#include "os/threads.h"

#include <errno.h>
#include <string.h>

enum {
  suspend_glance_ns = 100 * 1000,
  suspend_glances = 20 * 1000, /* two seconds */
  suspend_sure = 100,          /* glances at which it would not answer */
};

/* Told with the signal: the address of an entry. Nothing else that comes by it begins so. */
#define SUSPEND_MAGIC ((uint64_t)0x5757)

/* Never given back; used again once nobody is in it. */
struct suspend_entry {
  struct suspend_entry *next;
  _Atomic uintptr_t tcb; /* 0: nobody's */
  pid_t tid;
  _Atomic uint32_t on;   /* 1: it is to stand still. A futex */
  _Atomic uint32_t inside; /* it is where it waits, or on its way from there */
  _Atomic uint32_t again;  /* it was not the moment: ask again */
};

bool (*suspend_not_now)(void);

static struct suspend_entry *_Atomic suspend_entries; /* new ones under the world lock */

/* --- entries --- */

static struct suspend_entry *suspend_find(uintptr_t tcb) {
  struct suspend_entry *entry = atomic_load(&suspend_entries);
  while (entry && (atomic_load(&entry->tcb) != tcb || !atomic_load(&entry->on))) entry = entry->next;
  return entry;
}

static struct suspend_entry *suspend_make(uintptr_t tcb, pid_t tid) {
  struct suspend_entry *entry = atomic_load(&suspend_entries);
  while (entry && (atomic_load(&entry->on) || atomic_load(&entry->inside))) entry = entry->next;
  if (!entry) {
    entry = os_arena_alloc(sizeof *entry, _Alignof(struct suspend_entry));
    if (!entry) return NULL;
    entry->next = atomic_load(&suspend_entries);
    atomic_store(&suspend_entries, entry);
  }
  entry->tid = tid;
  atomic_store(&entry->again, 0);
  atomic_store(&entry->tcb, tcb);
  atomic_store(&entry->on, 1);
  return entry;
}

/* --- the thread itself --- */

static void suspend_stay(struct suspend_entry *entry) {
  while (atomic_load(&entry->on)) os_futex_wait(&entry->on, 1, 0);
  atomic_store(&entry->inside, 0);
}

/* With all signals blocked. A number that came late, when its entry is another's, is seen by the thread. */
bool suspend_told(const siginfo_t *info) {
  uint64_t told = (uint64_t)(uintptr_t)info->si_value.sival_ptr, open = (uint64_t)1 << (world_signal - 1), mask;
  struct suspend_entry *entry = atomic_load(&suspend_entries);
  if (info->si_code != SI_QUEUE || told >> 48 != SUSPEND_MAGIC) return false;
  while (entry && (uintptr_t)entry != (told & (((uint64_t)1 << 48) - 1))) entry = entry->next;
  if (!entry || entry->tid != os_thread_id()) return true;
  if (atomic_load(&entry->on) && suspend_not_now && suspend_not_now()) {
    atomic_store(&entry->again, 1);
    return true;
  }
  atomic_store(&entry->inside, 1);
  os_call(SYS_rt_sigprocmask, SIG_UNBLOCK, &open, &mask, sizeof mask);
  suspend_stay(entry);
  os_call(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, sizeof mask);
  return true;
}

/* --- who asks --- */

static int suspend_send(const struct suspend_entry *entry) {
  siginfo_t info;
  memset(&info, 0, sizeof info);
  info.si_signo = world_signal;
  info.si_code = SI_QUEUE;
  info.si_pid = (pid_t)os_call(SYS_getpid);
  info.si_value.sival_ptr = (void *)((uintptr_t)entry | SUSPEND_MAGIC << 48);
  return (int)-os_call(SYS_rt_tgsigqueueinfo, info.si_pid, entry->tid, world_signal, &info);
}

/* Until it is there, or will not come soon. EBUSY: it is not the moment. */
static int suspend_wait_for(const struct suspend_entry *entry) {
  unsigned deaf = 0;
  for (unsigned i = 0; i < suspend_glances && deaf < suspend_sure && !atomic_load(&entry->inside); i++) {
    if (atomic_load(&entry->again)) return EBUSY;
    if (!os_thread_exists(entry->tid)) return ESRCH;
    if (i > suspend_sure && os_thread_will_not_answer(entry->tid, world_signal)) deaf++;
    os_thread_sleep(suspend_glance_ns);
  }
  return 0;
}

static int suspend_locked(uintptr_t tcb) {
  struct world_stack stack;
  if (suspend_find(tcb)) return 0;
  if (!world_stack_read(tcb, &stack) || stack.tid <= 0 || !os_thread_exists(stack.tid)) return ESRCH;
  struct suspend_entry *entry = suspend_make(tcb, stack.tid);
  if (!entry) return ENOMEM;
  int error = suspend_send(entry);
  if (!error) error = suspend_wait_for(entry);
  if (error) atomic_store(&entry->on, 0);
  return error;
}

int suspend_thread(uintptr_t tcb) {
  int error = EAGAIN;
  if (!world_signal) return error;
  for (;;) {
    struct collect_locks locks = collect_lock();
    error = suspend_locked(tcb);
    collect_unlock(locks);
    if (error != EBUSY) return error;
    os_thread_sleep(suspend_glance_ns);
  }
}

int suspend_myself(void) {
  struct collect_locks locks = collect_lock();
  struct suspend_entry *entry = suspend_make(os_thread_pointer(), os_thread_id());
  if (entry) atomic_store(&entry->inside, 1);
  collect_unlock(locks);
  if (!entry) return ENOMEM;
  suspend_stay(entry);
  return 0;
}

bool suspend_resume(uintptr_t tcb) {
  struct suspend_entry *entry = suspend_find(tcb);
  if (!entry) return false;
  atomic_store(&entry->on, 0);
  os_futex_wake(&entry->on);
  return true;
}

bool suspend_is_suspended(uintptr_t tcb) { return suspend_find(tcb) != NULL; }

/* The others are not there. */
void suspend_fork_child(void) {
  for (struct suspend_entry *entry = atomic_load(&suspend_entries); entry; entry = entry->next) {
    atomic_store(&entry->on, 0);
    atomic_store(&entry->inside, 0);
  }
}

/* --- the world --- */

static struct collect_locks suspend_world_locks;

int suspend_world(void) {
  struct world_thread *threads, self = {.tid = os_thread_id(), .stopped = true, .sp = (uintptr_t)__builtin_frame_address(0)};
  suspend_world_locks = collect_lock();
  int count = world_stop(&self, &threads);
  return count < 0 ? -count : 0;
}

void suspend_world_over(void) {
  struct collect_locks locks = suspend_world_locks;
  world_resume();
  collect_unlock(locks);
}
