/* SPDX-License-Identifier: MIT
 * Old objects' pointers to young ones. Read remember_scan: it is the algorithm.
 *
 * Without write tracking every old object is looked into. With it, open pages are, and those closed ones that point to what is
 * collected now (closing.h says which is which, and when a page is closed).
 *
 * What a closed page points to changes without a write only when objects grow older, which remember_promoted follows, and when
 * slots are reused: then their new owner has written what counts, or nothing counts. So a closed page whose words lead to nothing
 * young needs no look, whatever became of its block. (A word that free() left dangling, and that a program takes over by a
 * comparison alone when the address is handed out again, is not seen: so remember_scan_rest looks at everything once before
 * what the program owns is given up.)
 *
 * Cost of a minor collection: a descriptor for each block, the kernel's walk through the page tables (0.3 to 0.9 ms a GiB
 * of small pages, nothing for huge ones), and what is open. */
#include "config.h"

#include "gc/remember.h"

#include "base/bits.h"
#include "gc/mark.h"
#include "gc/closing.h"
#include "heap/cache.h"
#include "heap/sweep.h"
#include "os/memory.h"

enum {
  remember_track_from = 8 << 20, /* a smaller heap is scanned faster than asked about */
  remember_gap_units = 16,       /* spans of the heap this near are asked about in one call */
  remember_lost_most = 4,        /* programs that close our descriptor again and again do not want it */
};

static struct {
  enum track_way wanted, way;
  const char *why;
  bool begun, forked;
  unsigned lost;
  uintptr_t added; /* address space up to here was told to the tracker */
  bool idle;       /* no minor collection came since the last full one */
  bool unseen;     /* this full collection has closed pages already */
  bool swept;      /* it has been decided what is garbage */
  const struct block *counted; /* how much of it is live: */
  uint32_t counted_live;

  /* one scan */
  bool concurrent;
  unsigned generation;
  struct remember_counts *counts;
} remember = {.way = TRACK_SCAN, .why = "the heap is small"};

/* --- looking into blocks --- */

/* The ages that a collection of the generation takes. */
static uint8_t remember_ages(unsigned generation) { return generation == 0 ? REGION_AGE_0 : REGION_AGE_0 | REGION_AGE_1; }

/* The marker reads what must not be read in place through a copy. */
static void remember_mark_part(uintptr_t lo, uintptr_t hi, void *arg) {
  uint8_t *met = arg, ages = remember_ages(remember.generation), all = remember_ages(1);
  if (!remember.concurrent && !mark_is_unaligned()) {
    *met |= mark_young(lo, hi, ages);
    return;
  }
  *met = all;
  mark_data(lo, hi);
}

/* Old ones; or, at the end of concurrent marking, what was marked or is new. */
static struct look_wanted remember_wanted(const struct block *block) {
  bool never = sweep_policies[block->kind] == SWEEP_NEVER;
  if (remember.concurrent) return (struct look_wanted){sweep_colour, never ? STATE_LIVE : STATE_FROZEN | STATE_MARK, true};
  uint8_t older = never || remember.generation == 0 ? STATE_AGE : STATE_AGE_2;
  return (struct look_wanted){0, older | STATE_FROZEN, false};
}

/* Marks from what is wanted in [lo, hi), of one block. Whether there was any; and into *met the ages that it may point to. */
static bool remember_look(const struct block *block, uintptr_t lo, uintptr_t hi, uint8_t *met) {
  struct look_wanted wanted = remember_wanted(block);
  *met = 0;
  if (!look_parts(block, lo, hi, mark_is_unaligned() ? look_slack : 0, &wanted, remember_mark_part, met)) return false;
  remember.counts->pages_scanned += (hi - lo) / look_page;
  return true;
}

/* --- without tracking: everything --- */

static void remember_look_pages(uintptr_t lo, uintptr_t hi, bool present, void *arg) {
  uint8_t met;
  (void)present;
  remember_look(arg, lo, hi, &met);
}

/* A large object may have pages that were never touched. */
static void remember_look_block(struct block *block) {
  uintptr_t lo = block->start, hi = bits_align_up(lo + block->size, look_page);
  struct os_mapping mapping = {.lo = lo, .hi = hi, .read = true, .write = true};
  if (block->slot_size) remember_look_pages(lo, hi, true, block);
  else os_maps_written(&mapping, remember_look_pages, block);
}

static void remember_scan_all(void) {
  struct block *block;
  for (size_t unit = 0; (block = region_next(&unit)) != NULL; unit += block->units)
    if (kind_is_scanned(block->kind)) remember_look_block(block);
}

/* --- pages that the kernel tells --- */

/* Whether objects of age 0, or of 0 or 1, may lie in the unit. */
static uint8_t remember_ages_of(uintptr_t at) {
  return atomic_load_explicit(&region.ages[(at - region.base) >> block_unit_shift], memory_order_relaxed);
}
static bool remember_has_new(uintptr_t at) { return remember_ages_of(at) & REGION_AGE_0; }
static bool remember_has_young(uintptr_t at) { return remember_ages_of(at) != 0; }

