/* SPDX-License-Identifier: MIT
 * What has died and is waited for: the step between marking and sweeping. The order, for each collection:
 *
 *   settle_roots    pins, errands that wait, what finalizers were given: roots like any others (at both stops of a concurrent one)
 *   ... marking, the closer look, sparing of suspects ...
 *   settle_mark     values of ephemerons with live keys, until nothing more is found; short weak references note their end; finalizers
 *                   choose who is ready, and mark what those hold; ephemerons again; what is to be
 *                   disclaimed is chosen, and marked; long weak references note their end
 *   settle_commit   when everything could be read to the end: references are cleared, errands pushed; or
 *   settle_forget   when it could not: as if nothing had been found
 *   settle_ages     after sweeping what is swept in the stop
 *
 * World stopped, watch lock and heap lock held. */
#ifndef GLEANER_SETTLE_H
#define GLEANER_SETTLE_H

#include "base/base.h"

struct errand;

typedef void settle_root(uintptr_t lo, uintptr_t hi, void *arg);

void settle_roots(unsigned generation, settle_root *root, void *arg);
void settle_mark(unsigned generation);
void settle_commit(unsigned generation);
void settle_forget(unsigned generation);
void settle_ages(unsigned generation);

/* For who looks from outside, and collects nothing: all that is held for the program in memory that is not looked into, the values of ephemerons
 * whether their keys live or not. Under the watch lock. */
void settle_kept(settle_root *root, void *arg);

/* The last reference to the object was given back: short weak references end, and its finalizer, if there is one, is taken away and
 * returned, for the caller to run without a lock (word[0] is the object). Long weak references stay. Under the watch lock, the program running. */
struct errand *settle_dying(uintptr_t object);

/* The program frees the object, or gave its last reference back, and it is about to be given up: whoever waits for it is told,
 * and its entries are gone, but for pins. Under the watch lock, the program running. */
void settle_freed(uintptr_t object);

#endif
