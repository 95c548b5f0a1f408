/* SPDX-License-Identifier: MIT
 * The collector. Read collect_stopped: it is the algorithm.
 *
 * What keeps it safe. Only what was proven unreachable is given up: when a thread did not stop, a root could not be read, or
 * memory for the search was refused, everything is put back as it was (collect_forget) and the error told. A collection begins
 * only when the sweep of the last full one is done, so that colours have one meaning.
 *
 * Longer than most: the steps of a collection, of a concurrent one's two stops, and the locks around them are read together. */
#include "config.h"

#include "gc/collect.h"

#include "gc/concurrent.h"
#include "gc/covered.h"
#include "gc/frozen.h"
#include "gc/garbage.h"
#include "gc/mark.h"
#include "gc/owned.h"
#include "gc/remember.h"
#include "gc/roots.h"
#include "gc/settle.h"
#include "gc/typed.h"
#include "gc/watch.h"
#include "gc/workers.h"
#include "heap/heap.h"
#include "os/threads.h"

#include <errno.h>

static _Atomic uint64_t collect_count;
static _Atomic uint32_t collect_owner;  /* the thread that collects, or 0 */
static _Atomic bool collect_unswept;    /* a full collection whose counts nobody has asked for yet */

struct collect {
  const struct collect_request *request;
  struct collection *facts;
  unsigned generation;
  bool freeze; /* or thaw, of collect_set_frozen */
  void (*look)(void *arg); /* of collect_look */
  void *look_arg;
};

/* --- before marking --- */

/* For a full collection there is nothing new; if it fails, there is more of age 1 than before. */
static void collect_colour_new(struct block *block, void *arg) {
  const struct collect *collect = arg;
  sweep_colour_new(block, collect->generation == 2);
  if (collect->generation == 2) covered_set_ages(block, REGION_AGE_1 | (block->young ? REGION_AGE_0 : 0));
}

