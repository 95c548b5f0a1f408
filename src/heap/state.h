/* SPDX-License-Identifier: MIT
 * The state of a slot: one byte, which is its whole life.
 *
 *   FREE --malloc--> LIVE --free--> FREE
 *
 *   bit 0  live     handed out, not yet freed
 *   bit 1  (held    freed but quarantined: guard)
 *   bit 2  mark     reached from the roots
 *   bit 3  leak     reached from leaked memory           } during a leak search only
 *   bit 4  entry    the leak from which others are lost  }
 *   bit 5-6 (age)   (generation)
 *   bit 7  absent   no such slot: pads the last group of a block
 *
 * The byte is the only truth: the free words of the thread caches are merely hints, taken from FREE bytes that no
 * other thread may hand out, so nothing needs repair when a thread vanishes with one. A thread stores LIVE when it
 * hands a slot out and FREE when it gives one back; nobody else writes the byte unless the world is stopped. */
#ifndef GLEANER_STATE_H
#define GLEANER_STATE_H

enum {
  STATE_FREE = 0,
  STATE_LIVE = 1 << 0,
  STATE_HELD = 1 << 1,
  STATE_MARK = 1 << 2,
  STATE_LEAK = 1 << 3,
  STATE_ENTRY = 1 << 4,
  STATE_CYCLE = 1 << 5, /* with ENTRY, during a leak search: the entry is reachable from itself */
  STATE_LOST = 1 << 6,  /* during a leak search: reached from an entry */
  STATE_ABSENT = 1 << 7,
};

#endif
