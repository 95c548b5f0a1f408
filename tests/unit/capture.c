/* SPDX-License-Identifier: MIT
 * Tests of src/site/capture.c: stacks are what libgcc's unwinder says they are. */
#include "config.h"

#include "site/modules.h"
#include "site/rule.h"
#include "site/site.h"
#include "tap.h"

#include <alloca.h>
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <libgen.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline))
#define OPAQUE(p) __asm__ volatile("" : : "r"(p) : "memory")

enum { depth_max = 300 };

/* ---- malloc, counted ---- */

void *__libc_malloc(size_t size);
static _Atomic unsigned long mallocs;
void *malloc(size_t size) {
  mallocs++;
  return __libc_malloc(size);
}

/* ---- comparing a capture with backtrace ---- */

static _Atomic int compared, wrong;
static __thread int most;
static pthread_mutex_t comparing = PTHREAD_MUTEX_INITIALIZER;

/* libgcc tells an interrupted address as it is, we the one after it. */
static bool same(const struct site_stack *stack, void *const *truth, int depth) {
  if (!stack || (int)stack->count != depth) return false;
  for (int i = 0; i < depth; i++)
    if (stack->pc[i] != (uintptr_t)truth[i] && stack->pc[i] != (uintptr_t)truth[i] + 1) return false;
  return true;
}

static void tell(const struct site_stack *stack, void *const *truth, int depth) {
  for (int i = 0; i < depth || (stack && i < (int)stack->count); i++)
    tap_note("%3d %p %p", i, i < depth ? truth[i] : NULL,
             stack && i < (int)stack->count ? (void *)stack->pc[i] : NULL);
}

/* Captures the caller's stack twice, the second time by the memo, and compares. */
static NOINLINE void check(void) {
  void *truth[depth_max];
  struct site_start start;
  SITE_CALLER(&start);
  uint32_t id = site_capture(&start), again = site_capture(&start);
  int saved = errno, depth = backtrace(truth, depth_max) - 1;
  while (depth > 0 && truth[depth] == NULL) depth--;
  errno = saved;
  if (depth > most) most = depth;
  pthread_mutex_lock(&comparing); /* site_stack writes into buffers that all share */
  if (!same(site_stack(id), truth + 1, depth) || again != id) {
    if (wrong++ == 0) tell(site_stack(id), truth + 1, depth);
  }
  compared++;
  pthread_mutex_unlock(&comparing);
}

/* ---- frames of all kinds, called at random ---- */

typedef void shape(int depth, uint64_t random);
static shape shape_plain, shape_alloca, shape_aligned, shape_large, shape_huge, shape_busy, shape_sorting,
    shape_many;
static shape *const shapes[] = {shape_plain, shape_alloca, shape_aligned,
                                shape_large, shape_busy,   shape_sorting, shape_many, shape_huge};
static __thread int shape_only = -1;
static _Atomic int sink;

static inline __attribute__((always_inline)) void deeper(int depth, uint64_t random) {
  uint64_t next = random * 6364136223846793005u + 1442695040888963407u;
  unsigned which = (unsigned)(next >> 33);
  if (depth == 0) check();
  else if (shape_only >= 0) shapes[shape_only](depth - 1, next);
  else shapes[which % 64 == 0 ? 7 : which % 7](depth - 1, next);
  if (which % 16 == 1 && depth > 0) check(); /* and on the way back */
}

static NOINLINE void shape_plain(int depth, uint64_t random) {
  deeper(depth, random);
  sink++;
}

static NOINLINE void shape_alloca(int depth, uint64_t random) {
  char *room = alloca(random % 300 + 1);
  OPAQUE(room);
  deeper(depth, random);
  OPAQUE(room);
}

static NOINLINE void shape_aligned(int depth, uint64_t random) {
  char aligned[64] __attribute__((aligned(64)));
  char *room = alloca(random % 100 + 1);
  OPAQUE(aligned);
  OPAQUE(room);
  deeper(depth, random);
  OPAQUE(aligned);
}

static NOINLINE void shape_large(int depth, uint64_t random) {
  char room[9000];
  OPAQUE(room);
  deeper(depth, random);
  OPAQUE(room);
}

static NOINLINE void shape_huge(int depth, uint64_t random) {
  char room[100000];
  OPAQUE(room);
  deeper(depth, random);
  OPAQUE(room);
}

