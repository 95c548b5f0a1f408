/* SPDX-License-Identifier: MIT
 * Closing pages. Must not know what a generation is.
 *
 * Costs here, on a virtual machine whose page tables are dear (on a bare one a tenth): a call for one page 45 us, since each page is
 * flushed by itself; for 34 pages or more 80 us, and 0.15 us a page, closed already or not; 0.1 us a huge page. A fault 14 us, one
 * that splits a huge page 60 us. A look 0.4 us where one follows the other, up to 2 us alone. */
#include "config.h"

#include "gc/closing.h"

#include "base/bits.h"
#include "gc/mark.h"
#include "os/memory.h"

#include <errno.h>
#include <string.h>

enum {
  closing_area_shift = 30, /* of the heap: one piece of the tables */
  closing_areas = 1024,    /* as many as the largest region has */
  closing_area_pages = (1 << closing_area_shift) / look_page,
  closing_area_units = (1 << closing_area_shift) / block_unit,

  closing_look_ns = 1000,
  closing_looks_least = 4, closing_looks_most = 32, /* that it pays to spend on a page before it is closed alone */
  closing_looks_bulk = 3,    /* times as many before any number is closed by one call */
  closing_looks_bridged = 8, /* more for each page that is closed although it is not ready */
  closing_look_walks = 4,    /* pages that the kernel walks over in the time of a look */
  closing_gap = 512 << 10,   /* of closed memory: walking over more, to save a call, does not pay */
  closing_huge = 2 << 20, closing_huge_from = 32 << 20, /* from this offset on the heap has huge pages: see runs.c */
  closing_looks_split = 128, /* spent on the part of a huge page that is closed by itself */
  closing_level_most = 6,
  closing_level_hot = 3,     /* from here on a page is not closed before it is ready */
  closing_soon = 16,         /* scans: written again within so many, the level rises, later it falls */
  closing_soft_life = 16,    /* looks that closing a page saves, where closing one has the whole process fault */
  closing_opened_least = 16, /* pages, by one call; */
  closing_opened_calls = 64, /* in one collection, */
  closing_opened_gap = 64,   /* units without closed pages in between */
  closing_busy_most = 3,
  closing_added_again = 8,   /* mappings, in one scan: each reads /proc/self/maps */
};

struct closing_area {
  struct closing_page page[closing_area_pages];
  uint8_t ages[closing_area_units];   /* REGION_AGE_ bits: some closed page there points to such an age; the truth or more */
  uint8_t closed[closing_area_units]; /* how many pages there are */
};

/* What one call may close: all of [lo, hi) that is not closed yet. Up to reach nothing is in the way of more. */
struct closing_run {
  uintptr_t lo, hi, reach;
  size_t looks, ready, bridged; /* bridged: not ready, of which some may lie behind hi */
};

static struct {
  struct closing_area *area[closing_areas];
  size_t closed;
  uint8_t scan; /* number */

  /* one scan */
  enum track_way way;
  bool unseen, soft_pays;
  unsigned looks_single, added_again;
  struct closing_run run;
  size_t told, ready;
} closing;

/* --- the tables --- */

static struct closing_area *closing_area_of(uintptr_t at, bool make) {
  size_t i = (at - region.base) >> closing_area_shift;
  if (i >= closing_areas) return NULL;
  if (!closing.area[i] && make) closing.area[i] = os_memory_map(bits_align_up(sizeof(struct closing_area), look_page));
  return closing.area[i];
}

static size_t closing_offset(uintptr_t at) { return (at - region.base) & (((size_t)1 << closing_area_shift) - 1); }

struct closing_page *closing_of(uintptr_t at, bool make) {
  struct closing_area *area = closing_area_of(at, make);
  return area ? &area->page[closing_offset(at) / look_page] : NULL;
}

static uint8_t *closing_in(uintptr_t unit) { return &closing_area_of(unit, false)->closed[closing_offset(unit) / block_unit]; }

size_t closing_count(void) { return closing.closed; }

void closing_forget(void) {
  size_t size = bits_align_up(sizeof(struct closing_area), look_page);
  for (unsigned i = 0; i < closing_areas; i++)
    if (closing.area[i] && os_memory_purge(closing.area[i], size) != 0) memset(closing.area[i], 0, size);
  closing.closed = 0;
}

static uint8_t closing_age_bit(const struct closing_page *page) {
  return page->closed && page->youngest < look_none ? (uint8_t)(REGION_AGE_0 << page->youngest) : 0;
}

static void closing_each_in(struct closing_area *area, uintptr_t base, size_t unit,
                          void (*each)(uintptr_t unit, struct closing_page *pages)) {
  struct closing_page *first = &area->page[unit * closing_unit_pages];
  each(base + unit * block_unit, first);
  area->ages[unit] = 0;
  for (unsigned i = 0; i < closing_unit_pages; i++) area->ages[unit] |= closing_age_bit(&first[i]);
}

