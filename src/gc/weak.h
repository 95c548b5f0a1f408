/* SPDX-License-Identifier: MIT
 * Weak references, and the queues they go to. Knows targets and handles; must not know who calls the program back, and when.
 *
 *   handle (the program's)  <-- holder --  weak (ours)  -- target -->  object
 *   ~address of the target                 watch, watch
 *
 * The handle is an object of the heap, and is looked into: its argument and its queue live with it. Of the target it has only the complement of
 * the address. Unless said otherwise all is under the watch lock. */
#ifndef GLEANER_WEAK_H
#define GLEANER_WEAK_H

#include "gc/watch.h"

struct weak;
struct weak_queue;

struct weak_handle {
  _Atomic uintptr_t hidden; /* the complement of the target's address, or 0. Changed under the watch lock, read without */
  struct weak *weak;
  void (*callback)(struct weak_handle *handle, void *arg); /* or NULL */
  void *arg;
  struct weak_queue *queue; /* or NULL */
  struct weak_handle *next, *before; /* in the queue */
};

/* Handles whose targets have died, in an object that is looked into, so that they live with it. */
struct weak_queue {
  struct weak_handle *first, *last;
  _Atomic uint32_t rung; /* a futex: counts what was put in */
};

/* The handle, zeroed but for callback, arg and queue, has an entry from now on. kind: WATCH_WEAK or WATCH_LONG. False: no memory. */
bool weak_open(struct weak_handle *handle, enum watch_kind kind);
/* It refers to this target, which the caller holds, and no longer to another; 0: to none. Nobody is told. An errno value: EINVAL, that
 * is no object, or at its end; ENOMEM. */
int weak_aim(struct weak_handle *handle, uintptr_t target);
struct weak_handle *weak_queue_take(struct weak_queue *queue);

/* Any thread, without a lock: the target, held by who called, or NULL. */
static inline void *weak_get(const struct weak_handle *handle) {
  for (;;) {
    uintptr_t hidden = atomic_load_explicit(&handle->hidden, memory_order_acquire);
    if (!hidden) return NULL;
    void *target = (void *)~hidden;
    keep_alive(target);
    if (likely(atomic_load_explicit(&handle->hidden, memory_order_acquire) == hidden)) {
      keep_alive(target);
      return target;
    }
  }
}

/* --- for settle.c --- */

/* World stopped. What has died, of this kind: whoever is to be told of it is chosen now. Then either it is so, or as if nothing had been. */
void weak_note(enum watch_kind kind, unsigned generation);
void weak_commit(unsigned generation);
void weak_forget(void);
/* The program running: the object is at its end; all: long ones end, too, and the object may be a handle. */
void weak_freed(uintptr_t object, bool all);

#endif
