/* SPDX-License-Identifier: MIT
 * What the program is to be told after a collection, or after the last reference to an object was given back: finalizers to run, callbacks of
 * weak references. First in, first out. Who runs them, and when, is decided in api.
 *
 * Under the watch lock. The words are roots while the errand waits; whoever takes it holds them from then on. */
#ifndef GLEANER_ERRAND_H
#define GLEANER_ERRAND_H

#include "base/base.h"

enum { errand_words = 4 };

enum errand_kind {
  ERRAND_CALLBACK,
  ERRAND_FINALIZER,
  ERRAND_UNREF, /* a finalizer of an object whose last reference was given back; word[0] is the object */
  ERRAND_AWAITED, /* a finalizer, of which somebody is to be told first */
  errand_kinds,
};

struct errand {
  struct errand *next;
  uint8_t kind;
  void (*run)(struct errand *errand); /* with no lock held; the errand is its to use again */
  uintptr_t word[errand_words];
};

void errand_push(struct errand *errand);
struct errand *errand_take(enum errand_kind kind); /* NULL: there is none */
struct errand *errand_first(enum errand_kind kind); /* it stays */
/* How many wait; without the lock. */
size_t errand_count(enum errand_kind kind);
/* Waits, without the lock, until something has been pushed since errand_pushes told the number, errand_wake was called, or a signal came. */
uint32_t errand_pushes(void);
void errand_wait(uint32_t pushes);
void errand_wake(void);

/* World stopped: what waits is told as a root. */
void errand_each(void (*root)(uintptr_t lo, uintptr_t hi, void *arg), void *arg);

#endif
