/* SPDX-License-Identifier: MIT
 * Words that are roots though no memory of the program holds them: what the kernel will give back.
 *
 * A table of ours by what holds the value there. Without a lock, so that it can be used in signal handlers and forked at any moment;
 * memory is bounded by how many were pinned at a time. */
#ifndef GLEANER_PINS_H
#define GLEANER_PINS_H

#include "base/base.h"

enum pin_kind {
  PIN_NONE,
  PIN_EPOLL,         /* epoll's descriptor << 32 | the other one */
  PIN_TIMER,         /* by its id */
  PIN_QUEUE,         /* notification of a message queue, by its descriptor */
  PIN_REQUEST,       /* libaio's, by its address */
  PIN_SIGNAL,        /* queued for the process, by number; any number of values for one */
  PIN_THREAD_SIGNAL, /* for one of its threads */
};

enum { pin_values = 3 };

struct pin {
  uint64_t key; /* 0: none */
  uintptr_t value[pin_values];
};

/* The key alone, no values. Of a signal: one of its own, never found again. */
struct pin pins_of(enum pin_kind kind, uint64_t id);

/* Replaces what was pinned under the key. Where memory is short nothing is pinned, and pins_complete says so for good: nothing may be
 * reclaimed then. */
void pins_set(const struct pin *pin);
/* Lets go of what was pinned under the key, and tells what it was; false when nothing was. */
bool pins_take(uint64_t key, struct pin *taken);
bool pins_complete(void);

/* With the world stopped and all signals of this thread blocked: calls range for memory that holds every pinned value, after the signals that
 * have been delivered were taken out. */
void pins_each(void (*range)(uintptr_t lo, uintptr_t hi, void *arg), void *arg);

#endif
