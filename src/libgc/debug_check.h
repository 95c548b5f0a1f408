/* SPDX-License-Identifier: MIT
 * What collections find: noted at once, told when the program runs again. */
#ifndef GLEANER_LIBGC_DEBUG_CHECK_H
#define GLEANER_LIBGC_DEBUG_CHECK_H

#include "api/alloc.h"
#include "libgc/debug.h"

enum check_what { CHECK_SMASHED, CHECK_WRITTEN, CHECK_LEAKED };

struct check_note {
  enum check_what what;
  const void *at; /* the byte that was written; of a leak: nothing */
  struct debug_told told;
};

/* Any thread, any time, but nothing waits: where there is no room only their number is told. */
void check_note(const struct check_note *note);

/* Tells all that was noted: how many of them are leaks. The program runs. */
unsigned check_tell(void);

/* In debug.c: for functions without debug. */
extern const struct alloc_displaced debug_displaced;

/* --- findleak.c --- */

/* An object is being given up, by any thread; the block may be read, the slot where readable. debug: it is one. */
void findleak_given_up(struct block *block, uint32_t slot, bool debug);
/* After a collection: so many leaks have been told. */
void findleak_told(unsigned leaked);

#endif