/* Whether all that it points to can be found out. */
static bool remember_may_close(uintptr_t at) {
  uintptr_t slack = mark_is_unaligned() ? look_slack : 0;
  return mark_may_read(at - slack, at + look_page + slack);
}

static struct closing_page *remember_open(uintptr_t at) {
  struct closing_page *page = closing_of(at, true);
  if (!page || !page->closed) return page;
  closing_reopen(at, page);
  remember.counts->faults++;
  return page;
}

/* Of a page of which all was looked into but what is young itself. What was met may be more than there is: a closer look would
 * cost as much again, and such a page is looked into once more anyway when what is young there is collected. */
static unsigned remember_youngest(uintptr_t at, uint8_t met) {
  if (remember.generation > 0 && remember_has_young(at)) return closing_unknown;
  return met & REGION_AGE_0 ? 0 : met & REGION_AGE_1 ? 1 : look_none;
}

static void remember_look_told(const struct block *block, uintptr_t at, bool present) {
  uint8_t met;
  struct closing_page *page = remember_open(at);
  bool old = remember_look(block, at, at + look_page, &met);
  if (remember.concurrent) return;
  bool good = page && old && present && !remember_has_new(at) && remember_may_close(at); /* where new objects came, more will */
  if (good) page->youngest = remember_youngest(at, met) & 3;
  closing_tell(at, good);
}

/* Whether slots of the block will be handed out again, and then written. What a full collection has not reached counts as free
 * already. */
static bool remember_will_be_filled(const struct block *block) {
  struct look_wanted reached = {0, STATE_LIVE, false};
  if (remember.swept && sweep_policies[block->kind] != SWEEP_NEVER)
    reached = (struct look_wanted){sweep_colour ^ STATE_MARK, STATE_FROZEN | STATE_MARK, true};
  if (!block->slot_size) return false;
  if (remember.counted != block) remember.counted_live = look_count(remember.counted = block, &reached);
  return cache_is_worth(block, block->nslots - remember.counted_live);
}

/* Before concurrent marking, or after a full collection. What is being filled will be written to. */
static void remember_close_told(const struct block *block, uintptr_t at, bool present) {
  closing_tell(at, remember_open(at) && present && !remember_has_young(at) && !remember_will_be_filled(block));
}

typedef void remember_visit(const struct block *block, uintptr_t at, bool present);

static void remember_told(uintptr_t lo, uintptr_t hi, bool present, void *arg) {
  remember_visit *const *each = arg;
  for (uintptr_t next; lo < hi; lo = next) {
    next = bits_align_down(lo, block_unit) + block_unit;
    const struct block *block = region_find(lo);
    if (!block || !kind_is_scanned(block->kind)) closing_tell(lo, false);
    else for (uintptr_t at = lo; at < next && at < hi; at += look_page) (*each)(block, at, present);
  }
}

/* Asks about every span of the heap in which pointers may lie. False: nothing can be told. */
static bool remember_ask(remember_visit *each) {
  uintptr_t lo = 0, hi = 0;
  struct block *block;
  for (size_t unit = 0; (block = region_next(&unit)) != NULL; unit += block->units) {
    if (!kind_is_scanned(block->kind)) continue;
    if (block->start > hi + (uintptr_t)remember_gap_units * block_unit) {
      if (lo != hi && !track_written(lo, hi, remember_told, &each)) return false;
      lo = block->start;
    }
    hi = block->start + (uintptr_t)block->units * block_unit;
  }
  return lo == hi || track_written(lo, hi, remember_told, &each);
}

/* --- closed pages that point to what is young --- */

static void remember_look_closed(const struct block *block, uintptr_t at, struct closing_page *page) {
  uint8_t met;
  remember_look(block, at, at + look_page, &met);
  if (remember_may_close(at)) page->youngest = look_youngest(block, at, mark_is_unaligned() ? look_slack : 0) & 3;
}

static void remember_look_unit(uintptr_t unit, struct closing_page *pages) {
  const struct block *block = region_find(unit);
  bool scanned = block && kind_is_scanned(block->kind);
  for (unsigned i = 0; i < closing_unit_pages; i++) {
    if (!pages[i].closed) continue;
    if (!scanned) pages[i].youngest = look_none;
    else if (pages[i].youngest <= remember.generation) remember_look_closed(block, unit + i * look_page, &pages[i]);
  }
}

static void remember_age_unit(uintptr_t unit, struct closing_page *pages) {
  (void)unit;
  for (unsigned i = 0; i < closing_unit_pages; i++) {
    if (!pages[i].closed || pages[i].youngest == look_none) continue;
    if (remember.generation == 2) pages[i].youngest = look_none;
    else if (pages[i].youngest <= remember.generation) pages[i].youngest++;
  }
}

/* --- beginning --- */

