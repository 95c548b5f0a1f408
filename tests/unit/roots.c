/* SPDX-License-Identifier: MIT
 * The roots: wherever a program may keep its only pointer it is found, and what is dead hides nothing. Each
 * test allocates an object, keeps one pointer in one place, and searches for leaks. */
#include "config.h"

#include "gc/roots.h"

#include "gc/leaks.h"
#include "gc_help.h"
#include "tap.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

enum { page = 4096 };

static uintptr_t live_from; /* main's frame */
static uintptr_t sought;    /* hidden */
static bool lost;

static void tell(const struct leak *leak, void *arg) {
  (void)arg;
  if (leak->address == ~sought) lost = true;
}

/* Whether the object is leaked, with the calling thread's stack live from sp on. */
static __attribute__((noinline)) bool is_lost_from(uintptr_t hidden, uintptr_t sp) {
  struct leaks_request request = {.self = {.tid = os_thread_id(), .sp = sp}};
  struct leaks_summary summary;
  sought = hidden;
  lost = false;
  if (leaks_search(&request, tell, NULL, &summary) != 0) abort();
  sought = 0;
  return lost;
}

static bool is_lost(uintptr_t hidden) { return is_lost_from(hidden, live_from); }

static __attribute__((noinline)) void put(void *place, uintptr_t hidden) { *(volatile uintptr_t *)place = ~hidden; }

static uintptr_t make(void) { return help_alloc(40, KIND_SCANNED); }

/* --- memory of all kinds --- */

static void *in_bss;
static void *in_data = &in_bss;
static __thread void *in_tls;

static void test_places(void) {
  uintptr_t a = make();
  OK(is_lost(a), "an object without any pointer is lost");
  put(&in_bss, a);
  OK(!is_lost(a), "bss");
  in_bss = NULL;
  put(&in_data, a);
  OK(!is_lost(a), "data");
  in_data = NULL;
  put(&in_tls, a);
  OK(!is_lost(a), "thread-local storage of the main thread");
  in_tls = NULL;
  void **brk = sbrk(64);
  put(brk, a);
  OK(!is_lost(a), "the brk heap");
  *brk = NULL;
  void **libc = malloc(64);
  put(libc, a);
  OK(!is_lost(a), "another allocator's heap");
  *libc = NULL;
  free(libc);
  help_free(a);
}

static void test_mapping(const char *what, int protection, int flags, int then) {
  uintptr_t a = make();
  size_t size = (size_t)1024 * page;
  char *p = mmap(NULL, size, protection, flags, -1, 0);
  put(p + 700 * page + 8, a);
  if (then >= 0) mprotect(p, size, then);
  OK(!is_lost(a), "%s", what);
  munmap(p, size);
  OK(is_lost(a), "%s, unmapped again", what);
  help_free(a);
}

