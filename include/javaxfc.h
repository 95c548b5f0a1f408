/* SPDX-License-Identifier: MIT
 * For who writes #include <javaxfc.h>, as libgc has it: what it declares stands in gc.h. */
#ifndef GC_JAVAXFC_H
#define GC_JAVAXFC_H

#include "gc.h"

/* What GC_suspend_thread is given. */
#ifndef GC_SUSPEND_THREAD_ID
#define GC_SUSPEND_THREAD_ID void *
#endif

#endif
