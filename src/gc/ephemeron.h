/* SPDX-License-Identifier: MIT
 * Ephemerons: a value that lives as long as its key and the map that it is in, and does not itself keep the key. Knows keys, values and maps;
 * what a map is to the program is api's affair.
 *
 * An entry is in no memory that is looked into: that the value lives is found in settle_mark. All is under the watch lock. */
#ifndef GLEANER_EPHEMERON_H
#define GLEANER_EPHEMERON_H

#include "gc/watch.h"

struct ephemeron;
struct ephemeron_map;

/* An empty one that is gone when the object is. NULL: no memory. */
struct ephemeron_map *ephemeron_map_make(uintptr_t object);

/* The entry of the key, where an object begins; NULL: there is none. */
struct ephemeron *ephemeron_find(struct ephemeron_map *map, uintptr_t key);
uintptr_t ephemeron_key(const struct ephemeron *entry);
uintptr_t ephemeron_value(const struct ephemeron *entry);
/* The value, any word, of a key, which the caller holds. 0, or EINVAL: no object begins there, or it is at its end; ENOMEM. */
int ephemeron_set(struct ephemeron_map *map, uintptr_t key, uintptr_t value);
void ephemeron_remove(struct ephemeron *entry);
size_t ephemeron_count(const struct ephemeron_map *map);
/* All of a map, the newest first. */
struct ephemeron *ephemeron_first(const struct ephemeron_map *map);
struct ephemeron *ephemeron_next(const struct ephemeron *entry);

/* --- for settle.c --- */

/* World stopped. All is marked but values: marks those whose keys and maps live, and what they lead to, until there are no more. Again: of those that
 * were left, after more was marked. */
void ephemeron_mark(unsigned generation);
void ephemeron_mark_again(unsigned generation);
/* Dead entries go, and those of dead maps; or none. */
void ephemeron_commit(unsigned generation);
void ephemeron_forget(void);
/* The program running: the object is at its end. */
void ephemeron_freed(uintptr_t object);

#endif
