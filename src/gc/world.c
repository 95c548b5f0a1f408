/* SPDX-License-Identifier: MIT
 * Stopping the world. Knows threads; knows nothing of the heap or of roots.
 *
 * A stop is an epoch, not a flag: odd while stopped. The handler parks while the epoch is the one it came in,
 * so a thread that is slow to leave one stop cannot be mistaken for one parked in the next, and a late signal
 * of a stop that is over does nothing. A parked thread describes itself in a record on its own stack, which it
 * pushes on a list without a lock; so there is no table that a handler would have to look up while it moves. */
#include "config.h"

#include "gc/world.h"
#include "gc/world_table.h"

#include "os/call.h"
#include "os/filter.h"
#include "os/frame.h"
#include "os/memory.h"
#include "os/spawn.h"
#include "os/threads.h"
#include "os/wait.h"

#include <asm/prctl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <ucontext.h>

enum {
  world_red_zone = 128,
  world_first_signal = 59, /* SIGRTMAX - 5 of the kernel's 64 */
  world_last_signal = 36,  /* the C library keeps 32 and 33, and some use SIGRTMIN + 0 and + 1 */
  world_glance_ns = 500 * 1000,
  world_poll_ns = 20 * 1000 * 1000,
  world_late_ns = 10 * 1000 * 1000, /* that waking up may take, and counts */
  world_patience_ns = 2000 * 1000 * 1000, /* for a thread that might answer */
  world_deaf_ns = 100 * 1000 * 1000,      /* for one that cannot */
  world_deaf_sure = 3,
};

int world_signal;
struct os_maps world_maps;
void (*world_told)(const struct world_thread *self, const siginfo_t *info);
struct lock world_lock = LOCK_INIT(LOCK_WORLD);

static _Atomic uint32_t world_epoch; /* odd: stopped */
static _Atomic uint32_t world_arrivals;
static _Atomic uint32_t world_awaited; /* the arrival that the stopping thread wants to be woken by: the last */
static _Atomic uint32_t world_inside; /* threads in the handler */
static _Atomic bool world_ending;     /* the process ends after this stop */
static pid_t world_process;           /* a vfork child is another, which must not stop anybody */

/* --- a stopped thread --- */

struct world_parked {
  struct world_thread thread;
  struct world_parked *next;
};
static _Atomic(struct world_parked *) world_parked;

static void world_describe(struct world_thread *thread, siginfo_t *info, ucontext_t *context) {
  thread->tid = os_thread_id();
  thread->stopped = true;
  thread->stranger = false;
  thread->sp = (uintptr_t)context->uc_mcontext.gregs[REG_RSP] - world_red_zone;
  thread->tcb = os_thread_pointer();
  thread->gs = 0;
  os_call(SYS_arch_prctl, ARCH_GET_GS, &thread->gs);
  thread->alternate_lo = (uintptr_t)context->uc_stack.ss_sp;
  thread->alternate_hi = thread->alternate_lo + context->uc_stack.ss_size;
  os_frame_registers(info, context, &thread->frame_lo, &thread->frame_hi);
}

static void world_stay(siginfo_t *info, ucontext_t *context, uint32_t epoch) {
  struct world_parked self;
  world_describe(&self.thread, info, context);
  self.next = atomic_load(&world_parked);
  while (!atomic_compare_exchange_weak(&world_parked, &self.next, &self)) continue;
  if (atomic_fetch_add(&world_arrivals, 1) + 1 == atomic_load(&world_awaited)) os_futex_wake(&world_arrivals);
  while (atomic_load(&world_epoch) == epoch) os_futex_wait(&world_epoch, epoch, 0);
}

/* Not counted as inside: what is told may stop the world itself. */
static __attribute__((noinline)) void world_tell(siginfo_t *info, ucontext_t *context) {
  struct world_thread self;
  world_describe(&self, info, context);
  if (world_told) world_told(&self, info);
}

/* The signal came in a system call that cannot be restarted (poll, pause, sleep and some more): it would fail
 * with EINTR. */
static bool world_cut_short(const ucontext_t *context) {
  enum { length = 2 }; /* of the instruction */
  uintptr_t next = (uintptr_t)context->uc_mcontext.gregs[REG_RIP];
  const uint8_t *call = (const uint8_t *)(next - length);
  if (context->uc_mcontext.gregs[REG_RAX] != -EINTR || !os_memory_is_readable(next - length)) return false;
  return call[0] == 0x0f && call[1] == 0x05; /* syscall */
}