void closing_each(uint8_t ages, void (*each)(uintptr_t unit, struct closing_page *pages)) {
  const uint64_t wanted = ages * (uint64_t)0x0101010101010101;
  for (size_t a = 0; a < closing_areas; a++) {
    struct closing_area *area = closing.area[a];
    for (size_t i = 0; area && i < closing_area_units; i += sizeof wanted) {
      uint64_t eight;
      memcpy(&eight, &area->ages[i], sizeof eight);
      for (size_t unit = i; eight & wanted && unit < i + sizeof eight; unit++)
        if (area->ages[unit] & ages) closing_each_in(area, region.base + (a << closing_area_shift), unit, each);
    }
  }
}

/* --- open and closed --- */

void closing_reopen(uintptr_t at, struct closing_page *page) {
  uint8_t since = (uint8_t)(closing.scan - page->alone);
  if (since >= closing_soon) page->level -= page->level > 0;
  else if (page->level < closing_level_most) page->level++;
  page->closed = false;
  page->alone = 0;
  --*closing_in(at);
  closing.closed--;
}

static unsigned closing_youngest(uintptr_t at, const struct closing_page *page) {
  if (closing.unseen) return 0;
  if (page->youngest != closing_unknown) return page->youngest;
  return look_youngest(region_find(at), at, mark_is_unaligned() ? look_slack : 0);
}

static void closing_shut(uintptr_t at, struct closing_page *page) {
  page->youngest = (uint8_t)(closing_youngest(at, page) & 3);
  page->alone = closing.scan;
  page->closed = true;
  closing.closed++;
  ++*closing_in(at);
  closing_area_of(at, false)->ages[closing_offset(at) / block_unit] |= closing_age_bit(page);
}

/* The mapping was moved there, or came later. */
static bool closing_add_again(uintptr_t lo, uintptr_t hi) {
  const struct block *first = region_find(lo), *last = region_find(hi - 1);
  if (!first || !last || closing.added_again++ >= closing_added_again) return false;
  return track_add(first->start, last->start + (uintptr_t)last->units * block_unit) == 0;
}

static void closing_range(uintptr_t lo, uintptr_t hi) {
  int error = track_protect(lo, hi);
  if (error == ENOENT && closing_add_again(lo, hi)) error = track_protect(lo, hi);
  for (uintptr_t at = lo, next; !error && at < hi; at = next) {
    next = bits_align_down(at, block_unit) + block_unit;
    if (*closing_in(at) == closing_unit_pages) continue;
    for (; at < next && at < hi; at += look_page) {
      struct closing_page *page = closing_of(at, false);
      if (!page->closed) closing_shut(at, page);
    }
  }
}

/* --- opening what will be written --- */

struct closing_opening {
  uintptr_t lo, hi;
  size_t closed; /* pages in there */
  unsigned calls;
};

static void closing_open_page(uintptr_t at, struct closing_page *page) {
  if (!page->closed) return;
  page->closed = false;
  page->alone = 0;
  --*closing_in(at);
  closing.closed--;
}

static void closing_end_opening(struct closing_opening *opening) {
  uintptr_t lo = opening->lo, hi = opening->hi;
  bool pays = opening->closed >= closing_opened_least && opening->calls < closing_opened_calls;
  opening->lo = opening->hi = opening->closed = 0;
  if (!pays || track_release(lo, hi) != 0) return;
  opening->calls++;
  for (; lo < hi; lo += look_page) closing_open_page(lo, closing_of(lo, false));
}

static void closing_open_unit(struct closing_opening *opening, uintptr_t unit, bool soon, uint8_t closed) {
  if (!soon || unit - opening->hi > (uintptr_t)closing_opened_gap * block_unit) closing_end_opening(opening);
  if (!soon) return;
  if (opening->lo == opening->hi) opening->lo = unit;
  opening->hi = unit + block_unit;
  opening->closed += closed;
}

void closing_open(bool (*soon)(uintptr_t unit)) {
  struct closing_opening opening = {0};
  for (size_t a = 0; a < closing_areas; a++) {
    struct closing_area *area = closing.area[a];
    uintptr_t base = region.base + (a << closing_area_shift);
    for (size_t i = 0; area && i < closing_area_units; i++)
      if (area->closed[i]) closing_open_unit(&opening, base + i * block_unit, soon(base + i * block_unit), area->closed[i]);
    closing_end_opening(&opening);
  }
}

/* --- runs --- */

/* Whether the part [lo, hi) of a huge page may be closed by itself: it is split already, or has cost as much as that will. */
static bool closing_may_split(uintptr_t lo, uintptr_t hi) {
  uintptr_t huge = bits_align_down(lo, closing_huge);
  size_t looks = 0;
  if (lo == hi) return true;
  for (uintptr_t unit = huge; unit < huge + closing_huge; unit += block_unit)
    if (*closing_in(unit)) return true;
  for (; lo < hi && !closing.unseen; lo += look_page) looks += closing_of(lo, false)->alone;
  return looks >= closing_looks_split;
}

