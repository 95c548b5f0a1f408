/* SPDX-License-Identifier: MIT
 * Filters of system calls (seccomp(2)) that the program puts itself under, seen before they are in force.
 *
 * Many a filter ends the process for a call that it does not expect. Whether one does cannot be asked for afterwards:
 * to ask may be such a call. One that the process was born with has let it open, read and map files, and is not seen
 * here. */
#ifndef GLEANER_OS_FILTER_H
#define GLEANER_OS_FILTER_H

#include "base/base.h"

/* The program is about to add the filter at program (struct sock_fprog, anything that it gave us); NULL: to be left
 * with reading, writing and exiting. */
void os_filter_add(const void *program);

/* Whether one of the calls by which memory and threads are looked at may be punished by anything but a refusal. Once
 * true, always. */
bool os_filter_kills(void);

#endif
