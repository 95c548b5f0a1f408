/* SPDX-License-Identifier: MIT
 * For tests that lose objects on purpose. */
#ifndef WIPE_H
#define WIPE_H

#include <stddef.h>

/* Overwrites the dead part of the stack, and the registers that a call may use. */
__attribute__((noinline)) static void wipe(void) {
  volatile char frame[16384];
  for (size_t i = 0; i < sizeof frame; i++) frame[i] = 0;
  __asm__ volatile("xor %%eax, %%eax; xor %%ecx, %%ecx; xor %%edx, %%edx; xor %%esi, %%esi; xor %%edi, %%edi\n\t"
                   "xor %%r8d, %%r8d; xor %%r9d, %%r9d; xor %%r10d, %%r10d; xor %%r11d, %%r11d\n\t"
                   "pxor %%xmm0, %%xmm0; pxor %%xmm1, %%xmm1; pxor %%xmm2, %%xmm2; pxor %%xmm3, %%xmm3"
                   ::
                       : "eax", "ecx", "edx", "esi", "edi", "r8", "r9", "r10", "r11", "memory");
}

#endif
