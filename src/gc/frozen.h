/* SPDX-License-Identifier: MIT
 * What is frozen: taken out of all collections, as Python's gc.freeze does. It is never given up, and a root of full collections. */
#ifndef GLEANER_FROZEN_H
#define GLEANER_FROZEN_H

#include "base/base.h"

/* Everything alive is frozen, or nothing any more: then it is of the oldest generation. With the world stopped, when what is new has its colour. */
void frozen_set(bool frozen);

bool frozen_any(void);

#endif
