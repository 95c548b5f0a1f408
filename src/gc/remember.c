/* SPDX-License-Identifier: MIT
 * Old objects' pointers to young ones. Read remember_scan: it is the algorithm.
 *
 * For each page of the heap there is a record; with write tracking a page is open or closed:
 *
 *   open    unprotected: the kernel tells it at each collection, and it is looked into if old objects lie there
 *   closed  protected: the kernel tells it once it is written, and then it is open. Its record has the youngest age that
 *           its live slots pointed to when it was closed; a collection of that generation looks into it all the same
 *
 * What a closed page points to changes without a write only when objects there grow older, which remember_promoted follows, and
 * when slots are reused: then their new owner has written what counts, or nothing counts. So a closed page whose words lead to
 * nothing young needs no look, whatever became of its block. (A word that was left behind by free() and is taken over by comparing it
 * only, when the address is handed out again, is not seen. Whoever gives up what the program owns should have looked once at everything.)
 *
 * To close a page costs a call and a flush, and a fault if it is written; to look into it, scan_ns. So a page is closed once it was
 * found unchanged (by a print of its contents) in some looks on end, whose number doubles each time it is written when closed; and a
 * run of such pages when the looks spent on all of it come to what the call costs. Faults per page are bounded, however hot it is, and
 * what is looked into in vain costs no more than protecting in vain would have. Huge pages are closed whole; to split one takes
 * more looks, as it is lost to all who walk the heap.
 *
 * Cost of a minor collection: eight bytes a unit of the heap, the kernel's walk through its page tables (0.3 ms a GiB of small
 * pages, nothing for huge ones), and what is open. */
#include "config.h"

#include "gc/remember.h"

#include "base/bits.h"
#include "gc/mark.h"
#include "gc/remember_look.h"
#include "heap/block.h"
#include "heap/sweep.h"
#include "os/memory.h"

#include <errno.h>
#include <string.h>

enum {
  remember_area_shift = 30, /* of the heap: one piece of the tables */
  remember_areas = 1024,    /* as many as the largest region has */
  remember_area_pages = (1 << remember_area_shift) / look_page,
  remember_area_units = (1 << remember_area_shift) / block_unit,
  remember_unit_pages = block_unit / look_page,

  remember_track_from = 8 << 20, /* a smaller heap is scanned faster than asked about */
  remember_gap_units = 16,       /* spans of the heap this near are asked about in one call */
  remember_added_again = 8,      /* blocks whose mapping was replaced, in one collection: each reads /proc/self/maps */
  remember_lost_most = 4,        /* programs that close our descriptor again and again do not want it */

  remember_scan_ns = 400,        /* to look into a page in vain: 0.3 to 0.7 us */
  remember_looks_least = 8, remember_looks_most = 64, /* that a page alone is worth, see remember_learn_costs */
  remember_bulk_pages = 34,      /* from here on the kernel flushes all at once */
  remember_bulk_looks = 3,       /* times as many are worth a call for so many, or more */
  remember_huge = 2 << 20, remember_huge_from = 32 << 20, /* from this offset on the heap has huge pages: see runs.c */
  remember_split_looks = 16,     /* each page of a part of a huge page must have been left alone for so long */
  remember_looks_first = 2,      /* that find a page unchanged until it is closed; twice as many at each level, */
  remember_level_most = 5,       /* which is how often it was written when closed */
  remember_level_hot = 3,
  remember_soft_life = 16,       /* looks that closing a page saves, where closing has the whole process fault */
};

struct remember_page {
  uint16_t print;  /* of its contents at the last look; 0: none */
  uint8_t alone;   /* looks that found it unchanged, on end */
  uint8_t closed : 1, youngest : 2, level : 3;
};

struct remember_area {
  struct remember_page page[remember_area_pages];
  uint8_t unit[remember_area_units]; /* REGION_AGE_ bits: some closed page there points to such an age; the truth or more */
};

struct remember_run { /* pages to close, of which the last was told last */
  uintptr_t lo, hi;
  size_t looks;
};

