/* SPDX-License-Identifier: MIT
 * Frames with all the registers that outlive calls: slow and for every frame. The walk that captures
 * (walk.h) comes here for the few frames that sp and rbp do not suffice for. Must not know what the frames
 * are wanted for. */
#ifndef GLEANER_FRAME_H
#define GLEANER_FRAME_H

#include "site/range.h"
#include "site/rule.h"

struct frame {
  struct site_registers at;
  bool exact; /* interrupted at pc, not called from before it */
  struct range *ranges, range;
  struct rule rule; /* of the frame that was left by the last step */
};

/* frame->at is set, by site_here; ranges are the thread's, or zero. */
void frame_begin(struct frame *frame, struct range *ranges);

/* One frame out. False at the end of the stack. Takes LOCK_UNWIND. */
bool frame_step(struct frame *frame);

#endif
