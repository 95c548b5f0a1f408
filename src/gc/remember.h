/* SPDX-License-Identifier: MIT
 * Which old objects may point to younger ones: the pages to look into in a minor collection.
 *
 * Baseline: all pages of the heap with old objects in them. Where the kernel tracks writes (os/track.h), a page that was
 * looked into is protected, once it has been left alone for a number of collections, and skipped until it is written
 * again; a page that is found written is left unprotected for a number of collections that doubles, so that the faults per
 * page are bounded however hot it is. For each page the youngest age its objects point to is kept, so that generation 1
 * is found again by a collection of generation 1.
 *
 * All with the world stopped and the heap lock held, unless said otherwise. */
#ifndef GLEANER_REMEMBER_H
#define GLEANER_REMEMBER_H

#include "os/track.h"

struct remember_counts {
  size_t pages_scanned, pages_skipped;
  uint64_t faults; /* pages that were protected and found written: what tracking cost the program */
};

/* Called once, before the first collection, without any lock. wanted: as the option says. */
void remember_init(enum track_way wanted);
/* What is used, and why: one sentence without a full stop. */
enum track_way remember_way(const char **why);

/* Marks, from every object older than the generation (or frozen, or of a kind whose policy is SWEEP_NEVER and not new), what it
 * points to of the ages up to the generation. The colour has been set (mark_use). */
void remember_scan(unsigned generation, struct remember_counts *counts);

/* Also looks into the pages that were skipped: for before anything is given up that the program owns. What it frees it may be handed
 * again at the same address, compare with what an old object still says, and be content; nothing is written then. */
void remember_scan_rest(unsigned generation, struct remember_counts *counts);

/* A collection of that generation is over and has promoted what it reached (of generation 2: will have, when it is swept). Not
 * when it was given up. Freezing and unfreezing count as generation 0. */
void remember_promoted(unsigned generation);

/* Concurrent marking. begin: as many pages as is sensible are protected. scan: for each old page written since (or never
 * protected), the marked objects in it are looked into again. False from begin: writes can't be tracked. */
bool remember_begin_concurrent(void);
void remember_scan_concurrent(struct remember_counts *counts);
/* It was given up: what was protected without a look is looked into again. */
void remember_forget_concurrent(void);

void remember_fork_child(void);

#endif
