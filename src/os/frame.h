/* SPDX-License-Identifier: MIT
 * The signal frame, in which the kernel leaves all registers of an interrupted thread, vector state
 * included. */
#ifndef GLEANER_OS_FRAME_H
#define GLEANER_OS_FRAME_H

#include "base/base.h"

#include <signal.h>
#include <ucontext.h>

/* Learns where this processor keeps its vector state; once, before os_frame_registers is of use. */
void os_frame_init(void);

/* The range of the frame that holds registers. The kernel leaves holes in it, full of what was on the stack
 * before: they are wiped, so that a scan sees registers only. To be called in the handler; touches no TLS. */
void os_frame_registers(siginfo_t *info, ucontext_t *context, uintptr_t *lo, uintptr_t *hi);

/* Calls function(arg) on the stack that ends at top, a multiple of 16. Unwinders find the way back. */
void os_frame_call(void *top, void (*function)(void *arg), void *arg) __attribute__((visibility("hidden")));

#endif
