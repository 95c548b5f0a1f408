/* SPDX-License-Identifier: MIT
 * What the files that tell how much memory there is, and how much is left, know of each other: gc_control.c (sizes), gc_pressure.c (pressure, times
 * without collections), gc_notify.c (low memory, full collections), gc_sizes.c. */
#ifndef GLEANER_GC_MEMORY_H
#define GLEANER_GC_MEMORY_H

#include "api/collector.h"

/* --- gc_control.c --- */

size_t gc_block_bytes(void); /* of all blocks: what counts against the largest heap */
/* Makes sure that the heap can grow by so many. */
bool gc_expand(size_t bytes);

/* --- gc.c --- */

size_t gc_thread_large_bytes(void); /* of large objects that this thread has allocated */

/* --- gc_notify.c: called by gc_events.c, in the thread that collects --- */

void gc_notify_before(const struct collection *facts);
void gc_notify_after(const struct collection *facts);
void gc_notify_fork_child(void);

/* Memory has become low: which limit, how much of it is in use. A threshold must be set; once until it is no longer so. */
struct GC_low_memory;
bool gc_notify_is_low(struct GC_low_memory *low);

#endif
