/* SPDX-License-Identifier: MIT
 * The roots of a client of libgc: what it declares, and what belongs to the language: segments, stacks, registers,
 * TLS. Other memory is none. */
#include "config.h"

#include "roots_help.h"
#include "tap.h"

#include "os/call.h"

#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

enum { both = PROT_READ | PROT_WRITE };

static uintptr_t live_from; /* main's frame */

static bool is_root(uintptr_t hidden) { return is_root_from(hidden, ROOTS_DECLARED, live_from); }

/* --- segments --- */

static void *volatile in_bss;
static void *volatile in_data = (void *)1;
static __thread void *volatile in_tls;
static char in_large_bss[4 << 20] __attribute__((aligned(4096)));
static char guarded[4 * page] __attribute__((aligned(4096)));

static void test_segments(void) {
  uintptr_t a = value();
  OK(!is_root(a) && roots_error == 0, "what is nowhere is no root");
  put((void *)&in_bss, a);
  OK(is_root(a), "bss");
  in_bss = NULL;
  put((void *)&in_data, a);
  OK(is_root(a), "data");
  in_data = NULL;
  put(in_large_bss + (3 << 20), a);
  OK(is_root(a), "a large bss");
  put(in_large_bss + (3 << 20), ~(uintptr_t)0);
  put(guarded + 3 * page, a);
  mprotect(guarded + page, page, PROT_NONE);
  OK(is_root(a) && roots_error == 0, "globals with a page in their midst that cannot be read");
  put(guarded + 3 * page, ~(uintptr_t)0);
  mprotect(guarded + page, page, both);
  put(guarded + page, a);
  mprotect(guarded, sizeof guarded, PROT_NONE);
  OK(is_root(a), "or in that page itself");
  mprotect(guarded, sizeof guarded, both);
  put(guarded + page, ~(uintptr_t)0);
  setvbuf(stdin, (char *)~a, _IOFBF, 64);
  OK(is_root(a), "the C library's own data");
  setvbuf(stdin, NULL, _IONBF, 0);
  OK(!is_root(a), "and nowhere any more");
}

static void test_module(void) {
  uintptr_t a = value();
  void *module = dlopen("tests/unit/holding.so", RTLD_NOW);
  if (!module) abort();
  void **(*place)(int) = (void **(*)(int))(uintptr_t)dlsym(module, "holding_place");
  put(place(0), a);
  OK(is_root(a) && roots_error == 0, "data of a module that was loaded later");
  put(place(0), ~(uintptr_t)0);
  put(place(1), a);
  OK(is_root(a) && roots_error == 0, "its thread-local storage, which is allocated");
  put(place(1), ~(uintptr_t)0);
  dlclose(module);
  OK(!is_root(a) && roots_error == 0, "modules may go");
}

/* --- other memory --- */

static char *map(size_t size) {
  char *p = mmap(NULL, size, both, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) abort();
  return p;
}

