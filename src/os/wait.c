/* SPDX-License-Identifier: MIT
 * See wait.h. Knows the signal frame and what the kernel does to an interrupted call on x86-64:
 *
 *   the call would be ended           RIP behind the syscall instruction, RAX -EINTR, or what was done so far
 *   it will be restarted              RIP at the instruction, RAX the number again, RCX behind it as the instruction left it
 *
 * The order in which signals come. Of several that are pending the kernel delivers those sent to the thread first, and by their
 * numbers; one that comes while the world is stopped waits for the whole of the pause; and a thread is often put aside just where it
 * returns to user mode, where many signals can then come one after the other. So:
 *
 * 1. One of the program's, then ours: ours interrupts the other's handler at its beginning, not the call. But when that handler has
 *    returned to the end of the call, EINTR in RAX, ours may come right there, and it looks as if it had ended the call. So each
 *    handler of the program's begins with os_wait_before_handler (preload/handlers.c sees to that), which leads its return
 *    elsewhere, or counts it.
 * 2. Ours, then one of the program's that is pending by the end of the pause: os_wait_call comes back with signals blocked, and who
 *    called it lets them in. Any other call fails with EINTR, also where the kernel had already chosen to restart it but the other
 *    handler would not have: to the program that is as if the signal had come during the call, as it did.
 * 3. Ours, then one that comes between that look and the call's going on: os_wait_before_handler sees by the address that the call is
 *    still to be made again, and makes it fail.
 *
 * A handler set by a raw system call, or before there was a signal of ours, does not begin so, and may lose a call its EINTR in 1 and 3. */
#include "config.h"

#include "os/wait.h"

#include "os/call.h"
#include "os/memory.h"
#include "os/threads.h"

#include <asm/hwcap2.h>
#include <linux/futex.h>
#include <signal.h>
#include <sys/auxv.h>

THREAD_LOCAL struct os_wait_cuts os_wait_cuts;

/* --- the call --- */

_Static_assert(offsetof(struct os_wait, argument) == 8 && offsetof(struct os_wait, enter) == 56, "layout");
_Static_assert(offsetof(struct os_wait, mask) == 64 && offsetof(struct os_wait, stopped) == 72, "layout");
_Static_assert(SYS_rt_sigprocmask == 14 && SIG_SETMASK == 2 && EINTR == 4, "the numbers below");

#define WAIT_LABEL(name) extern const char name[] __attribute__((visibility("hidden")))
WAIT_LABEL(os_wait_entered);     /* signals are let in; from here the call is not yet made */
WAIT_LABEL(os_wait_end);         /* behind it */
WAIT_LABEL(os_wait_stopped);     /* where our handler leads it, the mask in RDX */
WAIT_LABEL(os_wait_interrupted); /* where the program's handlers do */

__asm__(".pushsection .text.os_wait_call,\"ax\",@progbits\n"
        ".hidden os_wait_call\n.hidden os_wait_entered\n.hidden os_wait_end\n.hidden os_wait_stopped\n"
        ".hidden os_wait_interrupted\n"
        ".globl os_wait_call, os_wait_entered, os_wait_end, os_wait_stopped, os_wait_interrupted\n"
        ".type os_wait_call, @function\n"
        "os_wait_call:\n"
        ".cfi_startproc\n"
        "  endbr64\n"
        "  pushq %rbx\n"
        ".cfi_adjust_cfa_offset 8\n"
        ".cfi_rel_offset %rbx, 0\n"
        "  movq %rdi, %rbx\n"
        "  movb $0, 72(%rbx)\n"
        "  movq 56(%rbx), %rsi\n"
        "  testq %rsi, %rsi\n"
        "  jz 1f\n"
        "  movl $14, %eax\n"
        "  movl $2, %edi\n"
        "  xorl %edx, %edx\n"
        "  movl $8, %r10d\n"
        "  syscall\n"
        "os_wait_entered:\n"
        "1: movq 0(%rbx), %rax\n"
        "  movq 8(%rbx), %rdi\n"
        "  movq 16(%rbx), %rsi\n"
        "  movq 24(%rbx), %rdx\n"
        "  movq 32(%rbx), %r10\n"
        "  movq 40(%rbx), %r8\n"
        "  movq 48(%rbx), %r9\n"
        "  syscall\n"
        "os_wait_end:\n"
        ".cfi_remember_state\n"
        "  popq %rbx\n"
        ".cfi_adjust_cfa_offset -8\n"
        ".cfi_restore %rbx\n"
        "  ret\n"
        ".cfi_restore_state\n"
        "os_wait_interrupted:\n"
        "  movq $-4, %rax\n"
        "  jmp 2f\n"
        "os_wait_stopped:\n"
        "  movq %rdx, 64(%rbx)\n"
        "  movb $1, 72(%rbx)\n"
        "2: popq %rbx\n"
        ".cfi_adjust_cfa_offset -8\n"
        ".cfi_restore %rbx\n"
        "  ret\n"
        ".cfi_endproc\n"
        ".size os_wait_call, .-os_wait_call\n"
        ".popsection\n");