void remember_init(enum track_way wanted) { remember.wanted = wanted; }

enum track_way remember_way(const char **why) {
  *why = remember.why;
  return remember.way;
}

/* Address space that is ours within the region: all of it, or pieces taken since. */
static bool remember_add_pieces(void) {
  uintptr_t lo, hi, end = region.base + region.span;
  bool good = true;
  if (remember.added < region.base) remember.added = region.base;
  while (remember.added < end && os_memory_own_next(remember.added, &lo, &hi) && lo < end) {
    if (lo < remember.added) lo = remember.added;
    if (hi > end) hi = end;
    good &= track_add(lo, hi) == 0;
    remember.added = hi;
  }
  return good;
}

static void remember_give_up(const char *why) {
  remember.way = track_begin(TRACK_SCAN, &remember.why);
  remember.why = why;
}

static void remember_begin(void) {
  remember.begun = true;
  remember.added = 0;
  remember.way = os_page_size == look_page ? track_begin(remember.wanted, &remember.why) : TRACK_SCAN;
  if (remember.way == TRACK_SCAN || remember_add_pieces()) return;
  /* What an earlier descriptor, of which there is a copy somewhere, still protects would never be told. */
  if (remember.lost) remember_give_up("the program has closed the descriptor");
}

/* The program closed the descriptor, or /proc is gone. */
static void remember_lose(void) {
  closing_forget();
  if (remember.lost++ < remember_lost_most) remember_begin();
  else remember_give_up("the program closes the descriptor");
}

static void remember_prepare(struct remember_counts *counts, unsigned generation, bool concurrent) {
  remember.generation = generation;
  remember.concurrent = concurrent;
  remember.counts = counts;
  if (remember.forked) closing_forget();
  remember.forked = false;
  bool small = atomic_load(&region.used) * (size_t)block_unit < remember_track_from && remember.wanted == TRACK_AUTO;
  if (track_is_forbidden()) {
    closing_forget();
    remember_give_up("system calls are, or may be, filtered now");
  }
  if (!remember.begun && !small) remember_begin();
  else if (remember.way != TRACK_SCAN) remember_add_pieces();
  closing_begin(remember.way, concurrent);
}

/* Looks into what must be. False: nothing is closed any more, and everything was looked into. */
static bool remember_look_all(void) {
  if (remember.way != TRACK_SCAN) {
    if (remember_ask(remember_look_told)) return true;
    remember_lose();
  }
  remember_scan_all();
  return false;
}

/* --- the scans --- */

void remember_scan(unsigned generation, struct remember_counts *counts) {
  remember_prepare(counts, generation, false);
  remember.idle = remember.unseen = false;
  if (!remember_look_all()) return;
  closing_finish();
  closing_each(remember_ages(generation), remember_look_unit);
  counts->pages_skipped = closing_count();
}

void remember_scan_rest(unsigned generation, struct remember_counts *counts) {
  remember.generation = generation;
  remember.concurrent = false;
  remember.counts = counts;
  counts->pages_skipped = 0;
  if (remember.way != TRACK_SCAN) remember_scan_all();
}

void remember_forget_concurrent(void) { closing_forget(); }

/* Closes what is worth it without a look: for concurrent marking, or when nothing is young. False: nothing is tracked. */
static bool remember_close_unseen(bool swept) {
  struct remember_counts counts = {0};
  remember_prepare(&counts, 2, true);
  remember.swept = swept;
  remember.counted = NULL;
  remember.unseen = true;
  if (remember.way == TRACK_SCAN) return false;
  bool good = remember_ask(remember_close_told);
  if (good) closing_finish();
  else remember_lose();
  return good;
}

/* Of free units, and of those from which much was just given up. */
static bool remember_will_be_written(uintptr_t unit) {
  const struct block *block = region_find(unit);
  return !block || !kind_is_scanned(block->kind) || remember_will_be_filled(block);
}

/* After a full collection nothing old points to anything young, so that no page need be looked into: the next minor one would
 * look into all that is open. Not when the last time was for nothing. */
void remember_promoted(unsigned generation) {
  if (generation == 2 && !remember.unseen && !remember.idle) remember_close_unseen(true);
  if (generation == 2) {
    remember.idle = true;
    remember.unseen = false;
    remember.swept = true;
    remember.counted = NULL;
    closing_open(remember_will_be_written);
  }
  remember.generation = generation;
  closing_each(remember_ages(generation), remember_age_unit);
}

bool remember_begin_concurrent(void) { return remember_close_unseen(false); }

void remember_scan_concurrent(struct remember_counts *counts) {
  remember_prepare(counts, 2, true);
  if (remember_look_all()) counts->pages_skipped = closing_count();
}

void remember_fork_child(void) {
  if (remember.begun) track_fork_child();
  remember.forked = remember.begun;
  remember.begun = false;
  if (remember.way != TRACK_SCAN) remember.why = "a child begins anew";
  remember.way = TRACK_SCAN;
}
