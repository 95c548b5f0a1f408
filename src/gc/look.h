/* SPDX-License-Identifier: MIT
 * Looking into parts of blocks, for closing.c and remember.c: which slots are wanted, what their words lead to, whether anything has
 * changed. Knows states and words; knows nothing of collections or of write tracking. */
#ifndef GLEANER_LOOK_H
#define GLEANER_LOOK_H

#include "heap/block.h"

enum {
  look_page = 4096,
  look_none = 2, /* the youngest age of what matters to nobody */
  look_slack = sizeof(uintptr_t) - 1, /* by which words that begin at any byte reach over bounds */
};

/* A live slot is wanted when (state ^ flip) & any, or with new_too when its age is 0. */
struct look_wanted {
  uint8_t flip, any;
  bool new_too;
};

/* Calls each(lo, hi, arg) for the parts of wanted slots in [lo, hi), of one block, neighbours merged; slack: bytes by which a
 * part may reach beyond these bounds, where its slot does. Whether there was any. */
typedef void look_part(uintptr_t lo, uintptr_t hi, void *arg);
bool look_parts(const struct block *block, uintptr_t lo, uintptr_t hi, uintptr_t slack, const struct look_wanted *wanted,
                look_part *each, void *arg);

/* How many slots of the block are wanted. */
uint32_t look_count(const struct block *block, const struct look_wanted *wanted);

/* 0 or 1 when a word in the live slots of a page leads to a live object of that age, else look_none. With slack, words may begin
 * at any byte. The page, and the slack, are readable. */
unsigned look_youngest(const struct block *block, uintptr_t page, uintptr_t slack);

/* A few bits that change when the page does, most likely. The page is readable. */
uint16_t look_print(uintptr_t page);

#endif
