/* SPDX-License-Identifier: MIT
 * Finalizers: what a program wants done once nothing leads to an object any more. Who has one, in which order they are due, and when the
 * collector found them to be. Runs none: what is due becomes an errand (errand.h).
 *
 *   registered --found unreachable, or taken--> queued --run--> done: registered again by finalize_restore, or gone with the object
 *
 * Everything here is under the watch lock. 96 bytes a finalizer, in memory that is never given back but used again; nothing is needed
 * when one becomes due.
 *
 * The order. Of the unreachable objects with a finalizer those are due to which no other one leads, and which do not lead to themselves;
 * what they lead to stays for a later collection. So each ordered one is marked through (not itself): who is marked after that is not due.
 * One that marks itself is in a cycle, and will never be due: garbage.h. */
#ifndef GLEANER_FINALIZE_H
#define GLEANER_FINALIZE_H

#include "gc/errand.h"
#include "gc/watch.h"

enum finalize_order {
  FINALIZE_ORDERED,     /* after those that lead to it; never when it leads to itself */
  FINALIZE_IGNORE_SELF, /* pointers from the object right to itself do not count */
  FINALIZE_NO_ORDER,    /* at once; others may be due before it all the same, as what it leads to does not wait for it */
  FINALIZE_UNREACHABLE, /* ordered, and not as long as any that is due leads to it, unordered ones too */
};

typedef void finalize_function(void *object, void *data);

struct finalize_call {
  finalize_function *function; /* NULL: there is none */
  void *data;                  /* a root as long as it is registered */
  enum finalize_order order;
};

/* The object, which is live and begins there, has this finalizer from now on, or none; told is the one that it had. False: no memory, and
 * nothing was changed. */
bool finalize_set(uintptr_t object, const struct finalize_call *call, struct finalize_call *old);

/* The object's finalizer as an errand, which the caller runs, with no lock held, or puts into a queue; also one that waits in a queue. Until it
 * is run, object and data are roots. NULL: it has none that is to be run. */
struct errand *finalize_take(uintptr_t object);

/* The finalizer is not run, until it is restored; also when it waits in the queue. False: there is none. */
bool finalize_suppress(uintptr_t object);
/* What was suppressed, or has been run, is registered again. False: there was none. */
bool finalize_restore(uintptr_t object);

/* All that are registered are put into the queue, whether anything leads to their objects or not. Returns how many. */
size_t finalize_take_all(void);

/* FINALIZE_UNREACHABLE is as it says; else as ordered. */
extern _Atomic int finalize_java;
/* Those that become due are ERRAND_AWAITED first: somebody wants to be told before they are run. */
extern _Atomic bool finalize_awaited;

/* --- in a collection: see settle.h --- */

void finalize_roots(unsigned generation, void (*root)(uintptr_t lo, uintptr_t hi, void *arg), void *arg);
/* What objects that have been finalized keep, if they live. True: something was marked. */
bool finalize_mark_done(unsigned generation);
/* Chooses who is due, and marks all that these lead to. */
void finalize_mark(unsigned generation);
void finalize_commit(unsigned generation);
void finalize_forget(void);

/* An entry of one of these kinds, whose object is given up. */
void finalize_drop(struct watch *watch);

#endif
