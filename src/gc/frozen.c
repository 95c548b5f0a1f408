/* SPDX-License-Identifier: MIT
 * See frozen.h. */
#include "config.h"

#include "gc/frozen.h"

#include "gc/covered.h"
#include "gc/remember.h"
#include "heap/sweep.h"

static _Atomic bool frozen_is_any;

static void frozen_freeze(struct block *block, void *arg) {
  (void)arg;
  for (uint32_t slot = 0; slot < block->nslots; slot++)
    if (state_is_live(block->state[slot])) block->state[slot] = STATE_LIVE | STATE_AGE_2 | STATE_FROZEN;
}

static void frozen_thaw(struct block *block, void *arg) {
  (void)arg;
  for (uint32_t slot = 0; slot < block->nslots; slot++)
    if (state_is_live(block->state[slot]) && block->state[slot] & STATE_FROZEN)
      block->state[slot] = STATE_LIVE | STATE_AGE_2 | sweep_colour;
}

void frozen_set(bool frozen) {
  covered_each(frozen ? frozen_freeze : frozen_thaw, NULL);
  frozen_is_any = frozen;
  remember_promoted(0); /* what was new is of age 1 now */
}

bool frozen_any(void) { return frozen_is_any; }
