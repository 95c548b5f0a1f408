/* SPDX-License-Identifier: MIT
 * What the programs of the leak tests share: losing a pointer for good, and choosing a scenario by its name.
 *
 * A pointer is lost only when no copy is left in a live frame, a register or a global. So blocks are made in functions
 * that are never inlined, a pointer that is still needed is kept as its complement, and scrub() clears what calls
 * leave below the stack pointer and in the registers that a call may change. */
#ifndef LEAKY_H
#define LEAKY_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if defined(__has_attribute) && __has_attribute(noipa)
#define APART __attribute__((noinline, noipa))
#else
#define APART __attribute__((noinline))
#endif

#define KEEP(x) __asm__ volatile("" : "+r"(x) : : "memory")

/* Clears the registers that a call may change. */
APART __attribute__((unused)) static void scrub_registers(void) {
  __asm__ volatile("xor %%eax, %%eax\n\txor %%ecx, %%ecx\n\txor %%edx, %%edx\n\txor %%esi, %%esi\n\t"
                   "xor %%edi, %%edi\n\txor %%r8d, %%r8d\n\txor %%r9d, %%r9d\n\txor %%r10d, %%r10d\n\t"
                   "xor %%r11d, %%r11d\n\tpxor %%xmm0, %%xmm0\n\tpxor %%xmm1, %%xmm1\n\tpxor %%xmm2, %%xmm2\n\t"
                   "pxor %%xmm3, %%xmm3\n\tpxor %%xmm4, %%xmm4\n\tpxor %%xmm5, %%xmm5\n\tpxor %%xmm6, %%xmm6\n\t"
                   "pxor %%xmm7, %%xmm7\n\tpxor %%xmm8, %%xmm8\n\tpxor %%xmm9, %%xmm9\n\tpxor %%xmm10, %%xmm10\n\t"
                   "pxor %%xmm11, %%xmm11\n\tpxor %%xmm12, %%xmm12\n\tpxor %%xmm13, %%xmm13\n\t"
                   "pxor %%xmm14, %%xmm14\n\tpxor %%xmm15, %%xmm15"
                   :
                   :
                   : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "xmm0", "xmm1", "xmm2", "xmm3",
                     "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14",
                     "xmm15", "memory");
}

/* Clears the dead stack and those registers. It may be called anywhere. */
APART __attribute__((unused)) static void scrub(void) {
  volatile char dead[48 * 1024];
  for (size_t i = 0; i < sizeof dead; i += 8) *(volatile uint64_t *)&dead[i] = 0;
  scrub_registers();
}

/* A block filled with something that is no pointer; never NULL. */
APART __attribute__((unused)) static void *make(size_t size) {
  void *p = malloc(size);
  if (!p) abort();
  memset(p, 0x5a, size);
  KEEP(p);
  return p;
}

APART __attribute__((unused)) static void litter_deeper(size_t size) {
  void *stale[2000];
  void *p = make(size);
  for (int i = 0; i < 2000; i++) stale[i] = p;
  __asm__ volatile("" : : "r"(stale) : "memory");
  scrub_registers();
}

/* Leaves copies of a lost pointer in dead frames; not just below the caller's, where a red zone may lie. */
APART __attribute__((unused)) static void litter(size_t size) {
  char room[1024];
  __asm__ volatile("" : : "r"(room) : "memory");
  litter_deeper(size);
  __asm__ volatile("" : : "r"(room) : "memory");
}

/* The complement of its address: no pointer, but it can be made one again. */
APART __attribute__((unused)) static uintptr_t make_hidden(size_t size) {
  uintptr_t p = (uintptr_t)make(size);
  return ~p;
}

#define REVEAL(hidden) ((void *)~(hidden))

struct scenario {
  const char *name;
  void (*run)(void);
};

static bool scenario_drop __attribute__((unused)); /* the control run: give the root up again */
static const char *scenario_argument __attribute__((unused));
static int scenario_status __attribute__((unused)); /* what main returns */

#define SCENARIO(name) {#name, name}

APART __attribute__((unused)) static void scenario_find(const struct scenario *table, size_t count, char **argv) {
  for (size_t i = 0; i < count; i++)
    if (strcmp(table[i].name, argv[1]) == 0) {
      table[i].run();
      scrub();
      return;
    }
  fprintf(stderr, "no scenario %s\n", argv[1]);
  exit(70);
}

/* main: runs the scenario, then returns through frames that never saw a pointer. */
#define SCENARIO_MAIN(table)                                                                                 \
  int main(int argc, char **argv) {                                                                          \
    if (argc < 2) {                                                                                          \
      for (size_t i = 0; i < sizeof(table) / sizeof(table)[0]; i++) puts((table)[i].name);                   \
      return 0;                                                                                              \
    }                                                                                                        \
    scenario_argument = argc > 2 ? argv[2] : "";                                                             \
    scenario_drop = strcmp(scenario_argument, "drop") == 0;                                                  \
    scenario_find(table, sizeof(table) / sizeof(table)[0], argv);                                            \
    return scenario_status;                                                                                  \
  }

#endif
