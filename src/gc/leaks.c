/* SPDX-License-Identifier: MIT
 * The leak search. Knows the order of the steps; what a root is and how marking goes is elsewhere.
 *
 * Classification. Of the leaked objects those are told as definite from which all others can be reached, one
 * for each group that nothing else leads to: an object nothing points to, or one of a cycle. Two passes find
 * exactly these:
 *
 *   1. In the order of addresses, each leaked object not yet painted is a candidate r1, r2, ...; it and what it
 *      reaches is painted LEAK. So no candidate is reached from an earlier one.
 *   2. In the opposite order, a candidate not yet painted LOST is an entry, and what it reaches is painted LOST.
 *      So no entry is reached from a later one either, and every other leaked object is reached from some entry.
 *      An entry that reaches itself stands for its cycle.
 *
 * Afterwards every state byte is LIVE or FREE again. Cost: each leaked object is looked into twice; and five
 * passes over the state bytes, a 64th of a heap of small nodes, at the speed of memory. */
#include "config.h"

#include "gc/leaks.h"

#include "base/bits.h"
#include "gc/mark.h"
#include "gc/roots.h"
#include "gc/settle.h"
#include "gc/watch.h"
#include "heap/block.h"
#include "heap/heap.h"
#include "os/threads.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

enum { leaks_patience_ms = 2000 };

struct leaks {
  const struct leaks_request *request;
  void (*tell)(const struct leak *leak, void *arg);
  void *arg;
  struct leaks_summary *summary;
  bool watch; /* the watch lock is ours: if it is not, what pins and weak maps hold is not known */
};

/* --- visiting slots by their state --- */

#define LEAKS_BYTES(x) ((uint64_t)(x) * 0x0101010101010101u)

typedef void leaks_visit(struct leaks *leaks, struct block *block, uint32_t slot);

struct leaks_wanted {
  uint8_t mask, want;
  leaks_visit *visit;
};

/* Whether one of eight states may be wanted: x has a zero byte. */
static bool leaks_in_group(const uint8_t *state, const struct leaks_wanted *wanted) {
  uint64_t x;
  memcpy(&x, state, sizeof x);
  x = (x & LEAKS_BYTES(wanted->mask)) ^ LEAKS_BYTES(wanted->want);
  return ((x - LEAKS_BYTES(1)) & ~x & LEAKS_BYTES(0x80)) != 0;
}

static void leaks_slot(struct leaks *leaks, struct block *block, uint32_t slot,
                       const struct leaks_wanted *wanted) {
  if ((block->state[slot] & wanted->mask) == wanted->want) wanted->visit(leaks, block, slot);
}

/* The state bytes of slots are padded to a multiple of eight; a large object has but one. */
static void leaks_block(struct leaks *leaks, struct block *block, bool backwards,
                        const struct leaks_wanted *wanted) {
  enum { group = sizeof(uint64_t) };
  if (!block->slot_size) {
    leaks_slot(leaks, block, 0, wanted);
    return;
  }
  uint32_t groups = (block->nslots + group - 1) / group;
  for (uint32_t i = 0; i < groups; i++) {
    uint32_t first = (backwards ? groups - 1 - i : i) * group;
    if (!leaks_in_group(block->state + first, wanted)) continue;
    for (uint32_t k = 0; k < group; k++) {
      uint32_t slot = first + (backwards ? group - 1 - k : k);
      if (slot < block->nslots) leaks_slot(leaks, block, slot, wanted);
    }
  }
}

static void leaks_each(struct leaks *leaks, const struct leaks_wanted *wanted) {
  struct block *block;
  for (size_t unit = 0; (block = region_next(&unit)) != NULL; unit += block->units)
    leaks_block(leaks, block, false, wanted);
}

static void leaks_each_backwards(struct leaks *leaks, const struct leaks_wanted *wanted) {
  for (size_t unit = atomic_load(&region.used); unit > 0;) {
    struct block *block = atomic_load_explicit(&region.blocks[unit - 1], memory_order_relaxed);
    if (block) leaks_block(leaks, block, true, wanted);
    unit = block ? block_first_unit(block) : unit - 1;
  }
}

