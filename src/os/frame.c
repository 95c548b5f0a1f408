/* SPDX-License-Identifier: MIT
 * The signal frame on x86-64, as the kernel lays it out:
 *
 *   | ucontext: registers, 8 unused words, mask | siginfo | pad | legacy state, 48 unused | components, gaps |
 *   ^context                                            ^info           ^fpregs
 * */
#include "config.h"

#include "os/frame.h"

#include <cpuid.h>
#include <string.h>

enum {
  frame_unused = 416, /* of the legacy state: not written, not read back */
  frame_software = 464, /* the kernel's own words in it */
  frame_legacy = 512,
  frame_components = 576, /* the header lies before them */
  frame_magic = 0x46505853,
  frame_pad_most = 256,
  frame_gaps = 16,
  frame_leaf = 0xd,
};

static struct {
  uint32_t lo, hi;
} frame_gap[frame_gaps];
static unsigned frame_ngaps;

static uint64_t frame_enabled(void) {
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (uint64_t)high << 32 | low;
}

/* Components lie in no particular order: the next is the one with the lowest offset from at on. */
static bool frame_next_component(uint64_t enabled, uint32_t at, uint32_t *offset, uint32_t *size) {
  unsigned a, b, c, d;
  bool found = false;
  for (unsigned i = 2; i < 63; i++) {
    if (!(enabled >> i & 1) || !__get_cpuid_count(frame_leaf, i, &a, &b, &c, &d)) continue;
    if (a == 0 || b < at || (found && b >= *offset)) continue;
    *offset = b;
    *size = a;
    found = true;
  }
  return found;
}

void os_frame_init(void) {
  unsigned a, b, c, d;
  uint32_t at = frame_components, offset = 0, size = 0;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE)) return;
  uint64_t enabled = frame_enabled();
  while (frame_ngaps < frame_gaps && frame_next_component(enabled, at, &offset, &size)) {
    if (offset > at) {
      frame_gap[frame_ngaps].lo = at;
      frame_gap[frame_ngaps++].hi = offset;
    }
    at = offset + size;
  }
}

/* The software's words say how large the state in this frame is. */
static size_t frame_state_size(const char *state) {
  uint32_t word[2];
  memcpy(word, state + frame_software, sizeof word);
  return word[0] == frame_magic ? word[1] : (size_t)frame_legacy;
}

void os_frame_registers(siginfo_t *info, ucontext_t *context, uintptr_t *lo, uintptr_t *hi) {
  char *state = (char *)context->uc_mcontext.fpregs, *pad = (char *)(info + 1);
  *lo = (uintptr_t)context & ~(sizeof(uintptr_t) - 1);
  *hi = (uintptr_t)(&context->uc_mcontext + 1);
  memset(context->uc_mcontext.__reserved1, 0, sizeof context->uc_mcontext.__reserved1);
  if (!state) return;
  if (pad < state && state - pad < frame_pad_most) memset(pad, 0, (size_t)(state - pad));
  size_t size = frame_state_size(state);
  memset(state + frame_unused, 0, frame_software - frame_unused);
  for (unsigned i = 0; i < frame_ngaps && frame_gap[i].hi <= size; i++)
    memset(state + frame_gap[i].lo, 0, frame_gap[i].hi - frame_gap[i].lo);
  *hi = (uintptr_t)state + size;
}

__asm__(".pushsection .text.os_frame_call,\"ax\",@progbits\n"
        ".globl os_frame_call\n.hidden os_frame_call\n"
        ".type os_frame_call, @function\n"
        "os_frame_call:\n"
        "  .cfi_startproc\n"
        "  endbr64\n"
        "  pushq %rbp\n"
        "  .cfi_adjust_cfa_offset 8\n"
        "  .cfi_rel_offset %rbp, 0\n"
        "  movq %rsp, %rbp\n"
        "  .cfi_def_cfa_register %rbp\n"
        "  movq %rdi, %rsp\n"
        "  movq %rdx, %rdi\n"
        "  call *%rsi\n"
        "  movq %rbp, %rsp\n"
        "  .cfi_def_cfa_register %rsp\n"
        "  popq %rbp\n"
        "  .cfi_adjust_cfa_offset -8\n"
        "  .cfi_restore %rbp\n"
        "  ret\n"
        "  .cfi_endproc\n"
        ".size os_frame_call, .-os_frame_call\n"
        ".popsection\n");
