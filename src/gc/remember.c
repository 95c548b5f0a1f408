/* SPDX-License-Identifier: MIT
 * Old objects' pointers to young ones: the baseline, which looks at all of them. */
#include "config.h"

#include "gc/remember.h"

#include "gc/mark.h"
#include "heap/sweep.h"

void remember_init(enum track_way wanted) { (void)wanted; }

enum track_way remember_way(const char **why) {
  *why = "every old object is looked at";
  return TRACK_SCAN;
}

static bool remember_is_older(const struct block *block, uint8_t state, unsigned generation) {
  unsigned age = state & STATE_AGE_2 ? 2 : state & STATE_AGE_1 ? 1 : 0;
  return state_is_live(state) && (age > generation || state & STATE_FROZEN || (age > 0 && sweep_policies[block->kind] == SWEEP_NEVER));
}

void remember_scan(unsigned generation, struct remember_counts *counts) {
  struct block *block;
  for (size_t unit = 0; (block = region_next(&unit)) != NULL; unit += block->units) {
    if (!kind_is_scanned(block->kind)) continue;
    counts->pages_scanned += block->units * (size_t)(block_unit / 4096);
    for (uint32_t slot = 0; slot < block->nslots; slot++)
      if (remember_is_older(block, block->state[slot], generation)) mark_contents(block, slot);
  }
}

void remember_promoted(unsigned generation) { (void)generation; }
bool remember_begin_concurrent(void) { return false; }
void remember_scan_concurrent(struct remember_counts *counts) { (void)counts; }
void remember_fork_child(void) {}
