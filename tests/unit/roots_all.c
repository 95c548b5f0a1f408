/* SPDX-License-Identifier: MIT
 * The roots of a collection: nothing but our own memory is left out, and what cannot be read is said. */
#include "config.h"

#include "roots_help.h"
#include "tap.h"

#include "os/call.h"

#include <asm/prctl.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif

enum { both = PROT_READ | PROT_WRITE };

static uintptr_t live_from; /* main's frame */

static bool is_root(uintptr_t hidden) { return is_root_from(hidden, ROOTS_ALL, live_from); }

/* --- mappings --- */

static char *map(size_t size, int protection, int flags, int fd) {
  char *p = mmap(NULL, size, protection, flags, fd, 0);
  if (p == MAP_FAILED) abort();
  return p;
}

static void test_mapping(const char *what, int flags, int then) {
  uintptr_t a = value();
  size_t size = 1024 * page;
  char *p = map(size, both, flags, -1);
  put(p + 700 * page + 8, a);
  if (then >= 0) mprotect(p, size, then);
  OK(is_root(a) && roots_error == 0, "%s", what);
  munmap(p, size);
  OK(!is_root(a), "%s, unmapped", what);
}

static void test_mappings(void) {
  const int private = MAP_PRIVATE | MAP_ANONYMOUS, shared = MAP_SHARED | MAP_ANONYMOUS;
  test_mapping("anonymous memory", private, -1);
  test_mapping("anonymous memory made read-only", private, PROT_READ);
  test_mapping("anonymous memory made inaccessible", private, PROT_NONE);
  test_mapping("anonymous memory made executable alone", private, PROT_EXEC);
  test_mapping("shared memory", shared, -1);
  test_mapping("shared memory made read-only", shared, PROT_READ);
  test_mapping("shared memory made inaccessible", shared, PROT_NONE);
}

static void test_unaligned(void) {
  uintptr_t a = value();
  char *p = map(64 * page, both, MAP_PRIVATE | MAP_ANONYMOUS, -1);
  for (int i = 0; i < 64; i++) p[i * page] = 1;
  put(p + 16 * page - 8, a); /* where a piece of a copy ends */
  mprotect(p, 64 * page, PROT_NONE);
  OK(is_root(a), "the last word of a piece that is copied");
  munmap(p, 64 * page);
}

/* --- files and shared memory --- */

static int memory_file(size_t size) {
  int fd = memfd_create("roots", MFD_CLOEXEC);
  if (fd < 0 || ftruncate(fd, (off_t)size) != 0) abort();
  return fd;
}

static int disk_file(size_t size, const char *name) {
  int fd = open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0 || ftruncate(fd, (off_t)size) != 0) abort();
  return fd;
}

static void test_files(void) {
  uintptr_t a = value(), word = ~a;
  int fd = memory_file(4 * page);
  char *p = map(16 * page, both, MAP_PRIVATE, fd);
  put(p + page, a);
  mprotect(p, 4 * page, PROT_READ);
  OK(is_root(a) && roots_error == 0, "a copied page of a file, now read-only, in a mapping that reaches beyond its file");
  munmap(p, 16 * page);
  p = map(16 * page, both, MAP_SHARED, fd);
  put(p + 2 * page, a);
  OK(is_root(a) && roots_error == 0, "a shared file, mapped beyond its end");
  madvise(p, 4 * page, MADV_DONTNEED);
  OK(is_root(a), "also when the page tables have forgotten it");
  mprotect(p, 4 * page, PROT_READ);
  OK(is_root(a), "and when it is read-only now");
  munmap(p, 16 * page);
  p = map(4 * page, both, MAP_SHARED, fd);
  if (pwrite(fd, &word, sizeof word, 3 * page) != sizeof word) abort();
  word = 0;
  OK(is_root(a), "what was written by a system call");
  munmap(p, 4 * page);
  close(fd);
}

static void test_disk(void) {
  char name[64];
  snprintf(name, sizeof name, "/var/tmp/roots-%d", (int)getpid());
  uintptr_t a = value();
  int fd = disk_file(8 << 20, name);
  char *p = map(8 << 20, both, MAP_SHARED, fd);
  put(p + (5 << 20), a);
  OK(is_root(a) && roots_error == 0, "a shared file on disk, sparse");
  munmap(p, 8 << 20);
  int reading = open(name, O_RDONLY | O_CLOEXEC);
  p = map(8 << 20, PROT_READ, MAP_SHARED, reading);
  OK(!is_root(a) && roots_error == 0, "one that was opened for reading only is data");
  char *q = map(8 << 20, PROT_READ, MAP_SHARED, fd);
  OK(is_root(a), "one that could be written is a root, though it may only be read now");
  munmap(p, 8 << 20);
  munmap(q, 8 << 20);
  close(reading);
  close(fd);
  fd = disk_file(256 << 20, name);
  p = map(256 << 20, both, MAP_SHARED, fd);
  is_root(a);
  OK(roots_error == EFBIG, "a large file, of which nobody knows where its pages are, gives the search up");
  munmap(p, 256 << 20);
  close(fd);
  unlink(name);
}

