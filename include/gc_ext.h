/* SPDX-License-Identifier: MIT
 * What Gleaner has beyond libgc. */
#ifndef GC_EXT_H
#define GC_EXT_H

#include "gc.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Searches for leaks now, and writes the report as at the end of the program: to the same place, in the same
 * format, and nothing when nothing was lost. May be called again and again; each search starts afresh and
 * tells all that is lost by then. The report at exit still follows.
 *
 * Returns the number of blocks that are definitely or indirectly lost, suppressed ones included, or -1 with
 * errno when nothing could be searched: ENOTSUP when the process does not run in mode leaks, else what the
 * search met. Stops all other threads meanwhile. What only the caller's own registers and dead stack point to
 * may count as reachable, as in any conservative search. Not to be called from a signal handler. */
long GC_leak_check(void);

#ifdef __cplusplus
}
#endif

#endif