/* --- signals --- */

#define WAIT_BIT(signal) ((uint64_t)1 << ((signal)-1))
enum { wait_libc_first = 32, wait_libc_last = 33 }; /* the C library's own: cancellation, and setuid in all threads */

/* Never blocked: faults, which would end the process, and what the C library needs. */
static const uint64_t wait_open = WAIT_BIT(SIGSEGV) | WAIT_BIT(SIGBUS) | WAIT_BIT(SIGFPE) | WAIT_BIT(SIGILL) | WAIT_BIT(SIGTRAP) |
                                  WAIT_BIT(SIGSYS) | WAIT_BIT(wait_libc_first) | WAIT_BIT(wait_libc_last);
static _Atomic uint64_t wait_ours; /* as the handler told last */

static void wait_mask(int how, uint64_t mask, uint64_t *old) {
  os_call(SYS_rt_sigprocmask, how, &mask, old, sizeof mask);
}

uint64_t os_wait_block(void) {
  uint64_t old = 0;
  wait_mask(SIG_BLOCK, ~(wait_open | wait_ours), &old);
  return old;
}

void os_wait_unblock(uint64_t mask) { wait_mask(SIG_SETMASK, mask, NULL); }

uint64_t os_wait_pending(void) {
  uint64_t pending = 0;
  os_call(SYS_rt_sigpending, &pending, sizeof pending);
  return pending;
}

struct wait_action { /* the kernel's */
  uintptr_t handler; /* 0: the default, 1: ignored */
  unsigned long flags;
  uintptr_t restorer;
  uint64_t mask;
};

/* Whether it has a handler; with restarting false, one that does not have calls restarted. */
static bool wait_is_handled(int signal, bool restarting) {
  struct wait_action action = {0};
  if (os_call(SYS_rt_sigaction, signal, NULL, &action, sizeof action.mask) != 0) return false;
  return action.handler > 1 && (restarting || !(action.flags & SA_RESTART));
}

bool os_wait_is_due(uint64_t mask, bool restarting) {
  uint64_t due = os_wait_pending() & ~mask & ~wait_ours;
  for (; due; due &= due - 1)
    if (wait_is_handled(__builtin_ctzll(due) + 1, restarting)) return true;
  return false;
}

/* --- in handlers --- */

/* A thread made by raw clone may have no thread-local storage, and some programs put something else in its place for a while. Without
 * a system call where the processor tells, for a sandbox might not expect one in a handler; otherwise it is taken as there. */
static bool wait_has_tls(void) {
  static _Atomic int reads; /* 0: not known */
  if (!atomic_load_explicit(&reads, memory_order_relaxed))
    atomic_store_explicit(&reads, getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE ? 1 : -1, memory_order_relaxed);
  if (atomic_load_explicit(&reads, memory_order_relaxed) < 0) return true;
  uintptr_t at;
  __asm__ volatile(".byte 0xf3, 0x48, 0x0f, 0xae, 0xc0" /* rdfsbase %rax */ : "=a"(at));
  return at && ((const uintptr_t *)at)[2] == at; /* the C library's descriptor tells its own address there */
}

/* Code at a page's beginning may have nothing before it. */
static bool wait_is_syscall(uintptr_t at, uintptr_t pc) {
  const uint8_t *code = (const uint8_t *)at;
  if ((at ^ pc) >= os_page_size && !os_memory_is_readable(at)) return false;
  return code[0] == 0x0f && code[1] == 0x05;
}