static struct {
  enum track_way wanted, way;
  const char *why;
  bool begun, forked;
  unsigned lost;
  uintptr_t added; /* address space up to here was told to the tracker */
  unsigned looks_single;
  struct remember_area *area[remember_areas];
  size_t closed;

  /* one scan */
  bool concurrent;
  unsigned generation, added_again;
  struct remember_counts *counts;
  struct remember_run run;
  size_t ready, told; /* pages */
  bool worthwhile;    /* with SOFT_DIRTY, as the last scan found */
} remember = {.way = TRACK_SCAN, .why = "the heap is small"};

/* --- the tables --- */

/* NULL when memory is refused: then the page is always open. */
static struct remember_area *remember_area_of(uintptr_t at, bool make) {
  size_t i = (at - region.base) >> remember_area_shift;
  if (i >= remember_areas) return NULL;
  if (!remember.area[i] && make) remember.area[i] = os_memory_map(bits_align_up(sizeof(struct remember_area), os_page_size));
  return remember.area[i];
}

static size_t remember_offset(uintptr_t at) { return (at - region.base) & (((size_t)1 << remember_area_shift) - 1); }

static struct remember_page *remember_page_of(uintptr_t at, bool make) {
  struct remember_area *area = remember_area_of(at, make);
  return area ? &area->page[remember_offset(at) / look_page] : NULL;
}

/* The ages that a collection of the generation takes. */
static uint8_t remember_ages(unsigned generation) { return generation == 0 ? REGION_AGE_0 : REGION_AGE_0 | REGION_AGE_1; }

static uint8_t remember_age_bit(unsigned youngest) { return youngest == look_none ? 0 : (uint8_t)(REGION_AGE_0 << youngest); }

static void remember_note_youngest(uintptr_t at, struct remember_page *page, unsigned youngest) {
  page->youngest = (uint8_t)(youngest & 3);
  remember_area_of(at, false)->unit[remember_offset(at) / block_unit] |= remember_age_bit(youngest);
}

/* Everything is open, as it is for the kernel. */
static void remember_forget(void) {
  size_t size = bits_align_up(sizeof(struct remember_area), os_page_size);
  for (unsigned i = 0; i < remember_areas; i++)
    if (remember.area[i] && os_memory_purge(remember.area[i], size) != 0) memset(remember.area[i], 0, size);
  remember.closed = 0;
}

/* Every unit whose closed pages may point to one of these ages. */
static void remember_each_unit(uint8_t ages, void (*each)(uintptr_t unit, uint8_t *flags, struct remember_page *pages)) {
  const uint64_t wanted = ages * (uint64_t)0x0101010101010101;
  for (size_t a = 0; a < remember_areas; a++) {
    struct remember_area *area = remember.area[a];
    for (size_t i = 0; area && i < remember_area_units; i += sizeof(uint64_t)) {
      uint64_t eight;
      memcpy(&eight, &area->unit[i], sizeof eight);
      for (size_t u = i; eight & wanted && u < i + sizeof eight; u++)
        if (area->unit[u] & ages)
          each(region.base + (a << remember_area_shift) + u * block_unit, &area->unit[u], &area->page[u * remember_unit_pages]);
    }
  }
}

/* --- looking into pages --- */

/* The marker reads what must not be read in place through a copy. */
static void remember_mark_part(uintptr_t lo, uintptr_t hi, void *arg) {
  (void)arg;
  if (remember.concurrent || mark_is_unaligned()) mark_range(lo, hi);
  else mark_young(lo, hi, remember_ages(remember.generation));
}

/* Old ones; or, in the end of concurrent marking, what was marked or is new. */
static struct look_wanted remember_wanted(const struct block *block) {
  bool never = sweep_policies[block->kind] == SWEEP_NEVER;
  if (remember.concurrent)
    return (struct look_wanted){sweep_colour, never ? STATE_LIVE : STATE_FROZEN | STATE_MARK, true};
  return (struct look_wanted){0, never || remember.generation == 0 ? STATE_AGE | STATE_FROZEN : STATE_AGE_2 | STATE_FROZEN, false};
}