/* In such a call the thread would wait on but for us, and what it would do otherwise, while another thread ends
 * the process, nobody expects: it might end it first, with another status. */
static void world_stay_to_the_end(void) {
  for (;;) os_thread_sleep(0);
}

static int world_stop_signal; /* for the current stop */
static struct world_thread world_self_alone;
static uint64_t world_bit(int signal) { return signal > 0 ? (uint64_t)1 << (signal - 1) : 0; }

/* Runs with all signals blocked on a stack that may be tiny, in a thread that may have no TLS: so no errno, and
 * no stack protector in what it calls (the build does not ask for one). */
static void world_park(int signal, siginfo_t *info, void *context) {
  if (unlikely(signal == world_signal && info->si_code != SI_TKILL)) world_tell(info, context);
  atomic_fetch_add(&world_inside, 1);
  uint32_t epoch = atomic_load(&world_epoch);
  if (epoch & 1) world_stay(info, context, epoch);
  atomic_fetch_sub(&world_inside, 1);
  if (epoch & 1 && atomic_load(&world_ending) && world_cut_short(context)) world_stay_to_the_end();
  os_wait_after_stop(context, world_bit(world_signal) | world_bit(world_stop_signal)); /* also when it came too late */
}

/* The C library's sigaction is interposed by our own preload library, so the kernel is called, with the return
 * path that debuggers and unwinders know by its bytes. */
void world_return(void);
__asm__(".text\n"
        ".align 16\n"
        ".type world_return,@function\n"
        ".hidden world_return\n"
        "world_return:\n"
        "  .byte 0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0\n" /* mov $SYS_rt_sigreturn, %rax */
        "  .byte 0x0f, 0x05\n"                      /* syscall */
        ".size world_return, .-world_return\n");

struct world_action {
  void (*handler)(int, siginfo_t *, void *);
  unsigned long flags;
  void (*restorer)(void);
  uint64_t mask;
};
#define WORLD_RESTORER 0x04000000

/* Puts our handler there; the action it replaces into old. */
static int world_handle(int number, struct world_action *old) {
  struct world_action action = {world_park, SA_SIGINFO | SA_RESTART | SA_ONSTACK | WORLD_RESTORER, world_return,
                                ~(uint64_t)0};
  return (int)-os_call(SYS_rt_sigaction, number, &action, old, sizeof action.mask);
}

static bool world_is_unused(int number) {
  struct world_action old;
  return os_call(SYS_rt_sigaction, number, NULL, &old, sizeof old.mask) == 0 && !old.handler;
}

/* 0, also when the program has it already; or an errno value. */
static int world_take(int number) {
  if (!world_is_unused(number)) return 0;
  int error = world_handle(number, NULL);
  if (error) return error;
  world_signal = number;
  /* The mask is inherited: a parent may have blocked every signal, and each thread of ours would be deaf. */
  uint64_t mask = (uint64_t)1 << (number - 1);
  os_call(SYS_rt_sigprocmask, SIG_UNBLOCK, &mask, NULL, sizeof mask);
  return 0;
}

int world_init(void) {
  int error = 0;
  world_process = (pid_t)os_call(SYS_getpid);
  world_learn_layout();
  for (int number = world_first_signal; number >= world_last_signal && !world_signal && !error; number--) error = world_take(number);
  if (error) return error;
  return world_signal ? 0 : EBUSY;
}

/* A debugger stops the program at a real-time signal, but passes on those that are ignored by default. So one
 * of these is borrowed for this stop when somebody traces us; and when the queue, which is one for all processes of a user, has
 * no room for a real-time signal: others need none. */
static struct world_action world_lent; /* what the borrowed one did */

static bool world_borrow_signal(void) {
  int number = world_is_unused(SIGURG) ? SIGURG : SIGWINCH;
  if (world_stop_signal != world_signal || world_handle(number, &world_lent) != 0) return false;
  world_stop_signal = number;
  return true;
}

/* By a raw system call: some runtimes set handlers of their own for all signals so. Sent nevertheless, the signal could end the
 * process, or seem to be meant for the program. */
