/* SPDX-License-Identifier: MIT
 * The collector. Read collect_stopped: it is the algorithm.
 *
 * What keeps it safe. Only what was proven unreachable is given up: when a thread did not stop, a root could not be read, or
 * memory for the search was refused, everything is put back as it was (collect_forget) and the error told. A collection begins
 * only when the sweep of the last full one is done, so that colours have one meaning. */
#include "config.h"

#include "gc/collect.h"

#include "gc/concurrent.h"
#include "gc/garbage.h"
#include "gc/holes.h"
#include "gc/links.h"
#include "gc/mark.h"
#include "gc/remember.h"
#include "gc/roots.h"
#include "gc/settle.h"
#include "gc/typed.h"
#include "gc/watch.h"
#include "gc/workers.h"
#include "base/bits.h"
#include "heap/heap.h"
#include "os/maps.h"
#include "os/memory.h"
#include "os/threads.h"

#include <errno.h>
#include <string.h>

static _Atomic uint64_t collect_count;
static _Atomic uint32_t collect_owner;  /* the thread that collects, or 0 */
static _Atomic bool collect_unswept;    /* a full collection whose counts nobody has asked for yet */
static _Atomic size_t collect_frozen_objects, collect_frozen_bytes;

struct collect {
  const struct collect_request *request;
  struct collection *facts;
  unsigned generation;
  size_t condemned; /* objects */
  bool unread;      /* a page could not be read */
  void (*closer)(uintptr_t lo, uintptr_t hi, uintptr_t at); /* at: where the words are, of which these may be a copy */
  void (*look)(void *arg); /* of collect_look */
  void *look_arg;
};

/* --- visiting blocks --- */

typedef void collect_visit(struct collect *collect, struct block *block);

/* Every block that may hold objects of these ages: by the table of ages, eight units at a time. */
static void collect_each_aged(struct collect *collect, uint8_t ages, collect_visit *visit) {
  size_t used = atomic_load(&region.used);
  uint64_t wanted = ages * (uint64_t)0x0101010101010101;
  for (size_t unit = 0; unit < used;) {
    uint64_t eight;
    memcpy(&eight, (const void *)&region.ages[unit], sizeof eight);
    if (unit % sizeof eight == 0 && !(eight & wanted)) {
      unit += sizeof eight;
      continue;
    }
    struct block *block = atomic_load(&region.ages[unit]) & ages ? atomic_load(&region.blocks[unit]) : NULL;
    size_t first = block ? (block->start - region.base) >> block_unit_shift : 0;
    if (block && first == unit) visit(collect, block);
    unit += block && first == unit ? block->units : 1;
  }
}

static void collect_each(struct collect *collect, collect_visit *visit) {
  struct block *block;
  for (size_t unit = 0; (block = region_next(&unit)) != NULL;) {
    size_t units = block->units; /* it may be unmade */
    visit(collect, block);
    unit += units;
  }
}

/* Those that hold objects which this collection looks at. */
static void collect_each_covered(struct collect *collect, collect_visit *visit) {
  if (collect->generation == 2) collect_each(collect, visit);
  else collect_each_aged(collect, collect->generation == 0 ? REGION_AGE_0 : REGION_AGE_0 | REGION_AGE_1, visit);
}

static void collect_set_ages(const struct block *block, uint8_t ages) {
  size_t at = (block->start - region.base) >> block_unit_shift;
  for (uint32_t i = 0; i < block->units; i++) atomic_store_explicit(&region.ages[at + i], ages, memory_order_relaxed);
}

/* --- before marking --- */

/* For a full collection there is nothing new; if it fails, there is more of age 1 than before. */
static void collect_colour_new(struct collect *collect, struct block *block) {
  sweep_colour_new(block, collect->generation == 2);
  if (collect->generation == 2) collect_set_ages(block, REGION_AGE_1 | (block->young ? REGION_AGE_0 : 0));
}

/* Before anything is marked in the second stop: what is exactly LIVE could be taken for an unmarked object of this colour. */
static void collect_reach_new(struct collect *collect, struct block *block) {
  (void)collect;
  sweep_reach_new(block);
  collect_set_ages(block, REGION_AGE_1 | (block->young ? REGION_AGE_0 : 0));
}