static NOINLINE void shape_busy(int depth, uint64_t random) {
  uint64_t a = random * 3, b = random * 5, c = random * 7, d = random * 11, e = random * 13, f = random * 17;
  __asm__ volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d), "+r"(e), "+r"(f) : : "memory");
  deeper(depth, random);
  sink += (int)(a + b + c + d + e + f);
}

static NOINLINE void shape_many(int depth, uint64_t random) {
  deeper(depth, random);
  if (depth % 8 == 0) deeper(depth / 4, random + 1);
  sink++;
}

static __thread struct sorting {
  int depth;
  uint64_t random;
  bool done;
} sorting;

static int sorting_compare(const void *a, const void *b) {
  (void)a, (void)b;
  struct sorting now = sorting;
  sorting.done = true;
  if (!now.done) deeper(now.depth, now.random);
  return 0;
}

static NOINLINE void shape_sorting(int depth, uint64_t random) {
  int pair[2] = {1, 2};
  sorting = (struct sorting){depth, random, false};
  qsort(pair, 2, sizeof pair[0], sorting_compare);
  OPAQUE(pair);
}

static bool right(int least) {
  bool good = wrong == 0 && compared >= least;
  wrong = compared = 0;
  return good;
}

static void test_depths(void) {
  shape_only = 0;
  for (int depth = 0; depth < 100; depth++) shape_plain(depth, 1);
  shape_only = -1;
  OK(right(100), "stacks of 1 to 100 plain frames are whole");
  OK(most > 102, "and go back to the program's start");
  static const char *const names[] = {"plain frames",
                                      "frames with alloca",
                                      "over-aligned frames",
                                      "large frames",
                                      "frames that save all registers",
                                      "callbacks from qsort"};
  for (shape_only = 1; shape_only < 6; shape_only++) {
    for (int depth = 1; depth < 40; depth++) shapes[shape_only](depth, (uint64_t)depth);
    OK(right(39), "so are stacks of %s", names[shape_only]);
  }
  shape_only = -1;
}

static void test_random(void) {
  uint64_t seed = tap_seed();
  for (int i = 0; i < 3000; i++) {
    uint64_t random = tap_random(&seed);
    shapes[random % 7]((int)(random >> 8 & 0xffff) % 40, random);
  }
  int n = compared;
  OK(right(3000), "random stacks of all of them are right, walked and remembered (%d captures)", n);
}

/* ---- nothing is allocated ---- */

static NOINLINE uint32_t plain_capture(void) {
  struct site_start start;
  SITE_CALLER(&start);
  return site_capture(&start);
}

static NOINLINE uint32_t deep_capture(int depth) {
  uint32_t id = depth ? deep_capture(depth - 1) : plain_capture();
  OPAQUE(&id);
  return id;
}

static void test_quiet(void) {
  unsigned long before = mallocs;
  errno = 4711;
  for (int i = 0; i < 100; i++) deep_capture(i);
  OK(mallocs == before, "a capture never calls malloc");
  OK(errno == 4711, "and keeps errno");
  uint32_t a = 0, b = 0;
  volatile int times = 2; /* one call, not two */
  for (int i = 0; i < times; i++) *(i ? &b : &a) = deep_capture(5);
  OK(a == b && a != 0, "the same stack has the same id");
  OK(a != deep_capture(5), "another stack another");
}

static void test_limit(void) {
  site_init(5);
  const struct site_stack *stack = site_stack(deep_capture(20));
  OK(stack && stack->count == 5, "no more frames are kept than wanted");
  site_init(1);
  stack = site_stack(deep_capture(3));
  OK(stack && stack->count == 1, "one is the least");
  site_init(256);
}

/* ---- signals ---- */

static void on_signal(int number) {
  (void)number;
  deeper(2, 1);
}

static volatile sig_atomic_t ticks;
static void on_tick(int number) {
  (void)number;
  ticks++;
  check();
}

static void *volatile *volatile nowhere = (void *volatile *)8;
static NOINLINE void *at_null(void) { return *nowhere; }
static ucontext_t after_fault;
static volatile int faulted;

static void on_fault(int number) {
  (void)number;
  check();
  faulted = 1;
  setcontext(&after_fault);
}

