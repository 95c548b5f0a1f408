/* SPDX-License-Identifier: MIT
 * The state of a slot: one byte, which is its whole life.
 *
 *   FREE --malloc--> LIVE --free--> FREE
 *                      \--found unreachable: sweep--> FREE, or HELD with poison=1 --later--> FREE
 *
 *   bit 0  live     handed out, not yet freed
 *   bit 1  held     given up, but not to be handed out yet
 *   bit 2  mark     colour; see below
 *   bit 3-4 age     0 (both clear), 1, or 2: the generation
 *   bit 5  frozen   out of all collections
 *   bit 6  suspect  the last collection that looked found it unreachable
 *   bit 7  absent   no such slot: pads the last group of a block
 *
 * The byte is the only truth: the free words of the thread caches are merely hints, taken from FREE bytes that no
 * other thread may hand out, so nothing needs repair when a thread vanishes with one. A thread stores LIVE when it
 * hands a slot out and FREE when it gives one back; nobody else writes the byte unless the world is stopped, or by
 * an atomic exchange of the value that was read, as the marker and the sweeper do while the program runs.
 *
 * The colour. An object is born LIVE, with age 0 and the mark clear, and is *new* as long as it is exactly that: no
 * full collection takes it into account, and a young one knows it from those it has reached by the mark. From age 1
 * on, the mark of an object that is not being looked at equals sweep_colour (heap/sweep.h); a full marking inverts the
 * marks of what it reaches, and then sweep_colour. So nothing needs to be cleaned afterwards, and what was not
 * reached can be swept at leisure. */
#ifndef GLEANER_STATE_H
#define GLEANER_STATE_H

enum {
  STATE_FREE = 0,
  STATE_LIVE = 1 << 0,
  STATE_HELD = 1 << 1,
  STATE_MARK = 1 << 2,
  STATE_AGE_1 = 1 << 3,
  STATE_AGE_2 = 1 << 4,
  STATE_AGE = STATE_AGE_1 | STATE_AGE_2,
  STATE_FROZEN = 1 << 5,
  STATE_SUSPECT = 1 << 6,
  STATE_ABSENT = 1 << 7,

  /* A leak search, in whose mode nothing is ever collected, has its own meaning for the bits of the ages. */
  STATE_LEAK = 1 << 3,  /* reached from leaked memory */
  STATE_ENTRY = 1 << 4, /* the leak from which others are lost */
  STATE_CYCLE = 1 << 5, /* with ENTRY: the entry is reachable from itself */
  STATE_LOST = 1 << 6,  /* reached from an entry */

  STATE_OWNED = STATE_LIVE | STATE_HELD | STATE_ABSENT,
};

/* Handed out and not given up: may be freed. Whatever else the collector knows of it. */
#define state_is_live(state) (((state) & STATE_OWNED) == STATE_LIVE)

#endif