/* Takes off the run what would split huge pages that must not be split. */
static void closing_keep_whole(struct closing_run *run) {
  uintptr_t lo = bits_align_up(run->lo, closing_huge), hi = bits_align_down(run->hi, closing_huge);
  if (run->lo - region.base < closing_huge_from) return;
  if (lo > hi) { /* inside of one */
    if (!closing_may_split(run->lo, run->hi)) run->hi = run->lo;
    return;
  }
  if (!closing_may_split(run->lo, lo)) run->lo = lo;
  if (!closing_may_split(hi, run->hi)) run->hi = hi;
}

static bool closing_pays(const struct closing_run *run) {
  size_t bulk = (size_t)closing_looks_bulk * closing.looks_single, single = run->ready * closing.looks_single;
  if (closing.way == TRACK_SOFT_DIRTY) return closing.soft_pays || closing.unseen;
  if (closing.unseen) return run->ready >= bulk;
  size_t walked = (run->hi - run->lo) / look_page / closing_look_walks;
  return run->looks >= (single < bulk ? single : bulk) + run->bridged * closing_looks_bridged + walked;
}

static void closing_end_run(void) {
  struct closing_run run = closing.run;
  closing.run = (struct closing_run){0};
  if (run.lo == run.hi || !closing_pays(&run)) return;
  closing_keep_whole(&run);
  if (run.lo < run.hi) closing_range(run.lo, run.hi);
}

/* Whether all pages of [lo, hi) are closed, and not too many to walk over. */
static bool closing_is_bridge(uintptr_t lo, uintptr_t hi) {
  if (hi - lo > closing_gap) return false;
  for (uintptr_t next; lo < hi; lo = next) {
    next = bits_align_down(lo, block_unit) + block_unit;
    if (!closing_of(lo, false) || !*closing_in(lo)) return false;
    if (*closing_in(lo) == closing_unit_pages) continue;
    for (; lo < next && lo < hi; lo += look_page)
      if (!closing_of(lo, false)->closed) return false;
  }
  return true;
}

enum closing_fate { CLOSING_READY, CLOSING_BRIDGE, CLOSING_HOT };

static enum closing_fate closing_fate_unseen(const struct closing_page *page) {
  return page->level >= closing_level_hot || (page->level > 0 && page->alone == 0) ? CLOSING_HOT : CLOSING_READY;
}

/* What has changed each time that it was looked at, most likely has again: it is asked in one scan of four. */
static bool closing_is_busy(uintptr_t at, const struct closing_page *page) {
  return page->busy == closing_busy_most && (at / look_page + closing.scan) % (closing_busy_most + 1) != 0;
}

static enum closing_fate closing_fate(uintptr_t at, struct closing_page *page) {
  if (closing.unseen) return closing_fate_unseen(page);
  if (closing_is_busy(at, page)) return CLOSING_HOT;
  uint16_t print = look_print(at) | 1;
  if (page->print != print) {
    page->print = print;
    page->alone = 0;
    page->busy += page->busy < closing_busy_most;
  } else {
    page->busy = 0;
    page->alone += page->alone < UINT8_MAX;
  }
  if (page->alone >= 1u << page->level) return CLOSING_READY;
  return page->level < closing_level_hot ? CLOSING_BRIDGE : CLOSING_HOT;
}

void closing_tell(uintptr_t at, bool good) {
  struct closing_run *run = &closing.run;
  struct closing_page *page = good ? closing_of(at, false) : NULL;
  enum closing_fate fate = page ? closing_fate(at, page) : CLOSING_HOT;
  bool empty = run->lo == run->hi;
  closing.told++;
  if (!empty && (fate == CLOSING_HOT || (at != run->reach && !closing_is_bridge(run->reach, at)))) {
    closing_end_run();
    empty = true;
  }
  if (fate == CLOSING_HOT || (fate == CLOSING_BRIDGE && empty)) return;
  run->reach = at + look_page;
  if (fate == CLOSING_BRIDGE) {
    run->bridged++;
    return;
  }
  if (empty) run->lo = at;
  run->hi = run->reach;
  run->looks += page->alone;
  run->ready++;
  closing.ready++;
}

/* --- a scan --- */

/* How many looks cost as much as a call and a fault. */
static unsigned closing_looks_for_one(void) {
  uint64_t looks = ((uint64_t)track_costs.protect_ns + track_costs.fault_ns) / closing_look_ns;
  return looks < closing_looks_least ? closing_looks_least : looks > closing_looks_most ? closing_looks_most : (unsigned)looks;
}

void closing_begin(enum track_way way, bool unseen) {
  closing.way = way;
  closing.unseen = unseen;
  closing.looks_single = closing_looks_for_one();
  closing.scan++;
  closing.added_again = 0;
  closing.run = (struct closing_run){0};
  closing.told = closing.ready = 0;
}

/* Soft-dirty bits are cleared for the whole process, in the next scan, if as much would have been ready as in this one. */
void closing_finish(void) {
  closing_end_run();
  track_settle();
  closing.soft_pays = closing.ready * (uint64_t)closing_look_ns * closing_soft_life >
                    (closing.told - closing.ready) * (uint64_t)track_costs.fault_ns;
}
