/* SPDX-License-Identifier: MIT
 * When a collection is due. Knows amounts and times; knows nothing of marking.
 *
 * Three thresholds as in CPython's gc. Generation 0 is due when so many bytes were handed out since the last collection:
 * of the collected kinds what was handed out, of malloc'ed memory what blocks were made of anew (a program that frees
 * what it allocates makes none). Generation 1 is due when generation 0 was collected so many times since, or what it promoted is
 * much; generation 2 when what was promoted to it exceeds a quarter of it, and 1 was collected so many times or that is
 * much. Where the program owns its memory, generation 0 alone would reclaim nothing, so 1 is collected in its place.
 *
 * Backing off, for malloc'ed memory: a collection that finds little doubles the bytes until the next; and after each the program
 * runs for so long that collections take no more than cpu_percent of its time. But when that is more new memory than is live (as
 * the last full collection saw it; up to four times as much after ones that found little), a collection comes whatever it costs,
 * of everything if the last was not: so the heap keeps within a constant factor of what is live. Garbage is given up by the
 * second collection that finds it, so twice that much may lie there. Any thread may ask at any time; the rest is called by the
 * one that collects. */
#ifndef GLEANER_PACE_H
#define GLEANER_PACE_H

#include "gc/collect.h"

#define PACE_NEVER ((size_t)1 << 42)

struct pace_settings {
  size_t threshold[collect_generations]; /* bytes (0: as is best; PACE_NEVER: nothing is due); collections of 0; collections of 1 */
  unsigned cpu_percent;
  size_t initial_heap; /* no collection by itself while the blocks have fewer bytes */
  /* What libgc's programs may ask for; 0 is as is best. */
  size_t divisor;       /* less room for garbage the larger it is: 3 is as is best, 6 half of that */
  size_t nursery_least; /* bytes */
  unsigned full_every;  /* the collection of this number since the last full one is full, whatever has grown; 1: all are */
  uint64_t pause_ns;    /* that a minor collection should take at most: the nursery follows */
  bool stay;            /* collect everything rather than grow, if an eighth of the heap is new */
  bool entire;          /* nothing is due while an eighth of what the heap once had is free */
};

void pace_init(const struct pace_settings *settings);
void pace_get(struct pace_settings *settings);
void pace_set(const struct pace_settings *settings);

/* Nothing may be collected now: look again when some more is in use. */
void pace_later(void);
/* True, with the generation and the reason, when a collection is due. A few loads when it is not. */
bool pace_is_due(unsigned *generation, enum collect_reason *reason);
/* So much is in use by now that a concurrent marking which began with so many bytes in use has to come to its end. */
bool pace_is_ahead(size_t began_with);
/* As CPython's gc.get_count: bytes since the last collection, collections of 0 since one of 1, of 1 since one of 2. */
void pace_counts(size_t counts[collect_generations]);

/* The program holds so many bytes more, or less, that the heap knows nothing of, for what it holds in it: they count like bytes of collected kinds,
 * and, where they stay, like such that grew old. Never below 0. Any thread. How many there are. */
void pace_press(ptrdiff_t bytes);
size_t pace_pressure(void);

/* So many bytes more, or less, are to be taken for new until the next collection. */
void pace_count(ptrdiff_t bytes);

/* How much of what makes a full collection due there is: 0 to 100 of 100. */
unsigned pace_full_progress(void);

/* A collection has been done, or given up. */
void pace_collected(const struct collection *facts);
/* The sweep of a full one is done. */
void pace_swept(const struct sweep_counts *counts);
void pace_fork_child(void);

#endif
