/* SPDX-License-Identifier: MIT
 * Runs of free units: good fit in constant time, coalescing, and the decay after which pages go back to the kernel.
 *
 *   unit    | f | f | f | B | B | f | f |  fresh ...
 *   record   first     last      first last
 *            units     head
 *
 * Free runs are kept in lists by size: one for each of 1 to 63 units, then four to each doubling. The first unit's
 * record holds the length and the links, the last unit's the way back to the first, so that a neighbour is found
 * in one step. A run is dirty while it may have pages; dirty runs are also in a list by age. Fresh units beyond
 * region.used were never touched. */
#include "config.h"

#include "heap/runs.h"

#include "base/bits.h"
#include "heap/block.h"
#include "heap/heap.h"
#include "os/memory.h"

#include <errno.h>
#include <sys/resource.h>
#include <time.h>

enum {
  runs_exact = 64,
  runs_lists = runs_exact + 4 * 26,
  runs_commit_least = 1 << 20,       /* bytes made writable at a time, at least */
  runs_commit_most = 64 << 20,
  runs_huge_from = 32 << 20,         /* a heap of this size gets huge pages */
  runs_huge = 2 << 20,
  runs_decay_ms = 400,               /* a dirty run older than this goes back */
  runs_young_ms = 50,                /* one younger than this does not */
  runs_dirty_allowed = 16 << 20,     /* between these: what is more than this and more than a quarter of the heap, */
  runs_dirty_expected = 64 << 20,    /* and more than will be handed out before the next collection, up to so much */
  runs_apart = 16,                   /* units: so long a run without pages is not joined to one that has some */
  runs_fill_from = (16 << 20) / block_unit, /* a heap of so many units is provided with pages */
  runs_fill = runs_huge / block_unit,       /* for so many units at a time */
};

#define RUNS_SPAN_MOST ((size_t)1 << 40)
#define RUNS_SPAN_LEAST ((size_t)1 << 30)

struct run {
  uint32_t units; /* of a free run, in its first unit's record; else 0 */
  uint32_t head;  /* in its last unit's record: the first unit, + 1; else 0 */
  uint32_t next, prev;         /* in the list of its size */
  uint32_t younger, older;     /* among the dirty */
  uint32_t stamp;              /* when it was freed, ms */
  bool dirty;
};

struct region region;

static struct {
  struct run *run;           /* one record a unit */
  uint32_t first[runs_lists]; /* heads of the lists by size */
  uint64_t nonempty[(runs_lists + 63) / 64];
  uint32_t oldest, youngest; /* dirty */
  size_t dirty_units;
  size_t committed;          /* bytes from the start of the region that are committed */
  size_t tables;             /* units whose records and map entries are committed */
  uint32_t filled, filled_end; /* free units that were provided with pages ahead, and are zero */
  bool sparse;               /* address space is not reserved: it is taken piece by piece, where free */
  uintptr_t reserved;        /* else: what was reserved for the region begins here */
} runs;

static unsigned runs_list(uint32_t units) {
  if (units < runs_exact) return units;
  unsigned top = bits_highest(units);
  return runs_exact + 4 * (top - 6) + ((units >> (top - 2)) & 3);
}

static uint32_t runs_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return (uint32_t)(now.tv_sec * 1000 + now.tv_nsec / 1000000);
}

static void runs_clear(void) {
  for (unsigned i = 0; i < runs_lists; i++) runs.first[i] = runs_none;
  for (unsigned i = 0; i < sizeof runs.nonempty / 8; i++) runs.nonempty[i] = 0;
  runs.oldest = runs.youngest = runs_none;
  runs.dirty_units = 0;
}

/* The limit on address space that this process has, if any. */
static size_t runs_limit(void) {
  struct rlimit limit;
  int saved = errno;
  if (getrlimit(RLIMIT_AS, &limit) != 0) limit.rlim_cur = RLIM_INFINITY;
  errno = saved;
  return limit.rlim_cur == RLIM_INFINITY ? SIZE_MAX : (size_t)limit.rlim_cur;
}

