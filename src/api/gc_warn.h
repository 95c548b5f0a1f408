/* SPDX-License-Identifier: MIT
 * What the program hears of trouble: warnings, after which all goes on, and that the process is about to be ended. */
#ifndef GLEANER_GC_WARN_H
#define GLEANER_GC_WARN_H

#include "base/base.h"

/* format: with one conversion, of an unsigned long, and a newline. With no lock held. */
void gc_warn(const char *format, unsigned long value);

/* The program has a procedure of its own for warnings. */
bool gc_warn_is_heard(void);

/* The function that the program has set for this is called. */
void gc_warn_end(const char *message);
/* The process is not ended, but waits for a debugger, from now on. */
void gc_warn_loop(void);

#endif