static bool world_is_replaced;

static void world_choose_signal(void) {
  struct world_action now;
  long error = os_call(SYS_rt_sigaction, world_signal, NULL, &now, sizeof now.mask);
  world_is_replaced = error != 0 || now.handler != world_park;
  world_stop_signal = world_signal;
  if (os_thread_is_traced()) world_borrow_signal();
}

static void world_return_signal(void) {
  if (world_stop_signal && world_stop_signal != world_signal)
    os_call(SYS_rt_sigaction, world_stop_signal, &world_lent, NULL, sizeof world_lent.mask);
}

/* --- stopping --- */

struct world_round {
  size_t new;
  bool ours; /* there are threads of ours, which come and go by themselves */
  bool short_of_memory;
};

/* Real-time signals queue up: a thread that did not take the last one, in an earlier stop, gets no other as long as
 * that is pending, or the program's own would be refused in the end. */
enum { world_deaf_places = 64 };
static pid_t world_deaf[world_deaf_places]; /* who did not answer, and was not seen to answer since */
static bool world_deaf_stranger[world_deaf_places];
static size_t world_ndeaf; /* beyond the places: all may be */

static bool world_was_deaf(pid_t tid) {
  if (world_ndeaf > world_deaf_places) return true;
  for (size_t i = 0; i < world_ndeaf; i++)
    if (world_deaf[i] == tid) return true;
  return false;
}

static void world_note_deaf(pid_t tid, bool stranger) {
  if (world_was_deaf(tid)) return;
  if (world_ndeaf < world_deaf_places) {
    world_deaf[world_ndeaf] = tid;
    world_deaf_stranger[world_ndeaf] = stranger;
  }
  world_ndeaf++;
}

static bool world_is_sent(pid_t tid) {
  uint64_t process = 0;
  return world_ndeaf && world_was_deaf(tid) && os_thread_pending(tid, &process) & world_bit(world_stop_signal);
}

static bool (*world_used)(uintptr_t tcb);

void world_strangers(bool (*used)(uintptr_t tcb)) { world_used = used; }

struct world_search {
  pid_t tid;
  uintptr_t tcb;
};

static void world_find(const struct world_stack *stack, void *arg) {
  struct world_search *search = arg;
  if (stack->tid == search->tid) search->tcb = stack->tcb;
}

/* Its thread pointer; 0: it is none. All others stand still, but for their like: the C library's lists are read. */
static uintptr_t world_stranger(pid_t tid) {
  struct world_search search = {.tid = tid};
  if (!world_used || !world_descriptors_each(world_find, &search) || !search.tcb) return 0;
  return world_used(search.tcb) ? 0 : search.tcb;
}

static bool world_is_known_stranger(pid_t tid) {
  for (size_t i = 0; world_used && i < world_ndeaf && i < world_deaf_places; i++)
    if (world_deaf[i] == tid) return world_deaf_stranger[i] && os_thread_will_not_answer(tid, world_stop_signal);
  return false;
}

static int world_send_to(pid_t tid) {
  return world_is_sent(tid) ? 0 : (int)-os_call(SYS_tgkill, world_process, tid, world_stop_signal);
}

static void world_send(struct world_entry *entry) {
  if (unlikely(world_is_replaced || world_is_known_stranger(entry->tid))) {
    entry->progress = WORLD_DEAF;
    return;
  }
  int error = world_send_to(entry->tid);
  if (error == EAGAIN && world_borrow_signal()) error = world_send_to(entry->tid);
  if (!error) entry->progress = WORLD_SIGNALLED;
  if (error == ESRCH) entry->progress = WORLD_GONE;
}

static bool world_meet(pid_t tid, void *arg) {
  struct world_round *round = arg;
  if (os_thread_is_ours(tid)) { /* works for whoever stops the others */
    round->ours = true;
    return true;
  }
  size_t before = world.count;
  if (!world_stop_signal) world_choose_signal();
  struct world_entry *entry = world_enter(tid);
  if (!entry) round->short_of_memory = true;
  if (!entry) return false;
  bool reborn = entry->progress == WORLD_GONE && !os_thread_is_dead(tid); /* the number was given again */
  if (world.count == before && !reborn) return true;
  round->new++;
  world_send(entry);
  return true;
}

