/* SPDX-License-Identifier: MIT
 * Chains in a table that doubles. Must not know what is in it. */
#include "config.h"

#include "gc/table.h"

#include "os/memory.h"

enum { table_first = 1024 };

static struct table_link **table_bucket(const struct table *table, uintptr_t key) {
  return &table->bucket[key * 0x9e3779b97f4a7c15u >> 20 & (table->buckets - 1)];
}

static void table_link(struct table *table, struct table_link *link) {
  struct table_link **bucket = table_bucket(table, table->key(link));
  link->same = *bucket;
  link->at = bucket;
  if (link->same) link->same->at = &link->same;
  *bucket = link;
}

/* The old table is lost: all of them together are as large as the last one. */
bool table_make_room(struct table *table) {
  if (table->count < table->buckets) return true;
  size_t old = table->buckets, buckets = old ? 2 * old : table_first;
  struct table_link **before = table->bucket, **bucket = os_arena_alloc(buckets * sizeof(struct table_link *), 64);
  if (!bucket) return old > 0;
  table->bucket = bucket;
  table->buckets = buckets;
  for (size_t i = 0; i < old; i++)
    for (struct table_link *link = before[i], *next; link; link = next) {
      next = link->same;
      table_link(table, link);
    }
  return true;
}

void table_put(struct table *table, struct table_link *link) {
  table_link(table, link);
  table->count++;
}

void table_remove(struct table *table, struct table_link *link) {
  *link->at = link->same;
  if (link->same) link->same->at = link->at;
  table->count--;
}

struct table_link *table_chain(const struct table *table, uintptr_t key) {
  return table->buckets ? *table_bucket(table, key) : NULL;
}
