/* SPDX-License-Identifier: MIT
 * Marking while the program runs. Knows markers and when they must not read; knows nothing of roots, pages or sweeping.
 *
 *   first stop     mark_begin (later), mark_use, the roots are told; concurrent_begin
 *   the program    threads of ours mark; nothing that existed at the first stop is unmade or shrinks (heap/units.h)
 *   second stop    concurrent_join; roots and written pages are told again, mark_all; mark_end
 *
 * What is new, exactly LIVE, is neither taken nor looked into by the threads: whoever calls looks into it at the second stop.
 * With the heap lock held, unless said otherwise; between the stops it is free. A second search must not begin there. */
#ifndef GLEANER_CONCURRENT_H
#define GLEANER_CONCURRENT_H

#include "gc/mark.h"

enum concurrent_progress { CONCURRENT_IDLE, CONCURRENT_MARKING, CONCURRENT_MARKED };

/* With the world stopped. markers, 0: half of those that mark_begin was told, for the program needs processors too. The marks have one meaning: (state & mask) == want ^ paint is what was reached, and no object that
 * is of age 1 or more was like that before. 0; or EAGAIN, when threads are refused: then mark_all does it at once. */
int concurrent_begin(unsigned markers);
/* With the world stopped, after mark_begin (running), when threads were refused or nothing can tell what is written: all is marked in this stop, as if the
 * program had not been meant to run. What was left for later because of that is marked by mark_all, but for typed objects, which must be looked at
 * again. 0 or an errno value. */
int concurrent_refuse(void);

/* Without a lock, at any time; MARKED: the threads have found all that they can, and are gone or going. */
enum concurrent_progress concurrent_progress(void);
/* Waits until it is not MARKING, at most so long (0: for ever). */
void concurrent_wait(uint64_t nanoseconds);

/* Without a lock; from any thread. There is no marker's thread when this returns: what they have left is done at the second stop,
 * which may come now (MARKED). */
void concurrent_cut_short(void);

/* With the world stopped: the threads are gone; what they have left, and what is told from now on, is marked by mark_all, by as
 * many markers as mark_begin was told. 0, or an errno value: then the marking must be given up (concurrent_forget). */
int concurrent_join(void);

/* Gives up, with the world stopped or not, before or after concurrent_join: the threads are gone and all marks are as they were
 * before, and of new objects clear. Not after mark_end, which is done here. */
void concurrent_forget(void);

/* The program is about to take the right to read [lo, hi) away, whether anything is being marked or not: nobody reads there any
 * more when this returns. And has done so. Without a lock; from any thread. */
unsigned concurrent_bar(uintptr_t lo, uintptr_t hi);
void concurrent_barred(unsigned number);

/* In the child there is no marker, and some objects are marked. They stay so until concurrent_restore, which must come before
 * marks are looked at, and does nothing if there is nothing to do; with the heap lock. */
void concurrent_fork_child(void);
void concurrent_restore(void);

#endif
