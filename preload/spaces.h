/* SPDX-License-Identifier: MIT
 * The system calls of spaces.c, also when they are made through syscall(2). */
#ifndef GLEANER_SPACES_H
#define GLEANER_SPACES_H

#include <stdbool.h>

struct spaces_call {
  int barred[2]; /* parts of the heap that are being taken away; -1: none */
};

bool spaces_is_number(long number);
/* The call is not to be made: EINVAL. */
bool spaces_refuses(long number, const long *arguments);
/* Around the call, which is made in between. */
void spaces_before(struct spaces_call *call, long number, const long *arguments);
void spaces_after(const struct spaces_call *call);

#endif
