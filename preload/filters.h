/* SPDX-License-Identifier: MIT
 * Whether the program restricts its own system calls. */
#ifndef GLEANER_FILTERS_H
#define GLEANER_FILTERS_H

#include <stdbool.h>

/* Whether it may, by the call of that number; before it is made. */
bool filters_is_number(long number) __attribute__((visibility("hidden")));
void filters_before(long number, const long *arguments) __attribute__((visibility("hidden")));

#endif
