/* SPDX-License-Identifier: MIT
 * Threads of our own. Knows the kernel and where thread-local storage lies; must not know what they do.
 *
 *   | guard |  stack ...  | thread-local storage | control block |     one mapping, kept for the next
 *                         ^ stack begins          ^ %fs
 *
 * The words of the control block that compiled code reads are the pointer to itself and the guards of stack and pointers;
 * they are those of the thread that asks. The list of dynamic blocks stays empty: our variables are all of the initial-exec
 * kind. */
#include "config.h"

#include "os/spawn.h"

#include "base/bits.h"
#include "os/call.h"
#include "os/memory.h"
#include "os/threads.h"

#include <asm/prctl.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <string.h>
#include <sys/mman.h>

enum {
  spawn_stack = 256 * 1024,
  spawn_tls_most = 16 << 20,   /* a program with more than this before our own is left without such threads */
  spawn_tls_around = 8 * 1024,   /* our own variables lie this near to the one that is asked for its address */
  spawn_control = 4096,
  spawn_vanish_ms = 20,
};

static THREAD_LOCAL char spawn_anchor;

static struct spawn {
  char *memory;
  size_t size;
  _Atomic uint32_t tid; /* the kernel clears it when the thread no longer uses any memory */
  pid_t last;
  void (*run)(void *arg);
  void *arg;
} spawned[os_spawn_most];

/* --- whether the program has put itself under a filter --- */

struct spawn_filter {
  uint64_t mode, count;
};
static struct spawn_filter spawn_filter_at_first;
static bool spawn_filter_known;

static uint64_t spawn_number(const char *text, const char *name) {
  const char *at = strstr(text, name);
  uint64_t n = 0;
  for (at = at ? at + strlen(name) : ""; *at >= '0' && *at <= '9'; at++) n = n * 10 + (uint64_t)(*at - '0');
  return n;
}

static bool spawn_read_filter(struct spawn_filter *filter) {
  char text[4096];
  int fd = os_call_open("/proc/thread-self/status", 0);
  long got = fd < 0 ? fd : os_call_read(fd, text, sizeof text - 1);
  if (fd >= 0) os_call_close(fd);
  if (got <= 0) return false;
  text[got] = 0;
  filter->mode = spawn_number(text, "\nSeccomp:\t");
  filter->count = spawn_number(text, "\nSeccomp_filters:\t"); /* since Linux 5.9 */
  return true;
}

static unsigned spawn_processors;

static unsigned spawn_count_processors(void) {
  uint64_t set[16];
  long bytes = os_call(SYS_sched_getaffinity, 0, sizeof set, set);
  unsigned count = 0;
  for (long i = 0; i < bytes / (long)sizeof set[0]; i++) count += bits_count(set[i]);
  return count ? count : 1;
}

void os_spawn_init(void) {
  if (spawn_processors) return;
  spawn_processors = spawn_count_processors();
  spawn_filter_known = spawn_read_filter(&spawn_filter_at_first);
}

unsigned os_spawn_processors(void) {
  os_spawn_init();
  return spawn_processors;
}

bool os_spawn_is_allowed(void) {
  struct spawn_filter now;
  os_spawn_init();
  return spawn_filter_known && spawn_read_filter(&now) && now.mode == spawn_filter_at_first.mode &&
         now.count == spawn_filter_at_first.count;
}

/* --- memory --- */

/* Bytes below the control block that code of ours may use: down to our own variables and the C library's errno. */
static size_t spawn_tls_bytes(uintptr_t control) {
  uintptr_t lowest = (uintptr_t)&spawn_anchor;
  if ((uintptr_t)&errno < lowest) lowest = (uintptr_t)&errno;
  if (lowest > control) return 0;
  return bits_align_up(control - lowest + spawn_tls_around, os_page_size);
}

static bool spawn_map(struct spawn *spawn, size_t size) {
  if (spawn->memory && spawn->size == size) return true;
  if (spawn->memory) os_memory_unmap(spawn->memory, spawn->size);
  spawn->memory = os_memory_reserve(size);
  if (!spawn->memory) return false;
  spawn->size = size;
  if (os_memory_commit(spawn->memory + os_page_size, size - os_page_size) == 0) return true;
  os_memory_unmap(spawn->memory, size);
  spawn->memory = NULL;
  return false;
}

/* --- the thread --- */

/* clone(flags, stack, parent's tid, child's tid, tls); the child takes its argument and its function from its stack. */
long spawn_clone(unsigned long flags, void *stack, _Atomic uint32_t *tid, _Atomic uint32_t *clear, uintptr_t tls)
    __attribute__((visibility("hidden")));
