/* SPDX-License-Identifier: MIT
 * Marking while the program runs. Must not know what the program does meanwhile. */
#include "config.h"

#include "gc/concurrent.h"

#include "gc/holes.h"
#include "gc/marker.h"
#include "gc/workers.h"
#include "heap/heap.h"
#include "os/spawn.h"
#include "os/threads.h"

#include <errno.h>
#include <string.h>

static struct {
  _Atomic uint32_t progress; /* enum concurrent_progress, and a futex */
  struct mark_colour colour;
  bool torn;                 /* a fork child's marks */
} concurrent;

static void concurrent_set(enum concurrent_progress progress) {
  atomic_store(&concurrent.progress, progress);
  os_futex_wake(&concurrent.progress);
}

enum concurrent_progress concurrent_progress(void) {
  return (enum concurrent_progress)atomic_load_explicit(&concurrent.progress, memory_order_acquire);
}

void concurrent_wait(uint64_t nanoseconds) {
  uint64_t begin = os_clock();
  while (atomic_load(&concurrent.progress) == CONCURRENT_MARKING) {
    uint64_t gone = os_clock() - begin;
    if (nanoseconds && gone >= nanoseconds) return;
    os_futex_wait(&concurrent.progress, CONCURRENT_MARKING, nanoseconds ? nanoseconds - gone : 0);
  }
}

/* By the last marker. */
static void concurrent_over(void) { concurrent_set(CONCURRENT_MARKED); }

int concurrent_begin(unsigned markers) {
  CHECK(concurrent_progress() == CONCURRENT_IDLE && !concurrent.torn);
  concurrent.colour = mark_marker(0)->colour;
  units_pin();
  mark_in_background(true);
  concurrent_set(CONCURRENT_MARKING);
  if (workers_go(markers, concurrent_over)) return 0;
  concurrent_set(CONCURRENT_IDLE);
  mark_in_background(false);
  units_unpin();
  return EAGAIN;
}

int concurrent_refuse(void) {
  mark_in_background(false);
  return mark_renew();
}

void concurrent_cut_short(void) {
  if (likely(concurrent_progress() == CONCURRENT_IDLE)) return;
  heap_lock();
  if (concurrent_progress() != CONCURRENT_IDLE) {
    workers_stop();
    concurrent_set(CONCURRENT_MARKED);
  }
  heap_unlock();
}

int concurrent_join(void) {
  CHECK(concurrent_progress() != CONCURRENT_IDLE);
  workers_stop();
  concurrent_set(CONCURRENT_IDLE);
  mark_in_background(false);
  units_unpin();
  return mark_renew();
}

/* --- marks as they were --- */

/* The program may be running. What is new has no mark; it may have got one at the second stop. */
static void concurrent_restore_slot(uint8_t *at) {
  const struct mark_colour *colour = &concurrent.colour;
  uint8_t painted = colour->want ^ colour->paint, state = *(volatile uint8_t *)at;
  do
    if ((state & colour->mask) != painted || !(state & (STATE_AGE | STATE_MARK))) return;
  while (!atomic_compare_exchange_weak((_Atomic uint8_t *)at, &state, state ^ colour->paint));
}

/* Eight at a time: a page of states without any that is marked is not written. */
static bool concurrent_has_painted(const uint8_t *state) {
  const uint64_t ones = 0x0101010101010101u;
  uint64_t x;
  memcpy(&x, state, sizeof x);
  x = (x & ones * concurrent.colour.mask) ^ ones * (concurrent.colour.want ^ concurrent.colour.paint);
  return ((x - ones) & ~x & ones * 0x80) != 0; /* a byte that is zero */
}

static void concurrent_restore_block(struct block *block) {
  enum { some = sizeof(uint64_t) };
  for (uint32_t slot = 0; slot < block->nslots; slot += some) {
    if (block->slot_size && !concurrent_has_painted(block->state + slot)) continue;
    for (uint32_t i = slot; i < slot + some && i < block->nslots; i++) concurrent_restore_slot(&block->state[i]);
  }
}

static void concurrent_restore_all(void) {
  struct block *block;
  for (size_t unit = 0; (block = region_next(&unit)) != NULL; unit += block->units) concurrent_restore_block(block);
}

void concurrent_forget(void) {
  if (concurrent_progress() != CONCURRENT_IDLE) {
    workers_stop();
    units_unpin();
  }
  concurrent_restore_all();
  concurrent_set(CONCURRENT_IDLE); /* not before: who forks now has marks to restore as well */
  mark_end();
}

/* --- what must not be read --- */

unsigned concurrent_bar(uintptr_t lo, uintptr_t hi) {
  unsigned number = holes_expect(lo, hi);
  if (likely(concurrent_progress() != CONCURRENT_MARKING)) return number; /* else it is found with the world stopped */
  if (!os_spawn_is_here()) return number;
  heap_lock();
  if (concurrent_progress() == CONCURRENT_MARKING) {
    workers_pause();
    mark_add_hole(lo, hi);
    workers_resume();
  }
  heap_unlock();
  return number;
}

void concurrent_barred(unsigned number) { holes_expected_over(number); }

/* --- fork --- */

void concurrent_fork_child(void) {
  os_spawn_fork_child();
  workers_fork_child();
  holes_fork_child();
  units_fork_child();
  if (concurrent_progress() != CONCURRENT_IDLE) concurrent.torn = true;
  atomic_store(&concurrent.progress, CONCURRENT_IDLE);
}

void concurrent_restore(void) {
  if (likely(!concurrent.torn)) return;
  concurrent.torn = false;
  concurrent_restore_all();
}
