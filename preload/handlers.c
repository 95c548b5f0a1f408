/* SPDX-License-Identifier: MIT
 * In a process with a signal of ours the program's handlers are entered through a stub, which tells os/wait.c that one begins and
 * jumps on: the same arguments, the same return address, nothing on the stack. sigaction and its likes tell the handler
 * that was set.
 *
 * The stub of index n leads to handlers_table[n], which is written once: the kernel's word about which handler a signal has is the only
 * one, so that nothing here can get out of step with it, in a vfork child or in a race of two threads. A program has few handlers;
 * those beyond the table are set as they are, for which see os/wait.c. */
#include "config.h"

#include "handlers.h"

#include "api/hooks.h"

#include <stdint.h>

enum { handlers_most = 128, handlers_stub = 16 };

extern _Atomic uintptr_t handlers_table[handlers_most] __attribute__((visibility("hidden")));
_Atomic uintptr_t handlers_table[handlers_most];
extern const char handlers_stubs[] __attribute__((visibility("hidden")));

_Static_assert(handlers_most == 128 && handlers_stub == 16, "the numbers below");
__asm__(".pushsection .text.handlers_stubs,\"ax\",@progbits\n"
        ".hidden handlers_stubs\n.globl handlers_stubs\n.hidden handlers_table\n.hidden os_wait_before_handler\n"
        ".balign 16\n"
        ".type handlers_stubs, @function\n"
        "handlers_stubs:\n"
        ".cfi_startproc\n"
        ".set handlers_index, 0\n"
        ".rept 128\n"
        "  .balign 16\n"
        "  endbr64\n"
        "  movl $handlers_index, %eax\n"
        "  jmp handlers_common\n"
        "  .set handlers_index, handlers_index + 1\n"
        ".endr\n"
        "  .balign 16\n"
        "handlers_common:\n"
        "  pushq %rdi\n"
        "  pushq %rsi\n"
        "  pushq %rdx\n"
        "  pushq %rax\n"
        "  subq $8, %rsp\n"
        ".cfi_adjust_cfa_offset 40\n"
        "  movq %rdx, %rsi\n"
        "  call os_wait_before_handler\n"
        "  addq $8, %rsp\n"
        "  popq %rax\n"
        "  popq %rdx\n"
        "  popq %rsi\n"
        "  popq %rdi\n"
        ".cfi_adjust_cfa_offset -40\n"
        "  leaq handlers_table(%rip), %rcx\n"
        "  movq (%rcx,%rax,8), %rcx\n"
        "  xorl %eax, %eax\n"
        "  jmp *%rcx\n"
        ".cfi_endproc\n"
        ".size handlers_stubs, .-handlers_stubs\n"
        ".popsection\n");

sighandler_t handlers_unwrap(sighandler_t handler) {
  uintptr_t at = (uintptr_t)handler - (uintptr_t)handlers_stubs;
  if (at >= handlers_most * handlers_stub || at % handlers_stub != 0) return handler;
  return (sighandler_t)atomic_load_explicit(&handlers_table[at / handlers_stub], memory_order_relaxed);
}

static uintptr_t handlers_stub_of(int index) { return (uintptr_t)handlers_stubs + (unsigned)index * handlers_stub; }

sighandler_t handlers_wrap(sighandler_t handler) {
  uintptr_t at = (uintptr_t)handler;
  if (hook_world_signal() == 0 || at <= (uintptr_t)SIG_HOLD || handler == SIG_ERR) return handler;
  if (at - (uintptr_t)handlers_stubs < handlers_most * handlers_stub) return handler;
  for (int i = 0; i < handlers_most; i++) {
    uintptr_t there = 0;
    if (atomic_compare_exchange_strong(&handlers_table[i], &there, at) || there == at) return (sighandler_t)handlers_stub_of(i);
  }
  return handler;
}
