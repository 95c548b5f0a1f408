/* SPDX-License-Identifier: MIT
 * Parts of the heap that cannot be read in place. Must not know what an object is. */
#include "config.h"

#include "gc/holes.h"

#include "base/bits.h"
#include "os/maps.h"
#include "os/memory.h"

#include <errno.h>
#include <string.h>

enum {
  holes_most = 4096,
  holes_expected_most = 64, /* calls at a time */
};

struct hole {
  uintptr_t lo, hi;
};

static struct {
  struct hole *hole; /* sorted, not overlapping */
  size_t count;
} holes;

/* lo is written last and cleared first; 0: free, or not yet filled in. */
static struct {
  _Atomic bool taken;
  _Atomic uintptr_t lo, hi;
} holes_expected[holes_expected_most];
static _Atomic unsigned holes_expected_count;

bool holes_any(void) { return holes.count != 0; }

/* The first hole that ends above the address. */
static size_t holes_place(uintptr_t address) {
  size_t a = 0, b = holes.count;
  while (a < b) {
    size_t middle = (a + b) / 2;
    if (holes.hole[middle].hi > address)
      b = middle;
    else
      a = middle + 1;
  }
  return a;
}

bool holes_meet(uintptr_t lo, uintptr_t hi) {
  size_t at = holes_place(lo);
  return at < holes.count && holes.hole[at].lo < hi;
}

void holes_add(uintptr_t lo, uintptr_t hi) {
  size_t from = holes_place(lo), to = from;
  for (; to < holes.count && holes.hole[to].lo <= hi; to++) { /* those that it meets become one with it */
    if (holes.hole[to].lo < lo) lo = holes.hole[to].lo;
    if (holes.hole[to].hi > hi) hi = holes.hole[to].hi;
  }
  if (to == from && holes.count == holes_most) { /* coarse, but right: as one with its neighbour */
    if (from == holes.count) from--;
    to = from + 1;
    if (holes.hole[from].lo < lo) lo = holes.hole[from].lo;
    if (holes.hole[from].hi > hi) hi = holes.hole[from].hi;
  }
  memmove(&holes.hole[from + 1], &holes.hole[to], (holes.count - to) * sizeof *holes.hole);
  holes.count = from + 1 + (holes.count - to);
  holes.hole[from] = (struct hole){lo, hi};
}

struct holes_bounds {
  uintptr_t lo, hi;
  uintptr_t known; /* up to here mappings have been told */
};

static void holes_add_within(const struct holes_bounds *bounds, uintptr_t lo, uintptr_t hi) {
  if (lo < bounds->lo) lo = bounds->lo;
  if (hi > bounds->hi) hi = bounds->hi;
  if (lo < hi) holes_add(lo, hi);
}

static bool holes_mapping(const struct os_mapping *mapping, void *arg) {
  struct holes_bounds *bounds = arg;
  if (mapping->lo > bounds->known) holes_add_within(bounds, bounds->known, mapping->lo);
  if (!mapping->read || mapping->inode) holes_add_within(bounds, mapping->lo, mapping->hi);
  bounds->known = mapping->hi;
  return true;
}

int holes_find(uintptr_t lo, uintptr_t hi) {
  struct holes_bounds bounds = {lo, hi, lo};
  if (!holes.hole) holes.hole = os_memory_map(bits_align_up(holes_most * sizeof *holes.hole, os_page_size));
  if (!holes.hole) return ENOMEM;
  holes.count = 0;
  if (lo >= hi) return 0;
  int error = os_maps_each_within(lo, hi, holes_mapping, &bounds);
  if (bounds.known < hi) holes_add_within(&bounds, bounds.known, hi);
  for (unsigned i = 0; !error && i < holes_expected_most && atomic_load(&holes_expected_count); i++) {
    uintptr_t low = atomic_load(&holes_expected[i].lo);
    if (low) holes_add_within(&bounds, low, atomic_load(&holes_expected[i].hi));
  }
  return error;
}

size_t holes_copy(uintptr_t lo, char *buffer, size_t size) {
  for (size_t done = 0;;) {
    done += os_maps_peek(lo + done, buffer + done, size - done);
    if (done == size || os_memory_is_mapped(bits_align_down(lo + done, os_page_size))) return done;
    size_t next = bits_align_down(lo + done, os_page_size) + os_page_size - lo;
    if (next > size) next = size;
    memset(buffer + done, 0, next - done);
    done = next;
    if (done == size) return done;
  }
}

unsigned holes_expect(uintptr_t lo, uintptr_t hi) {
  for (;;)
    for (unsigned i = 0; i < holes_expected_most; i++) {
      bool no = false;
      if (!atomic_compare_exchange_strong(&holes_expected[i].taken, &no, true)) continue;
      atomic_store(&holes_expected[i].hi, hi);
      atomic_store(&holes_expected[i].lo, lo);
      atomic_fetch_add(&holes_expected_count, 1);
      return i;
    }
}

void holes_expected_over(unsigned number) {
  atomic_fetch_sub(&holes_expected_count, 1);
  atomic_store(&holes_expected[number].lo, 0);
  atomic_store(&holes_expected[number].taken, false);
}

void holes_fork_child(void) {
  memset(holes_expected, 0, sizeof holes_expected);
  atomic_store(&holes_expected_count, 0);
}
