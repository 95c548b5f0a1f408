/* SPDX-License-Identifier: MIT
 * Stepping over frames by full rules. */
#include "config.h"

#include "site/frame.h"

static bool frame_peek(const struct frame *frame, uintptr_t address, uintptr_t *word) {
  if (address % 8 != 0 || !range_holds(&frame->range, address)) return false;
  *word = *(const uintptr_t *)address;
  return true;
}

static bool frame_address(const struct frame *frame, struct rule_place place, uintptr_t cfa, uintptr_t *out) {
  uintptr_t base = cfa;
  if (place.base < rule_saved) base = frame->at.saved[place.base];
  else if (place.base == RULE_SP) base = frame->at.sp;
  else if (place.base != RULE_CFA) return false;
  *out = base + (uintptr_t)(intptr_t)place.offset;
  return true;
}

bool frame_step(struct frame *frame) {
  struct rule *rule = &frame->rule;
  struct site_registers caller = frame->at;
  uintptr_t cfa, ra;
  rule_learn_full(frame->at.pc, frame->exact, frame->range.hi - frame->at.sp, rule);
  if (rule->kind < RULE_BY_SP) return false;
  if (!frame_address(frame, (struct rule_place){rule->cfa_offset, rule->cfa_base}, 0, &cfa)) return false;
  if (rule->deref && !frame_peek(frame, cfa, &cfa)) return false;
  cfa += (uintptr_t)(intptr_t)rule->cfa_add;
  /* What was saved lies on the frame's own stack, but for a CFA on another, just below that. */
  struct frame there = *frame;
  if (!range_holds(&frame->range, cfa - 8) && rule->deref) there.range = range_of(frame->ranges, cfa - 8);
  if (!frame_address(frame, rule->ra, cfa, &ra)) return false;
  if (!frame_peek(rule->ra.base == RULE_CFA ? &there : frame, ra, &caller.pc)) return false;
  for (int i = 0; i < rule_saved; i++) {
    struct rule_place place = rule->saved[i];
    uintptr_t address;
    if (place.base == RULE_SAME) continue;
    if (!frame_address(frame, place, cfa, &address) ||
        !frame_peek(place.base == RULE_CFA ? &there : frame, address, &caller.saved[i]))
      caller.saved[i] = 0;
  }
  caller.sp = cfa;
  if ((cfa <= frame->at.sp && !rule->deref) || caller.pc == 0) return false;
  if (!range_holds(&there.range, cfa - 8)) return false;
  frame->at = caller;
  frame->exact = rule->signal;
  frame->range = there.range;
  return true;
}

void frame_begin(struct frame *frame, struct range *ranges) {
  frame->exact = true;
  frame->ranges = ranges;
  frame->range = range_of(ranges, frame->at.sp);
}