static void test_signals(void) {
  struct sigaction action = {.sa_handler = on_signal};
  sigaction(SIGUSR1, &action, NULL);
  raise(SIGUSR1);
  OK(right(1), "a stack goes on through a signal handler");

  static char other[65536];
  stack_t alternate = {.ss_sp = other, .ss_size = sizeof other};
  sigaltstack(&alternate, NULL);
  action.sa_flags = SA_ONSTACK;
  sigaction(SIGUSR1, &action, NULL);
  for (int i = 0; i < 3; i++) raise(SIGUSR1);
  OK(right(3), "and from an alternate stack to the one that was interrupted");

  action.sa_handler = on_fault;
  sigaction(SIGSEGV, &action, NULL);
  getcontext(&after_fault);
  if (!faulted) sink += at_null() != NULL;
  OK(right(1), "a fault is interrupted at the instruction itself");
  signal(SIGSEGV, SIG_DFL);

  /* Interrupted anywhere: prologues, epilogues, the C library. */
  action.sa_handler = on_tick;
  action.sa_flags = SA_RESTART;
  sigaction(SIGALRM, &action, NULL);
  struct itimerval timer = {{0, 1000}, {0, 1000}};
  setitimer(ITIMER_REAL, &timer, NULL);
  char text[200];
  for (int i = 0; ticks < 200 && i < 100000000; i++) {
    int numbers[] = {i, 3, -i, 7, i % 5};
    qsort(numbers, 5, sizeof numbers[0], sorting_compare);
    snprintf(text, sizeof text, "%d %s %f", i, "text", i * 0.5);
    sink += (int)strlen(text);
  }
  memset(&timer, 0, sizeof timer);
  setitimer(ITIMER_REAL, &timer, NULL);
  OK(right(200), "code interrupted at any instruction is unwound");
}

/* ---- other stacks ---- */

static ucontext_t main_context, other_context;
static int other_depth;

static void on_other_stack(void) {
  for (int i = 0; i < other_depth; i++) {
    shapes[i % 7](i, (uint64_t)i);
    swapcontext(&other_context, &main_context);
  }
}

static void run_on(char *stack, size_t size, int depth) {
  other_depth = depth;
  getcontext(&other_context);
  other_context.uc_stack.ss_sp = stack;
  other_context.uc_stack.ss_size = size;
  other_context.uc_link = &main_context;
  makecontext(&other_context, on_other_stack, 0);
  for (int i = 0; i <= depth; i++) {
    swapcontext(&main_context, &other_context);
    if (i % 4 == 0) shape_plain(i % 10, 3);
  }
}