/* Before anything is marked in the second stop: what is exactly LIVE could be taken for an unmarked object of this colour. */
static void collect_reach_new(struct block *block, void *arg) {
  (void)arg;
  sweep_reach_new(block);
  covered_set_ages(block, REGION_AGE_1 | (block->young ? REGION_AGE_0 : 0));
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
static void collect_mark_kept(struct block *block, void *arg) {
  const struct collect *collect = arg;
  bool never = sweep_policies[block->kind] == SWEEP_NEVER;
  if (!never && !(collect->generation == 2 && frozen_any())) return;
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
  covered_each_of(collect->generation, collect_mark_kept, collect);
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

/* --- sweeping, or giving up --- */

static void collect_sweep_minor(struct block *block, void *arg) {
  struct collect *collect = arg;
  bool gone;
  uint8_t keep = collect->generation == 0 ? covered_ages(block) & REGION_AGE_1 : 0;
  uint64_t groups = sweep_groups(block, collect->generation);
  uint8_t ages = sweep_minor(block, groups, collect->generation, &collect->facts->swept, &gone);
  if (gone) block_unmake(block);
  else covered_set_ages(block, ages | keep);
}

static void collect_release_held(struct block *block, void *arg) {
  (void)arg;
  sweep_release_held(block);
}

/* After a full one nothing is young but what is being handed out. */
static void collect_forget_ages(struct block *block, void *arg) {
  (void)arg;
  covered_set_ages(block, block->young ? REGION_AGE_0 : 0);
}

static void collect_sweep_stopped(struct collect *collect) {
  if (sweep_poison && collect->generation > 0) covered_each(collect_release_held, NULL);
  if (collect->generation < 2) {
    covered_each_of(collect->generation, collect_sweep_minor, collect);
  } else {
    covered_each_aged(REGION_AGE_0 | REGION_AGE_1, collect_forget_ages, NULL);
    sweep_begin();
    atomic_store(&collect_unswept, true);
    /* A pointer that was hidden may come back, and free() be called just when the slot is swept: what is held is told apart from
     * what is free only if both cannot happen at once. */
    while (sweep_poison && sweep_some(64)) continue;
  }
  remember_promoted(collect->generation);
}

static void collect_forget_block(struct block *block, void *arg) {
  const struct collect *collect = arg;
  uint64_t groups = sweep_groups(block, collect->generation);
  sweep_forget(block, groups, collect->generation);
}

/* Everything as if there had been no collection. */
static void collect_forget(struct collect *collect) {
  covered_each_of(collect->generation, collect_forget_block, collect);
}

/* --- one collection --- */

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
  covered_each_aged(REGION_AGE_0, collect_colour_new, collect);
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
  bool read = collect_is_stopped(collect) || owned_look_closer(facts);
  if (!mark_is_complete() || !read) return EIO;
  owned_spare(facts);
  facts->markers = mark_count();
  facts->mark_ns += os_clock_lap(since);
  if (!collect_settle(collect)) return EIO;
  facts->weak_ns += os_clock_lap(since);
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
  facts->roots_ns = os_clock_lap(&since);
  if (!error && collect_go_on_running(collect, &error)) {
    collect_marks.open = false;
    facts->concurrent = true;
    return 0;
  }
  if (!error) {
    collect_mark_old(collect);
    facts->old_ns = os_clock_lap(&since);
    error = collect_end_marking(collect, &since);
  }
  collect_marks.open = false;
  if (error && mark_was_stopped()) error = ECANCELED;
  if (error) collect_forget(collect);
  mark_end();
  facts->sweep_ns = os_clock_lap(&since);
  return error;
}

/* The second stop of a concurrent one. What is new was not taken into account, and lives. */
static int collect_stopped_again(struct collect *collect, const struct world_thread *threads, unsigned count) {
  struct collection *facts = collect->facts;
  struct remember_counts counts = {0};
  uint64_t since = os_clock();
  int error = concurrent_join();
  if (!error) covered_each_aged(REGION_AGE_0, collect_reach_new, NULL);
  collect_marks.open = !error;
  if (!error) error = collect_mark_roots(collect, threads, count);
  facts->roots_ns += os_clock_lap(&since);
  if (!error) {
    remember_scan_concurrent(&counts);
    typed_look_reached(2);
    facts->pages_scanned = counts.pages_scanned;
    facts->pages_skipped = counts.pages_skipped;
    facts->old_ns = os_clock_lap(&since);
    error = collect_end_marking(collect, &since);
  }
  collect_marks.open = false;
  if (error) {
    concurrent_forget();
    return error;
  }
  mark_end();
  facts->sweep_ns = os_clock_lap(&since);
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
  if (step) {
    facts->error = locks.watch ? collect_in_stop(&collect, step) : EAGAIN;
  } else {
    facts->pause_ns = 0;
    facts->error = ECANCELED;
  }
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

/* Waits for another collection, but not for a concurrent one, which only its own end can end. */
static bool collect_own_idle(void) {
  while (!collect_own()) os_thread_sleep(100 * 1000);
  if (concurrent_progress() == CONCURRENT_IDLE) return true;
  atomic_store(&collect_owner, 0);
  return false;
}

static int collect_freeze_stopped(struct collect *collect, const struct world_thread *threads, unsigned count) {
  (void)threads, (void)count;
  covered_each_aged(REGION_AGE_0, collect_colour_new, collect);
  frozen_set(collect->freeze);
  return 0;
}

static int collect_set_frozen(const struct collect_request *request, bool freeze) {
  struct collection facts = {0};
  struct collect collect = {.request = request, .facts = &facts, .generation = 2, .freeze = freeze};
  if (!collect_own_idle()) return EBUSY;
  if (!collect_wait_for_sweep()) {
    atomic_store(&collect_owner, 0);
    return EBUSY;
  }
  struct collect_locks locks = collect_lock();
  concurrent_restore();
  int error = locks.watch ? collect_in_stop(&collect, collect_freeze_stopped) : EAGAIN;
  collect_release(locks);
  return error;
}

int collect_freeze(const struct collect_request *request) { return collect_set_frozen(request, true); }
int collect_unfreeze(const struct collect_request *request) { return collect_set_frozen(request, false); }

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

void collect_fork_child(struct cache *mine) {
  atomic_store(&collect_owner, 0);
  concurrent_fork_child();
  sweep_fork_child(mine);
}
