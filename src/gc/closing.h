/* SPDX-License-Identifier: MIT
 * Which pages of the heap are closed, for remember.c alone: the records, and when it pays to close a page. Knows looks and
 * costs; knows nothing of generations, or of what a look is for.
 *
 *   open    unprotected: the kernel tells it, and it must be looked into, each time
 *   closed  protected: the kernel tells it when it is written, and then it is open. Its record has the youngest age that its live
 *           slots point to, or less
 *
 * To close pages costs a call, which flushes the processors' tables, and a fault for each that is written again. A page is
 * *ready* when it was found unchanged (by a print of its contents) in some looks on end, whose number doubles each time that it is
 * written soon after it was closed. Ready pages with nothing in between but closed ones, and such as are hardly ever
 * written, are a run, which one call closes once the looks spent on it come to what that costs. So the faults of a page are bounded,
 * however hot it is, and looking in vain costs no more than protecting in vain would have. Huge pages are closed whole; to
 * split one takes more looks, since all who walk the heap lose it. */
#ifndef GLEANER_CLOSING_H
#define GLEANER_CLOSING_H

#include "gc/look.h"
#include "os/track.h"

enum {
  closing_unit_pages = block_unit / look_page,
  closing_unknown = look_none + 1, /* youngest of an open page: what the last look found does not tell */
};

struct closing_page {
  uint16_t print; /* of its contents at the last look; 0: none */
  uint8_t alone;  /* open: looks that found it unchanged, on end; closed: the number of the scan that closed it */
  uint8_t closed : 1, level : 3; /* it is ready after 1 << level looks */
  uint8_t busy : 2;     /* open: looks that found it changed, on end; no more than closing_busy_most */
  uint8_t youngest : 2; /* age; of an open page that was looked into in this scan look_none or closing_unknown */
};

/* NULL when memory is refused, or there is none yet and make is false: the page is open then. */
struct closing_page *closing_of(uintptr_t at, bool make);
size_t closing_count(void);

/* A scan begins. way: what the tracker does. unseen: what is closed is not looked into, and points to nobody knows what (0). */
void closing_begin(enum track_way way, bool unseen);
/* This open page is now looked into, or (unseen) might be closed, in rising order. good: it may be closed; its record is there, and
 * youngest set. Closes what was told before when a run is over; at the end closing_finish does. */
void closing_tell(uintptr_t at, bool good);
void closing_finish(void);

/* A closed page was written. */
void closing_reopen(uintptr_t at, struct closing_page *page);

/* Opens the closed pages of those units that will be written soon, where many lie together: one call in place of a fault each. */
void closing_open(bool (*soon)(uintptr_t unit));

/* Nothing is closed, as is so for the tracker when it begins. */
void closing_forget(void);

/* Calls each for every unit in which closed pages point to these REGION_AGE_ ages: it may change their youngest. */
void closing_each(uint8_t ages, void (*each)(uintptr_t unit, struct closing_page *pages));

#endif
