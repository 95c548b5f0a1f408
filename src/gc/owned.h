/* SPDX-License-Identifier: MIT
 * What the program owns (malloc'ed memory that is collected): it is given up only after a closer look at what might lead to it, and not before the
 * second collection that finds it unreachable.
 *
 * Knows what is condemned and how it is marked; knows nothing of roots, nor of how collections go. With the world stopped, when everything else
 * has been marked; facts->generation tells of which ages. */
#ifndef GLEANER_OWNED_H
#define GLEANER_OWNED_H

#include "gc/collect.h"

/* Marks what only a closer look finds, with what it leads to. False: something could not be read, so nothing may be given up. */
bool owned_look_closer(struct collection *facts);

/* What is condemned for the first time becomes suspect, and is marked with what it leads to. Counts it. */
void owned_spare(struct collection *facts);

#endif