__asm__(".text\n"
        ".align 16\n"
        ".globl spawn_clone\n"
        ".hidden spawn_clone\n"
        ".type spawn_clone,@function\n"
        "spawn_clone:\n"
        "  .cfi_startproc\n"
        "  mov %rcx, %r10\n"
        "  mov $56, %eax\n" /* SYS_clone */
        "  syscall\n"
        "  test %rax, %rax\n"
        "  jz 1f\n"
        "  ret\n"
        "1: .cfi_undefined rip\n"
        "  xor %ebp, %ebp\n"
        "  pop %rdi\n"
        "  pop %rax\n"
        "  call *%rax\n"
        "  mov $60, %eax\n" /* SYS_exit: of this thread alone */
        "  xor %edi, %edi\n"
        "  syscall\n"
        "  hlt\n"
        "  .cfi_endproc\n"
        ".size spawn_clone, .-spawn_clone\n");

_Static_assert(SYS_clone == 56 && SYS_exit == 60, "the numbers that spawn_clone uses");

/* In the new thread's control block. */
static void spawn_fill_control(uintptr_t control, uintptr_t mine) {
  enum { self = 0, self_too = 0x10, guards = 0x28, guards_size = 0x10 };
  memset((void *)control, 0, spawn_control);
  memcpy((void *)(control + guards), (void *)(mine + guards), guards_size);
  *(uintptr_t *)(control + self) = *(uintptr_t *)(control + self_too) = control;
}

static int spawn_start(struct spawn *spawn, size_t tls, uintptr_t mine) {
  const unsigned long flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM |
                              CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;
  const uint64_t all = ~(uint64_t)0;
  uint64_t mask;
  uintptr_t control = (uintptr_t)spawn->memory + spawn->size - spawn_control;
  uintptr_t *stack = (uintptr_t *)bits_align_down(control - tls, 16);
  memset((void *)(control - tls), 0, tls);
  spawn_fill_control(control, mine);
  *--stack = (uintptr_t)spawn->run;
  *--stack = (uintptr_t)spawn->arg;
  os_call(SYS_rt_sigprocmask, 2 /* SIG_SETMASK */, &all, &mask, sizeof all); /* inherited */
  long tid = spawn_clone(flags, stack, &spawn->tid, &spawn->tid, control);
  os_call(SYS_rt_sigprocmask, 2, &mask, NULL, sizeof mask);
  if (tid < 0) atomic_store(&spawn->tid, 0);
  spawn->last = (pid_t)tid;
  return tid < 0 ? (int)tid : 0;
}

static _Atomic uint32_t *_Atomic spawn_here; /* a page that is empty in a forked child */

static bool spawn_note_here(void) {
  if (!spawn_here) {
    _Atomic uint32_t *page = os_memory_map(os_page_size);
    if (!page) return false;
    os_call(SYS_madvise, page, os_page_size, MADV_WIPEONFORK);
    spawn_here = page;
  }
  *spawn_here = 1;
  return true;
}

bool os_spawn_is_here(void) { return spawn_here && *spawn_here; }

int os_spawn(void (*run)(void *arg), void *arg) {
  uintptr_t mine = os_thread_pointer();
  size_t tls = mine ? spawn_tls_bytes(mine) : 0;
  struct spawn *spawn = spawned;
  while (spawn < spawned + os_spawn_most && atomic_load(&spawn->tid)) spawn++;
  if (spawn == spawned + os_spawn_most) return -EAGAIN;
  if (!tls || tls > spawn_tls_most) return -ENOTSUP;
  if (!os_spawn_is_allowed()) return -EPERM;
  if (!spawn_note_here() || !spawn_map(spawn, os_page_size + spawn_stack + tls + spawn_control)) return -ENOMEM;
  spawn->run = run;
  spawn->arg = arg;
  int error = spawn_start(spawn, tls, mine);
  return error ? error : (int)(spawn - spawned);
}

/* The kernel clears the tid, and wakes us, a moment before the task is off the list. */
void os_spawn_join(int number) {
  struct spawn *spawn = &spawned[number];
  uint32_t tid;
  while ((tid = atomic_load(&spawn->tid)) != 0) os_call(SYS_futex, &spawn->tid, FUTEX_WAIT, tid, NULL);
  for (unsigned i = 0; i < spawn_vanish_ms * 50 && spawn->last && os_thread_exists(spawn->last); i++)
    os_thread_sleep(20 * 1000);
  spawn->last = 0;
}

bool os_thread_is_ours(pid_t tid) {
  for (unsigned i = 0; i < os_spawn_most; i++)
    if (atomic_load_explicit(&spawned[i].tid, memory_order_relaxed) == (uint32_t)tid) return true;
  return false;
}

void os_spawn_fork_child(void) {
  for (unsigned i = 0; i < os_spawn_most; i++) {
    atomic_store(&spawned[i].tid, 0);
    spawned[i].last = 0;
  }
}