static void test_sparse(void) {
  uintptr_t a = value();
  size_t size = (size_t)8 << 30;
  int fd = memory_file(size);
  char *p = map(size, both, MAP_SHARED | MAP_NORESERVE, fd);
  put(p + size / 2, a);
  OK(is_root(a) && roots_error == 0, "one page in 8 GiB of shared memory");
  munmap(p, size);
  close(fd);
  size = (size_t)1 << 40;
  p = mmap(NULL, size, both, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) {
    tap_skip("a TiB of address space", "refused");
    return;
  }
  put(p + size / 4 + 8, a);
  OK(is_root(a), "one page in a TiB of address space");
  munmap(p, size);
}

static void test_swapped(const char *what, int flags) {
  enum { pages = 4096 };
  uintptr_t a = value();
  char *p = map(pages * page, both, flags | MAP_ANONYMOUS, -1);
  memset(p, 1, pages * page);
  put(p + 3000 * page + 8, a);
  madvise(p, pages * page, MADV_PAGEOUT);
  if (os_memory_is_swapping())
    OK(is_root(a) && roots_error == 0, "%s in swap", what);
  else
    tap_skip("memory in swap", "this machine has none");
  munmap(p, pages * page);
}

/* --- stacks and registers --- */

static volatile uintptr_t shared_hidden;
static volatile uintptr_t *volatile shared_place;

static __attribute__((noinline)) void leave_dead(uintptr_t hidden) {
  volatile uintptr_t dead[512];
  for (int i = 0; i < 256; i++) dead[i] = ~hidden;
  (void)dead[0];
}

static void *run_dead(void *arg) {
  leave_dead(shared_hidden);
  next_step();
  reach_step(2);
  return arg;
}

static void test_dead(void) {
  pthread_t thread;
  uintptr_t a = shared_hidden = value();
  step = 0;
  pthread_create(&thread, NULL, run_dead, NULL);
  reach_step(1);
  OK(is_root(a), "below a stack pointer: it may be a coroutine's stack");
  next_step();
  pthread_join(thread, NULL);
  OK(is_root(a), "the stack of a thread that has ended, as long as it is kept");
}

static _Atomic pid_t result_tid;
static void *run_result(void *arg) {
  (void)arg;
  result_tid = os_thread_id();
  return (void *)~shared_hidden;
}

static void test_result(void) {
  pthread_t thread;
  uintptr_t a = shared_hidden = value();
  pthread_create(&thread, NULL, run_result, NULL);
  while (!result_tid || os_thread_exists(result_tid)) os_thread_sleep(200 * 1000);
  OK(is_root(a), "the result of a thread that was not joined");
  pthread_join(thread, NULL);
}

/* Goes on when step is 2, with the value where the text puts it, and nowhere else. */
#define HOLD(put)                                                                                                   \
  __asm__ volatile("not %0\n\t" put "xor %0, %0\n\tmovl $1, %1\n\t1: cmpl $2, %1\n\tjl 1b\n\t"                         \
                   : "+r"(word), "+m"(step)                                                                         \
                   :                                                                                                \
                   : "rbx", "r12", "xmm6", "xmm7", "memory")

static void *run_general(void *arg) {
  uintptr_t word = shared_hidden;
  HOLD("mov %0, %%r12\n\t");
  return arg;
}

static void *run_vector(void *arg) {
  uintptr_t word = shared_hidden;
  HOLD("movq %0, %%xmm7\n\tpxor %%xmm6, %%xmm6\n\tpunpcklqdq %%xmm7, %%xmm6\n\tpxor %%xmm7, %%xmm7\n\t");
  return arg;
}

static void *run_red_zone(void *arg) {
  uintptr_t word = shared_hidden;
  HOLD("mov %0, -120(%%rsp)\n\t");
  return arg;
}

static void *run_gs(void *arg) {
  uintptr_t word = shared_hidden;
  os_call(SYS_arch_prctl, ARCH_SET_GS, ~word);
  HOLD("");
  return arg;
}

static void test_register(const char *what, void *(*run)(void *)) {
  pthread_t thread;
  uintptr_t a = shared_hidden = value();
  step = 0;
  pthread_create(&thread, NULL, run, NULL);
  reach_step(1);
  bool found = is_root(a);
  step = 2;
  pthread_join(thread, NULL);
  OK(found && roots_error == 0, "%s of another thread", what);
}

/* An alternate stack within the thread's own: what was interrupted lies below the stack pointer. */
static volatile bool alternate_found;

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

static ucontext_t home, away;
static void run_away(void) {
  volatile uintptr_t live = ~shared_hidden;
  next_step();
  reach_step(2);
  (void)live;
}