/* --- the passes --- */

static void leaks_root(uintptr_t lo, uintptr_t hi, void *arg) {
  struct leaks *leaks = arg;
  leaks->summary->root_bytes += hi - lo;
  mark_range(lo, hi);
  mark_mangled(lo, hi);
}

/* Takes the object in which this thread's stack lies, if it is one, without looking into it: our own frames in
 * it lead to what the program has lost. Roots tells the rest of it. */
static void leaks_take_own_stack(uintptr_t sp) {
  struct block *block = region_find(sp);
  if (!block || !block_contains(block, sp)) return;
  uint8_t *state = &block->state[block_slot(block, sp)];
  if (*state == STATE_LIVE) *state |= STATE_MARK;
}

static void leaks_candidate(struct leaks *leaks, struct block *block, uint32_t slot) {
  (void)leaks;
  block->state[slot] |= STATE_LEAK | STATE_ENTRY;
  mark_contents(block, slot);
}

static void leaks_entry(struct leaks *leaks, struct block *block, uint32_t slot) {
  (void)leaks;
  uint8_t *state = &block->state[slot];
  if (*state & STATE_LOST) {
    *state &= (uint8_t)~STATE_ENTRY;
    return;
  }
  mark_contents(block, slot);
  if (*state & STATE_LOST) *state |= STATE_CYCLE;
}

static void leaks_classify(struct leaks *leaks) {
  static const struct leaks_wanted untaken = {STATE_LIVE | STATE_MARK | STATE_LEAK, STATE_LIVE,
                                              leaks_candidate};
  static const struct leaks_wanted candidates = {STATE_LIVE | STATE_ENTRY, STATE_LIVE | STATE_ENTRY,
                                                 leaks_entry};
  mark_use((struct mark_colour){STATE_LIVE | STATE_MARK | STATE_LEAK, STATE_LIVE, STATE_LEAK});
  leaks_each(leaks, &untaken);
  mark_use((struct mark_colour){STATE_LIVE | STATE_MARK | STATE_LOST, STATE_LIVE, STATE_LOST});
  leaks_each_backwards(leaks, &candidates);
}

static void leaks_tell_slot(struct leaks *leaks, struct block *block, uint32_t slot) {
  uint8_t state = block->state[slot];
  const struct note *note = block_note(block, slot);
  struct leak leak = {
      .kind = state & STATE_MARK ? LEAK_REACHABLE : state & STATE_ENTRY ? LEAK_DEFINITE : LEAK_INDIRECT,
      .cycle = state & STATE_CYCLE,
      .site = note ? note->site : 0,
      .address = block_slot_address(block, slot),
      .size = block_requested(block, slot),
  };
  leaks->tell(&leak, leaks->arg);
}

static void leaks_tell(struct leaks *leaks) {
  static const struct leaks_wanted lost = {STATE_LIVE | STATE_MARK, STATE_LIVE, leaks_tell_slot};
  static const struct leaks_wanted all = {STATE_LIVE, STATE_LIVE, leaks_tell_slot};
  leaks_each(leaks, leaks->request->want_reachable ? &all : &lost);
}

/* What is reachable is most of the heap, and seldom wanted one by one. A few instructions a slot. */
static void leaks_count_reachable(struct leaks *leaks) {
  const uint8_t mask = STATE_LIVE | STATE_MARK;
  struct block *block;
  for (size_t unit = 0; (block = region_next(&unit)) != NULL; unit += block->units) {
    uint64_t count = 0, bytes = 0;
    for (uint32_t slot = 0; slot < block->nslots; slot++) {
      bool reachable = (block->state[slot] & mask) == mask;
      count += reachable;
      if (block->notes) bytes += reachable ? block->notes[slot].size : 0;
    }
    if (!block->notes) bytes = count * block_requested(block, 0);
    leaks->summary->reachable += count;
    leaks->summary->reachable_bytes += bytes;
  }
}

