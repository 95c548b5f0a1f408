/* SPDX-License-Identifier: MIT
 * Whoever waits for the end of an object: an entry for each, found by the object, and listed by the object's age, so that a minor collection
 * looks at those of young objects alone. Knows objects, entries and ages; must not know what anybody wants of them.
 *
 * An entry is the first member of a struct of the module that waits, in memory that is no root and is never given back (os_arena_alloc). All of
 * it is under the watch lock, which the collector holds as well from before it stops the world until after: so the lists are whole in
 * every stop, and in a forked child. No lock but the heap's and lower ones is taken under it, and no code of the program runs. */
#ifndef GLEANER_WATCH_H
#define GLEANER_WATCH_H

#include "gc/table.h"
#include "heap/counts.h"

enum watch_kind {
  WATCH_PIN,       /* the object lives as long as the entry is there */
  WATCH_WEAK,      /* weak.h: cleared before the finalizer, */
  WATCH_LONG,      /* and after it */
  WATCH_LINK,      /* libgc's disappearing link: before, */
  WATCH_LONG_LINK, /* and after */
  WATCH_HANDLE,    /* the object is one of the above, which goes with it; */
  WATCH_HOLDER,    /* or a link lies in it */
  WATCH_KEY,       /* of an ephemeron; */
  WATCH_MAP,       /* and where it is kept */
  WATCH_FINALIZER, /* finalize.h: registered, */
  WATCH_QUEUED,    /* waiting to be run, */
  WATCH_DONE,      /* and begun at least */
  WATCH_TOGGLE,    /* toggle.h */
  WATCH_DISCLAIM,  /* disclaim.h: waits, */
  WATCH_ASKED,     /* and its owner is to be asked, or is being asked */
  watch_kinds,
};

struct watch {
  uintptr_t object; /* where it begins */
  struct table_link by_object;
  struct watch *next, **at;    /* in the list of its kind and age */
  uint8_t kind, age;           /* enum watch_kind; 0 to 2, the object's or younger */
};

void watch_lock(void);
void watch_unlock(void);
/* The same, but false when it cannot be had for a while: who forks has it while it waits for locks of the C library, and one of these
 * may be held around a malloc, and so around a collection. */
bool watch_try_lock(void);
bool watch_is_locked(void); /* by any thread */
bool watch_is_mine(void);   /* by this one */

/* The entry waits for the object from now on; it is in no list yet. False: no memory. The object is live, and the caller holds it. */
bool watch_add(struct watch *watch, enum watch_kind kind, uintptr_t object);
/* It is in no list any more. The object may be dead, but not swept. */
void watch_remove(struct watch *watch);
/* It leads to something that may be young: seen by the next collection of any generation. From then on it becomes older by one with each
 * collection that sees it, as what it leads to does, and is never older than its object. */
void watch_renew(struct watch *watch);
/* It is of another kind from now on, and renewed. */
void watch_turn(struct watch *watch, enum watch_kind kind);

/* Where the object begins that the address points to or into, and that is not at its end; 0: there is none. */
uintptr_t watch_object(uintptr_t address);

/* All of one object: for (w = watch_first(object); w; w = watch_after(w)). The next one is to be read before w is removed. */
struct watch *watch_first(uintptr_t object);
struct watch *watch_after(const struct watch *watch);

/* All of a kind of which a collection of the generation may know the end; 2: all. The one that is visited may be removed. */
typedef void watch_visit(struct watch *watch, void *arg);
void watch_each(enum watch_kind kind, unsigned generation, watch_visit *visit, void *arg);
size_t watch_count(enum watch_kind kind);

/* With the world stopped and everything marked: whether the object that begins there lives on. */
bool watch_lives(uintptr_t object, unsigned generation);
/* The same after sweep and marks are done with: lists those that were looked at by the age that their objects have now. */
void watch_note_ages(unsigned generation);

/* Of the object that begins at the address: what it points to is marked, or itself. World stopped. */
void watch_mark_contents(uintptr_t object);
void watch_mark(uintptr_t object);

/* Around fork: nothing is half changed in the child. If that could not be had, which takes another thread's collection and a fork in a
 * signal handler at the wrong moment, nothing is ever collected in the child. */
void watch_before_fork(void);
void watch_after_fork(void);
void watch_fork_child(void);
bool watch_is_torn(void);

#endif