static void test_file(void) {
  uintptr_t a = make();
  int fd = memfd_create("roots-test", MFD_CLOEXEC);
  if (ftruncate(fd, 4 * page) != 0) abort();
  char *p = mmap(NULL, 16 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
  put(p + page, a);
  mprotect(p, 4 * page, PROT_READ);
  OK(!is_lost(a), "a copied page of a file, now read-only, in a mapping that reaches beyond its file");
  munmap(p, 16 * page);
  p = mmap(NULL, 16 * page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  put(p + 2 * page, a);
  OK(!is_lost(a), "a shared file, mapped beyond its end");
  munmap(p, 16 * page);
  close(fd);
  help_free(a);
}

static void test_huge_reservation(void) {
  uintptr_t a = make();
  size_t size = (size_t)1 << 40;
  char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) {
    tap_skip("a TiB of address space", "refused");
    return;
  }
  put(p + size / 2, a);
  OK(!is_lost(a), "one page in a TiB of address space");
  munmap(p, size);
  help_free(a);
}

/* --- stacks and registers of other threads --- */

static _Atomic int step;
static volatile uintptr_t shared_hidden;

static void reach_step(int n) {
  while (step != n) os_futex_wait((_Atomic uint32_t *)&step, (uint32_t)(n - 1), 1000000);
}

static void next_step(void) {
  step++;
  os_futex_wake((_Atomic uint32_t *)&step);
}

static __attribute__((noinline)) void leave_dead(uintptr_t hidden) {
  volatile uintptr_t dead[512];
  for (int i = 0; i < 256; i++) dead[i] = ~hidden; /* the half away from the red zone of what comes next */
  (void)dead[0];
  __asm__ volatile("xor %%eax, %%eax\n\txor %%ecx, %%ecx\n\txor %%edx, %%edx\n\txor %%esi, %%esi\n\t"
                   "xor %%edi, %%edi\n\txor %%r8d, %%r8d\n\txor %%r9d, %%r9d\n\txor %%r10d, %%r10d\n\t"
                   "xor %%r11d, %%r11d" ::: "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11");
}

static __attribute__((noinline)) void spin_with(uintptr_t general, uintptr_t vector) {
  __asm__ volatile("movq %0, %%xmm7\n\t"
                   "pxor %%xmm6, %%xmm6\n\t"
                   "punpcklqdq %%xmm7, %%xmm6\n\t" /* in the upper half */
                   "pxor %%xmm7, %%xmm7\n\t"
                   "mov %1, %%r12\n\t"
                   "xor %0, %0\n\t"
                   "xor %1, %1\n\t"
                   "movl $1, %2\n\t"
                   "1: cmpl $2, %3\n\t"
                   "jl 1b\n\t"
                   "xor %%r12, %%r12\n\t"
                   "pxor %%xmm6, %%xmm6\n\t"
                   : "+r"(vector), "+r"(general), "=m"(step)
                   : "m"(step)
                   : "r12", "xmm6", "xmm7", "memory");
}

static volatile uintptr_t hidden_general, hidden_vector;
static __attribute__((noinline)) void hold_in_registers(void) { spin_with(~hidden_general, ~hidden_vector); }

static void *run_registers(void *arg) {
  hold_in_registers();
  world_thread_exiting();
  return arg;
}

static void test_registers(void) {
  pthread_t thread;
  uintptr_t a = make(), b = make();
  hidden_general = a;
  hidden_vector = b;
  step = 0;
  pthread_create(&thread, NULL, run_registers, NULL);
  while (step != 1) sched_yield();
  OK(!is_lost(a), "a general register of another thread");
  OK(!is_lost(b), "a vector register of another thread");
  step = 2;
  pthread_join(thread, NULL);
  OK(is_lost(a) && is_lost(b), "lost when the thread has ended");
  help_free(a);
  help_free(b);
}

static void *run_stack(void *arg) {
  volatile uintptr_t live = ~shared_hidden;
  (void)live;
  in_tls = (void *)~shared_hidden;
  next_step();
  reach_step(2);
  live = 0;
  next_step();
  reach_step(4);
  in_tls = NULL;
  leave_dead(shared_hidden);
  next_step();
  reach_step(6);
  return arg;
}

static void test_stack(void) {
  pthread_t thread;
  uintptr_t a = make();
  shared_hidden = a;
  step = 0;
  pthread_create(&thread, NULL, run_stack, NULL);
  reach_step(1);
  OK(!is_lost(a), "another thread's stack");
  next_step();
  reach_step(3);
  OK(!is_lost(a), "another thread's thread-local storage");
  next_step();
  reach_step(5);
  OK(is_lost(a), "what lies below its stack pointer is dead");
  next_step();
  pthread_join(thread, NULL);
  help_free(a);
}

/* --- threads at their beginning and end --- */

static void *run_return(void *arg) {
  (void)arg;
  leave_dead(shared_hidden);
  world_thread_exiting();
  return (void *)~hidden_general;
}

static void *run_argument(void *arg) {
  (void)arg;
  next_step();
  reach_step(2);
  world_thread_exiting();
  return NULL;
}

static __attribute__((noinline)) void create(pthread_t *thread, void *(*run)(void *), uintptr_t hidden, bool detached) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  if (detached) pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_create(thread, &attributes, run, hidden ? (void *)~hidden : NULL);
}

static struct world_stack last;
static int nexited;
static void note_exited(const struct world_stack *stack, void *arg) {
  (void)arg;
  last = *stack;
  nexited++;
}

static void wait_exited(void) {
  do {
    sched_yield();
    nexited = 0;
    world_exited_each(note_exited, NULL);
  } while (nexited == 0);
}

static void test_results(void) {
  pthread_t thread;
  uintptr_t a = make(), b = make();
  shared_hidden = b;
  hidden_general = a;
  create(&thread, run_return, 0, false);
  wait_exited();
  OK(!is_lost(a), "the result of a thread that nobody has joined yet");
  OK(is_lost(b), "the dead stack of that thread is dead");
  pthread_join(thread, NULL);
  OK(is_lost(a), "joined, the result is lost with it");
  step = 0;
  create(&thread, run_argument, a, false);
  reach_step(1);
  OK(!is_lost(a), "the argument of a running thread");
  next_step();
  pthread_join(thread, NULL);
  OK(is_lost(a), "and no longer when it has been joined");
  step = 0;
  create(&thread, run_argument, a, true);
  reach_step(1);
  OK(!is_lost(a), "the argument of a detached thread");
  next_step();
  wait_exited();
  OK(is_lost(a), "and no longer when that has ended");
  help_free(a);
  help_free(b);
}

/* --- other stacks --- */

static ucontext_t home, away;
static volatile bool away_lost_main, away_lost_own;
static uintptr_t on_main, on_away;

