/* SPDX-License-Identifier: MIT
 * The collector: finds what is no longer reachable, generation by generation, and has it swept.
 *
 * Knows the order of the steps; what a root is, how marking goes, how old objects' pointers to young ones are found, and
 * when a collection is due, is elsewhere. Decides nothing that a user could want otherwise, and prints nothing. */
#ifndef GLEANER_COLLECT_H
#define GLEANER_COLLECT_H

#include "gc/world.h"
#include "heap/sweep.h"

enum { collect_generations = 3 };

enum collect_reason {
  COLLECT_ASKED,     /* somebody called for it */
  COLLECT_YOUNG,     /* enough new memory was handed out */
  COLLECT_OLD,       /* what was promoted to the oldest generation is a quarter of it */
  COLLECT_GROWN,     /* more malloc'ed memory is new than is live */
  COLLECT_MEMORY,    /* a limit was reached, or the kernel refused memory */
  COLLECT_STRESS,
};

/* What happened in one collection. Times in nanoseconds. */
struct collection {
  uint64_t number;       /* from 1 */
  unsigned generation;   /* 0 to 2: of this age and below */
  enum collect_reason reason;
  int error;             /* 0, or why nothing was reclaimed */
  unsigned deaf;         /* threads that could not be stopped, which is such a reason (EAGAIN) */
  bool concurrent;       /* marked while the program ran: then there were two pauses */
  unsigned threads, markers;
  uint64_t began;        /* os_clock */
  uint64_t pause_ns, first_pause_ns; /* the program stood still; the last pause, and of concurrent ones the first */
  uint64_t cost_ns;      /* of processors, in the pauses: on a busy machine less than they last */
  uint64_t stop_ns, roots_ns, old_ns, mark_ns, weak_ns, sweep_ns; /* parts of it; mark of a concurrent one is outside */
  size_t heap_before, heap_after;    /* bytes in live objects, as far as is known (free is not counted at once) */
  size_t root_bytes, pages_scanned, pages_skipped; /* of old objects: pages looked into for pointers to younger ones */
  size_t uncollectable;      /* objects that it put on the list of garbage */
  struct sweep_counts swept; /* of a full collection: complete only once its sweep is, see collect_swept */
};

struct collect_request {
  unsigned generation;
  enum collect_reason reason;
  unsigned markers;     /* 0: as is best */
  bool (*off)(void);    /* asked when all threads have stopped; true: nothing is done (EPERM). So no thread that has turned it off meets what it did not expect. Or NULL */
  int (*stop)(void);    /* not 0: given up (ECANCELED). Asked at each step and while it marks, by one marker then, with the world stopped; or NULL */
  bool concurrent;      /* may be: then collect returns when marking has begun, and collect_finish ends it */
  bool declared_roots;  /* as libgc: see roots.h */
  bool (*used)(uintptr_t tcb); /* with them: whether that thread ever used the heap; who did not need not be stopped */
  bool no_libraries;    /* and no library's data are roots then; */
  int (*segment)(const char *name, void *lo, size_t size); /* or whose this denies */
  bool unaligned;
  bool exact;           /* of mark_options: words of objects and of data must lead to where objects begin */
  void (*other_roots)(void); /* tells more roots by mark_range or mark_data, with the world stopped; NULL: there are none */
  void (*stopped)(const struct world_thread *threads, unsigned count); /* told of all threads, with the world stopped; or NULL */
  struct world_thread self; /* the calling thread, where its live stack begins */
};

/* One collection. No lock of ours is held by the caller. Returns with the program going on. *facts is complete unless
 * facts->concurrent says that marking has only begun. False when nothing was done because another thread is at it. */
bool collect(const struct collect_request *request, struct collection *facts);

/* Takes what nobody may have at hand while the world stands still for long: the world, the watch and the heap lock. Without the watch lock, which may not be had
 * for a while, nothing may be collected. */
struct collect_locks {
  uint64_t mask;
  bool watch; /* it was had */
};
struct collect_locks collect_lock(void);
void collect_unlock(struct collect_locks locks);

/* Whether a concurrent marking has done its work and waits for collect_finish; whether one goes on. */
enum collect_progress { COLLECT_IDLE, COLLECT_MARKING, COLLECT_MARKED };
enum collect_progress collect_progress(void);
bool collect_finish(const struct collect_request *request, struct collection *facts);
/* Instead of it, without a stop: as if there had been none (ECANCELED). */
bool collect_give_up(const struct collect_request *request, struct collection *facts);

/* Sweeps some more after a full collection; true while there is something left. Any thread. */
bool collect_sweep(unsigned blocks);
/* Once after each full collection when its sweep is done: its counts. */
bool collect_swept(struct sweep_counts *counts);

/* Takes everything alive out of all collections; puts it back into the oldest generation. */
int collect_freeze(const struct collect_request *request);
int collect_unfreeze(const struct collect_request *request);

/* Calls look(arg) with the world stopped between two collections, everything swept: what has the state of a live object is one. On a stack of ours, with
 * the locks of a collection held. 0 or an errno value, as of a collection; EBUSY: a concurrent one is under way. */
int collect_look(const struct collect_request *request, void (*look)(void *arg), void *arg);

/* For what a collection calls with the world stopped (request.other_roots, procedures that mark): whether the object that begins there has been reached
 * so far; elsewhere, whether it is alive as far as is known. Any thread, without a lock. */
bool collect_is_reached(uintptr_t object);
/* Whether the world stands still for a marking: then whoever asks is called by it. */
bool collect_is_marking(void);
/* It is reached, with what it leads to; it is as if it had not been reached. Elsewhere nothing is done. */
void collect_reach(uintptr_t object);
void collect_unreach(uintptr_t object);

void collect_fork_child(struct cache *mine); /* or NULL */

#endif
