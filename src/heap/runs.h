/* SPDX-License-Identifier: MIT
 * Runs of free units of the region.
 *
 * All under the heap lock, which the caller holds. Derived data: the block map alone is the truth, and runs_rebuild
 * makes everything here anew from it (after fork, when another thread was inside). */
#ifndef GLEANER_RUNS_H
#define GLEANER_RUNS_H

#include "base/base.h"

enum { runs_none = UINT32_MAX };

/* Reserves the region and its tables. 0 or an errno value. */
int runs_init(void);

/* A run of so many units: committed memory. *zero: all its bytes are 0. runs_none when memory is refused. */
uint32_t runs_alloc(uint32_t units, bool *zero);

/* Takes the units [at, at + units) when they are free, or fresh: for growth in place. */
bool runs_alloc_at(uint32_t at, uint32_t units, bool *zero);

/* For how many units from the first on, of a run that was just taken and is zero, the kernel should be asked for pages: also for those that
 * will be taken next; 0 when that was done. Each call is dear, and the heap grows on. */
uint32_t runs_to_fill(uint32_t at, uint32_t units);

/* Gives a run back. The block map must no longer name a block there. */
void runs_free(uint32_t at, uint32_t units, bool zero);

/* The free run that has been waiting the longest to go back to the kernel, if one is due; it is taken out, so
 * that the caller can purge it without the lock and free it again as zero. all: due or not. */
bool runs_take_due(uint32_t *at, uint32_t *units, bool all);

/* The limit on address space is about to become this small: gives back what is reserved beyond that, and takes address
 * space piece by piece from now on. */
void runs_limit_span(size_t limit);

/* Nothing is due: free pages stay, unless all are asked for. Set before there is much of the heap. */
extern bool runs_keep;

void runs_rebuild(void);

/* Bytes of free units whose pages are (probably) in memory, and of all units ever used. */
size_t runs_dirty_bytes(void);
size_t runs_used_bytes(void);

/* Checks the free runs against the block map. */
bool runs_verify(void);

#endif
