/* SPDX-License-Identifier: MIT
 * The whole-heap verifier: executable documentation of what always holds. */
#include "config.h"

#include "heap/cache.h"
#include "heap/heap.h"
#include "heap/runs.h"

/* Outside a search no mark is left, and nothing has a state that it cannot have. */
static bool verify_states(const struct block *block) {
  for (uint32_t i = 0; i < block->nslots; i++)
    if (block->state[i] != STATE_FREE && block->state[i] != STATE_LIVE) return false;
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
  heap_unlock();
  bool cache_good = !mine || cache_check(mine);
  CHECK(runs_good);
  CHECK(blocks_good);
  CHECK(states_good);
  CHECK(cache_good);
  return runs_good && blocks_good && states_good && cache_good;
}
