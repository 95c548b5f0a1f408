/* SPDX-License-Identifier: MIT
 * Which part of which stack is alive when the program ends: not what lies dead below exit's caller; all that lies
 * above; and other stacks when the stack pointer is on a coroutine's or on that of a signal handler. */
#include "leaky.h"

#include <alloca.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <ucontext.h>

enum { size = 64, page = 4096, stack_size = 256 * 1024 };

static uintptr_t hidden;

/* A new block that only hidden's complement knows; in the control run nothing will ever know it. */
APART static void hide(void) {
  hidden = make_hidden(size);
  if (scenario_drop) hidden = ~(uintptr_t)0;
}

static void litter_at_exit(void) { litter(size); }

/* @ stale definite 1 64 -- a dead frame below exit's caller hides no leak */
static void stale(void) {
  litter(size);
  exit(0);
}

/* @ stale_quick definite 1 64 -- nor below quick_exit's */
static void stale_quick(void) {
  litter(size);
  quick_exit(0);
}

/* @ stale__exit definite 1 64 opt=--report-at-_exit -- nor below _exit's */
static void stale__exit(void) {
  litter(size);
  _exit(0);
}

/* @ stale_handler definite 1 64 -- nor one that an atexit handler left */
static void stale_handler(void) {
  if (atexit(litter_at_exit)) abort();
}

/* @ live root=64 -- a variable of a function that calls exit */
static void live(void) {
  hide();
  void *volatile here = REVEAL(hidden);
  scrub();
  if (here || scenario_drop) exit(0);
}

APART static void descend(int depth) {
  void *volatile here = scenario_drop ? (make(size), NULL) : make(size);
  if (depth) descend(depth - 1);
  if (here) exit(0);
}

/* @ live_deep -- of fifty callers
 * @ live_deep+drop definite 50 3200 frame=descend -- the control */
static void live_deep(void) { descend(49); }

/* @ live_variable_size root=64 -- in an array whose size is known only when it runs */
static void live_variable_size(void) {
  hide();
  size_t bytes = ((hidden & 1) + 3000) * sizeof(void *);
  void **array = memset(alloca(bytes), 0, bytes);
  array[0] = REVEAL(hidden);
  KEEP(array);
  scrub();
  exit(0);
}

static void exit_on_signal(int number) {
  (void)number;
  scrub();
  exit(0);
}

APART static void signal_exits(int flags) {
  struct sigaction action = {.sa_handler = exit_on_signal, .sa_flags = flags};
  if (sigaction(SIGVTALRM, &action, NULL)) abort();
}

/* Spins, with the pointer in a register alone, until the handler of a timer calls exit. */
APART static void spin_until_signal(void) {
  uintptr_t cell = hidden;
  scrub();
  setitimer(ITIMER_VIRTUAL, &(struct itimerval){{0, 0}, {0, 20000}}, NULL);
  __asm__ volatile("mov %0, %%rbx\n\tnot %%rbx\n\txor %%eax, %%eax\n1:\n\tpause\n\tjmp 1b"
                   :
                   : "r"(cell)
                   : "rbx", "rax", "memory");
}

/* @ in_handler root=64 -- exit in a signal handler: the registers of what it interrupted */
static void in_handler(void) {
  signal_exits(0);
  hide();
  spin_until_signal();
}

APART static void *mapped_stack(void) {
  char *p = mmap(NULL, stack_size + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  if (p == MAP_FAILED || mprotect(p + page, stack_size, PROT_READ | PROT_WRITE)) abort();
  return p + page;
}

APART static void alternate(void *stack) {
  signal_exits(SA_ONSTACK);
  if (sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = stack_size}, NULL)) abort();
}

APART static void raise_holding(void) {
  void *volatile here = REVEAL(hidden);
  scrub();
  raise(SIGVTALRM);
  KEEP(here);
}

/* @ on_alternate root=64 -- on an alternate stack: the stack of what it interrupted */
static void on_alternate(void) {
  alternate(mapped_stack());
  hide();
  raise_holding();
}

/* @ on_alternate_registers root=64 -- and its registers */
static void on_alternate_registers(void) {
  alternate(mapped_stack());
  hide();
  spin_until_signal();
}

/* @ on_alternate_heap root=64 -- on an alternate stack from malloc */
static void on_alternate_heap(void) {
  alternate(make(stack_size));
  hide();
  raise_holding();
}

/* @ on_alternate_heap_registers root=64 -- with registers */
static void on_alternate_heap_registers(void) {
  alternate(make(stack_size));
  hide();
  spin_until_signal();
}

static ucontext_t outer, inner;
static void (*inner_end)(void);

static void coroutine(void) {
  void *volatile here = REVEAL(hidden);
  scrub();
  if (inner_end) inner_end();
  if (swapcontext(&inner, &outer)) abort();
  KEEP(here);
}

