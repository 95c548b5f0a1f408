/* SPDX-License-Identifier: MIT
 * Coroutines: stacks that no thread is known by, in malloc'ed or mapped memory, switched by swapcontext or by setjmp. What
 * only a suspended coroutine knows stays; a coroutine that is forgotten goes, with all that it knew. */
#include "leaking.h"

#include <setjmp.h>
#include <sys/mman.h>
#include <ucontext.h>

enum { coroutine_stack = 64 << 10, coroutine_nodes = 100, coroutine_node = 80, coroutine_kept = 20 };

struct coroutine {
  ucontext_t here, there; /* its own state, and that of whoever resumed it */
  jmp_buf here_jump, there_jump;
  bool by_jump, began, ended;
  unsigned intact;        /* nodes that it found as they must be */
  unsigned char *stack;
};

static struct coroutine *volatile coroutine_current;

/* Back to whoever resumed it. */
APART static void coroutine_yield(void) {
  struct coroutine *c = coroutine_current;
  if (!c->by_jump) swapcontext(&c->here, &c->there);
  else if (_setjmp(c->here_jump) == 0) _longjmp(c->there_jump, 1);
}

/* Its list is known to this frame alone. */
APART static void coroutine_work(void) {
  struct node *mine = list_new(coroutine_nodes, coroutine_node);
  for (unsigned i = 0; i < 3; i++) {
    coroutine_yield();
    coroutine_current->intact += list_intact(mine, coroutine_nodes, coroutine_node);
    struct node *more = list_new(coroutine_nodes, coroutine_node);
    coroutine_yield();
    coroutine_current->intact += list_intact(more, coroutine_nodes, coroutine_node);
  }
}

static void coroutine_main(void) {
  coroutine_work();
  struct coroutine *c = coroutine_current;
  c->ended = true;
  if (c->by_jump) _longjmp(c->there_jump, 1);
  setcontext(&c->there);
}

APART static void coroutine_resume(struct coroutine *c) {
  coroutine_current = c;
  if (!c->by_jump) {
    swapcontext(&c->there, &c->here);
  } else if (_setjmp(c->there_jump) == 0) {
    if (c->began) _longjmp(c->here_jump, 1);
    c->began = true;
    setcontext(&c->here);
  }
  coroutine_current = NULL;
}

APART static struct coroutine *coroutine_new(bool mapped, bool by_jump) {
  struct coroutine *c = calloc(1, sizeof *c);
  c->by_jump = by_jump;
  c->stack = mapped ? mmap(NULL, coroutine_stack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) : malloc(coroutine_stack);
  if (c->stack == MAP_FAILED || !c->stack || getcontext(&c->here)) abort();
  c->here.uc_stack.ss_sp = c->stack;
  c->here.uc_stack.ss_size = coroutine_stack;
  makecontext(&c->here, coroutine_main, 0);
  return c;
}

APART static unsigned coroutine_finish(struct coroutine *c, bool mapped) {
  while (!c->ended) coroutine_resume(c);
  unsigned intact = c->intact;
  if (mapped) munmap(c->stack, coroutine_stack);
  return intact; /* the rest is lost */
}

/* One that is suspended and forgotten. A mapped stack is a root as long as it is mapped: so it is unmapped. */
APART static void coroutine_forget(bool mapped, bool by_jump, unsigned steps) {
  struct coroutine *c = coroutine_new(mapped, by_jump);
  while (steps-- > 0) coroutine_resume(c);
  if (mapped) munmap(c->stack, coroutine_stack);
}

/* Some are suspended all the time, while others come, finish or are forgotten. */
APART static void coroutines(bool mapped, bool by_jump) {
  static struct coroutine *suspended[coroutine_kept];
  unsigned sum = 0;
  for (unsigned i = 0; i < coroutine_kept; i++) {
    suspended[i] = coroutine_new(mapped, by_jump);
    for (unsigned k = i % 5; k > 0; k--) coroutine_resume(suspended[i]);
  }
  size_t each = (size_t)coroutine_nodes * coroutine_node * 5 + (mapped ? 0 : coroutine_stack / 4);
  for (unsigned i = 0; i < leaking_bytes / each; i++) {
    coroutine_forget(mapped, by_jump, i % 6);
    if (i % 2) sum += coroutine_finish(coroutine_new(mapped, by_jump), mapped);
    unsigned k = i % coroutine_kept;
    if (i % 7) continue;
    coroutine_resume(suspended[k]);
    if (!suspended[k]->ended) continue;
    sum += suspended[k]->intact;
    if (mapped) munmap(suspended[k]->stack, coroutine_stack);
    suspended[k] = coroutine_new(mapped, by_jump);
  }
  for (unsigned i = 0; i < coroutine_kept; i++) sum += coroutine_finish(suspended[i], mapped);
  printf("%u nodes\n", sum);
}

static void malloc_swapcontext(void) { coroutines(false, false); }
static void mapped_swapcontext(void) { coroutines(true, false); }
static void malloc_setjmp(void) { coroutines(false, true); }
static void mapped_setjmp(void) { coroutines(true, true); }

/* The whole program runs on one, while the thread's own stack holds a list. */
static void whole_program(void) {
  struct node *mine = list_new(1000, 64);
  leaking_bytes /= 2;
  coroutines(true, false);
  coroutines(false, true);
  printf("%u nodes of the thread\n", list_intact(mine, 1000, 64));
}

#define SCENARIO(name) {#name, name}
static const struct scenario table[] = {SCENARIO(malloc_swapcontext), SCENARIO(mapped_swapcontext), SCENARIO(malloc_setjmp),
                                        SCENARIO(mapped_setjmp), SCENARIO(whole_program)};

LEAKING_MAIN(table)
