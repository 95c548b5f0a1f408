/* SPDX-License-Identifier: MIT
 * See census.h. */
#include "config.h"

#include "gc/census.h"

#include "heap/heap.h"

#include <string.h>

void census_take(struct census *census) {
  struct block *block;
  memset(census, 0, sizeof *census);
  heap_lock();
  for (size_t unit = 0; (block = region_next(&unit)) != NULL; unit += block->units)
    for (uint32_t slot = 0; slot < block->nslots; slot++) {
      uint8_t state = ((volatile uint8_t *)block->state)[slot];
      if (!state_is_live(state) || state & STATE_FROZEN) continue;
      unsigned age = state & STATE_AGE_2 ? 2 : state & STATE_AGE_1 ? 1 : 0;
      census->objects[age]++;
      census->bytes[age] += block_slot_bytes(block);
    }
  heap_unlock();
}