/* Bytes by which words may reach into the pages around, where these can be read. */
static uintptr_t remember_slack(uintptr_t lo, uintptr_t hi) {
  enum { most = sizeof(uintptr_t) - 1 };
  return mark_is_unaligned() && mark_may_read(lo - most, hi + most) ? most : 0;
}

/* Whether what it points to can be found out. */
static bool remember_may_close(uintptr_t at) {
  return mark_may_read(at, at + look_page) && (!mark_is_unaligned() || remember_slack(at, at + look_page));
}

/* Marks from what is wanted in [lo, hi), of one block. Whether there was any. */
static bool remember_look(const struct block *block, uintptr_t lo, uintptr_t hi) {
  struct look_wanted wanted = remember_wanted(block);
  if (!look_parts(block, lo, hi, remember_slack(lo, hi), &wanted, remember_mark_part, NULL)) return false;
  remember.counts->pages_scanned += (hi - lo) / look_page;
  return true;
}

/* --- without tracking: everything --- */

static void remember_look_pages(uintptr_t lo, uintptr_t hi, bool present, void *arg) {
  (void)present;
  remember_look(arg, lo, hi);
}

/* A large object may have pages that were never touched. */
static void remember_look_block(struct block *block) {
  uintptr_t lo = block->start, hi = bits_align_up(lo + block->size, look_page);
  if (block->slot_size) {
    remember_look_pages(lo, hi, true, block);
    return;
  }
  struct os_mapping mapping = {.lo = lo, .hi = hi, .read = true, .write = true};
  os_maps_written(&mapping, remember_look_pages, block);
}

static void remember_scan_all(void) {
  struct block *block;
  for (size_t unit = 0; (block = region_next(&unit)) != NULL; unit += block->units)
    if (kind_is_scanned(block->kind)) remember_look_block(block);
}

/* --- closing pages --- */

/* Maps it again for the tracker: the mapping was moved there, or came later. */
static bool remember_add_blocks(uintptr_t lo, uintptr_t hi) {
  const struct block *first = region_find(lo), *last = region_find(hi - 1);
  if (!first || !last || remember.added_again++ >= remember_added_again) return false;
  return track_add(first->start, last->start + (uintptr_t)last->units * block_unit) == 0;
}

/* The pages are readable. From begin_concurrent nothing is known of what they point to. */
static void remember_close(uintptr_t lo, uintptr_t hi) {
  int error = track_protect(lo, hi);
  if (error == ENOENT && remember_add_blocks(lo, hi)) error = track_protect(lo, hi);
  if (error) return;
  for (uintptr_t at = lo; at < hi; at += look_page) {
    struct remember_page *page = remember_page_of(at, false);
    if (page->closed) continue;
    page->closed = true;
    remember.closed++;
    remember_note_youngest(at, page, remember.concurrent ? 0 : look_youngest(region_find(at), at, remember_slack(at, at + look_page)));
  }
}

/* Whether each page of a part of a huge page has been left alone for long enough to split it. */
static bool remember_may_split(uintptr_t lo, uintptr_t hi) {
  if (remember.concurrent) return lo == hi;
  for (; lo < hi; lo += look_page)
    if (remember_page_of(lo, false)->alone < remember_split_looks) return false;
  return true;
}

/* What is left of a run when parts of huge pages that must not be split are taken off. */
static struct remember_run remember_whole(struct remember_run run) {
  uintptr_t lo = bits_align_up(run.lo, remember_huge), hi = bits_align_down(run.hi, remember_huge);
  if (run.lo - region.base < remember_huge_from) return run;
  if (lo > hi) { /* inside of one */
    if (!remember_may_split(run.lo, run.hi)) run.hi = run.lo;
    return run;
  }
  if (!remember_may_split(run.lo, lo)) run.lo = lo;
  if (!remember_may_split(hi, run.hi)) run.hi = hi;
  return run;
}

static bool remember_pays(struct remember_run run) {
  size_t pages = (run.hi - run.lo) / look_page;
  if (remember.way == TRACK_SOFT_DIRTY) return remember.worthwhile || remember.concurrent;
  if (remember.concurrent) return pages >= remember_bulk_looks * remember.looks_single;
  return run.looks >= (pages < remember_bulk_pages ? pages : remember_bulk_looks) * remember.looks_single;
}