static void collect_use_colour(const struct collect *collect) {
  static const uint8_t older[] = {STATE_AGE, STATE_AGE_2, 0};
  uint8_t mask = STATE_OWNED | STATE_FROZEN | STATE_MARK | older[collect->generation];
  mark_use((struct mark_colour){mask, STATE_LIVE | sweep_colour, STATE_MARK});
}

/* --- roots --- */

static void collect_root(uintptr_t lo, uintptr_t hi, void *arg) {
  struct collect *collect = arg;
  collect->facts->root_bytes += hi - lo;
  (roots_data ? mark_data : mark_range)(lo, hi);
  mark_mangled(lo, hi);
}

/* What is never given up is a root, as is what is frozen. In a minor collection the older ones are remember_scan's. */
static void collect_mark_kept(struct collect *collect, struct block *block) {
  bool never = sweep_policies[block->kind] == SWEEP_NEVER;
  if (!never && !(collect->generation == 2 && atomic_load(&collect_frozen_objects))) return;
  for (uint32_t slot = 0; slot < block->nslots; slot++) {
    uint8_t state = block->state[slot];
    if (!state_is_live(state)) continue;
    if (state & STATE_FROZEN) mark_contents(block, slot);
    else if (never) mark_slot(block, slot);
  }
}

static int collect_mark_roots(struct collect *collect, const struct world_thread *threads, unsigned count) {
  struct roots_request roots = {
      .purpose = collect->request->declared_roots ? ROOTS_DECLARED : ROOTS_ALL, .threads = threads, .count = count,
      .no_libraries = collect->request->no_libraries, .segment = collect->request->segment};
  int error = roots_each(&roots, collect_root, collect);
  if (error) return error;
  collect_each_covered(collect, collect_mark_kept);
  settle_roots(collect->generation, collect_root, collect);
  if (collect->request->other_roots) collect->request->other_roots();
  return 0;
}

static void collect_mark_old(struct collect *collect) {
  struct remember_counts counts = {0};
  if (collect->generation == 2) {
    if (collect->request->concurrent) typed_look_reached(2); /* it was refused */
    return;
  }
  remember_scan(collect->generation, &counts);
  typed_look_reached(collect->generation);
  collect->facts->pages_scanned = counts.pages_scanned;
  collect->facts->pages_skipped = counts.pages_skipped;
}

/* --- a closer look, before anything is given up that the program owns --- */

enum {
  collect_jump_bytes = 200, /* of a jmp_buf */
  collect_page_most = 4096,
};

static bool collect_is_owned(const struct block *block) { return sweep_policies[block->kind] == SWEEP_SUSPECT; }

static void collect_count_condemned(struct collect *collect, struct block *block) {
  if (!collect_is_owned(block)) return;
  collect->condemned += sweep_count_condemned(block, sweep_groups(block, collect->generation), collect->generation);
}

static void collect_closer_pages(uintptr_t lo, uintptr_t hi, bool present, void *arg) {
  struct collect *collect = arg;
  _Alignas(uintptr_t) char copy[collect_page_most];
  for (uintptr_t next; lo < hi; lo = next) {
    next = bits_align_down(lo, os_page_size) + os_page_size;
    if (next > hi) next = hi;
    if (present && mark_may_read(lo, next)) {
      collect->closer(lo, next, lo);
      continue;
    }
    size_t got = holes_copy(lo, copy, next - lo);
    if (got < next - lo) collect->unread = true;
    collect->closer((uintptr_t)copy, (uintptr_t)copy + bits_align_down(got, sizeof(uintptr_t)), lo);
  }
}

static void collect_closer_mangled(uintptr_t lo, uintptr_t hi, uintptr_t at) {
  (void)at;
  mark_mangled(lo, hi);
}

/* Memory of GC_malloc_atomic and its like is not searched, nor are words that a type leaves out: they hold no pointers to what libgc collects. But
 * libgc collects nothing of malloc's, so its clients may keep there the only pointer to that, and free it by a finalizer: so all of them count,
 * those that are found to be garbage now as well. A link keeps nothing. */
static void collect_closer_plain(uintptr_t lo, uintptr_t hi, uintptr_t at) {
  size_t step = mark_is_unaligned() ? 1 : sizeof(uintptr_t);
  for (; lo + sizeof(uintptr_t) <= hi; lo += step, at += step) {
    uintptr_t word;
    memcpy(&word, (const void *)lo, sizeof word);
    const struct block *block = region_find(word);
    if (unlikely(block && collect_is_owned(block)) && !links_is(at)) mark_range((uintptr_t)&word, (uintptr_t)(&word + 1));
  }
}

