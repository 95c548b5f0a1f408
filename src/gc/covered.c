/* SPDX-License-Identifier: MIT
 * See covered.h. */
#include "config.h"

#include "gc/covered.h"

#include <string.h>

/* Eight units at a time. */
void covered_each_aged(uint8_t ages, covered_visit *visit, void *arg) {
  size_t used = atomic_load(&region.used);
  uint64_t wanted = ages * (uint64_t)0x0101010101010101;
  for (size_t unit = 0; unit < used;) {
    uint64_t eight;
    memcpy(&eight, (const void *)&region.ages[unit], sizeof eight);
    if (unit % sizeof eight == 0 && !(eight & wanted)) {
      unit += sizeof eight;
      continue;
    }
    struct block *block = atomic_load(&region.ages[unit]) & ages ? atomic_load(&region.blocks[unit]) : NULL;
    bool first = block && block_first_unit(block) == unit;
    if (first) visit(block, arg);
    unit += first ? block->units : 1;
  }
}

void covered_each(covered_visit *visit, void *arg) {
  struct block *block;
  for (size_t unit = 0; (block = region_next(&unit)) != NULL;) {
    size_t units = block->units; /* it may be unmade */
    visit(block, arg);
    unit += units;
  }
}

void covered_each_of(unsigned generation, covered_visit *visit, void *arg) {
  if (generation == 2) covered_each(visit, arg);
  else covered_each_aged(generation == 0 ? REGION_AGE_0 : REGION_AGE_0 | REGION_AGE_1, visit, arg);
}

uint8_t covered_ages(const struct block *block) { return atomic_load(&region.ages[block_first_unit(block)]); }

void covered_set_ages(const struct block *block, uint8_t ages) {
  size_t at = block_first_unit(block);
  for (uint32_t i = 0; i < block->units; i++) atomic_store_explicit(&region.ages[at + i], ages, memory_order_relaxed);
}
