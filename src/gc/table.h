/* SPDX-License-Identifier: MIT
 * A hash table of entries that hold their own links: it doubles as it fills, and allocates nothing else. Whoever uses it has a lock. */
#ifndef GLEANER_TABLE_H
#define GLEANER_TABLE_H

#include "base/base.h"

struct table_link {
  struct table_link *same, **at; /* next in the chain, and what points here */
};

struct table {
  uintptr_t (*key)(const struct table_link *link); /* what entries are found by, as far as one word tells; set once */
  struct table_link **bucket;                      /* NULL: nothing was ever put in */
  size_t buckets, count;                           /* buckets: a power of two */
};

/* Before one more is put in. False: no memory, and no table yet; without memory for a larger one the chains of the old one grow. */
bool table_make_room(struct table *table);
/* In front of its chain, so that of equal ones the newest is found first. */
void table_put(struct table *table, struct table_link *link);
/* At once, however long the chain is. */
void table_remove(struct table *table, struct table_link *link);
/* The chain in which all of this key are, among others. */
struct table_link *table_chain(const struct table *table, uintptr_t key);

#endif
