/* SPDX-License-Identifier: MIT
 * See owned.h. */
#include "config.h"

#include "gc/owned.h"

#include "gc/covered.h"
#include "gc/holes.h"
#include "gc/links.h"
#include "gc/mark.h"
#include "gc/remember.h"
#include "base/bits.h"
#include "os/maps.h"
#include "os/memory.h"

#include <string.h>

/* --- a closer look --- */

enum {
  owned_jump_bytes = 200, /* of a jmp_buf */
  owned_page_most = 4096,
};

struct owned {
  unsigned generation;
  size_t condemned; /* objects */
  bool unread;      /* a page could not be read */
  void (*closer)(uintptr_t lo, uintptr_t hi, uintptr_t at); /* at: where the words are, of which these may be a copy */
};

static bool owned_is_collected(void) { return sweep_policies[KIND_SCANNED] == SWEEP_SUSPECT; }
static bool owned_is(const struct block *block) { return sweep_policies[block->kind] == SWEEP_SUSPECT; }

static void owned_count_condemned(struct block *block, void *arg) {
  struct owned *owned = arg;
  if (!owned_is(block)) return;
  owned->condemned += sweep_count_condemned(block, sweep_groups(block, owned->generation), owned->generation);
}

static void owned_closer_pages(uintptr_t lo, uintptr_t hi, bool present, void *arg) {
  struct owned *owned = arg;
  _Alignas(uintptr_t) char copy[owned_page_most];
  for (uintptr_t next; lo < hi; lo = next) {
    next = bits_align_down(lo, os_page_size) + os_page_size;
    if (next > hi) next = hi;
    if (present && mark_may_read(lo, next)) {
      owned->closer(lo, next, lo);
      continue;
    }
    size_t got = holes_copy(lo, copy, next - lo);
    if (got < next - lo) owned->unread = true;
    owned->closer((uintptr_t)copy, (uintptr_t)copy + bits_align_down(got, sizeof(uintptr_t)), lo);
  }
}

static void owned_closer_mangled(uintptr_t lo, uintptr_t hi, uintptr_t at) {
  (void)at;
  mark_mangled(lo, hi);
}

/* Memory of GC_malloc_atomic and its like is not searched, nor are words that a type leaves out: they hold no pointers to what libgc collects. But
 * libgc collects nothing of malloc's, so its clients may keep there the only pointer to that, and free it by a finalizer: so all of them count,
 * those that are found to be garbage now as well. A link keeps nothing. */
static void owned_closer_plain(uintptr_t lo, uintptr_t hi, uintptr_t at) {
  size_t step = mark_is_unaligned() ? 1 : sizeof(uintptr_t);
  for (; lo + sizeof(uintptr_t) <= hi; lo += step, at += step) {
    uintptr_t word;
    memcpy(&word, (const void *)lo, sizeof word);
    const struct block *block = region_find(word);
    if (unlikely(block && owned_is(block)) && !links_is(at)) mark_range((uintptr_t)&word, (uintptr_t)(&word + 1));
  }
}

/* setjmp mangles one of the registers that it saves, and coroutines keep their jmp_buf in malloc'ed memory. */
static void owned_mark_closer(struct block *block, void *arg) {
  struct owned *owned = arg;
  bool plain = !kind_is_scanned(block->kind) || block->types;
  if (os_page_size > owned_page_most || (!plain && block_slot_bytes(block) < owned_jump_bytes)) return;
  owned->closer = plain ? owned_closer_plain : owned_closer_mangled;
  for (uint32_t slot = 0; slot < block->nslots; slot++) {
    uintptr_t lo = block_slot_address(block, slot), hi = lo + block_slot_bytes(block);
    if (plain ? !state_is_live(block->state[slot]) : !sweep_is_reached(block->state[slot], owned->generation)) continue;
    struct os_mapping mapping = {.lo = lo, .hi = bits_align_up(hi, os_page_size), .read = true, .write = true};
    if (block->slot_size) owned_closer_pages(lo, hi, true, owned);
    else os_maps_written(&mapping, owned_closer_pages, owned);
  }
}

static bool owned_is_any_condemned(struct owned *owned) {
  owned->condemned = 0;
  covered_each_of(owned->generation, owned_count_condemned, owned);
  return owned->condemned > 0;
}

/* Until nothing more is found: what is reached may be another coroutine's memory. */
bool owned_look_closer(struct collection *facts) {
  struct owned owned = {.generation = facts->generation};
  struct remember_counts counts = {0};
  if (!owned_is_collected() || !owned_is_any_condemned(&owned)) return true;
  if (facts->generation < 2) remember_scan_rest(facts->generation, &counts);
  mark_all();
  facts->pages_scanned += counts.pages_scanned;
  for (size_t before = SIZE_MAX; owned_is_any_condemned(&owned) && owned.condemned < before;) {
    before = owned.condemned;
    covered_each(owned_mark_closer, &owned);
    mark_all();
  }
  return !owned.unread;
}

/* --- spared once --- */

static void owned_question(struct block *block, void *arg) {
  struct collection *facts = arg;
  if (owned_is(block)) sweep_question(block, sweep_groups(block, facts->generation), facts->generation, &facts->swept);
}

static void owned_spare_slot(struct block *block, uint32_t slot, void *arg) {
  (void)arg;
  mark_contents(block, slot);
}

static void owned_spare_block(struct block *block, void *arg) {
  const struct collection *facts = arg;
  if (owned_is(block)) sweep_spared_each(block, sweep_groups(block, facts->generation), facts->generation, owned_spare_slot, NULL);
}

/* First all become suspects, then all are looked into: so those that one leads to are suspects as well. */
void owned_spare(struct collection *facts) {
  if (!owned_is_collected()) return;
  covered_each_of(facts->generation, owned_question, facts);
  covered_each_of(facts->generation, owned_spare_block, facts);
  mark_all();
}