/* Back to LIVE and FREE alone, counting the live. */
static void leaks_clean(struct leaks_summary *summary) {
  const uint8_t keep = STATE_LIVE | STATE_HELD | STATE_ABSENT;
  struct block *block;
  for (size_t unit = 0; (block = region_next(&unit)) != NULL; unit += block->units) {
    uint32_t slot = 0;
    /* Not by words while a thread runs on: the neighbours that it hands out meanwhile must not be written. */
    for (; !summary->not_stopped && slot + sizeof(uint64_t) <= block->nslots; slot += sizeof(uint64_t)) {
      uint64_t x;
      memcpy(&x, block->state + slot, sizeof x);
      summary->objects += bits_count(x & LEAKS_BYTES(STATE_LIVE));
      if (!(x & ~LEAKS_BYTES(keep))) continue; /* a page of states may be one never written */
      x &= LEAKS_BYTES(keep);
      memcpy(block->state + slot, &x, sizeof x);
    }
    for (; slot < block->nslots; slot++) {
      summary->objects += block->state[slot] & STATE_LIVE ? 1 : 0;
      if (block->state[slot] & ~keep) block->state[slot] &= keep;
    }
  }
}

/* --- the search --- */

static int leaks_search_stopped(struct leaks *leaks, const struct world_thread *threads, unsigned count) {
  struct leaks_summary *summary = leaks->summary;
  struct roots_request roots = {.purpose = ROOTS_REPORT, .threads = threads, .count = count};
  struct mark_options options = {.unaligned = leaks->request->unaligned};
  uint64_t begin = os_clock();
  int error = mark_begin(&options);
  if (!error) {
    mark_use((struct mark_colour){STATE_LIVE | STATE_MARK, STATE_LIVE, STATE_MARK});
    leaks_take_own_stack(threads[0].sp);
    error = roots_each(&roots, leaks_root, leaks);
    if (leaks->watch) settle_kept(leaks_root, leaks);
  }
  uint64_t rooted = os_clock();
  summary->roots_ns = rooted - begin;
  if (!error) {
    leaks_classify(leaks);
    leaks_tell(leaks);
    leaks_count_reachable(leaks);
  }
  leaks_clean(summary);
  mark_end();
  summary->classify_ns = os_clock() - rooted;
  return error;
}

static unsigned leaks_count_running(const struct world_thread *threads, unsigned count) {
  unsigned running = 0;
  for (unsigned i = 0; i < count; i++) running += !threads[i].stopped;
  return running;
}

int leaks_search(const struct leaks_request *request, void (*tell)(const struct leak *leak, void *arg),
                 void *arg, struct leaks_summary *summary) {
  struct leaks leaks = {request, tell, arg, summary, false};
  struct world_thread *threads;
  memset(summary, 0, sizeof *summary);
  uint64_t mask = world_acquire();
  if (world_is_ending()) {
    world_release(mask);
    return ECANCELED;
  }
  leaks.watch = watch_try_lock();
  /* The last search may begin in a signal handler that interrupted malloc: better no report than no end. */
  if (!heap_lock_within(request->last ? leaks_patience_ms : UINT_MAX)) {
    if (leaks.watch) watch_unlock();
    world_release(mask);
    return EDEADLK;
  }
  if (request->last) world_end();
  uint64_t begin = os_clock();
  int count = world_stop(&request->self, &threads);
  summary->stop_ns = os_clock() - begin;
  int error = count < 0 ? -count : 0;
  if (!error) {
    summary->threads = (unsigned)count;
    summary->not_stopped = leaks_count_running(threads, (unsigned)count);
    error = leaks_search_stopped(&leaks, threads, (unsigned)count);
  }
  world_resume();
  heap_unlock();
  if (leaks.watch) watch_unlock();
  world_release(mask);
  return error;
}

void leaks_fork_child(void) {
  struct leaks_summary ignored = {0};
  if (world_is_stopped()) leaks_clean(&ignored);
}
