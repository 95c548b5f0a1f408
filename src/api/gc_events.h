/* SPDX-License-Identifier: MIT
 * What the files that tell of collections know of each other: gc_events.c (callbacks), gc_log.c, gc_stats.c, gc_summary.c,
 * gc_reclaimed.c.
 *
 * What tells of one collection is called by the thread that does it; collections do not overlap, but the sweep of a
 * full one may end in any thread. Figures are atomic, each for itself: no lock is taken, so that a thread can be stopped, or
 * fork, anywhere. */
#ifndef GLEANER_GC_EVENTS_H
#define GLEANER_GC_EVENTS_H

#include "api/collector.h"
#include "base/lock.h"
#include "os/threads.h"

/* --- gc_events.c --- */

uint64_t gc_events_started(void); /* os_clock, when the process was born or forked */
bool gc_events_is_forked(void);
const char *gc_events_reason(enum collect_reason reason);
/* Why a collection reclaimed nothing, without a full stop. */
const char *gc_events_error(int error);
struct GC_collection;
void gc_events_describe(const struct collection *facts, struct GC_collection *out);

/* --- gc_log.c --- */

void gc_log_init(void);
void gc_log_collection(const struct collection *facts);
void gc_log_swept(uint64_t number, size_t heap_after, const struct sweep_counts *counts);
void gc_log_fork_child(void);
/* A line of another kind; where there is no log, on standard error. */
void gc_log_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Collections are told there, too. */
void gc_log_always(bool on);
/* quiet: collections are not told there. apart: nothing else is: notes go to standard error. */
void gc_log_share(bool quiet, bool apart);
/* Where what is not told of collections goes that would go to standard output; -1: there. */
int gc_log_descriptor(void);

/* --- gc_stats.c --- */

enum { gc_stats_errors = 8, gc_stats_buckets = 16 * 42 };

struct gc_stats_generation {
  _Atomic uint64_t collections, given_up, uncollectable, objects, bytes, time_ns, pause_ns, pause_max_ns;
  _Atomic uint32_t pauses[gc_stats_buckets]; /* see gc_stats_bucket */
};

struct gc_stats {
  struct gc_stats_generation generations[collect_generations];
  _Atomic uint64_t collecting_ns; /* from beginning to end, together */
  _Atomic uint64_t heap_most;     /* the largest number of live bytes before a collection */
  _Atomic uint64_t concurrent;    /* collections that marked while the program ran */
  _Atomic unsigned markers_most;
  _Atomic size_t reclaimed_last, total_then; /* by the last collection; allocated, */
  _Atomic ptrdiff_t in_use_then;             /* and in use, when it was over */
  struct {
    _Atomic int error;
    _Atomic uint64_t count;
  } errors[gc_stats_errors]; /* why collections were given up; the last one is for all that find no room */
};
extern struct gc_stats gc_stats;

void gc_stats_collection(const struct collection *facts);
void gc_stats_swept(const struct sweep_counts *counts);
uint64_t gc_stats_number(void); /* of the last collection that was begun */
void gc_stats_uncollectable(unsigned generation, size_t objects);
void gc_stats_fork_child(void);
/* Bytes that the program has freed since the last collection, as far as was noticed; 0 while there is something to sweep. */
size_t gc_stats_freed(void);

/* The pauses of a bucket are shorter than that, by a sixteenth at most. */
uint64_t gc_stats_bucket_end(unsigned bucket);
/* So many of 100 pauses were as short as that. */
uint64_t gc_stats_percentile(const struct gc_stats_generation *generation, unsigned percent);

/* --- gc_garbage.c --- */

void gc_garbage_tell(const struct collection *facts);

/* --- gc_summary.c --- */

void gc_summary_write(void);

/* --- gc_reclaimed.c: what became of objects, where their allocations are recorded --- */

void gc_reclaimed_init(void);
/* A collection is about to begin; a full one has been done. */
void gc_reclaimed_begin(uint64_t number);
void gc_reclaimed_end(const struct collection *facts);
/* The last collection that reclaimed an object at the address, or 0. */
uint64_t gc_reclaimed_by(uintptr_t address);
/* What was reclaimed of a site. */
void gc_reclaimed_of(uint32_t site, uint64_t *objects, uint64_t *bytes);
void gc_reclaimed_fork_child(void);

#endif