/* Takes the records of those who parked since the last call. */
static size_t world_take_parked(void) {
  size_t taken = 0;
  struct world_parked *next, *parked = atomic_exchange(&world_parked, NULL);
  for (; parked; parked = next, taken++) {
    next = parked->next;
    struct world_entry *entry = world_enter(parked->thread.tid);
    if (!entry) continue;
    entry->progress = WORLD_PARKED;
    world.threads[entry - world.entries] = parked->thread;
  }
  return taken;
}

static bool world_is_dead(pid_t tid, uint64_t idle) {
  if (os_call(SYS_tgkill, world_process, tid, 0) == -ESRCH) return true;
  return idle >= world_poll_ns && os_thread_is_dead(tid); /* the first thread stays as a zombie */
}

/* How many are still expected; after idle nanoseconds without any progress, who is beyond hope is given up. */
static uint32_t world_pending(uint64_t idle) {
  uint32_t pending = 0;
  for (size_t i = 1; i < world.count; i++) {
    struct world_entry *entry = &world.entries[i];
    if (entry->progress == WORLD_NEW) world_send(entry);
    if (entry->progress > WORLD_SIGNALLED) continue;
    if (idle && world_is_dead(entry->tid, idle)) {
      entry->progress = WORLD_GONE;
      continue;
    }
    bool refused = entry->progress == WORLD_NEW; /* each time anew */
    if (idle >= world_deaf_ns && (refused || os_thread_will_not_answer(entry->tid, world_stop_signal))) entry->deaf_seen++;
    if (idle >= world_patience_ns || entry->deaf_seen >= world_deaf_sure)
      entry->progress = WORLD_DEAF;
    else
      pending++;
  }
  return pending;
}

/* Who has kept us waiting for long is not looked at so often. */
static uint64_t world_nap(uint64_t idle) {
  uint64_t longer = world_poll_ns / 10;
  return idle < longer ? world_glance_ns : idle < world_poll_ns ? longer : world_poll_ns;
}

/* Sleeps until the last of them has arrived, or so long that the dead should be looked for. */
static void world_wait(void) {
  uint64_t last = os_clock(), idle = 0;
  for (;;) {
    uint32_t seen = atomic_load(&world_arrivals);
    if (world_take_parked() > 0) idle = 0;
    uint32_t pending = world_pending(idle);
    if (pending == 0) return;
    atomic_store(&world_awaited, seen + pending);
    if (atomic_load(&world_arrivals) != seen) continue;
    uint64_t nap = world_nap(idle);
    os_futex_wait(&world_arrivals, seen, nap);
    uint64_t lap = os_clock_lap(&last);
    /* an arrival is not idleness, nor is a long time in which we did not run either; without one the dead are looked for at each turn */
    if (lap > nap + world_late_ns) lap = nap + world_late_ns;
    idle = atomic_load(&world_arrivals) == seen ? idle + lap + 1 : 0;
  }
}

static void world_list(void) {
  size_t kept = 1;
  bool deaf = false;
  for (size_t i = 1; i < world.count; i++) {
    const struct world_entry *entry = &world.entries[i];
    if (entry->progress == WORLD_GONE) continue;
    struct world_thread *thread = &world.threads[kept++];
    *thread = world.threads[i];
    if (entry->progress == WORLD_PARKED) continue;
    thread->sp = os_thread_blocked_sp(entry->tid);
    thread->tcb = world_stranger(entry->tid);
    thread->stranger = thread->tcb != 0;
    world_note_deaf(entry->tid, thread->stranger);
    deaf = true;
  }
  if (!deaf) world_ndeaf = 0;
  world.count = kept;
}

/* Opens a new epoch. Whoever is still leaving the last one may have pushed a record that will be gone with its
 * frame: so they are waited for. */
static void world_open(void) {
  enum { yields = 100 };
  for (unsigned i = 0; atomic_load(&world_inside) != 0; i++)
    if (i < yields)
      os_call(SYS_sched_yield);
    else
      os_thread_sleep(50 * 1000);
  atomic_store(&world_parked, NULL);
  atomic_fetch_add(&world_epoch, 1);
}

