/* SPDX-License-Identifier: MIT
 * The whole-heap verifier: executable documentation of what always holds. */
#include "config.h"

#include "heap/cache.h"
#include "heap/heap.h"
#include "heap/runs.h"
#include "heap/units.h"

/* Nothing has a state that it cannot have: live or held or free, of an age that there is, and new only where that is
 * noted. */
static bool verify_state(const struct block *block, uint32_t slot) {
  uint8_t state = ((const volatile uint8_t *)block->state)[slot];
  if (region.live_mask != STATE_OWNED) return state == STATE_FREE || state == STATE_LIVE;
  if (state == STATE_FREE || (state & STATE_OWNED) == STATE_HELD) return true;
  if (state == STATE_LIVE) return block->young >> (slot / block_group) & 1;
  return state_is_live(state) && (state & STATE_AGE) != 0 && (state & STATE_AGE) != STATE_AGE;
}

static bool verify_states(const struct block *block) {
  for (uint32_t i = 0; i < block->nslots; i++)
    if (!verify_state(block, i)) return false;
  return true;
}

bool heap_verify(struct cache *mine) {
  heap_lock();
  bool runs_good = runs_verify(), blocks_good = true, states_good = true;
  size_t unit = 0;
  for (struct block *block; (block = region_next(&unit)) != NULL; unit += block->units) {
    blocks_good = blocks_good && block_check(block);
    states_good = states_good && verify_states(block);
  }
  bool units_good = units_check();
  heap_unlock();
  bool cache_good = !mine || cache_check(mine);
  CHECK(runs_good);
  CHECK(blocks_good);
  CHECK(units_good);
  CHECK(states_good);
  CHECK(cache_good);
  return runs_good && blocks_good && units_good && states_good && cache_good;
}