/* Where nothing can be reserved: a range of addresses that is probably free, to be taken bit by bit. */
static void runs_init_sparse(size_t limit) {
  static const uintptr_t places[] = {0x100000000000, 0x200000000000, 0x300000000000, 0x080000000000};
  size_t span = bits_power_of_two_up(limit < RUNS_SPAN_MOST / 4 ? limit * 2 : RUNS_SPAN_MOST / 2);
  region.span = span < (size_t)1 << 26 ? (size_t)1 << 26 : span;
  region.base = places[0];
  for (unsigned i = 0; i < sizeof places / sizeof places[0]; i++) {
    if (os_memory_reserve_at((void *)places[i], block_unit) != 0) continue;
    os_memory_unmap((void *)places[i], block_unit);
    region.base = places[i];
    break;
  }
  runs.sparse = true;
}

int runs_init(void) {
  size_t limit = runs_limit();
  runs_clear();
  if (limit == SIZE_MAX) {
    for (size_t span = RUNS_SPAN_MOST; span >= RUNS_SPAN_LEAST; span /= 2) {
      void *p = os_memory_reserve(span + runs_huge);
      if (!p) continue;
      runs.reserved = (uintptr_t)p;
      region.base = bits_align_up((uintptr_t)p, runs_huge);
      region.span = span;
      break;
    }
  }
  if (!region.span) runs_init_sparse(limit);
  size_t units = region.span / block_unit;
  region.blocks = os_memory_reserve_readable(bits_align_up(units * sizeof region.blocks[0], os_page_size));
  runs.run = os_memory_reserve_readable(bits_align_up(units * sizeof runs.run[0], os_page_size));
  region.ages = os_memory_reserve_readable(bits_align_up(units * sizeof region.ages[0], os_page_size));
  if (region.blocks && runs.run && region.ages) return 0;
  region.span = 0; /* no address is ours */
  return ENOMEM;
}

static void runs_trim_table(void *table, size_t entry, size_t units, size_t keep) {
  size_t size = bits_align_up(units * entry, os_page_size), kept = bits_align_up(keep * entry, os_page_size);
  if (kept < size) os_memory_trim(table, size, kept);
}

/* The tables count as well: a region of runs_span_share times the limit makes them a fiftieth of it, and leaves room for
 * limits that are raised again. The span shrinks before the map does, since region_find takes no lock. */
void runs_limit_span(size_t limit) {
  enum { runs_span_share = 32 };
  if (runs.sparse || !region.span || limit / 2 >= region.span) return;
  size_t span = region.span, units = span / block_unit, least = bits_align_up(runs.committed, runs_huge) * 2;
  size_t want = bits_align_up(limit < span / runs_span_share ? limit * runs_span_share : span, runs_huge);
  if (want < least) want = least;
  if (want < span) region.span = want;
  if (region.span / block_unit < runs.tables) region.span = runs.tables * block_unit;
  runs.sparse = true;
  os_memory_trim((void *)runs.reserved, span + runs_huge, region.base - runs.reserved + runs.committed);
  runs_trim_table(region.blocks, sizeof region.blocks[0], units, region.span / block_unit);
  runs_trim_table(runs.run, sizeof runs.run[0], units, region.span / block_unit);
  runs_trim_table(region.ages, sizeof region.ages[0], units, region.span / block_unit);
}

static void runs_unlink(uint32_t at) {
  struct run *run = &runs.run[at];
  unsigned list = runs_list(run->units);
  if (run->prev != runs_none) runs.run[run->prev].next = run->next;
  else if ((runs.first[list] = run->next) == runs_none) runs.nonempty[list / 64] &= ~((uint64_t)1 << list % 64);
  if (run->next != runs_none) runs.run[run->next].prev = run->prev;
  if (run->dirty) {
    *(run->older != runs_none ? &runs.run[run->older].younger : &runs.oldest) = run->younger;
    *(run->younger != runs_none ? &runs.run[run->younger].older : &runs.youngest) = run->older;
    runs.dirty_units -= run->units;
  }
  runs.run[at + run->units - 1].head = 0;
  run->units = 0;
}