static void run_away(void) {
  volatile uintptr_t live = ~on_away;
  away_lost_main = is_lost_from(on_main, (uintptr_t)__builtin_frame_address(0) - 256);
  away_lost_own = is_lost_from(on_away, (uintptr_t)__builtin_frame_address(0) - 256);
  live = 0;
  (void)live;
}

static __attribute__((noinline)) void test_coroutine(void) {
  size_t size = 64 * page;
  char *stack = mmap(NULL, size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  mprotect(stack, page, PROT_NONE);
  on_main = make();
  on_away = make();
  volatile uintptr_t live = ~on_main;
  getcontext(&away);
  away.uc_stack.ss_sp = stack + page;
  away.uc_stack.ss_size = size;
  away.uc_link = &home;
  makecontext(&away, run_away, 0);
  swapcontext(&home, &away);
  live = 0;
  (void)live;
  OK(!away_lost_main, "the main stack, while the main thread runs on a coroutine's");
  OK(!away_lost_own, "and the coroutine's stack");
  munmap(stack, size + page);
  memset(&home, 0, sizeof home);
  memset(&away, 0, sizeof away);
  help_free(on_main);
  help_free(on_away);
}

static __attribute__((noinline)) void test_signal_stack(void) {
  uintptr_t a = make();
  char *alternate = mmap(NULL, 16 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  stack_t stack = {.ss_sp = alternate, .ss_size = 16 * page}, none = {.ss_flags = SS_DISABLE};
  sigaltstack(&stack, NULL);
  put(alternate, a);
  OK(!is_lost(a), "memory of an alternate signal stack");
  sigaltstack(&none, NULL);
  munmap(alternate, 16 * page);
  help_free(a);
}

static __attribute__((noinline)) void test_dead_main(void) {
  uintptr_t a = make();
  leave_dead(a);
  OK(is_lost(a), "what lies below the caller's stack pointer is dead");
  help_free(a);
}

static jmp_buf jump;
static __attribute__((noinline)) void hold_in_rbp(uintptr_t hidden) {
  __asm__ volatile("push %%rbp\n\t"
                   "mov %0, %%rbp\n\t"
                   "not %%rbp\n\t"
                   "lea %2, %%rdi\n\t"
                   "xor %%esi, %%esi\n\t"
                   "lea -256(%%rsp), %%rsp\n\t"
                   "mov %%rsp, %%rbx\n\t"
                   "and $-16, %%rsp\n\t"
                   "call *%1\n\t"
                   "mov %%rbx, %%rsp\n\t"
                   "lea 256(%%rsp), %%rsp\n\t"
                   "pop %%rbp\n\t"
                   :
                   : "r"(hidden), "r"(&__sigsetjmp), "m"(jump)
                   : "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "memory");
}

static void test_setjmp(void) {
  uintptr_t a = make();
  hold_in_rbp(a);
  OK(!is_lost(a), "a register that setjmp mangled in a jmp_buf");
  memset(&jump, 0, sizeof jump);
  OK(is_lost(a), "which hides nothing when it is wiped");
  help_free(a);
}

/* --- fork --- */

static _Atomic bool forked;
static void *run_hold(void *arg) {
  volatile uintptr_t live = ~shared_hidden;
  (void)live;
  next_step();
  while (!forked) sched_yield();
  return arg;
}

static void test_fork(void) {
  pthread_t thread;
  uintptr_t a = make();
  shared_hidden = a;
  step = 0;
  pthread_create(&thread, NULL, run_hold, NULL);
  reach_step(1);
  pid_t child = fork();
  if (child == 0) {
    world_fork_child();
    _exit(is_lost(a));
  }
  int status = 1;
  waitpid(child, &status, 0);
  OK(status == 0, "in a fork child, the stack of a thread that is not there");
  forked = true;
  pthread_join(thread, NULL);
  help_free(a);
}

int main(void) {
  help_init();
  live_from = (uintptr_t)__builtin_frame_address(0);
  const int both = PROT_READ | PROT_WRITE, anonymous = MAP_PRIVATE | MAP_ANONYMOUS;
  test_places();
  test_mapping("an anonymous mapping", both, anonymous, -1);
  test_mapping("a mapping made read-only", both, anonymous, PROT_READ);
  test_mapping("a mapping made inaccessible", both, anonymous, PROT_NONE);
  test_mapping("a mapping made executable", both, anonymous, PROT_READ | PROT_EXEC);
  test_mapping("shared memory", both, MAP_SHARED | MAP_ANONYMOUS, -1);
  test_mapping("shared memory made read-only", both, MAP_SHARED | MAP_ANONYMOUS, PROT_READ);
  test_file();
  test_huge_reservation();
  test_registers();
  test_stack();
  test_results();
  test_coroutine();
  test_signal_stack();
  test_dead_main();
  test_setjmp();
  test_fork();
  return tap_end();
}
