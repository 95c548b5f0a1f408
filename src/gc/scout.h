/* SPDX-License-Identifier: MIT
 * Scouts: marking ahead of the marker, for structures that give it one object at a time.
 *
 * A long list laid out at random costs the marker a full memory latency for each node, since the next address
 * is only known when the last node has arrived. Scouts start at live objects picked at random and follow what
 * they find, a few dozen at once, so that their misses overlap. What a scout visits is not marked, for nothing
 * says that it is reachable: it is painted MARK_SCOUTED and noted in the log of a segment, in which two things
 * are written down,
 *
 *   the state byte of every object visited, and
 *   every word found in them that leads elsewhere (to another's object, a large one, or one branch too many).
 *
 * So all that is reachable from a segment's first object is what its log holds and leads to. When the marker
 * comes to that first object, it marks the log from end to end, without touching an object, and goes on with
 * the words. An object in the middle of a segment tells nothing about the rest: the marker looks into it as
 * into any other.
 *
 * What no marker came to is wiped at the end, so the result is exactly the same with scouts and without. */
#ifndef GLEANER_SCOUT_H
#define GLEANER_SCOUT_H

#include "gc/marker.h"

/* Sends scouts out; silently none when memory is short. */
void scouts_begin(struct marker *m);
/* Each goes on by half an object: asks for memory that it will need at the next call. */
void scouts_step(struct marker *m);
/* A segment taken from the stack. */
void scouts_mark_segment(struct marker *m, size_t number);
/* Calls them back: states are as if they had never been. */
void scouts_end(struct marker *m);

#endif