/* setjmp mangles one of the registers that it saves, and coroutines keep their jmp_buf in malloc'ed memory. */
static void collect_mark_closer(struct collect *collect, struct block *block) {
  bool plain = !kind_is_scanned(block->kind) || block->types;
  if (os_page_size > collect_page_most || (!plain && block_slot_bytes(block) < collect_jump_bytes)) return;
  collect->closer = plain ? collect_closer_plain : collect_closer_mangled;
  for (uint32_t slot = 0; slot < block->nslots; slot++) {
    uintptr_t lo = block_slot_address(block, slot), hi = lo + block_slot_bytes(block);
    if (plain ? !state_is_live(block->state[slot]) : !sweep_is_reached(block->state[slot], collect->generation)) continue;
    struct os_mapping mapping = {.lo = lo, .hi = bits_align_up(hi, os_page_size), .read = true, .write = true};
    if (block->slot_size) collect_closer_pages(lo, hi, true, collect);
    else os_maps_written(&mapping, collect_closer_pages, collect);
  }
}

static bool collect_is_any_condemned(struct collect *collect) {
  collect->condemned = 0;
  collect_each_covered(collect, collect_count_condemned);
  return collect->condemned > 0;
}

/* Until nothing more is found: what is reached may be another coroutine's memory. */
static void collect_look_closer(struct collect *collect) {
  struct remember_counts counts = {0};
  if (sweep_policies[KIND_SCANNED] != SWEEP_SUSPECT || !collect_is_any_condemned(collect)) return;
  if (collect->generation < 2) remember_scan_rest(collect->generation, &counts);
  mark_all();
  collect->facts->pages_scanned += counts.pages_scanned;
  for (size_t before = SIZE_MAX; collect_is_any_condemned(collect) && collect->condemned < before;) {
    before = collect->condemned;
    collect_each(collect, collect_mark_closer);
    mark_all();
  }
}

/* --- what the program owns is spared once --- */

static void collect_question(struct collect *collect, struct block *block) {
  if (collect_is_owned(block))
    sweep_question(block, sweep_groups(block, collect->generation), collect->generation, &collect->facts->swept);
}

static void collect_spare_slot(struct block *block, uint32_t slot, void *arg) {
  (void)arg;
  mark_contents(block, slot);
}

static void collect_spare(struct collect *collect, struct block *block) {
  if (collect_is_owned(block))
    sweep_spared_each(block, sweep_groups(block, collect->generation), collect->generation, collect_spare_slot, NULL);
}

/* First all become suspects, then all are looked into: so those that one leads to are suspects as well. */
static void collect_spare_suspects(struct collect *collect) {
  if (sweep_policies[KIND_SCANNED] != SWEEP_SUSPECT) return;
  collect_each_covered(collect, collect_question);
  collect_each_covered(collect, collect_spare);
  mark_all();
}

/* --- sweeping, or giving up --- */

static void collect_sweep_minor(struct collect *collect, struct block *block) {
  bool gone;
  uint8_t keep = collect->generation == 0 ? atomic_load(&region.ages[(block->start - region.base) >> block_unit_shift]) & REGION_AGE_1 : 0;
  uint64_t groups = sweep_groups(block, collect->generation);
  uint8_t ages = sweep_minor(block, groups, collect->generation, &collect->facts->swept, &gone);
  if (gone) block_unmake(block);
  else collect_set_ages(block, ages | keep);
}

static void collect_release_held(struct collect *collect, struct block *block) {
  (void)collect;
  sweep_release_held(block);
}

/* After a full one nothing is young but what is being handed out. */
static void collect_forget_ages(struct collect *collect, struct block *block) {
  (void)collect;
  collect_set_ages(block, block->young ? REGION_AGE_0 : 0);
}

static void collect_sweep_stopped(struct collect *collect) {
  if (sweep_poison && collect->generation > 0) collect_each(collect, collect_release_held);
  if (collect->generation < 2) {
    collect_each_covered(collect, collect_sweep_minor);
  } else {
    collect_each_aged(collect, REGION_AGE_0 | REGION_AGE_1, collect_forget_ages);
    sweep_begin();
    atomic_store(&collect_unswept, true);
    /* A pointer that was hidden may come back, and free() be called just when the slot is swept: what is held is told apart from
     * what is free only if both cannot happen at once. */
    while (sweep_poison && sweep_some(64)) continue;
  }
  remember_promoted(collect->generation);
}