static void runs_link(uint32_t at, uint32_t units, bool dirty, uint32_t stamp) {
  struct run *run = &runs.run[at];
  unsigned list = runs_list(units);
  run->units = units;
  run->dirty = dirty;
  run->stamp = stamp;
  runs.run[at + units - 1].head = at + 1;
  run->prev = runs_none;
  run->next = runs.first[list];
  if (run->next != runs_none) runs.run[run->next].prev = at;
  runs.first[list] = at;
  runs.nonempty[list / 64] |= (uint64_t)1 << list % 64;
  if (!dirty) return;
  run->younger = runs_none;
  run->older = runs.youngest;
  *(run->older != runs_none ? &runs.run[run->older].younger : &runs.oldest) = at;
  runs.youngest = at;
  runs.dirty_units += units;
}

static bool runs_commit_table(void *table, size_t entry, size_t target) {
  size_t from = bits_align_down(runs.tables * entry, os_page_size), to = bits_align_up(target * entry, os_page_size);
  return os_memory_commit((char *)table + from, to - from) == 0;
}

/* Commits address space and tables so that the first `units` units can be used. */
static bool runs_commit_tables(size_t units) {
  if (units <= runs.tables) return true;
  size_t most = region.span / block_unit;
  size_t target = bits_align_up(units + units / 4, 16384);
  if (target > most) target = most;
  if (!runs_commit_table(region.blocks, sizeof region.blocks[0], target)) return false;
  if (!runs_commit_table(runs.run, sizeof runs.run[0], target)) return false;
  if (!runs_commit_table(region.ages, sizeof region.ages[0], target)) return false;
  runs.tables = target;
  return true;
}

/* Makes [from, to) of the region writable; in a sparse region this is where the address space is taken. */
static int runs_commit_range(size_t from, size_t to) {
  void *at = (void *)(region.base + from);
  if (!runs.sparse) return os_memory_commit(at, to - from);
  int error = os_memory_reserve_at(at, to - from);
  if (error) return error;
  error = os_memory_commit(at, to - from);
  if (error) os_memory_unmap(at, to - from);
  return error;
}

/* Commits from runs.committed on up to at least bytes from the start. 0 or an errno value. */
static int runs_commit(size_t bytes) {
  if (bytes <= runs.committed) return 0;
  size_t need = bytes - runs.committed, ahead = runs.committed / 8;
  if (ahead < runs_commit_least) ahead = runs_commit_least;
  if (ahead > runs_commit_most) ahead = runs_commit_most;
  size_t size = bits_align_up(need > ahead ? need : ahead, block_unit);
  if (runs.committed >= runs_huge_from) size = bits_align_up(runs.committed + size, runs_huge) - runs.committed;
  if (size > region.span - runs.committed) size = region.span - runs.committed;
  int error = runs_commit_range(runs.committed, runs.committed + size);
  if (error && size > need) error = runs_commit_range(runs.committed, runs.committed + (size = need));
  if (error) return error;
  if (runs.committed >= runs_huge_from) os_memory_huge((void *)(region.base + runs.committed), size);
  runs.committed += size;
  return 0;
}

/* Fresh units at the end of what is used. In a sparse region a foreign mapping may be in the way: step over it; the units
 * between belong to nobody. */
