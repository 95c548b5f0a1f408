/* SPDX-License-Identifier: MIT
 * A dumped heap told to people. */
#ifndef GLEANER_HEAP_TEXT_H
#define GLEANER_HEAP_TEXT_H

#include "report/dumped.h"

#include <stdio.h>

/* What the object is, where it was allocated, and the shortest way from a root to it. False: nothing leads to it. */
bool heap_text_why(FILE *out, struct dumped *dumped, uint32_t object);

enum heap_by { HEAP_BY_SITE, HEAP_BY_SIZE, HEAP_BY_GENERATION, HEAP_BY_RETAINED };

/* A table, the largest first: at most limit lines. */
void heap_text_top(FILE *out, struct dumped *dumped, enum heap_by by, unsigned limit);

#endif