static void *run_in_heap(void *arg) {
  getcontext(&away);
  away.uc_stack.ss_sp = (void *)(uintptr_t)arg;
  away.uc_stack.ss_size = 60000;
  away.uc_link = &home;
  makecontext(&away, run_away, 0);
  swapcontext(&home, &away);
  return NULL;
}

static void test_heap_stack(void) {
  pthread_t thread;
  uintptr_t a = shared_hidden = value(), object = ~help_alloc(65536, KIND_SCANNED);
  step = 0;
  put((void *)object, a);
  shared_hidden = value();
  pthread_create(&thread, NULL, run_in_heap, (void *)object);
  reach_step(1);
  OK(is_root(shared_hidden), "a stack that lies in the heap");
  OK(is_root(a), "and the rest of its object");
  next_step();
  pthread_join(thread, NULL);
  OK(!is_root(a), "the heap itself is none");
  help_free(~object);
}

/* --- what is ours, excluded, added, kept --- */

static void test_declared(void) {
  uintptr_t a = value();
  char *own = os_memory_map(4 * page), *p = map(16 * page, both, MAP_PRIVATE | MAP_ANONYMOUS, -1);
  put(own + page, a);
  OK(!is_root(a), "our own memory is no root");
  roots_keep((uintptr_t)own + page, (uintptr_t)own + 2 * page);
  OK(is_root(a), "but what is kept in it for the program");
  roots_drop((uintptr_t)own, (uintptr_t)own + 4 * page);
  OK(!is_root(a), "until it is dropped");
  roots_add((uintptr_t)own, (uintptr_t)own + 4 * page);
  OK(is_root(a), "or what the program added");
  roots_remove((uintptr_t)own, (uintptr_t)own + 4 * page);
  OK(!is_root(a), "until it takes that out again");
  os_memory_unmap(own, 4 * page);
  put(p + 2 * page, a);
  roots_exclude((uintptr_t)p + 2 * page, (uintptr_t)p + 2 * page + 8);
  OK(!is_root(a), "what the program excludes is none");
  put(p + 2 * page + 8, a);
  OK(is_root(a), "and no more than that");
  munmap(p, 16 * page);
}

/* --- what cannot be known --- */

static void *run_deaf(void *arg) {
  uint64_t every = ~(uint64_t)0;
  os_call(SYS_rt_sigprocmask, SIG_SETMASK, &every, NULL, sizeof every);
  next_step();
  reach_step(2);
  return arg;
}

static void test_deaf(void) {
  pthread_t thread;
  step = 0;
  pthread_create(&thread, NULL, run_deaf, NULL);
  reach_step(1);
  is_root(value());
  OK(roots_error == EAGAIN, "a thread that does not stop gives the search up");
  next_step();
  pthread_join(thread, NULL);
}

static void test_refused(void) {
  pid_t child = fork();
  if (child == 0) {
    struct rlimit none = {0, 0};
    world_fork_child();
    if (setrlimit(RLIMIT_NOFILE, &none) != 0) _exit(3);
    is_root(value());
    _exit(roots_error == EMFILE ? 0 : 1);
  }
  int status = 1;
  waitpid(child, &status, 0);
  OK(status == 0, "mappings that cannot be read give the search up");
}

static _Atomic bool forked;
static void *run_hold(void *arg) {
  volatile uintptr_t live = ~shared_hidden;
  next_step();
  while (!forked) sched_yield();
  (void)live;
  return arg;
}

static void test_fork(void) {
  pthread_t thread;
  uintptr_t a = shared_hidden = value();
  step = 0;
  pthread_create(&thread, NULL, run_hold, NULL);
  reach_step(1);
  pid_t child = fork();
  if (child == 0) {
    world_fork_child();
    _exit(is_root(a) ? 0 : 1);
  }
  int status = 1;
  waitpid(child, &status, 0);
  OK(status == 0, "in a fork child, the stack of a thread that is not there");
  forked = true;
  pthread_join(thread, NULL);
  child = (pid_t)os_call(SYS_vfork);
  if (child == 0) {
    is_root(a);
    os_call(SYS_exit_group, roots_error == EAGAIN ? 0 : 1);
  }
  waitpid(child, &status, 0);
  OK(status == 0, "in a vfork child nothing is searched");
}

int main(void) {
  help_init();
  live_from = (uintptr_t)__builtin_frame_address(0);
  test_mappings();
  test_unaligned();
  test_files();
  test_disk();
  test_sparse();
  test_swapped("private memory", MAP_PRIVATE);
  test_swapped("shared memory", MAP_SHARED);
  test_dead();
  test_result();
  test_register("a general register", run_general);
  test_register("a vector register", run_vector);
  test_register("the red zone", run_red_zone);
  test_register("the base of gs", run_gs);
  test_alternate();
  test_heap_stack();
  test_declared();
  test_deaf();
  test_refused();
  test_fork();
  return tap_end();
}