static void collect_forget_block(struct collect *collect, struct block *block) {
  uint64_t groups = sweep_groups(block, collect->generation);
  sweep_forget(block, groups, collect->generation);
}

/* Everything as if there had been no collection. */
static void collect_forget(struct collect *collect) {
  collect_each_covered(collect, collect_forget_block);
}

/* --- one collection --- */

static uint64_t collect_lap(uint64_t *since) {
  uint64_t now = os_clock(), lap = now - *since;
  *since = now;
  return lap;
}

/* A minor collection has too little to share. */
static unsigned collect_markers(const struct collect *collect) {
  if (collect->generation < 2) return 1;
  return collect->request->markers ? collect->request->markers : workers_best(collect->facts->heap_before);
}

static int collect_begin_marking(struct collect *collect, const struct world_thread *threads, unsigned count) {
  bool concurrent = collect->request->concurrent && collect->generation == 2 && !collect->request->stop;
  struct mark_options options = {.unaligned = collect->request->unaligned, .exact = collect->request->exact, .no_scouts = true, .running = concurrent, .later = concurrent, .stop = collect->request->stop,
                                 .markers = collect_markers(collect)};
  int error = mark_begin(&options);
  collect_each_aged(collect, REGION_AGE_0, collect_colour_new);
  if (error) return error;
  collect_use_colour(collect);
  return collect_mark_roots(collect, threads, count);
}

/* Whoever waits for the end of objects is told, if nothing was missed. */
static bool collect_settle(struct collect *collect) {
  settle_mark(collect->generation);
  collect->facts->uncollectable = garbage_found();
  if (mark_is_complete()) settle_commit(collect->generation);
  else settle_forget(collect->generation);
  return mark_is_complete();
}

/* Whoever may stop it says so, after the last of its objects, too. */
static bool collect_is_stopped(const struct collect *collect) {
  return mark_was_stopped() || (collect->request->stop && collect->request->stop());
}

/* Everything has been told: mark it to the end, and reclaim what was not reached. */
static int collect_end_marking(struct collect *collect, uint64_t *since) {
  struct collection *facts = collect->facts;
  mark_all();
  if (!collect_is_stopped(collect)) collect_look_closer(collect);
  if (!mark_is_complete() || collect->unread) return EIO;
  collect_spare_suspects(collect);
  facts->markers = mark_count();
  facts->mark_ns += collect_lap(since);
  if (!collect_settle(collect)) return EIO;
  facts->weak_ns += collect_lap(since);
  collect_sweep_stopped(collect);
  settle_ages(collect->generation);
  return 0;
}

/* True when marking goes on while the program runs. */
static bool collect_go_on_running(struct collect *collect, int *error) {
  if (!collect->request->concurrent || collect->request->stop || collect->generation < 2) return false;
  if (remember_begin_concurrent() && concurrent_begin(collect->request->markers) == 0) return true;
  *error = concurrent_refuse();
  return false;
}

/* The world is stopped, and something is being marked, of this generation. */
static struct {
  bool open;
  unsigned generation;
} collect_marks;

/* With the world stopped. */
static int collect_stopped(struct collect *collect, const struct world_thread *threads, unsigned count) {
  struct collection *facts = collect->facts;
  uint64_t since = os_clock();
  collect_marks.generation = collect->generation;
  collect_marks.open = true;
  int error = collect_begin_marking(collect, threads, count);
  facts->roots_ns = collect_lap(&since);
  if (!error && collect_go_on_running(collect, &error)) {
    collect_marks.open = false;
    facts->concurrent = true;
    return 0;
  }
  if (!error) {
    collect_mark_old(collect);
    facts->old_ns = collect_lap(&since);
    error = collect_end_marking(collect, &since);
  }
  collect_marks.open = false;
  if (error && mark_was_stopped()) error = ECANCELED;
  if (error) collect_forget(collect);
  mark_end();
  facts->sweep_ns = collect_lap(&since);
  return error;
}

