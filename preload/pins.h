/* SPDX-License-Identifier: MIT
 * What a system call that hands pointers to the kernel means for the collector. See pins.c. */
#ifndef GLEANER_PRELOAD_PINS_H
#define GLEANER_PRELOAD_PINS_H

#include "api/hooks.h"

struct pins_call {
  long number; /* 0: nothing to be done */
  const long *arguments;
  struct pin held; /* let go of for this call */
};

/* Around a system call with the arguments as the kernel takes them, and its result, -1 if it failed. Keep errno. */
void pins_before(struct pins_call *call, long number, const long arguments[]) __attribute__((visibility("hidden")));
void pins_after(struct pins_call *call, long result) __attribute__((visibility("hidden")));

/* One of the numbers for which these do anything. */
bool pins_is_number(long number) __attribute__((visibility("hidden")));

#endif
