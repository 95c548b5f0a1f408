/* SPDX-License-Identifier: MIT
 * When a collection is due. Knows amounts and times; knows nothing of marking.
 *
 * Three thresholds as in CPython's gc. Generation 0 is due when so many bytes were handed out since the last collection:
 * of the collected kinds what was handed out, of malloc'ed memory what blocks were made of anew (a program that frees
 * what it allocates makes none). Generation 1 is due when generation 0 was collected so many times since, generation 2
 * when 1 was collected so many times and what was promoted to it since exceeds a quarter of it. Where the program owns its memory,
 * generation 0 alone never reclaims anything, so 1 is collected in its place.
 *
 * Backing off, for malloc'ed memory: a collection that reclaims little doubles the bytes until the next; and collections may take no
 * more than gc-cpu percent of the process's time, unless the heap has doubled. Callable by any thread without a lock. */
#ifndef GLEANER_PACE_H
#define GLEANER_PACE_H

#include "gc/collect.h"

struct pace_settings {
  size_t threshold[collect_generations]; /* bytes; collections of 0; collections of 1. threshold[0] 0: as is best */
  unsigned cpu_percent;
  size_t max_heap;     /* bytes of blocks; 0: no limit */
  size_t initial_heap; /* no collection below */
};

void pace_init(const struct pace_settings *settings);
void pace_get(struct pace_settings *settings);
void pace_set(const struct pace_settings *settings);

/* So many bytes more were handed out (of collected kinds), or made into blocks (of malloc'ed ones; less than 0 when given up). */
void pace_handed_out(size_t bytes);
void pace_made(ptrdiff_t bytes);

/* True, with the generation and the reason, when a collection is due. */
bool pace_is_due(unsigned *generation, enum collect_reason *reason);
/* The counts as CPython's gc.get_count: bytes since the last collection, collections of 0 since one of 1, of 1 since one of 2. */
void pace_counts(size_t counts[collect_generations]);

/* A collection has been done, or given up. */
void pace_collected(const struct collection *facts);
/* The sweep of a full one is done. */
void pace_swept(const struct sweep_counts *counts);
void pace_fork_child(void);

#endif