static void remember_end_run(void) {
  struct remember_run run = remember.run;
  remember.run = (struct remember_run){0};
  if (run.lo == run.hi || !remember_pays(run)) return;
  run = remember_whole(run);
  if (run.lo < run.hi) remember_close(run.lo, run.hi);
}

static void remember_add_to_run(uintptr_t at, size_t looks) {
  if (at != remember.run.hi) {
    remember_end_run();
    remember.run.lo = at;
  }
  remember.run.hi = at + look_page;
  remember.run.looks += looks;
  remember.ready++;
}

/* --- pages that the kernel tells --- */

static void remember_open(struct remember_page *page) {
  page->closed = false;
  page->alone = 0;
  if (page->level < remember_level_most) page->level++;
  remember.closed--;
  remember.counts->faults++;
}

/* Whether the page has been left alone for as long as it takes. */
static bool remember_is_ready(struct remember_page *page, uintptr_t at) {
  uint16_t print = look_print(at) | 1;
  if (page->print != print) {
    page->print = print;
    page->alone = 0;
  } else if (page->alone < UINT8_MAX) {
    page->alone++;
  }
  return page->alone >= remember_looks_first << page->level;
}

static void remember_look_told(const struct block *block, uintptr_t at, bool present) {
  struct remember_page *page = remember_page_of(at, true);
  if (page && page->closed) remember_open(page);
  remember.told++;
  if (!remember_look(block, at, at + look_page) || !page || remember.concurrent) return;
  if (present && remember_may_close(at) && remember_is_ready(page, at)) remember_add_to_run(at, page->alone);
}

/* Before concurrent marking: what was written is open, and what is worth it closed, but for pages that are written often or being
 * filled. */
static void remember_close_told(const struct block *block, uintptr_t at, bool present) {
  struct remember_page *page = remember_page_of(at, true);
  if (!page) return;
  if (page->closed) remember_open(page);
  bool filling = atomic_load(&region.ages[(at - region.base) >> block_unit_shift]) & REGION_AGE_0;
  bool hot = page->level >= remember_level_hot || (page->level > 0 && page->alone == 0);
  (void)block;
  if (present && !hot && !filling) remember_add_to_run(at, 0);
}

typedef void remember_visit(const struct block *block, uintptr_t at, bool present);

