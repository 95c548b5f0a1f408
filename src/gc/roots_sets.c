/* SPDX-License-Identifier: MIT
 * What the client says is a root, or is none. Knows ranges; knows nothing of what lies in them.
 *
 * Under the heap lock, which a collection holds before it stops the world: so no thread is stopped in the midst of a
 * change. */
#include "config.h"

#include "gc/rooting.h"

#include "base/bits.h"
#include "heap/heap.h"
#include "os/memory.h"

#include <errno.h>

struct roots_set roots_added, roots_excluded, roots_kept;

/* Room for so many in the spare list. */
static bool roots_set_prepare(struct roots_set *set, size_t count) {
  if (set->spare == set->list) set->spare = NULL; /* a fork came between the two steps of a change */
  size_t most = set->spare ? set->spare->most : 0;
  if (count <= most) return true;
  size_t bytes = bits_align_up(sizeof *set->spare + 2 * count * sizeof set->spare->at[0], os_page_size);
  struct roots_list *more = os_memory_map(bytes);
  if (!more) return false;
  more->most = (bytes - sizeof *more) / sizeof more->at[0];
  if (set->spare) os_memory_unmap(set->spare, bits_align_up(sizeof *more + most * sizeof more->at[0], os_page_size));
  set->spare = more;
  return true;
}

/* What was put together in the spare list is the set now: at once, so that a fork child finds the old or the new. */
static void roots_set_publish(struct roots_set *set, size_t count) {
  struct roots_list *old = set->list;
  set->spare->count = count;
  atomic_store(&set->list, set->spare);
  set->spare = old;
}

/* --- ranges that are one where they meet, and are cut --- */

static int roots_set_add(struct roots_set *set, uintptr_t lo, uintptr_t hi) {
  const struct roots_list *old = set->list;
  size_t count = old ? old->count : 0, kept = 0, i = 0;
  if (lo >= hi) return 0;
  if (!roots_set_prepare(set, count + 1)) return ENOMEM;
  struct roots_range *new = set->spare->at;
  while (i < count && old->at[i].hi < lo) new[kept++] = old->at[i++];
  for (; i < count && old->at[i].lo <= hi; i++) {
    if (old->at[i].lo < lo) lo = old->at[i].lo;
    if (old->at[i].hi > hi) hi = old->at[i].hi;
  }
  new[kept++] = (struct roots_range){lo, hi};
  while (i < count) new[kept++] = old->at[i++];
  roots_set_publish(set, kept);
  return 0;
}

/* A range that is cut in two needs room; where there is none all stays as it is, which is safe. */
static void roots_set_remove(struct roots_set *set, uintptr_t lo, uintptr_t hi) {
  const struct roots_list *old = set->list;
  size_t kept = 0;
  if (!old || lo >= hi || !roots_set_prepare(set, old->count + 1)) return;
  struct roots_range *new = set->spare->at;
  for (size_t i = 0; i < old->count; i++) {
    struct roots_range range = old->at[i];
    if (range.lo < lo) new[kept++] = (struct roots_range){range.lo, range.hi < lo ? range.hi : lo};
    if (range.hi > hi) new[kept++] = (struct roots_range){range.lo > hi ? range.lo : hi, range.hi};
  }
  roots_set_publish(set, kept);
}

static int roots_add_to(struct roots_set *set, uintptr_t lo, uintptr_t hi) {
  heap_lock();
  int error = roots_set_add(set, lo, hi);
  heap_unlock();
  return error;
}

static void roots_remove_from(struct roots_set *set, uintptr_t lo, uintptr_t hi) {
  heap_lock();
  roots_set_remove(set, lo, hi);
  heap_unlock();
}

int roots_exclude(uintptr_t lo, uintptr_t hi) { return roots_add_to(&roots_excluded, lo, hi); }
int roots_keep(uintptr_t lo, uintptr_t hi) { return roots_add_to(&roots_kept, lo, hi); }
void roots_drop(uintptr_t lo, uintptr_t hi) { roots_remove_from(&roots_kept, lo, hi); }

void roots_include_all(void) { roots_remove_from(&roots_excluded, 0, UINTPTR_MAX); }

/* --- what was added: as in libgc each range stays as it was added, and goes as a whole --- */

static int roots_added_put(uintptr_t lo, uintptr_t hi) {
  const struct roots_list *old = roots_added.list;
  size_t count = old ? old->count : 0;
  bool known = false;
  if (lo >= hi) return 0;
  if (!roots_set_prepare(&roots_added, count + 1)) return ENOMEM;
  struct roots_range *new = roots_added.spare->at;
  for (size_t i = 0; i < count; i++) {
    bool same = old->at[i].lo == lo;
    new[i] = old->at[i];
    if (same && new[i].hi < hi) new[i].hi = hi;
    known = known || same;
  }
  if (!known) new[count++] = (struct roots_range){lo, hi};
  roots_set_publish(&roots_added, count);
  return 0;
}

static void roots_added_take(uintptr_t lo, uintptr_t hi) {
  const struct roots_list *old = roots_added.list;
  size_t kept = 0;
  if (!old || !roots_set_prepare(&roots_added, old->count)) return;
  struct roots_range *new = roots_added.spare->at;
  for (size_t i = 0; i < old->count; i++)
    if (old->at[i].lo < lo || old->at[i].hi > hi) new[kept++] = old->at[i];
  roots_set_publish(&roots_added, kept);
}

int roots_add(uintptr_t lo, uintptr_t hi) {
  heap_lock();
  int error = roots_added_put(lo, hi);
  heap_unlock();
  return error;
}

void roots_remove(uintptr_t lo, uintptr_t hi) {
  heap_lock();
  roots_added_take(lo, hi);
  heap_unlock();
}
