/* SPDX-License-Identifier: MIT
 * What threads keep, what they lose, and searching while they run, start, die or are flooded with signals. */
#include "leaky_threads.h"

#include <limits.h>
#include <link.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <threads.h>

static uintptr_t hidden;

/* @ argument root=64 -- the argument of a running thread that has forgotten it */
static void argument(void) {
  start(sleeper, block_or_null());
  wait_ready(1);
}

/* @ argument_early -- the arguments of threads that have not yet started */
static void argument_early(void) {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(sched_getcpu(), &one);
  sched_setaffinity(0, sizeof one, &one); /* so that the new ones wait for their turn */
  for (int i = 0; i < 50; i++) start(sleeper, make(size));
}

/* @ argument_detached -- the same when they are detached */
static void argument_detached(void) {
  for (int i = 0; i < 50; i++) start_detached(sleeper, make(size));
}

static int c11_sleeper(void *arg) {
  (void)arg;
  scrub();
  sleep_forever();
}

/* @ argument_c11 root=64 -- the argument of a C11 thread */
static void argument_c11(void) {
  thrd_t thread;
  if (thrd_create(&thread, c11_sleeper, block_or_null()) != thrd_success) abort();
  wait_ready(1);
}

static void *holder(void *arg) {
  void *volatile here = REVEAL(*(uintptr_t *)arg);
  scrub();
  if (here) sleep_forever();
  return NULL;
}

/* @ on_stack root=64 -- a variable of another thread's live stack */
static void on_stack(void) {
  hidden = ~(uintptr_t)0;
  void *p = block_or_null();
  hidden = p ? ~(uintptr_t)p : ~(uintptr_t)1;
  start(holder, &hidden);
  wait_ready(1);
}

static __thread void *volatile tls_place;
static void *tls_holder(void *arg) {
  tls_place = REVEAL(*(uintptr_t *)arg);
  scrub();
  sleep_forever();
}

/* @ in_tls root=64 -- a thread-local variable of another thread */
static void in_tls(void) {
  hidden = ~(uintptr_t)block_or_null();
  start(tls_holder, &hidden);
  wait_ready(1);
}

static void *key_holder(void *arg) {
  (void)arg;
  for (int i = 0; i < 64; i++) {
    pthread_key_t key;
    if (pthread_key_create(&key, NULL) || pthread_setspecific(key, block_or_null())) abort();
  }
  scrub();
  sleep_forever();
}

/* @ in_keys -- 64 thread-specific values of another thread
 * @ in_keys+drop definite 64 4096 -- the control */
static void in_keys(void) {
  start(key_holder, NULL);
  wait_ready(1);
}

static void *busy(void *arg) {
  unsigned random = (unsigned)(uintptr_t)arg;
  void *mine[50] = {0};
  for (unsigned i = 0;; i++) {
    random = random * 1664525 + 1013904223;
    void **slot = &mine[random % 50];
    if (i % 7 == 0) {
      void *p = realloc(*slot, (random >> 20) + 1);
      if (p) *slot = p;
      continue;
    }
    free(*slot);
    *slot = i % 3 ? malloc(random >> 22) : calloc(1, random >> (i % 1000 ? 22 : 14));
    if (i == 1000) ready++;
  }
  return NULL;
}

/* Whoever allocates may hold the address where a block of objects begins. */
void *volatile neighbour;

/* @ ten definite 1 2222 frame=make -- ten other threads that allocate all the time */
static void ten(void) {
  neighbour = malloc(2222);
  make(2222); /* first: later the others may have left its address in many places */
  for (uintptr_t i = 1; i <= 10; i++) start(busy, (void *)i);
  wait_ready(10);
}

static void *breeder(void *arg) {
  for (int i = 0;; i++) {
    pthread_t thread = start(clean, make(size));
    if (pthread_join(thread, NULL)) abort();
    if (i == 20) ready++;
  }
  return arg;
}

/* @ coming_and_going definite 1 2222 frame=make -- threads that start and end all the time */
static void coming_and_going(void) {
  make(2222);
  for (int i = 0; i < 4; i++) start(breeder, NULL);
  wait_ready(4);
}

static void on_signal(int number) { (void)number; }

static pthread_t targets[5];
static void *hammer(void *arg) {
  ready++;
  for (unsigned i = 0;; i++) {
    pthread_kill(targets[i % 5], i & 1 ? SIGUSR1 : SIGRTMIN + 3);
    if (i % 5 == 4) sched_yield(); /* that they are taken as fast: they count against all that the user may queue */
  }
  return arg;
}

/* @ storm definite 1 64 -- a storm of signals at every thread */
static void storm(void) {
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
  sigaction(SIGUSR1, &action, NULL);
  sigaction(SIGALRM, &action, NULL);
  action.sa_flags = 0;
  sigaction(SIGRTMIN + 3, &action, NULL);
  for (int i = 0; i < 4; i++) {
    hidden = make_hidden(size);
    targets[i] = start(holder, &hidden);
    wait_ready(i + 1);
  }
  targets[4] = pthread_self();
  setitimer(ITIMER_REAL, &(struct itimerval){{0, 200}, {0, 200}}, NULL);
  start(hammer, NULL);
  start(hammer, NULL);
  wait_ready(6);
  make(size);
}