static uint32_t runs_fresh(uint32_t units) {
  enum { steps = 24 }; /* each twice as long as the last */
  for (int step = 0; step < steps; step++) {
    size_t at = atomic_load(&region.used), end = at + units;
    if (end > region.span / block_unit || !runs_commit_tables(end)) return runs_none;
    int error = runs_commit(end * (size_t)block_unit);
    if (!error) {
      atomic_store(&region.used, end);
      return (uint32_t)at;
    }
    if (!runs.sparse || error != EEXIST) return runs_none;
    size_t next = runs.committed / block_unit + ((size_t)1 << step);
    if (next >= region.span / block_unit || !runs_commit_tables(next)) return runs_none;
    size_t left = runs.committed / block_unit - at;
    if (left) runs_link((uint32_t)at, (uint32_t)left, false, 0);
    runs.committed = next * block_unit;
    atomic_store(&region.used, next);
  }
  return runs_none;
}

/* Takes the front of a free run and links what is left. */
static void runs_cut(uint32_t at, uint32_t units, bool *zero) {
  struct run run = runs.run[at];
  runs_unlink(at);
  *zero = !run.dirty;
  if (run.units > units) runs_link(at + units, run.units - units, run.dirty, run.stamp);
}

uint32_t runs_alloc(uint32_t units, bool *zero) {
  unsigned list = runs_list(units);
  while (list < runs_lists) {
    uint64_t word = runs.nonempty[list / 64] >> list % 64;
    if (word == 0) {
      list = (list / 64 + 1) * 64;
      continue;
    }
    list += bits_lowest(word);
    int looked = 0; /* lists above 63 units hold several sizes; do not walk them far */
    for (uint32_t at = runs.first[list]; at != runs_none && looked < 32; at = runs.run[at].next, looked++) {
      if (runs.run[at].units < units) continue;
      runs_cut(at, units, zero);
      return at;
    }
    list++;
  }
  *zero = true;
  return runs_fresh(units);
}

bool runs_alloc_at(uint32_t at, uint32_t units, bool *zero) {
  size_t used = atomic_load(&region.used);
  if (at > used || at >= runs.tables) return false;
  uint32_t have = at < used ? runs.run[at].units : 0;
  if (have >= units) {
    runs_cut(at, units, zero);
    return true;
  }
  if (at + have != used) return false; /* a block stands behind it */
  size_t end = (size_t)at + units;
  if (end > region.span / block_unit) return false;
  if (runs.sparse && end * (size_t)block_unit > runs.committed) return false;
  if (!runs_commit_tables(end) || runs_commit(end * block_unit) != 0) return false;
  *zero = true;
  if (have) runs_cut(at, have, zero);
  atomic_store(&region.used, end);
  return true;
}

uint32_t runs_to_fill(uint32_t at, uint32_t units) {
  uint32_t end = at + units, most = (uint32_t)bits_align_up(end, runs_fill);
  size_t used = atomic_load(&region.used), fresh = runs.committed / block_unit;
  if (used < runs_fill_from) return units;
  bool filled = at >= runs.filled && end <= runs.filled_end;
  if (end < used && !runs.run[end].units) return filled ? 0 : units;
  if (end < used && runs.run[end].dirty) return filled ? 0 : units;
  if (filled) return 0;
  size_t last = end < used ? end + runs.run[end].units : fresh;
  runs.filled = at;
  runs.filled_end = last < most ? (uint32_t)last : most;
  return runs.filled_end - at;
}

/* A long run without pages stays by itself, lest all of it count as having some: what is asked of the kernel for it would not be, and
 * what is zero be zeroed. */
static bool runs_may_join(uint32_t units, bool dirty, const struct run *other) {
  return dirty == other->dirty || (dirty ? other->units : units) < runs_apart;
}

void runs_free(uint32_t at, uint32_t units, bool zero) {
  bool dirty = !zero;
  uint32_t stamp = runs_now();
  if (at > 0 && runs.run[at - 1].head && runs_may_join(units, dirty, &runs.run[runs.run[at - 1].head - 1])) {
    uint32_t before = runs.run[at - 1].head - 1;
    dirty |= runs.run[before].dirty;
    units += runs.run[before].units;
    runs_unlink(before);
    at = before;
  }
  uint32_t end = at + units;
  if (end < atomic_load(&region.used) && runs.run[end].units && runs_may_join(units, dirty, &runs.run[end])) {
    uint32_t after = at + units;
    dirty |= runs.run[after].dirty;
    units += runs.run[after].units;
    runs_unlink(after);
  }
  runs_link(at, units, dirty, stamp);
}

