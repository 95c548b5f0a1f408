/* SPDX-License-Identifier: MIT
 * See wait.h. Knows the signal frame and what the kernel does to an interrupted call on x86-64:
 *
 *   the call would be ended           RIP behind the syscall instruction, RAX -EINTR, or what was done so far
 *   it will be restarted              RIP at the instruction, RAX the number again, RCX behind it as the instruction left it
 *
 * The order in which signals come. Of several that are pending the kernel delivers those sent to the thread first, and by their
 * numbers. A handler of the program's may so come before ours: then ours interrupts that handler at its beginning, not the call,
 * and the call's EINTR is the program's. Or after: then it is pending while the world is stopped, for the whole of the pause, and
 * a call that our handler let go on would be waited for by a program that meant its signal to end it. So:
 * - os_wait_call, recognised by its address, returns with the program's signals still blocked; who called it lets them in.
 * - Any other call fails with EINTR if such a signal is due, also where the kernel had already chosen to restart it: to the program
 *   that is as if the signal had come during the call, as it did.
 * What is left is the moment between that look and the return to the call, in which a signal that comes is handled before the
 * call goes on. */
#include "config.h"

#include "os/wait.h"

#include "os/call.h"
#include "os/threads.h"

#include <linux/futex.h>
#include <signal.h>

THREAD_LOCAL struct os_wait_cuts os_wait_cuts;

/* --- the call --- */

_Static_assert(offsetof(struct os_wait, argument) == 8 && offsetof(struct os_wait, enter) == 56, "layout");
_Static_assert(offsetof(struct os_wait, mask) == 64 && offsetof(struct os_wait, stopped) == 72, "layout");
_Static_assert(SYS_rt_sigprocmask == 14 && SIG_SETMASK == 2, "the numbers below");

extern const char os_wait_end[] __attribute__((visibility("hidden")));     /* behind the call */
extern const char os_wait_stopped[] __attribute__((visibility("hidden"))); /* where the handler leads it, the mask in RDX */

__asm__(".pushsection .text.os_wait_call,\"ax\",@progbits\n"
        ".globl os_wait_call\n.hidden os_wait_call\n.hidden os_wait_end\n.hidden os_wait_stopped\n"
        ".globl os_wait_end\n.globl os_wait_stopped\n"
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
        "os_wait_stopped:\n"
        "  movq %rdx, 64(%rbx)\n"
        "  movb $1, 72(%rbx)\n"
        "  popq %rbx\n"
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

bool os_wait_is_due(uint64_t mask, bool restarting) {
  uint64_t due = os_wait_pending() & ~mask & ~wait_ours;
  for (; due; due &= due - 1) {
    struct wait_action action = {0};
    if (os_call(SYS_rt_sigaction, __builtin_ctzll(due) + 1, NULL, &action, sizeof action.mask) != 0) continue;
    if (action.handler > 1 && (restarting || !(action.flags & SA_RESTART))) return true;
  }
  return false;
}

/* --- in the handler --- */

static bool wait_is_syscall(uintptr_t at) {
  const uint8_t *code = (const uint8_t *)at;
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
  return wait_is_syscall((uintptr_t)reg[REG_RIP] - 2);
}

static bool wait_will_restart(const greg_t *reg) {
  return reg[REG_RCX] == reg[REG_RIP] + 2 && wait_is_syscall((uintptr_t)reg[REG_RIP]) && wait_may_fail(reg);
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
    if (!os_thread_pointer() || os_wait_is_due(mask, true)) return;
    *(reg[REG_RAX] == -EINTR ? &os_wait_cuts.failed : &os_wait_cuts.part) += 1;
  } else if (wait_will_restart(reg) && os_wait_is_due(mask, false)) {
    reg[REG_RAX] = -EINTR;
    reg[REG_RIP] += 2;
  }
}
