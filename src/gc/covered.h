/* SPDX-License-Identifier: MIT
 * The blocks that a collection covers: by the table of ages (region.ages), which tells for each unit of the heap what may lie in it.
 *
 * Knows ages; knows nothing of what is done with the blocks. With the world stopped. */
#ifndef GLEANER_COVERED_H
#define GLEANER_COVERED_H

#include "heap/heap.h"

typedef void covered_visit(struct block *block, void *arg); /* may unmake it */

/* Every block; every block that may hold objects of these ages (REGION_AGE_0 and 1); every one that holds objects which a collection of
 * this generation looks at. */
void covered_each(covered_visit *visit, void *arg);
void covered_each_aged(uint8_t ages, covered_visit *visit, void *arg);
void covered_each_of(unsigned generation, covered_visit *visit, void *arg);

uint8_t covered_ages(const struct block *block);
void covered_set_ages(const struct block *block, uint8_t ages);

#endif