/* How many threads this process has, by the links of their directory; or -errno. */
static long world_count(void) {
  enum { links_of_directory = 2 };
  struct stat directory;
  long error = os_call(SYS_newfstatat, AT_FDCWD, "/proc/self/task", &directory, 0);
  return error < 0 ? error : (long)directory.st_nlink - links_of_directory;
}

static size_t world_count_parked(void) {
  size_t parked = 0;
  for (size_t i = 0; i < world.count; i++) parked += world.entries[i].progress == WORLD_PARKED;
  return parked;
}

/* Whether /proc numbers threads as this process does. It may be the one of another PID namespace (unshare --pid, a sandbox): then no
 * thread would be met by its own number, and all would seem to be gone. */
static bool world_has_numbers(void) {
  static pid_t known; /* the process that has them */
  if (likely(known == world_process)) return true;
  if (os_thread_is_dead(os_thread_id())) return false;
  known = world_process;
  return true;
}

/* Until all threads are known: as many stand as there are, or no other was found by looking once more. The count
 * alone proves nothing where a thread of ours may have ended in between. */
static int world_stop_others(void) {
  struct world_round round;
  if (!world_has_numbers()) return ENOENT;
  do {
    round = (struct world_round){0};
    int error = os_threads_each(world_meet, &round);
    if (round.short_of_memory) error = ENOMEM;
    if (error) return error;
    world_wait();
  } while (round.new > 0 && (round.ours || world_count() != (long)world_count_parked()));
  return 0;
}

int world_stop(const struct world_thread *self, struct world_thread **threads) {
  CHECK(lock_is_held(&world_lock));
  world_self_alone = *self;
  world_self_alone.stopped = true;
  *threads = &world_self_alone;
  if (os_filter_kills()) return -EPERM;
  if (!self->tcb) world_self_alone.tcb = os_thread_pointer();
  os_call(SYS_arch_prctl, ARCH_GET_GS, &world_self_alone.gs);
  if (!world_signal || (pid_t)os_call(SYS_getpid) != world_process) return -EAGAIN;
  static bool learnt; /* not at start-up: in a virtual machine the processor is slow to tell */
  if (!learnt) os_frame_init();
  learnt = true;
  if (!world_table_clear()) return -ENOMEM;
  world_enter(self->tid)->progress = WORLD_PARKED;
  world.threads[0] = world_self_alone;
  world_stop_signal = 0;
  long count = world_count();
  if (count < 0) return (int)count;
  world_open();
  int error = count == 1 ? 0 : world_stop_others();
  if (error) {
    world_resume();
    return -error;
  }
  world_list();
  *threads = world.threads;
  return (int)world.count;
}

void world_end(void) {
  CHECK(lock_is_held(&world_lock));
  atomic_store(&world_ending, true);
}

bool world_is_ending(void) { return atomic_load(&world_ending); }

bool world_is_stopped(void) { return atomic_load(&world_epoch) & 1; }

void world_resume(void) {
  if (!world_is_stopped()) return;
  os_maps_close(&world_maps);
  world_return_signal();
  atomic_fetch_add(&world_epoch, 1);
  if (world_stop_signal) os_futex_wake(&world_epoch);
}

static void world_mask(const uint64_t *new, uint64_t *old) {
  os_call(SYS_rt_sigprocmask, SIG_SETMASK, new, old, sizeof *new);
}

uint64_t world_acquire(void) {
  const uint64_t all = ~(uint64_t)0;
  uint64_t mask;
  for (;;) {
    world_mask(&all, &mask);
    if (lock_try(&world_lock)) return mask;
    world_mask(&mask, NULL); /* whoever holds it must be able to stop us */
    os_thread_sleep(1000 * 1000);
  }
}

void world_release(uint64_t mask) {
  lock_release(&world_lock);
  world_mask(&mask, NULL);
}

void world_fork_child(void) {
  world_left = 0;
  atomic_store(&world_ending, false);
  lock_reset(&world_lock);
  world_ended_fork_child();
  atomic_store(&world_inside, 0);
  atomic_store(&world_parked, NULL);
  world_process = (pid_t)os_call(SYS_getpid);
  world_ndeaf = 0;
  if (!world_is_stopped()) return;
  atomic_fetch_add(&world_epoch, 1);
  memset(&world, 0, sizeof world); /* perhaps being changed when the fork came */
  memset(&world_maps, 0, sizeof world_maps);
}
