/* SPDX-License-Identifier: MIT
 * Several markers at one search: who works, who waits, and how work goes from one to the other.
 *
 * A marker that has nothing left takes from a pool; when the pool is empty the others are asked, and each gives the oldest
 * entries of its stack, which lead furthest, at the next chance. All is done when nobody is at work and the pool is empty.
 *
 * Marker 0 is the thread that tells ranges; the others are threads of ours (os/spawn.h), made when there is enough to do and
 * gone when it is done. With fewer than asked for, or none, all goes on as well. */
#ifndef GLEANER_WORKERS_H
#define GLEANER_WORKERS_H

#include "gc/marker.h"

/* How many markers a heap with so many bytes deserves on this machine. */
unsigned workers_best(size_t heap_bytes);

/* A search begins, with so many markers at most; it is over. stop: asked by a marker that is alone while it works; when it has returned not 0
 * the marker should stop, and the search has been given up. NULL: nobody is asked. */
void workers_begin(unsigned markers, int (*stop)(void));
bool workers_gave_up(void);
void workers_end(void);
unsigned workers_count(void); /* markers that worked, the first included */

/* Called by a marker now and then while mark_attention is not 0. True: it should stop. */
bool workers_attend(struct marker *m);

/* Marker 0 goes on until nothing is left anywhere. */
void workers_all(struct marker *m);

/* --- in the background: concurrent.c --- */

/* Threads for markers 0 to count - 1 (0: half of all), as many as are to be had: returns how many. over(): nothing is left anywhere; called
 * once, by the last of them, unless they are stopped. */
unsigned workers_go(unsigned count, void (*over)(void));
/* Each stops soon, with what it has left on its stack, and marker 0 with the pool's; returns when all are gone. */
void workers_stop(void);
/* Returns when nobody reads anything of the program's; until workers_resume. */
void workers_pause(void);
void workers_resume(void);

void workers_fork_child(void);

#endif