static int in_loader(struct dl_phdr_info *info, size_t length, void *arg) {
  (void)info, (void)length, (void)arg;
  sleep_forever();
}
static void *loader(void *arg) {
  dl_iterate_phdr(in_loader, arg);
  return arg;
}

/* @ loader_lock definite 1 64 -- another thread holds the loader's lock */
static void loader_lock(void) {
  start(loader, NULL);
  wait_ready(1);
  make(size);
}

static void *deaf(void *arg) {
  void *volatile here = REVEAL(*(uintptr_t *)arg);
  sigset_t all;
  sigfillset(&all);
  if (pthread_sigmask(SIG_BLOCK, &all, NULL)) abort();
  scrub();
  ready++;
  for (;;) {
    siginfo_t info;
    sigset_t wanted = all;
    sigdelset(&wanted, SIGTERM);
    sigwaitinfo(&wanted, &info);
    if (!here) pause();
  }
}

/* @ deaf_thread -- a thread that blocks all signals, and waits for them */
static void deaf_thread(void) {
  hidden = make_hidden(size);
  start(deaf, &hidden);
  wait_ready(1);
}

static void *deafer(void *arg) {
  void *volatile here = REVEAL(*(uintptr_t *)arg);
  uint64_t all = ~(uint64_t)0;
  if (syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, sizeof all)) abort();
  scrub();
  if (here) sleep_forever();
  return NULL;
}

/* @ deafer_thread -- one that blocks them behind libc's back */
static void deafer_thread(void) {
  hidden = make_hidden(size);
  start(deafer, &hidden);
  wait_ready(1);
}

/* Starts a thread that libc knows nothing of: it holds *cell's complement in r12, and sleeps. */
__attribute__((naked)) static long raw_clone(void *stack __attribute__((unused)), uintptr_t *cell
                                             __attribute__((unused)),
                                             _Atomic int *count __attribute__((unused))) {
  __asm__("push %r12\n\tpush %r13\n\tmov %rsi, %r12\n\tmov %rdx, %r13\n\tmov %rdi, %rsi\n\t"
          "mov $0x50f00, %edi\n\txor %edx, %edx\n\txor %r10d, %r10d\n\txor %r8d, %r8d\n\tmov $56, %eax\n\t"
          "syscall\n\ttest %eax, %eax\n\tjz 1f\n\tpop %r13\n\tpop %r12\n\tret\n1:\n\tmov (%r12), %r12\n\t"
          "not %r12\n\tlock incl (%r13)\n\txor %r13d, %r13d\n2:\n\tmov $34, %eax\n\tsyscall\n\tjmp 2b");
}

/* @ raw_thread -- a thread that libc does not know
 * @ raw_thread+drop definite 2 128 -- the control */
static void raw_thread(void) {
  enum { stack_size = 256 * 1024 };
  char *stack = mmap(NULL, stack_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (stack == MAP_FAILED) abort();
  void **top = (void **)(void *)(stack + stack_size - 128);
  top[2] = block_or_null();
  hidden = ~(uintptr_t)block_or_null();
  scrub();
  if (raw_clone(top, &hidden, &ready) < 0) abort();
  wait_ready(1);
}

static void *small_holder(void *arg) {
  tls_place = REVEAL(*(uintptr_t *)arg);
  sleep_forever();
}

/* @ small_stacks -- threads with the smallest stacks */
static void small_stacks(void) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, PTHREAD_STACK_MIN);
  static uintptr_t cells[20];
  for (int i = 0; i < 20; i++) {
    pthread_t thread;
    cells[i] = make_hidden(size);
    if (pthread_create(&thread, &attributes, small_holder, &cells[i])) abort();
  }
  wait_ready(20);
}

/* @ own_stack -- a thread on a stack from malloc, which nobody else knows
 * @ own_stack+drop definite 1 262144 -- the control */
static void own_stack(void) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  void *stack = NULL;
  if (posix_memalign(&stack, 4096, 256 * 1024)) abort();
  pthread_attr_setstack(&attributes, stack, 256 * 1024);
  if (scenario_drop) return;
  hidden = make_hidden(size);
  pthread_t thread;
  if (pthread_create(&thread, &attributes, tls_holder, &hidden)) abort();
  wait_ready(1);
}

static void *cancelled(void *arg) {
  pthread_cleanup_push(free, arg);
  sleep_forever();
  pthread_cleanup_pop(0);
}

/* @ cancelled_thread -- a thread that was cancelled, and cleaned up */
static void cancelled_thread(void) {
  pthread_t thread = start(cancelled, make(size));
  wait_ready(1);
  if (pthread_cancel(thread) || pthread_join(thread, NULL)) abort();
}

static const struct scenario table[] = {
    SCENARIO(argument), SCENARIO(argument_early), SCENARIO(argument_detached), SCENARIO(argument_c11),
    SCENARIO(on_stack), SCENARIO(in_tls), SCENARIO(in_keys), SCENARIO(ten), SCENARIO(coming_and_going),
    SCENARIO(storm), SCENARIO(loader_lock), SCENARIO(deaf_thread), SCENARIO(deafer_thread),
    SCENARIO(raw_thread), SCENARIO(small_stacks), SCENARIO(own_stack), SCENARIO(cancelled_thread),
};

SCENARIO_MAIN(table)