static void remember_told(uintptr_t lo, uintptr_t hi, bool present, void *arg) {
  remember_visit *const *each = arg;
  for (uintptr_t next; lo < hi; lo = next) {
    next = bits_align_down(lo, block_unit) + block_unit;
    const struct block *block = region_find(lo);
    if (!block || !kind_is_scanned(block->kind)) continue;
    for (uintptr_t at = lo; at < next && at < hi; at += look_page) (*each)(block, at, present);
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
  bool good = lo == hi || track_written(lo, hi, remember_told, &each);
  remember_end_run();
  return good;
}

/* --- closed pages that point to what is young --- */

static void remember_look_closed(const struct block *block, uintptr_t at, struct remember_page *page) {
  remember_look(block, at, at + look_page);
  if (remember_may_close(at)) page->youngest = look_youngest(block, at, remember_slack(at, at + look_page)) & 3;
}

static void remember_look_unit(uintptr_t unit, uint8_t *flags, struct remember_page *pages) {
  const struct block *block = region_find(unit);
  bool scanned = block && kind_is_scanned(block->kind);
  *flags = 0;
  for (unsigned i = 0; i < remember_unit_pages; i++) {
    if (!pages[i].closed) continue;
    if (!scanned) pages[i].youngest = look_none;
    else if (pages[i].youngest <= remember.generation) remember_look_closed(block, unit + i * look_page, &pages[i]);
    *flags |= remember_age_bit(pages[i].youngest);
  }
}

static void remember_age_unit(uintptr_t unit, uint8_t *flags, struct remember_page *pages) {
  (void)unit;
  *flags = 0;
  for (unsigned i = 0; i < remember_unit_pages; i++) {
    if (!pages[i].closed) continue;
    if (remember.generation == 2) pages[i].youngest = look_none;
    else if (pages[i].youngest <= remember.generation) pages[i].youngest++;
    *flags |= remember_age_bit(pages[i].youngest);
  }
}

/* --- beginning --- */

void remember_init(enum track_way wanted) { remember.wanted = wanted; }

enum track_way remember_way(const char **why) {
  *why = remember.why;
  return remember.way;
}

/* How many looks it is worth to be spared a call and a fault. */
static void remember_learn_costs(void) {
  uint64_t looks = ((uint64_t)track_costs.protect_ns + track_costs.fault_ns) / remember_scan_ns;
  if (looks < remember_looks_least) looks = remember_looks_least;
  if (looks > remember_looks_most) looks = remember_looks_most;
  remember.looks_single = (unsigned)looks;
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

static void remember_begin(void) {
  remember.begun = true;
  remember.added = 0;
  remember.way = os_page_size == look_page ? track_begin(remember.wanted, &remember.why) : TRACK_SCAN;
  remember_learn_costs();
  /* What an earlier descriptor, of which there is a copy somewhere, still holds would never be told. */
  if (remember.way != TRACK_SCAN && !remember_add_pieces() && remember.lost) {
    remember.way = track_begin(TRACK_SCAN, &remember.why);
    remember.why = "the program has closed the descriptor";
  }
}

/* The program closed the descriptor, or /proc is gone. */
static void remember_lose(void) {
  remember_forget();
  if (remember.lost++ < remember_lost_most) {
    remember_begin();
    return;
  }
  remember.way = track_begin(TRACK_SCAN, &remember.why);
  remember.why = "the program closes the descriptor";
}

static void remember_prepare(struct remember_counts *counts, unsigned generation, bool concurrent) {
  remember.generation = generation;
  remember.concurrent = concurrent;
  remember.counts = counts;
  remember.added_again = 0;
  remember.run = (struct remember_run){0};
  remember.ready = remember.told = 0;
  if (remember.forked) remember_forget();
  remember.forked = false;
  bool small = atomic_load(&region.used) * (size_t)block_unit < remember_track_from && remember.wanted == TRACK_AUTO;
  if (!remember.begun && !small) remember_begin();
  else if (remember.way != TRACK_SCAN) remember_add_pieces();
}

/* --- the scans --- */

void remember_scan(unsigned generation, struct remember_counts *counts) {
  remember_prepare(counts, generation, false);
  if (remember.way == TRACK_SCAN) {
    remember_scan_all();
    return;
  }
  if (!remember_ask(remember_look_told)) {
    remember_lose();
    remember_scan_all();
    return;
  }
  remember_each_unit(remember_ages(generation), remember_look_unit);
  track_settle();
  counts->pages_skipped = remember.closed;
  remember.worthwhile = remember.ready * (uint64_t)remember_scan_ns * remember_soft_life >
                        (remember.told - remember.ready) * (uint64_t)track_costs.fault_ns;
}

void remember_promoted(unsigned generation) {
  remember.generation = generation;
  remember_each_unit(remember_ages(generation), remember_age_unit);
}

bool remember_begin_concurrent(void) {
  struct remember_counts counts = {0};
  remember_prepare(&counts, 2, true);
  if (remember.way == TRACK_SCAN) return false;
  bool good = remember_ask(remember_close_told);
  track_settle();
  if (!good) remember_lose();
  return good;
}

void remember_scan_concurrent(struct remember_counts *counts) {
  remember_prepare(counts, 2, true);
  if (remember.way == TRACK_SCAN) {
    remember_scan_all();
  } else if (!remember_ask(remember_look_told)) {
    remember_lose();
    remember_scan_all();
  }
  counts->pages_skipped = remember.closed;
}

void remember_fork_child(void) {
  if (remember.begun) track_fork_child();
  remember.forked = remember.begun;
  remember.begun = false;
  if (remember.way != TRACK_SCAN) remember.why = "a child begins anew";
  remember.way = TRACK_SCAN;
}