static void test_contexts(void) {
  const size_t size = 1 << 20, small = 256 << 10;
  for (int i = 0; i < 8; i++) { /* some at the same addresses, of another size */
    size_t room = i % 2 ? small : size;
    char *stack = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    run_on(stack, room, 20);
    munmap(stack, room);
  }
  OK(right(8 * 20), "coroutine stacks are walked to their ends");
  /* A stack found small at first, which is larger now. */
  char *low = mmap(NULL, 2 * size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  mprotect(low, small, PROT_READ | PROT_WRITE);
  run_on(low, small, 5);
  mprotect(low, size, PROT_READ | PROT_WRITE);
  run_on(low + small / 2, size - small / 2, 5);
  other_depth = 5;
  OK(right(10), "and found again when they have grown");
  munmap(low, 2 * size);
}

static void *in_thread(void *arg) {
  uint64_t seed = (uintptr_t)arg;
  for (int i = 0; i < 300; i++) {
    uint64_t random = tap_random(&seed);
    shapes[random % 7]((int)(random >> 8 & 0xffff) % 30, random);
  }
  site_thread_exit();
  shape_plain(3, 1); /* as the destructors of a thread may */
  return NULL;
}

static void test_threads(void) {
  for (int round = 0; round < 3; round++) {
    pthread_t threads[6];
    for (uintptr_t i = 0; i < 6; i++) pthread_create(&threads[i], NULL, in_thread, (void *)(i + 10));
    for (int i = 0; i < 6; i++) pthread_join(threads[i], NULL);
  }
  OK(right(18 * 300), "threads capture at once, and after their end");
}

static void test_fork(void) {
  pid_t child = fork();
  if (child == 0) {
    site_fork_child();
    wrong = compared = 0;
    for (int i = 1; i < 50; i++) shapes[i % 7](i, (uint64_t)i * 77);
    _exit(right(49) ? 0 : 1);
  }
  int status;
  waitpid(child, &status, 0);
  OK(status == 0, "so does a fork child");
}

/* ---- modules that come and go ---- */

static void closing_check(void *arg) {
  *(uint32_t *)arg = plain_capture();
  check();
}

static void test_closing(void) {
  char path[PATH_MAX + 64], folder[PATH_MAX] = "";
  ssize_t length = readlink("/proc/self/exe", folder, sizeof folder - 1);
  if (length < 0) return;
  dirname(folder);
  int named = 0;
  for (int i = 0; i < 8; i++) {
    snprintf(path, sizeof path, "%s/closing%d.so", folder, i % 2 + 1);
    void *handle = dlopen(path, RTLD_NOW);
    void (*call)(void (*)(void *), void *) =
        handle ? (void (*)(void (*)(void *), void *))dlsym(handle, "closing_call") : NULL;
    if (!call) break;
    uint32_t id = 0;
    call(closing_check, &id);
    modules_before_close();
    dlclose(handle);
    modules_after_close();
    const struct site_stack *stack = site_stack(id);
    const struct module *module = stack ? modules_get(modules_find(stack->pc[1] - 1, stack->epoch)) : NULL;
    named += module && strstr(module->path, i % 2 ? "closing2.so" : "closing1.so") != NULL;
  }
  OK(right(8), "modules at the addresses of closed ones have stacks of their own");
  OK(named == 8, "in which each is named, also after it was closed (%d of 8)", named);
}

/* ---- frames by hand ---- */

void hand_rbx(void (*function)(void));
void hand_naked(void (*function)(void));
__asm__(".text\n hand_rbx: .cfi_startproc\n"
        "pushq %rbx\n .cfi_def_cfa_offset 16\n .cfi_offset 3, -16\n"
        "movq %rsp, %rbx\n .cfi_def_cfa_register 3\n"
        "andq $-256, %rsp\n subq $512, %rsp\n call *%rdi\n"
        "movq %rbx, %rsp\n .cfi_def_cfa_register 7\n popq %rbx\n .cfi_def_cfa_offset 8\n ret\n .cfi_endproc\n"
        "hand_naked: subq $24, %rsp\n call *%rdi\n addq $24, %rsp\n ret\n");

static uint32_t naked_id;
static void on_naked(void) { naked_id = plain_capture(); }
static void on_rbx(void) { deeper(3, 5); }

static void test_hand(void) {
  hand_rbx(on_rbx);
  hand_rbx(on_rbx);
  OK(right(2), "a frame that needs rbx is unwound with all registers");
  hand_naked(on_naked);
  const struct site_stack *stack = site_stack(naked_id);
  OK(stack && stack->count == 2 && stack->pc[1] - (uintptr_t)hand_naked < 20,
     "a stack ends with the first frame that has no unwind information");
}

/* ---- the caller of a function ---- */

static struct site_registers found;
static bool found_good;
static uintptr_t wanted_pc, wanted_fp;

static NOINLINE void inner_search(const uintptr_t *functions, unsigned count) {
  found_good = site_caller_of(functions, count, &found);
  sink++;
}

static NOINLINE void outer_function(int depth) {
  const uintptr_t functions[] = {(uintptr_t)abort, (uintptr_t)outer_function};
  if (depth == 3) wanted_pc = (uintptr_t)__builtin_return_address(0);
  if (depth) outer_function(depth - 1);
  else inner_search(functions, 2);
  sink++;
}

static NOINLINE void test_caller(void) {
  register uint64_t in_rbx __asm__("rbx") = 0x51515151;
  register uint64_t in_r14 __asm__("r14") = 0x61616161;
  wanted_fp = (uintptr_t)__builtin_frame_address(0);
  __asm__ volatile("" : "+r"(in_rbx), "+r"(in_r14));
  outer_function(3);
  __asm__ volatile("" : "+r"(in_rbx), "+r"(in_r14));
  OK(found_good && found.pc == wanted_pc, "the caller of the outermost call of a function is found");
  OK(found.saved[0] == 0x51515151 && found.saved[4] == 0x61616161 && found.saved[1] == wanted_fp,
     "with its registers");
  OK(found.sp < wanted_fp && wanted_fp - found.sp < 1000, "and its stack pointer");
  const uintptr_t none[] = {(uintptr_t)abort};
  inner_search(none, 1);
  OK(!found_good, "a function that is not active has none");
}

int main(void) {
  void *warm[4];
  backtrace(warm, 4); /* loads libgcc */
  site_init(256);
  test_depths();
  test_quiet();
  test_random();
  test_limit();
  test_signals();
  test_contexts();
  test_threads();
  test_fork();
  test_closing();
  test_hand();
  test_caller();
  return tap_end();
}
