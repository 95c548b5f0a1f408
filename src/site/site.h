/* SPDX-License-Identifier: MIT
 * Call stacks: captured without frame pointers, kept once, named by a 32-bit id. 0 is "no stack known".
 *
 * Rules for all: nothing allocates from malloc except libunwind in rare cases, which is why capture refuses to
 * nest (it returns 0 then); errno is kept; no lock is held when program code runs; ids are never freed. */
#ifndef GLEANER_SITE_H
#define GLEANER_SITE_H

#include "base/base.h"

/* Where a walk begins: a return address, the stack pointer just after that return, and the frame-pointer register
 * (rbp) as the returned-to code will see it. */
struct site_start {
  uintptr_t pc, sp, fp;
};

/* Fills start for the caller of the function it is used in, which must not be inlined; the function is then built
 * with a frame pointer. */
#define SITE_CALLER(start)                                                                                   \
  ((start)->pc = (uintptr_t)__builtin_return_address(0),                                                     \
   (start)->sp = (uintptr_t)__builtin_frame_address(0) + 2 * sizeof(uintptr_t),                              \
   (start)->fp = *(const uintptr_t *)__builtin_frame_address(0))

/* epoch distinguishes the same addresses before and after a dlclose: see modules.h. */
struct site_stack {
  uint32_t count;
  uint32_t epoch;
  uintptr_t pc[]; /* return addresses, innermost first */
};

void site_init(unsigned max_frames);

/* The id of the stack that begins at start. */
uint32_t site_capture(const struct site_start *start);

/* NULL for 0 and for an id that was never given. The stack is put together in one of eight buffers in turn: it stays
 * valid for seven more calls, by whichever thread. Every part of a stack that leaves out inner frames has an id as
 * well. */
const struct site_stack *site_stack(uint32_t id);
uint32_t site_count(void); /* ids given are 1 .. site_count() */

/* The thread ends: its memo may be used by another. */
void site_thread_exit(void);
void site_fork_child(void);

/* The process is about to limit its address space: makes do with little of it. */
void site_limit_span(void);

/* Callee-saved registers and the stack pointer at one point of a stack. */
struct site_registers {
  uintptr_t sp, pc;
  uintptr_t saved[6]; /* rbx rbp r12 r13 r14 r15, in this order on x86-64 */
};

/* The registers as they are at this point of the function it is used in; pc is an interrupted address. */
static inline __attribute__((always_inline)) void site_here(struct site_registers *out) {
  __asm__ volatile("movq %%rbx, %c1(%0)\n\tmovq %%rbp, %c1+8(%0)\n\tmovq %%r12, %c1+16(%0)\n\t"
                   "movq %%r13, %c1+24(%0)\n\tmovq %%r14, %c1+32(%0)\n\tmovq %%r15, %c1+40(%0)\n\t"
                   "movq %%rsp, %c2(%0)\n\tleaq 1f(%%rip), %%rax\n1:\tmovq %%rax, %c3(%0)"
                   :
                   : "r"(out), "i"(offsetof(struct site_registers, saved)),
                     "i"(offsetof(struct site_registers, sp)), "i"(offsetof(struct site_registers, pc))
                   : "rax", "memory");
}

/* Unwinds the calling thread's stack to the outermost active call of one of the functions that begin at functions[0 ..
 * count) and gives the registers as its caller had them. False when none is active or the stack cannot be unwound.
 * This is how a report finds what was alive when exit was called. */
bool site_caller_of(const uintptr_t *functions, unsigned count, struct site_registers *out);

#endif
