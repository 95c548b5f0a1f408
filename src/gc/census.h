/* SPDX-License-Identifier: MIT
 * How many objects there are of each generation. Knows states; knows nothing of collections. */
#ifndef GLEANER_CENSUS_H
#define GLEANER_CENSUS_H

#include "gc/collect.h"

struct census {
  size_t objects[collect_generations], bytes[collect_generations];
};

/* By looking at all of them; what is frozen is of none. Approximate while the program runs. Takes the heap lock. */
void census_take(struct census *census);

#endif
