/* SPDX-License-Identifier: MIT
 * The collector as the rest of the api sees it: whether there is one, when it runs, and who is told.
 *
 * A collector is armed by mode=collect, or, except in mode=leaks, by the first use of a GC_ name that allocates. */
#ifndef GLEANER_COLLECTOR_H
#define GLEANER_COLLECTOR_H

#include "api/api.h"
#include "gc/collect.h"
#include "gc/pace.h"
#include "heap/heap.h"

extern bool collector_is_armed;
/* The program's own roots (libgc's GC_push_other_roots); NULL: there are none. */
extern void (*collector_other_roots)(void);
/* Whether words of objects and of data are to count only where they point to an object's beginning or to a known displacement (libgc's policy, which
 * a program may change at any time); NULL: no. It does not hold where malloc is ours, whose programs point anywhere. */
extern bool (*collector_wants_exact)(void);
/* Asks it: objects are not made longer by a byte, for pointers to their ends, where such do not count anyway. */
bool collector_is_exact(void);

/* What a program wants otherwise, by the variables and calls that libgc has for it. All 0: as is best. */
extern struct collector_wishes {
  bool by_hand;         /* only what is asked for is collected */
  bool concurrent;      /* full collections that come by themselves mark while the program runs, also of smaller heaps */
  bool no_libraries;    /* the data of libraries are no roots where roots are declared */
  int (*segment)(const char *name, void *lo, size_t size); /* 0: that segment is none either; NULL: all are */
  int (*stop)(void);    /* not 0: a collection that came by itself is broken off; NULL: none is */
  size_t per_finalizer; /* each finalizer that is registered counts as so many new bytes */
  unsigned retries;     /* more full collections before memory is refused */
} collector_wishes;

/* Called while the collector is armed, before it has looked at its options; when it is; and whenever it is to be decided whether something is
 * due: the wishes may have changed, for a variable is set without a call. Weak: does nothing unless libgc's part is there. */
enum collector_moment { COLLECTOR_ARMING, COLLECTOR_ARMED, COLLECTOR_DECIDING };
void collector_consult(enum collector_moment moment);

/* 0, or why not: an errno value (ENOTSUP: mode=leaks). Not from a signal handler. */
int collector_arm(void);

/* In mode=collect, from the constructor: when the C library is ready. */
void collector_begin(void);

/* On the slow path of allocation, with no lock held, before anything is taken: collects if that is due, sweeps some more if
 * something is left to be swept, ends a concurrent marking. Keeps errno. */
void collector_poll_slow(void);
static inline void collector_poll(void) {
  if (unlikely(atomic_load_explicit(&heap_alarm, memory_order_relaxed))) collector_poll_slow();
}

/* So many bytes are about to be taken at once: sweeps a multiple of it, if something is left to be swept. Otherwise a program of
 * large objects would take memory faster than a sweep comes to its end, until which no other collection begins. */
void collector_sweep_for(size_t bytes);

/* Collects now: a generation and the younger ones; of 2, swept to the end on return, and a concurrent marking under way is ended first, or given up when
 * disabled. What is COLLECT_ASKED is done also then. False: nothing was done, and why is facts->error. EBUSY: not armed, in a callback of a collection, or another
 * thread has been in one for a second; EPERM: disabled, or forbidden; or what the collection met. */
bool collector_run(unsigned generation, enum collect_reason reason, struct collection *facts);
/* A full one, unless disabled, which stop may break off: see struct collect_request. */
bool collector_run_until(int (*stop)(void), struct collection *facts);

/* Some work, if there is any: sweeps so many blocks, ends a concurrent marking, begins what is due. False: nothing was to be done. */
bool collector_step(unsigned blocks);
/* Nothing goes on beside the program when it returns: a concurrent marking is ended, or given up while disabled. */
void collector_rest(void);
/* Begins a full collection that marks while the program runs, if it can, and nothing is under way. */
void collector_start(void);

/* Nested: as many enables as disables. Nothing is collected then but what is asked for, whatever was about to begin: that is looked at when all
 * threads have stopped. What is being marked beside the program stays as it is, or is given up. Any thread; signal handlers. */
void collector_disable(void);
bool collector_enable(void); /* true: enabled again */
bool collector_is_disabled(void);
bool collector_set_disabled(bool disabled); /* whatever was before, which is returned */
/* For good, also what is asked for: a collection would reclaim what is alive, or end the process. */
void collector_forbid(void);
bool collector_is_forbidden(void);

/* From now on this thread begins no collection: it has a lock that collections take. Returns what was before. */
bool collector_stay_out(bool out);

/* This thread is in a callback of a collection, or in the collection itself. */
bool collector_is_inside(void);

/* Takes all that is alive out of all collections, or puts it back. 0 or an errno value: EBUSY in a callback of a collection. */
int collector_freeze(bool freeze);

/* Calls look(arg) with the world stopped, as collect_look does. 0 or an errno value: EBUSY in a callback of a collection. */
int collector_look(void (*look)(void *arg), void *arg);

/* Memory was refused, or the limit is reached, for so many bytes: collects everything; true when another try is worth it. */
bool collector_make_room(size_t bytes);

/* In gc_events.c. Called by the thread that collects, no lock held, the world running: they may allocate, which never
 * collects meanwhile. swept: the sweep of the last full collection is done. */
/* Who is to be told of the threads that are stopped; NULL: nobody. */
void (*gc_events_stopped(void))(const struct world_thread *threads, unsigned count);
void gc_events_before(const struct collection *facts);
/* Toggle references are asked for. */
void gc_finalize_ask(void);
void gc_events_after(const struct collection *facts);
void gc_events_swept(const struct sweep_counts *counts);
void gc_events_exit(void);       /* the process ends: statistics, if asked for */
void gc_events_fork_child(void);
/* Whether this thread has left a callback, or seems to have, by other means than a return. Then: it is in none any more. */
bool gc_events_are_left(void);
void gc_events_leave(void);
/* Another callback of a collection: it may be left as the others are. */
void gc_events_call(void (*function)(void *arg), void *arg);

/* The thread ends, perhaps in a callback. */
void collector_thread_end(void);

/* In gc_pressure.c. The program has asked for a time without collections, which goes on; a collection is about to begin all the same. */
bool gc_region_holds(void);
void gc_region_break(void);

void collector_fork_child(void);

#endif