/* The second stop of a concurrent one. What is new was not taken into account, and lives. */
static int collect_stopped_again(struct collect *collect, const struct world_thread *threads, unsigned count) {
  struct collection *facts = collect->facts;
  struct remember_counts counts = {0};
  uint64_t since = os_clock();
  int error = concurrent_join();
  if (!error) collect_each_aged(collect, REGION_AGE_0, collect_reach_new);
  collect_marks.open = !error;
  if (!error) error = collect_mark_roots(collect, threads, count);
  facts->roots_ns += collect_lap(&since);
  if (!error) {
    remember_scan_concurrent(&counts);
    typed_look_reached(2);
    facts->pages_scanned = counts.pages_scanned;
    facts->pages_skipped = counts.pages_skipped;
    facts->old_ns = collect_lap(&since);
    error = collect_end_marking(collect, &since);
  }
  collect_marks.open = false;
  if (error) {
    concurrent_forget();
    return error;
  }
  mark_end();
  facts->sweep_ns = collect_lap(&since);
  return 0;
}

static unsigned collect_count_deaf(const struct world_thread *threads, unsigned count) {
  unsigned deaf = 0;
  for (unsigned i = 0; i < count; i++) deaf += !threads[i].stopped && !threads[i].stranger;
  return deaf;
}

typedef int collect_step(struct collect *collect, const struct world_thread *threads, unsigned count);

struct collect_stop {
  struct collect *collect;
  collect_step *step;
  int error;
};

/* On a stack of ours. */
static void collect_call(void *arg) {
  struct collect_stop *stop = arg;
  struct collect *collect = stop->collect;
  struct collection *facts = collect->facts;
  struct world_thread *threads;
  uint64_t begin = os_clock(), cost_begin = os_process_clock();
  world_strangers(collect->request->declared_roots ? collect->request->used : NULL);
  int count = world_stop(&collect->request->self, &threads), error = count < 0 ? -count : 0;
  facts->stop_ns += os_clock() - begin;
  if (!error) {
    facts->threads = (unsigned)count;
    facts->deaf = collect_count_deaf(threads, (unsigned)count);
    if (collect->request->stopped) collect->request->stopped(threads, (unsigned)count);
    if (facts->deaf || watch_is_torn()) error = EAGAIN;
    else if (collect->request->off && collect->request->off()) error = EPERM;
    else error = stop->step(collect, threads, (unsigned)count);
  }
  facts->cost_ns += os_process_clock() - cost_begin;
  world_resume();
  world_strangers(NULL);
  facts->pause_ns = os_clock() - begin;
  stop->error = error;
}

/* Stops the world for one step. */
static int collect_in_stop(struct collect *collect, collect_step *step) {
  struct collect_stop stop = {collect, step, 0};
  world_call(collect_call, &stop);
  return stop.error;
}

static size_t collect_heap_bytes(void) {
  ptrdiff_t bytes = heap_in_use_sum();
  return bytes > 0 ? (size_t)bytes : 0;
}

/* False: whoever still sweeps does not come to an end. A vfork child may have been killed there. */
static bool collect_wait_for_sweep(void) {
  enum { tries = 100 * 1000 }; /* two seconds at least */
  while (sweep_some(64)) continue;
  for (int i = 0; i < tries; i++) {
    if (sweep_is_done()) return true;
    os_thread_sleep(20 * 1000);
  }
  return false;
}

static void collect_sum(struct collection *facts) {
  size_t gone = facts->swept.bytes;
  facts->heap_after = facts->heap_before > gone ? facts->heap_before - gone : 0;
}

static bool collect_own(void) {
  uint32_t nobody = 0;
  return atomic_compare_exchange_strong(&collect_owner, &nobody, (uint32_t)os_thread_id());
}

static struct collection collect_begun; /* a concurrent one, between its stops */

struct collect_locks collect_lock(void) {
  struct collect_locks locks = {.mask = world_acquire()};
  locks.watch = watch_try_lock();
  heap_lock();
  return locks;
}

void collect_unlock(struct collect_locks locks) {
  heap_unlock();
  if (locks.watch) watch_unlock();
  world_release(locks.mask);
}

/* The end of what collect_own began. */
static void collect_release(struct collect_locks locks) {
  atomic_store(&collect_owner, 0);
  collect_unlock(locks);
}

