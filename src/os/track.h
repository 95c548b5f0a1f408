/* SPDX-License-Identifier: MIT
 * Which pages were written: by the kernel's write tracking. One file for each way (track_uffd.c, track_soft_dirty.c).
 *
 * A write to a protected page never fails, also when the kernel makes it (read(2) into the page): it is noted, at the
 * cost of a page fault. Never mprotect. Nothing allocates; errno is kept. Bounds are multiples of os_page_size. */
#ifndef GLEANER_OS_TRACK_H
#define GLEANER_OS_TRACK_H

#include "os/maps.h"

enum track_way { TRACK_AUTO, TRACK_UFFD, TRACK_SOFT_DIRTY, TRACK_SCAN };

/* Chooses. Returns what is used (never AUTO; SCAN: nothing is tracked) and why, one sentence without a full stop. Keeps one
 * descriptor open for UFFD, out of the program's way, and notices when the program closes it. */
enum track_way track_begin(enum track_way wanted, const char **why);

/* Writes to this range can be tracked from now on. 0 or an errno value. */
int track_add(uintptr_t lo, uintptr_t hi);

/* From now on these pages count as not written. 0, or an errno value: then they may count as written. */
int track_protect(uintptr_t lo, uintptr_t hi);

/* Calls each for the pages of the range that were written since they were protected, or never were (pages that were never
 * touched are not told). present as in os_maps_written. False when that cannot be told: then all must count as written. */
bool track_written(uintptr_t lo, uintptr_t hi, os_maps_range *each, void *arg);

/* In the child nothing is tracked: begins anew with what was chosen, or falls back to SCAN. */
enum track_way track_fork_child(const char **why);

#endif
