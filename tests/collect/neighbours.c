/* SPDX-License-Identifier: MIT
 * Coroutines whose stacks lie side by side in one array, as small as programs make them. One collects; what only the frames of
 * its suspended neighbours know must stay, so nothing next to a stack may be taken for frames of the collector's, or be
 * overwritten by them. */
#include "leaking.h"

#include <ucontext.h>

enum { neighbours_count = 3, neighbours_most = 64 << 10, neighbours_nodes = 200, neighbours_node = 64 };

/* Where there is no collector, there is nothing to see. */
extern void GC_gcollect(void) __attribute__((weak));

static char neighbours_memory[neighbours_count][neighbours_most] __attribute__((aligned(16)));
static ucontext_t neighbours_main, neighbours_of[neighbours_count];
static unsigned neighbours_intact;

APART static void neighbours_wipe(void) {
  volatile char frame[1024];
  for (size_t i = 0; i < sizeof frame; i++) frame[i] = 0;
}

/* No register keeps anything beyond this call. */
APART static void neighbours_switch(ucontext_t *from, ucontext_t *to) {
  __asm__ volatile("xor %%ebx, %%ebx\n\txor %%r12d, %%r12d\n\txor %%r13d, %%r13d\n\txor %%r14d, %%r14d\n\txor %%r15d, %%r15d"
                   :
                   :
                   : "rbx", "r12", "r13", "r14", "r15", "memory");
  if (swapcontext(from, to)) abort();
}

static void neighbours_keep(int which) {
  struct node *volatile mine = list_new(neighbours_nodes, neighbours_node);
  neighbours_wipe();
  neighbours_switch(&neighbours_of[which], &neighbours_main);
  neighbours_intact += list_intact(mine, neighbours_nodes, neighbours_node);
}

APART static void neighbours_collect(void) {
  for (unsigned i = 0; i < 4; i++) { /* what the program owns is spared once */
    if (GC_gcollect) GC_gcollect();
    for (unsigned k = 0; k < neighbours_nodes; k++) free(node_new(1, neighbours_node));
    for (unsigned k = 0; k < neighbours_nodes; k++) node_new(2, neighbours_node);
  }
}

APART static void neighbours_make(int which, size_t size) {
  ucontext_t *c = &neighbours_of[which];
  if (getcontext(c)) abort();
  c->uc_stack.ss_sp = neighbours_memory[0] + (size_t)which * size;
  c->uc_stack.ss_size = size;
  c->uc_link = &neighbours_main;
  if (which == 1) makecontext(c, neighbours_collect, 0);
  else makecontext(c, (void (*)(void))neighbours_keep, 1, which);
}

APART static void neighbours_run(size_t size) {
  neighbours_intact = 0;
  memset(neighbours_memory, 0, sizeof neighbours_memory);
  for (int i = 0; i < neighbours_count; i++) neighbours_make(i, size);
  neighbours_switch(&neighbours_main, &neighbours_of[0]);
  neighbours_switch(&neighbours_main, &neighbours_of[2]);
  neighbours_switch(&neighbours_main, &neighbours_of[1]);
  neighbours_switch(&neighbours_main, &neighbours_of[0]);
  neighbours_switch(&neighbours_main, &neighbours_of[2]);
  printf("stacks of %zu KiB: %u nodes\n", size >> 10, neighbours_intact);
}

int main(void) {
  static const size_t sizes[] = {8 << 10, 12 << 10, 16 << 10, 20 << 10, 32 << 10, 64 << 10};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) neighbours_run(sizes[i]);
  return 0;
}
