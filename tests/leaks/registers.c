/* SPDX-License-Identifier: MIT
 * Pointers that are nowhere but in a register of another thread, which spins or is blocked in the kernel.
 *
 * The threads are naked functions: they load complements from a table, turn them into pointers inside registers, say
 * that they are ready, and never touch memory again. */
#include "leaky.h"

#include <pthread.h>
#include <sched.h>

enum { size = 64, most = 32 };

static uintptr_t cells[most];
static _Atomic int ready;

struct task {
  uintptr_t *cells;
  _Atomic int *ready;
};
static struct task task = {cells, &ready};

/* Blocks of which only complements are known; in the control run registers get zeros. */
APART static void fill_cells(int count) {
  for (int i = 0; i < count; i++) {
    cells[i] = make_hidden(size);
    if (scenario_drop) cells[i] = ~(uintptr_t)0;
  }
}

/* The threads have no stack to speak of: the stacks are left to the kernel's zero pages. */
APART static void start(void *(*function)(void *), int count) {
  fill_cells(count);
  scrub();
  pthread_t thread;
  if (pthread_create(&thread, NULL, function, &task)) abort();
  while (!ready) sched_yield();
}

/* rdi is the task: rdi = cells, rsi = ready. */
#define PROLOGUE "mov 8(%rdi), %rsi\n\tmov (%rdi), %rdi\n\t"
#define SPIN "lock incl (%rsi)\n\txor %esi, %esi\n1:\n\tpause\n\tjmp 1b\n\t"
#define BLOCK "lock incl (%rsi)\n\txor %esi, %esi\n1:\n\tmov $34, %eax\n\tsyscall\n\tjmp 1b\n\t" /* pause(2) */
#define GENERAL(n, reg) "mov 8*" #n "(%rdi), %" #reg "\n\tnot %" #reg "\n\t"
#define VECTOR(n, load) "mov 8*" #n "(%rdi), %rax\n\tnot %rax\n\t" load "\n\txor %eax, %eax\n\t"
#define XMM(n) VECTOR(n, "movq %rax, %xmm" #n)
#define NAKED(name, text)                                                                                    \
  __attribute__((naked)) static void *name(void *arg __attribute__((unused))) { __asm__(text); }

NAKED(general_spinning, PROLOGUE GENERAL(0, rbx) GENERAL(1, rbp) GENERAL(2, r12) GENERAL(3, r13) GENERAL(4, r14)
      GENERAL(5, r15) GENERAL(6, rax) GENERAL(7, rcx) GENERAL(8, rdx) GENERAL(9, r8) GENERAL(10, r9)
      GENERAL(11, r10) GENERAL(12, r11) GENERAL(13, rdi) SPIN)

/* @ spinning -- fourteen general registers of a thread that runs
 * @ spinning+drop definite 14 896 rows=1 -- the control */
static void spinning(void) { start(general_spinning, 14); }

/* A system call destroys rax, rcx and r11. */
NAKED(general_blocked, PROLOGUE GENERAL(0, rbx) GENERAL(1, rbp) GENERAL(2, r12) GENERAL(3, r13) GENERAL(4, r14)
      GENERAL(5, r15) GENERAL(6, rdx) GENERAL(7, r8) GENERAL(8, r9) GENERAL(9, r10) GENERAL(10, rdi) BLOCK)

/* @ blocked -- eleven of a thread that sleeps in the kernel
 * @ blocked+drop definite 11 704 rows=1 -- the control */
static void blocked(void) { start(general_blocked, 11); }

#define ALL_XMM XMM(0) XMM(1) XMM(2) XMM(3) XMM(4) XMM(5) XMM(6) XMM(7) XMM(8) XMM(9) XMM(10) XMM(11) XMM(12) \
  XMM(13) XMM(14) XMM(15)

NAKED(xmm_spinning, PROLOGUE ALL_XMM "xor %edi, %edi\n\t" SPIN)
NAKED(xmm_blocked, PROLOGUE ALL_XMM "xor %edi, %edi\n\t" BLOCK)

/* @ xmm -- sixteen vector registers of a thread that runs
 * @ xmm+drop definite 16 1024 rows=1 -- the control */
static void xmm(void) { start(xmm_spinning, 16); }

/* @ xmm_asleep -- and of one that sleeps */
static void xmm_asleep(void) { start(xmm_blocked, 16); }

NAKED(mmx_spinning, PROLOGUE VECTOR(0, "movq %rax, %mm0") VECTOR(1, "movq %rax, %mm7") "xor %edi, %edi\n\t" SPIN)

/* @ mmx needs=mmx -- MMX registers */
static void mmx(void) { start(mmx_spinning, 2); }

#define YMM(n)                                                                                               \
  VECTOR(n, "vmovq %rax, %xmm0\n\tvpxor %xmm" #n ", %xmm" #n ", %xmm" #n                                     \
            "\n\tvinserti128 $1, %xmm0, %ymm" #n ", %ymm" #n "\n\tvpxor %xmm0, %xmm0, %xmm0")

NAKED(ymm_spinning, PROLOGUE YMM(1) YMM(2) YMM(3) YMM(7) YMM(8) YMM(15) "xor %edi, %edi\n\t" SPIN)

APART static void start_ymm(void *(*function)(void *)) {
  fill_cells(most);
  for (int i = 0; i < most; i++) /* only those in use stay allocated */
    if (!scenario_drop && !(i == 1 || i == 2 || i == 3 || i == 7 || i == 8 || i == 15)) free(REVEAL(cells[i]));
  scrub();
  pthread_t thread;
  if (pthread_create(&thread, NULL, function, &task)) abort();
  while (!ready) sched_yield();
}

/* @ ymm needs=avx2 -- the upper halves of AVX registers */
static void ymm(void) { start_ymm(ymm_spinning); }

#define ZMM(n, reg)                                                                                          \
  VECTOR(n, "vmovq %rax, %xmm0\n\tvpxorq %zmm" #reg ", %zmm" #reg ", %zmm" #reg                              \
            "\n\tvinserti64x4 $1, %ymm0, %zmm" #reg ", %zmm" #reg "\n\tvpxor %xmm0, %xmm0, %xmm0")

NAKED(zmm_spinning, PROLOGUE ZMM(1, 1) ZMM(2, 15) ZMM(3, 16) ZMM(7, 17) ZMM(8, 30) ZMM(15, 31)
      "xor %edi, %edi\n\t" SPIN)

/* @ zmm needs=avx512f -- the upper quarters of AVX-512 registers, and those beyond the sixteenth */
static void zmm(void) { start_ymm(zmm_spinning); }

/* @ many -- thirty sleeping threads at once */
static void many(void) {
  fill_cells(11);
  scrub();
  for (int i = 0; i < 30; i++) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, i ? xmm_blocked : general_blocked, &task)) abort();
  }
  while (ready < 30) sched_yield();
}

static const struct scenario table[] = {
    SCENARIO(spinning), SCENARIO(blocked), SCENARIO(xmm), SCENARIO(xmm_asleep), SCENARIO(mmx),
    SCENARIO(ymm), SCENARIO(zmm), SCENARIO(many),
};

SCENARIO_MAIN(table)
