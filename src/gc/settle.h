/* SPDX-License-Identifier: MIT
 * What has died and is waited for: the step between marking and sweeping. The order, for each collection:
 *
 *   settle_roots    pins, errands that wait, what finalizers were given: roots like any others (at both stops of a concurrent one)
 *   ... marking, the closer look, sparing of suspects ...
 *   settle_mark     values of ephemerons with live keys, until nothing more is found; short weak references note their end; finalizers
 *                   choose who is ready, and mark what those hold; ephemerons again; long weak references note their end
 *   settle_commit   when everything could be read to the end: references are cleared, errands pushed; or
 *   settle_forget   when it could not: as if nothing had been found
 *   settle_ages     after sweeping what is swept in the stop
 *
 * World stopped, watch lock and heap lock held. */
#ifndef GLEANER_SETTLE_H
#define GLEANER_SETTLE_H

#include "base/base.h"

typedef void settle_root(uintptr_t lo, uintptr_t hi, void *arg);

void settle_roots(unsigned generation, settle_root *root, void *arg);
void settle_mark(unsigned generation);
void settle_commit(unsigned generation);
void settle_forget(unsigned generation);
void settle_ages(unsigned generation);

/* The program frees the object, or gave its last reference back, and it is about to be given up: whoever waits for it is told. Under the watch
 * lock, the program running. */
void settle_freed(uintptr_t object);

#endif