APART static void enter(void *stack) {
  if (getcontext(&inner)) abort();
  inner.uc_stack.ss_sp = stack;
  inner.uc_stack.ss_size = stack_size;
  inner.uc_link = &outer;
  makecontext(&inner, coroutine, 0);
  if (swapcontext(&outer, &inner)) abort();
}

/* @ coroutine_heap root=64 -- a coroutine at rest, whose stack is from malloc */
static void coroutine_heap(void) {
  hide();
  enter(make(stack_size));
}

/* @ coroutine_mapped root=64 -- one whose stack is mapped between guard pages */
static void coroutine_mapped(void) {
  hide();
  enter(mapped_stack());
}

/* @ coroutine_lost definite 1 262144 indirect 1 64 -- a lost coroutine is lost with all it held */
static void coroutine_lost(void) {
  hide();
  enter(make(stack_size));
  memset(&inner, 0, sizeof inner);
  memset(&outer, 0, sizeof outer);
}

static void exit_now(void) { exit(0); }

APART static void enter_holding(void *stack, uintptr_t cell) {
  void *volatile here = REVEAL(cell);
  scrub();
  enter(stack);
  KEEP(here);
}

APART static void exit_in_coroutine(void *stack) {
  inner_end = exit_now;
  uintptr_t cell = make_hidden(size);
  hide();
  enter_holding(stack, scenario_drop ? ~(uintptr_t)0 : cell);
}

/* @ exit_in_mapped -- exit in a coroutine: its own stack and the one that it came from
 * @ exit_in_mapped+drop definite 2 128 -- the control */
static void exit_in_mapped(void) { exit_in_coroutine(mapped_stack()); }

/* @ exit_in_heap -- the same on a stack from malloc
 * @ exit_in_heap+drop definite 2 128 -- the control */
static void exit_in_heap(void) {
  void *stack = make(stack_size);
  exit_in_coroutine(stack);
}

static void forget_and_exit(void) {
  memset(&inner, 0, sizeof inner);
  memset(&outer, 0, sizeof outer);
  scrub();
  exit(0);
}

/* @ exit_in_unknown -- when nothing but the stack pointer knows that stack */
static void exit_in_unknown(void) {
  inner_end = forget_and_exit;
  hide();
  enter(make(stack_size));
}

static _Atomic int ready;
APART static void sleep_forever(void) {
  ready++;
  for (;;) pause();
}

static void *thread_with_coroutine(void *arg) {
  uintptr_t cell = *(uintptr_t *)arg;
  inner_end = sleep_forever;
  enter_holding(scenario_argument[0] == 'h' ? make(stack_size) : mapped_stack(), cell);
  return NULL;
}

/* @ thread_in_coroutine -- another thread in a coroutine: both of its stacks
 * @ thread_in_coroutine+heap -- also from malloc
 * @ thread_in_coroutine+drop definite 2 128 -- the control */
static void thread_in_coroutine(void) {
  static uintptr_t cell;
  cell = make_hidden(size);
  if (scenario_drop) cell = ~(uintptr_t)0;
  hide();
  pthread_t thread;
  if (pthread_create(&thread, NULL, thread_with_coroutine, &cell)) abort();
  while (!ready) sched_yield();
}

static void *thread_in_handler(void *arg) {
  static stack_t ss = {.ss_size = stack_size};
  ss.ss_sp = make(stack_size);
  if (sigaltstack(&ss, NULL)) abort();
  memset(&ss, 0, sizeof ss);
  raise_holding();
  return arg;
}

static void sleep_on_signal(int number) {
  (void)number;
  sleep_forever();
}

/* @ thread_on_alternate -- another thread in a handler on an alternate stack from malloc, which only the kernel knows
 * @ thread_on_alternate+drop definite 1 64 -- the control */
static void thread_on_alternate(void) {
  struct sigaction action = {.sa_handler = sleep_on_signal, .sa_flags = SA_ONSTACK};
  if (sigaction(SIGVTALRM, &action, NULL)) abort();
  hide();
  pthread_t thread;
  if (pthread_create(&thread, NULL, thread_in_handler, NULL)) abort();
  while (!ready) sched_yield();
}

static const struct scenario table[] = {
    SCENARIO(stale), SCENARIO(stale_quick), SCENARIO(stale__exit), SCENARIO(stale_handler), SCENARIO(live),
    SCENARIO(live_deep), SCENARIO(live_variable_size), SCENARIO(in_handler), SCENARIO(on_alternate),
    SCENARIO(on_alternate_registers), SCENARIO(on_alternate_heap), SCENARIO(on_alternate_heap_registers),
    SCENARIO(coroutine_heap), SCENARIO(coroutine_mapped), SCENARIO(coroutine_lost), SCENARIO(exit_in_mapped),
    SCENARIO(exit_in_heap), SCENARIO(exit_in_unknown), SCENARIO(thread_in_coroutine),
    SCENARIO(thread_on_alternate),
};

SCENARIO_MAIN(table)