bool collect(const struct collect_request *request, struct collection *facts) {
  struct collect collect = {.request = request, .facts = facts, .generation = request->generation};
  if (!collect_own()) return false;
  if (concurrent_progress() != CONCURRENT_IDLE) {
    atomic_store(&collect_owner, 0);
    return false;
  }
  *facts = (struct collection){.number = atomic_fetch_add(&collect_count, 1) + 1,
                               .generation = request->generation,
                               .reason = request->reason,
                               .began = os_clock()};
  if (!collect_wait_for_sweep()) {
    facts->error = EBUSY;
    atomic_store(&collect_owner, 0);
    return true;
  }
  struct collect_locks locks = collect_lock();
  concurrent_restore();
  facts->heap_before = collect_heap_bytes();
  facts->error = locks.watch ? collect_in_stop(&collect, collect_stopped) : EAGAIN;
  collect_sum(facts);
  if (facts->concurrent) collect_begun = *facts;
  collect_release(locks);
  return true;
}

enum collect_progress collect_progress(void) {
  static const enum collect_progress as[] = {COLLECT_IDLE, COLLECT_MARKING, COLLECT_MARKED};
  return as[concurrent_progress()];
}

/* The end of what was begun to be marked. step: in a second stop; NULL: without one, by giving it up. */
static bool collect_end(const struct collect_request *request, struct collection *facts, collect_step *step) {
  struct collect collect = {.request = request, .facts = facts, .generation = 2};
  if (!collect_own()) return false;
  if (concurrent_progress() == CONCURRENT_IDLE) {
    atomic_store(&collect_owner, 0);
    return false;
  }
  if (step) concurrent_wait(0);
  struct collect_locks locks = collect_lock();
  *facts = collect_begun;
  facts->first_pause_ns = facts->pause_ns;
  facts->mark_ns = os_clock() - facts->began;
  if (!step) facts->pause_ns = 0;
  if (!step) facts->error = ECANCELED;
  else facts->error = locks.watch ? collect_in_stop(&collect, step) : EAGAIN;
  if (facts->error && concurrent_progress() != CONCURRENT_IDLE) concurrent_forget(); /* not even stopped */
  if (facts->error) remember_forget_concurrent();
  collect_sum(facts);
  collect_release(locks);
  return true;
}

bool collect_finish(const struct collect_request *request, struct collection *facts) { return collect_end(request, facts, collect_stopped_again); }
bool collect_give_up(const struct collect_request *request, struct collection *facts) { return collect_end(request, facts, NULL); }

/* --- afterwards --- */

bool collect_sweep(unsigned blocks) { return sweep_some(blocks); }

bool collect_swept(struct sweep_counts *counts) {
  if (likely(!atomic_load_explicit(&collect_unswept, memory_order_relaxed)) || !sweep_is_done()) return false;
  if (!atomic_exchange(&collect_unswept, false)) return false;
  sweep_totals(counts);
  return true;
}

/* --- freezing --- */

static void collect_freeze_block(struct collect *collect, struct block *block) {
  size_t objects = 0;
  (void)collect;
  for (uint32_t slot = 0; slot < block->nslots; slot++) {
    uint8_t *state = &block->state[slot];
    if (!state_is_live(*state)) continue;
    *state = STATE_LIVE | STATE_AGE_2 | STATE_FROZEN;
    objects++;
  }
  collect_frozen_objects += objects;
  collect_frozen_bytes += objects * block_slot_bytes(block);
}

static void collect_unfreeze_block(struct collect *collect, struct block *block) {
  (void)collect;
  for (uint32_t slot = 0; slot < block->nslots; slot++)
    if (state_is_live(block->state[slot]) && block->state[slot] & STATE_FROZEN)
      block->state[slot] = STATE_LIVE | STATE_AGE_2 | sweep_colour;
}

/* Waits for another collection, but not for a concurrent one, which only its own end can end. */
static bool collect_own_idle(void) {
  while (!collect_own()) os_thread_sleep(100 * 1000);
  if (concurrent_progress() == CONCURRENT_IDLE) return true;
  atomic_store(&collect_owner, 0);
  return false;
}

/* With the world stopped. */
static int collect_visit_all(struct collect *collect, collect_visit *visit) {
  collect_frozen_objects = collect_frozen_bytes = 0;
  collect_each_aged(collect, REGION_AGE_0, collect_colour_new);
  collect_each(collect, visit);
  remember_promoted(0); /* what was new is of age 1 now */
  return 0;
}

static int collect_freeze_stopped(struct collect *collect, const struct world_thread *threads, unsigned count) {
  (void)threads;
  (void)count;
  return collect_visit_all(collect, collect_freeze_block);
}

