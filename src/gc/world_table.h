/* SPDX-License-Identifier: MIT
 * The threads that a stop has met, by tid. For world.c alone, under LOCK_WORLD. */
#ifndef GLEANER_WORLD_TABLE_H
#define GLEANER_WORLD_TABLE_H

#include "gc/world.h"

enum world_progress { WORLD_NEW, WORLD_SIGNALLED, WORLD_PARKED, WORLD_DEAF, WORLD_GONE };

struct world_entry {
  pid_t tid;
  uint8_t progress;
  uint8_t deaf_seen;
};

/* One mapping, kept from stop to stop: threads, entries, and a hash of twice as many places from tid to entry number
 * + 1. */
struct world_table {
  struct world_thread *threads; /* what the caller of world_stop gets; [0] is self */
  struct world_entry *entries;
  uint32_t *hash;
  size_t count, capacity;
};
extern struct world_table world;

/* Empties it, and makes it at first. False when memory is short. */
bool world_table_clear(void);
/* The entry of a tid, made if there is none; NULL when memory is short. */
struct world_entry *world_enter(pid_t tid);

#endif
