/* SPDX-License-Identifier: MIT
 * A random mutator of a graph of objects that a collector looks after: threads that come and go allocate, link, unlink,
 * move, hand over, resize and free, and fork in the middle. At checkpoints all stand still, some with pointers in registers
 * alone, a generation is collected, and the graph is compared with its shadow: nothing live is gone or changed,
 * and what is dead is gone after some full collections.
 *
 * PROGRAM [THREADS [CHECKPOINTS [OPERATIONS [FORKS [SECONDS [BALLAST]]]]]]: operations are those of all threads between two
 * checkpoints; after so many seconds no further checkpoint comes; ballast is the length of a list that is never changed. GLEANER_SEED repeats a run as far as threads can
 * be repeated. */
#ifndef GRAPH_H
#define GRAPH_H

#include "shadow.h"

struct graph_kind {
  const char *name;
  void *(*allocate)(size_t size);
  enum shadow_kind kind;
  bool zeroed;
  unsigned weight; /* how often, in relation to the others */
};

struct graph_setup {
  const struct graph_kind *kinds;
  unsigned kind_count;
  void *(*resize)(void *p, size_t size);
  void (*release)(void *p);
  bool (*is_object)(void *p);        /* an object begins at p */
  bool (*collect)(unsigned generation); /* false: nothing was done, which is no error */
  void (*disable)(void);             /* no collection but those asked for, until as often enabled; NULL: cannot be had */
  void (*enable)(void);
  void (*add_root)(void *lo, void *hi); /* NULL: all memory is a root */
  void *(*hold)(size_t size);        /* an object that is never collected, and whose address nobody knows; NULL: there is none */
  unsigned full_collections;         /* after so many all that is dead is gone */
  unsigned release_percent;          /* of what is known to be dead so much is freed */
};

/* Says what was found, and returns what is known of the amounts. */
struct graph_facts {
  size_t live_bytes; /* at most, at a checkpoint */
  size_t dead_bytes; /* of objects that died unfreed */
  unsigned collections;
};
struct graph_facts graph_main(int argc, char **argv, const struct graph_setup *setup);

#endif