static int collect_unfreeze_stopped(struct collect *collect, const struct world_thread *threads, unsigned count) {
  (void)threads;
  (void)count;
  return collect_visit_all(collect, collect_unfreeze_block);
}

static int collect_apart(const struct collect_request *request, collect_step *step) {
  struct collection facts = {0};
  struct collect collect = {.request = request, .facts = &facts, .generation = 2};
  if (!collect_own_idle()) return EBUSY;
  if (!collect_wait_for_sweep()) {
    atomic_store(&collect_owner, 0);
    return EBUSY;
  }
  struct collect_locks locks = collect_lock();
  concurrent_restore();
  int error = locks.watch ? collect_in_stop(&collect, step) : EAGAIN;
  collect_release(locks);
  return error;
}

int collect_freeze(const struct collect_request *request) { return collect_apart(request, collect_freeze_stopped); }
int collect_unfreeze(const struct collect_request *request) { return collect_apart(request, collect_unfreeze_stopped); }

void collect_frozen(size_t *objects, size_t *bytes) {
  *objects = collect_frozen_objects;
  *bytes = collect_frozen_bytes;
}

/* --- looking --- */

static int collect_look_stopped(struct collect *collect, const struct world_thread *threads, unsigned count) {
  (void)threads, (void)count;
  collect->look(collect->look_arg);
  return 0;
}

int collect_look(const struct collect_request *request, void (*look)(void *arg), void *arg) {
  struct collection facts = {0};
  struct collect collect = {.request = request, .facts = &facts, .look = look, .look_arg = arg};
  if (!collect_own_idle()) return EBUSY;
  int error = collect_wait_for_sweep() ? 0 : EBUSY;
  struct collect_locks locks = collect_lock();
  concurrent_restore();
  if (!locks.watch) error = EBUSY; /* who has it may wait for the locks that we have */
  if (!error) error = collect_in_stop(&collect, collect_look_stopped);
  collect_release(locks);
  return error;
}

/* --- marks, for the program's procedures --- */

static bool collect_find(uintptr_t object, struct block **block, uint32_t *slot) {
  *block = region_find(object);
  if (!*block || !block_contains(*block, object)) return false;
  *slot = block_slot(*block, object);
  return block_slot_address(*block, *slot) == object && state_is_live(((volatile uint8_t *)(*block)->state)[*slot]);
}

bool collect_is_marking(void) { return collect_marks.open; }

static bool collect_is_mine(void) { return collect_marks.open && atomic_load(&collect_owner) == (uint32_t)os_thread_id(); }

bool collect_is_reached(uintptr_t object) {
  struct block *block;
  uint32_t slot;
  if (!collect_find(object, &block, &slot)) return false;
  if (collect_is_mine()) return watch_lives(object, collect_marks.generation);
  uint8_t state = ((volatile uint8_t *)block->state)[slot];
  if (concurrent_progress() != CONCURRENT_IDLE || !(state & STATE_AGE) || state & STATE_FROZEN) return true;
  return sweep_policies[block->kind] == SWEEP_NEVER || (state & STATE_MARK) == sweep_colour;
}

void collect_reach(uintptr_t object) {
  struct block *block;
  uint32_t slot;
  if (collect_is_mine() && collect_find(object, &block, &slot)) mark_slot(block, slot);
}

void collect_unreach(uintptr_t object) {
  struct block *block;
  uint32_t slot;
  if (collect_is_mine() && collect_find(object, &block, &slot)) mark_untake(block, slot);
}

void collect_census(struct collect_census *census) {
  struct block *block;
  memset(census, 0, sizeof *census);
  heap_lock();
  for (size_t unit = 0; (block = region_next(&unit)) != NULL; unit += block->units)
    for (uint32_t slot = 0; slot < block->nslots; slot++) {
      uint8_t state = ((volatile uint8_t *)block->state)[slot];
      if (!state_is_live(state) || state & STATE_FROZEN) continue;
      unsigned age = state & STATE_AGE_2 ? 2 : state & STATE_AGE_1 ? 1 : 0;
      census->objects[age]++;
      census->bytes[age] += block_slot_bytes(block);
    }
  heap_unlock();
}

void collect_fork_child(struct cache *mine) {
  atomic_store(&collect_owner, 0);
  concurrent_fork_child();
  sweep_fork_child(mine);
}