/* Of collected memory it is known how much will be handed out soon. */
static size_t runs_expected(void) {
  ptrdiff_t sum = heap_in_use_sum(), owned = atomic_load_explicit(&heap_in_use[KIND_SCANNED], memory_order_relaxed);
  ptrdiff_t more = atomic_load_explicit(&heap_alarm_at, memory_order_relaxed) - sum;
  if (owned > sum / 2 || more < 0) return 0;
  return (more < runs_dirty_expected ? (size_t)more : runs_dirty_expected) / block_unit;
}

/* How many units of the oldest run should go back: nothing of what will be handed out soon. When much is dirty, only what is too much of
 * it, and nothing that may have been freed just to be used again. */
static uint32_t runs_due_units(const struct run *run) {
  uint32_t age = runs_now() - run->stamp;
  size_t kept = runs_expected(), allowed = atomic_load(&region.used) / 4;
  if (allowed < runs_dirty_allowed / block_unit) allowed = runs_dirty_allowed / block_unit;
  if (age < runs_decay_ms && kept < allowed) kept = allowed;
  if (age < runs_young_ms || runs.dirty_units <= kept) return 0;
  size_t excess = runs.dirty_units - kept;
  return excess < run->units ? (uint32_t)excess : run->units;
}

bool runs_keep;

bool runs_take_due(uint32_t *at, uint32_t *units, bool all) {
  uint32_t first = runs.oldest;
  if (first == runs_none || (runs_keep && !all)) return false;
  struct run run = runs.run[first];
  *units = all ? run.units : runs_due_units(&run);
  if (*units == 0) return false;
  runs_unlink(first);
  *at = first + run.units - *units; /* the far end: what comes next is taken from the front */
  if (*units < run.units) runs_link(first, run.units - *units, true, run.stamp);
  return true;
}

/* Everything that no block claims becomes a dirty free run. */
void runs_rebuild(void) {
  size_t used = atomic_load(&region.used);
  runs_clear();
  for (size_t u = 0; u < used && u < runs.tables; u++) runs.run[u].units = runs.run[u].head = 0;
  for (size_t u = 0; u < used;) {
    struct block *block = atomic_load(&region.blocks[u]);
    if (block) {
      u += block->units;
      continue;
    }
    size_t from = u;
    while (u < used && !atomic_load(&region.blocks[u])) u++;
    if (!runs.sparse) runs_link((uint32_t)from, (uint32_t)(u - from), true, runs_now());
  }
}

size_t runs_dirty_bytes(void) { return runs.dirty_units * (size_t)block_unit; }
size_t runs_used_bytes(void) { return atomic_load(&region.used) * (size_t)block_unit; }

bool runs_verify(void) {
  size_t used = atomic_load(&region.used), dirty = 0;
  for (size_t u = 0; u < used;) {
    struct block *block = atomic_load(&region.blocks[u]);
    const struct run *run = &runs.run[u];
    if (block) {
      for (uint32_t i = 0; i < block->units; i++)
        if (atomic_load(&region.blocks[u + i]) != block || runs.run[u + i].units || runs.run[u + i].head) return false;
      u += block->units;
    } else if (run->units) {
      if (u + run->units > used || runs.run[u + run->units - 1].head != u + 1) return false;
      if (run->dirty) dirty += run->units;
      for (uint32_t i = 0; i < run->units; i++)
        if (atomic_load(&region.blocks[u + i])) return false;
      u += run->units;
    } else {
      u++; /* being made or unmade by another thread, or a gap in a sparse region */
    }
  }
  return dirty == runs.dirty_units;
}