static void test_added(void) {
  uintptr_t a = value();
  char *p = map(1024 * page), *q = mmap(NULL, 1024 * page, both, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  uintptr_t at = (uintptr_t)p + 700 * page;
  put((void *)at, a);
  OK(!is_root(a), "an anonymous mapping is none");
  roots_add(at, at + 8);
  OK(is_root(a), "until it is added");
  roots_remove(at - 64, at + 64);
  OK(!is_root(a), "and none any more when it was removed");
  roots_add((uintptr_t)p, (uintptr_t)p + 1024 * page);
  OK(is_root(a), "a large range that was added");
  roots_remove((uintptr_t)p, at + 64);
  OK(is_root(a), "of which a part was to be removed");
  roots_add(at - 64, at + 64);
  roots_remove(at - 64, at + 64);
  OK(is_root(a), "stays when another one that overlaps it goes");
  roots_exclude(at, at + 16);
  OK(!is_root(a), "what is excluded is none");
  munmap(p, 1024 * page);
  OK(!is_root(a) && roots_error == 0, "a range that is no longer there does no harm");
  put(q + 500 * page, a);
  roots_add((uintptr_t)q, (uintptr_t)q + 1024 * page);
  OK(is_root(a), "shared memory that was added");
  roots_remove(0, UINTPTR_MAX);
  OK(!is_root(a), "all of it removed");
  roots_add((uintptr_t)q + 500 * page, (uintptr_t)q + 500 * page + 4);
  OK(!is_root(a), "half a word is none");
  roots_remove(0, UINTPTR_MAX);
  munmap(q, 1024 * page);
}

static void test_sets(void) {
  enum { many = 2000 };
  uintptr_t a = value();
  char *p = map(many * 64);
  bool all = true;
  for (int i = 0; i < many; i++) roots_add((uintptr_t)p + (size_t)(i * 37 % many) * 64, (uintptr_t)p + (size_t)(i * 37 % many) * 64 + 8);
  for (int i = 0; i < many; i += 199) {
    put(p + i * 64, a);
    if (!is_root(a)) all = false;
    put(p + i * 64, ~(uintptr_t)0);
    put(p + i * 64 + 8, a);
    if (is_root(a)) all = false;
    put(p + i * 64 + 8, ~(uintptr_t)0);
  }
  OK(all, "thousands of ranges, and nothing between them");
  roots_remove((uintptr_t)p, (uintptr_t)p + many * 64);
  put(p, a);
  OK(!is_root(a), "all removed at once");
  munmap(p, many * 64);
}

/* --- threads --- */

static volatile uintptr_t shared_hidden;

static __attribute__((noinline)) void leave_dead(uintptr_t hidden) {
  volatile uintptr_t dead[512];
  for (int i = 0; i < 512; i++) dead[i] = i < 256 ? ~hidden : 0; /* nothing in the red zone of what comes next */
  (void)dead[0];
  __asm__ volatile("xor %%eax, %%eax\n\txor %%ecx, %%ecx\n\txor %%edx, %%edx\n\txor %%esi, %%esi\n\t"
                   "xor %%edi, %%edi\n\txor %%r8d, %%r8d\n\txor %%r9d, %%r9d\n\txor %%r10d, %%r10d\n\t"
                   "xor %%r11d, %%r11d" ::: "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11");
}

static pthread_key_t keys[100];

static void *run_thread(void *arg) {
  volatile uintptr_t live = ~shared_hidden;
  (void)live;
  next_step();
  reach_step(2);
  live = 0;
  in_tls = (void *)~shared_hidden;
  next_step();
  reach_step(4);
  in_tls = NULL;
  pthread_setspecific(keys[1], (void *)~shared_hidden);
  next_step();
  reach_step(6);
  pthread_setspecific(keys[1], NULL);
  pthread_setspecific(keys[99], (void *)~shared_hidden);
  next_step();
  reach_step(8);
  pthread_setspecific(keys[99], NULL);
  leave_dead(shared_hidden);
  next_step();
  reach_step(10);
  return arg ? (void *)~shared_hidden : NULL;
}

static void test_thread(void) {
  pthread_t thread;
  uintptr_t a = shared_hidden = value();
  for (int i = 0; i < 100; i++) pthread_key_create(&keys[i], NULL);
  step = 0;
  pthread_create(&thread, NULL, run_thread, (void *)1);
  reach_step(1);
  OK(is_root(a) && roots_error == 0, "another thread's stack");
  next_step();
  reach_step(3);
  OK(is_root(a), "its thread-local storage");
  next_step();
  reach_step(5);
  OK(is_root(a), "a thread-specific value");
  next_step();
  reach_step(7);
  OK(is_root(a), "a late one, which the C library keeps apart");
  next_step();
  reach_step(9);
  OK(!is_root(a), "what lies below its stack pointer is dead");
  next_step();
  while (!is_root(a)) os_thread_sleep(1000 * 1000);
  OK(true, "its result, until it is joined");
  pthread_join(thread, NULL);
  OK(!is_root(a), "and no longer");
}

static __attribute__((noinline)) void test_main_thread(void) {
  uintptr_t a = value();
  in_tls = (void *)~a;
  OK(is_root(a), "the first thread's thread-local storage");
  in_tls = NULL;
  pthread_setspecific(keys[3], (void *)~a);
  OK(is_root(a), "a value of its own");
  pthread_setspecific(keys[3], (void *)NULL);
  pthread_setspecific(keys[77], (void *)~a);
  OK(is_root(a), "and a late one");
  pthread_setspecific(keys[77], NULL);
  volatile uintptr_t live = ~a;
  OK(is_root_from(a, ROOTS_DECLARED, (uintptr_t)__builtin_frame_address(0) - 256), "its stack");
  live = 0;
  (void)live;
  leave_dead(a);
  OK(!is_root(a), "but not below the caller's frame");
}

static void *run_spin(void *arg) {
  uintptr_t word = shared_hidden;
  __asm__ volatile("not %0\n\tmovq %0, %%xmm6\n\txor %0, %0\n\tmovl $1, %1\n\t1: cmpl $2, %1\n\tjl 1b\n\t"
                   : "+r"(word), "+m"(step)
                   :
                   : "xmm6", "memory");
  return arg;
}

static void test_register(void) {
  pthread_t thread;
  uintptr_t a = shared_hidden = value();
  step = 0;
  pthread_create(&thread, NULL, run_spin, NULL);
  reach_step(1);
  bool found = is_root(a);
  step = 2;
  pthread_join(thread, NULL);
  OK(found, "a vector register of another thread");
}

/* --- other stacks --- */

static ucontext_t home, away;
static void run_away(void) {
  volatile uintptr_t live = ~shared_hidden;
  next_step();
  reach_step(2);
  (void)live;
}

static uintptr_t on_own_stack;

static void *run_coroutine(void *arg) {
  volatile uintptr_t live = ~on_own_stack;
  getcontext(&away);
  away.uc_stack.ss_sp = arg;
  away.uc_stack.ss_size = 60000;
  away.uc_link = &home;
  makecontext(&away, run_away, 0);
  swapcontext(&home, &away);
  (void)live;
  return NULL;
}

static void test_coroutine(bool in_heap) {
  pthread_t thread;
  uintptr_t a = shared_hidden = value(), b = on_own_stack = value(), object = in_heap ? ~help_alloc(65536, KIND_SCANNED) : 0;
  char *stack = in_heap ? (char *)object : map(65536);
  step = 0;
  pthread_create(&thread, NULL, run_coroutine, stack);
  reach_step(1);
  OK(is_root(a) && roots_error == 0, "a coroutine's stack that is %s", in_heap ? "in the heap" : "mapped");
  OK(is_root(b), "and the thread's own meanwhile");
  next_step();
  pthread_join(thread, NULL);
  memset(&home, 0, sizeof home);
  memset(&away, 0, sizeof away);
  if (in_heap) help_free(~object);
  else munmap(stack, 65536);
}

static __attribute__((noinline)) void test_main_coroutine(void) {
  static volatile bool found_own, found_away;
  volatile uintptr_t live = ~(on_own_stack = value());
  char *stack = map(65536);
  shared_hidden = value();
  getcontext(&away);
  away.uc_stack.ss_sp = stack;
  away.uc_stack.ss_size = 65536;
  away.uc_link = &home;
  void look(void) {
    volatile uintptr_t here = ~shared_hidden;
    uintptr_t sp = (uintptr_t)__builtin_frame_address(0) - 256;
    found_own = is_root_from(on_own_stack, ROOTS_DECLARED, sp);
    found_away = is_root_from(shared_hidden, ROOTS_DECLARED, sp);
    (void)here;
  }
  makecontext(&away, look, 0);
  swapcontext(&home, &away);
  (void)live;
  OK(found_own, "the first thread's stack, while it runs on a coroutine's");
  OK(found_away, "and that one");
  munmap(stack, 65536);
}

static void on_alternate(int number) {
  (void)number;
  next_step();
  reach_step(2);
}

static __attribute__((noinline)) void go_deeper(uintptr_t hidden) {
  volatile uintptr_t live[16] = {~hidden};
  raise(SIGUSR1);
  (void)live[0];
}

static void *run_alternate(void *arg) {
  char room[64 * 1024];
  stack_t stack = {.ss_sp = room, .ss_size = sizeof room}, none = {.ss_flags = SS_DISABLE};
  sigaltstack(&stack, NULL);
  go_deeper(shared_hidden);
  sigaltstack(&none, NULL);
  return arg;
}

static void test_alternate(void) {
  pthread_t thread;
  uintptr_t a = shared_hidden = value();
  struct sigaction action = {.sa_handler = on_alternate, .sa_flags = SA_ONSTACK};
  sigaction(SIGUSR1, &action, NULL);
  step = 0;
  pthread_create(&thread, NULL, run_alternate, NULL);
  reach_step(1);
  OK(is_root(a), "what a signal interrupted, while its handler runs on a stack above");
  next_step();
  pthread_join(thread, NULL);
}

static int run_raw(void *arg) {
  volatile uintptr_t live = ~shared_hidden;
  (void)arg;
  next_step();
  while (step < 2) os_call(SYS_sched_yield);
  (void)live;
  os_call(SYS_exit, 0);
  return 0;
}

static void test_raw(void) {
  uintptr_t a = shared_hidden = value();
  char *stack = map(65536);
  int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;
  step = 0;
  int tid = clone(run_raw, stack + 65536, flags, NULL);
  if (tid < 0) abort();
  reach_step(1);
  OK(is_root(a) && roots_error == 0, "the stack of a thread made by raw clone");
  next_step();
  while (os_thread_exists(tid)) sched_yield();
  munmap(stack, 65536);
}

/* --- what cannot be known --- */

static void test_loading(void) {
  uintptr_t a = value();
  char *p = map(page);
  put(p, a);
  OK(!is_root(a), "a mapping is none");
  _r_debug.r_state = RT_ADD;
  OK(is_root(a) && roots_error == 0, "while the list of modules is being changed all memory is");
  _r_debug.r_state = RT_CONSISTENT;
  OK(!is_root(a), "and not afterwards");
  munmap(p, page);
}

static void test_fork(void) {
  uintptr_t a = value();
  in_data = (void *)~a;
  pid_t child = fork();
  if (child == 0) {
    world_fork_child();
    _exit(is_root(a) && roots_error == 0 ? 0 : 1);
  }
  int status = 1;
  waitpid(child, &status, 0);
  in_data = NULL;
  OK(status == 0, "a fork child has roots");
}

static void test_clear(void) {
  uintptr_t a = value();
  put((void *)&in_bss, a);
  roots_add((uintptr_t)&in_bss, (uintptr_t)(&in_bss + 1));
  roots_remove(0, UINTPTR_MAX);
  OK(is_root(a), "when all that was added is removed, data is a root still");
  in_bss = NULL;
}

int main(void) {
  help_init();
  live_from = (uintptr_t)__builtin_frame_address(0);
  test_segments();
  test_module();
  test_added();
  test_sets();
  test_thread();
  test_main_thread();
  test_register();
  test_coroutine(false);
  test_coroutine(true);
  test_main_coroutine();
  test_alternate();
  test_raw();
  test_loading();
  test_fork();
  test_clear();
  return tap_end();
}
