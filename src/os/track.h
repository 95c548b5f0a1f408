/* SPDX-License-Identifier: MIT
 * Which pages were written: by the kernel's write tracking. One file for each way (track_uffd.c, track_soft_dirty.c).
 *
 * A write to a protected page never fails, also when the kernel makes it (read(2) into the page): it is noted, at the
 * cost of a page fault. Never mprotect. Nothing allocates from malloc; errno is kept. Bounds are multiples of os_page_size. One
 * thread at a time; nobody else writes to the ranges in question meanwhile.
 *
 * What no way can see: a device, or another process, that writes to a page through a reference which it took before the
 * page was protected (direct I/O under way, buffers registered with io_uring). The writing of pages begins when the call
 * does, and ends before it returns, for everything else. */
#ifndef GLEANER_OS_TRACK_H
#define GLEANER_OS_TRACK_H

#include "os/maps.h"

enum track_way { TRACK_AUTO, TRACK_UFFD, TRACK_SOFT_DIRTY, TRACK_SCAN };

/* Chooses. Returns what is used (never AUTO; SCAN: nothing is tracked) and why, one sentence without a full stop. Keeps one
 * descriptor open for UFFD, out of the program's way, and notices when the program closes it: from then on the functions below
 * fail, and track_begin may be tried again. */
enum track_way track_begin(enum track_way wanted, const char **why);

/* Whether calls that the way needs may have become deadly since: the process is under a filter of system calls. Costs three calls
 * on /proc; the functions below must not be called then, but track_begin for TRACK_SCAN. */
bool track_is_forbidden(void);

/* Writes to this range can be tracked from now on; all of it counts as written. It may be added again, after the mapping was
 * replaced or moved, and may have gaps and parts without access. 0 or an errno value: EINVAL when some of it is no private
 * anonymous memory. */
int track_add(uintptr_t lo, uintptr_t hi);

/* From now on, or from the next track_settle on, these pages count as not written. 0, or an errno value: then they count as
 * written. ENOENT: some of it was not added, or its mapping is another now. */
int track_protect(uintptr_t lo, uintptr_t hi);

/* These pages count as written again, and the first write to them costs nothing. 0, or an errno value: then nothing has changed, or
 * some of that; ENOSYS where there is no such thing. */
int track_release(uintptr_t lo, uintptr_t hi);

/* Once after some calls of track_protect, before the program goes on. With SOFT_DIRTY this is when it happens; and as the
 * kernel can only do it for all pages at once, what was written to protected pages before and not yet told by
 * track_written is forgotten. */
void track_settle(void);

/* Calls each for the pages of the range that were written since they were protected, or never were (pages that were never
 * touched are not told). present as in os_maps_written. False when that cannot be told: then all must count as written. */
bool track_written(uintptr_t lo, uintptr_t hi, os_maps_range *each, void *arg);

/* What it costs on this machine, as track_begin measured it. */
struct track_costs {
  uint32_t protect_ns; /* to protect a page by itself; many in one call cost hardly more */
  uint32_t fault_ns;   /* the first write to it */
};
extern struct track_costs track_costs;

/* In the child nothing is tracked, until track_begin. */
void track_fork_child(void);

#endif