/* Calls that may fail with EINTR when a signal comes whose handler does not restart them. Others that the kernel restarts
 * (a PI futex, say) never do. */
static bool wait_may_fail(const greg_t *reg) {
  switch (reg[REG_RAX]) {
    case SYS_read: case SYS_write: case SYS_readv: case SYS_writev: case SYS_ioctl: case SYS_open: case SYS_openat:
    case SYS_fcntl: case SYS_flock: case SYS_wait4: case SYS_waitid: case SYS_accept: case SYS_accept4: case SYS_connect:
    case SYS_recvfrom: case SYS_recvmsg: case SYS_recvmmsg: case SYS_sendto: case SYS_sendmsg: case SYS_sendmmsg:
    case SYS_mq_timedsend: case SYS_mq_timedreceive: case SYS_getrandom: case SYS_sendfile: case SYS_splice:
      return true;
    case SYS_futex: {
      int operation = (int)reg[REG_RSI] & FUTEX_CMD_MASK;
      return operation == FUTEX_WAIT || operation == FUTEX_WAIT_BITSET;
    }
    default: return false;
  }
}

/* Behind a system call. Its result other than EINTR tells nothing; then RCX must, lest code be read where there is none. */
static bool wait_is_behind(const greg_t *reg) {
  if (reg[REG_RAX] != -EINTR && (reg[REG_RAX] <= 0 || reg[REG_RCX] != reg[REG_RIP])) return false;
  return wait_is_syscall((uintptr_t)reg[REG_RIP] - 2, (uintptr_t)reg[REG_RIP]);
}

static bool wait_will_restart(const greg_t *reg) {
  return reg[REG_RCX] == reg[REG_RIP] + 2 && wait_is_syscall((uintptr_t)reg[REG_RIP], (uintptr_t)reg[REG_RIP]) && wait_may_fail(reg);
}

/* Where our handler last left this thread to make a call again. */
static THREAD_LOCAL struct wait_restart {
  greg_t pc, sp, number;
} wait_restart;

static void wait_fail(greg_t *reg) {
  reg[REG_RAX] = -EINTR;
  reg[REG_RIP] += 2;
}

void os_wait_after_stop(ucontext_t *context, uint64_t ours) {
  greg_t *reg = context->uc_mcontext.gregs;
  uint64_t mask;
  __builtin_memcpy(&mask, &context->uc_sigmask, sizeof mask);
  atomic_store_explicit(&wait_ours, ours, memory_order_relaxed);
  if (reg[REG_RIP] == (greg_t)os_wait_end) {
    uint64_t blocked = mask | ~(wait_open | ours);
    reg[REG_RIP] = (greg_t)os_wait_stopped;
    reg[REG_RDX] = (greg_t)mask;
    __builtin_memcpy(&context->uc_sigmask, &blocked, sizeof blocked);
  } else if (wait_is_behind(reg)) {
    if (!wait_has_tls() || os_wait_is_due(mask, true)) return;
    *(reg[REG_RAX] == -EINTR ? &os_wait_cuts.failed : &os_wait_cuts.part) += 1;
  } else if (wait_will_restart(reg)) {
    if (wait_has_tls()) wait_restart = (struct wait_restart){reg[REG_RIP], reg[REG_RSP], reg[REG_RAX]};
    if (os_wait_is_due(mask, false)) wait_fail(reg);
  }
}

void os_wait_before_handler(int signal, ucontext_t *context) {
  greg_t *reg = context->uc_mcontext.gregs;
  const char *pc = (const char *)reg[REG_RIP];
  bool ended = pc == os_wait_end && reg[REG_RAX] == -EINTR;
  if (ended || (pc >= os_wait_entered && pc < os_wait_end && ((const struct os_wait *)reg[REG_RBX])->enter))
    reg[REG_RIP] = (greg_t)os_wait_interrupted;
  if (!wait_has_tls()) return;
  os_wait_cuts.handled++;
  if (reg[REG_RIP] == wait_restart.pc && reg[REG_RSP] == wait_restart.sp && reg[REG_RAX] == wait_restart.number &&
      wait_will_restart(reg) && wait_is_handled(signal, false))
    wait_fail(reg);
}
