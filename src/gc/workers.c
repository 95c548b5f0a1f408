/* SPDX-License-Identifier: MIT
 * Several markers. Must not know what a word or an object is, but for splitting one that is long.
 *
 * The pool and the counts are under one lock, which is held for a copy of 4 KiB at most: markers have stacks of their own
 * and come here seldom. */
#include "config.h"

#include "gc/workers.h"

#include "base/lock.h"
#include "os/spawn.h"
#include "os/threads.h"

#include <string.h>

enum {
  workers_pool = 4096,       /* entries */
  workers_give_most = 512,
  workers_start_after = 64,  /* times mark_attend_every objects: with less to do than that a thread is not worth it */
  workers_spins = 2000,      /* some 20 us, before a marker that waits goes to sleep */
  workers_bytes_each = 32 << 20,
  workers_best_most = 16,
};

enum { WORKERS_START = 1, WORKERS_HUNGRY = 2, WORKERS_STOP = 4, WORKERS_PAUSE = 8, WORKERS_ASK = 16 }; /* of mark_attention */

static struct {
  struct lock lock;
  unsigned markers;          /* of this search */
  unsigned most_worked;
  unsigned asked;            /* times that a start was thought of */
  int thread[mark_most];     /* of marker i; [0] only in the background */
  unsigned threads;
  bool refused;
  void (*over)(void);
  int (*ask)(void);          /* whether to give the search up */
  unsigned asks;             /* times that this was thought of */
  bool gave_up;

  /* under the lock. at_work + parked + those that wait == markers that take part */
  unsigned at_work, parked;
  bool done, stop, pause;
  size_t count;
  uint64_t pool[workers_pool];

  _Atomic uint32_t news;     /* a futex: something of the above has changed */
  _Atomic uint32_t sleepers; /* on it */
} workers = {.lock = LOCK_INIT(LOCK_MARKERS)};

/* --- how many --- */

unsigned workers_best(size_t heap_bytes) {
  size_t deserved = heap_bytes / workers_bytes_each + (heap_bytes >= workers_bytes_each);
  unsigned best = os_spawn_processors();
  if (best > workers_best_most) best = workers_best_most;
  if (best > deserved) best = (unsigned)deserved;
  return best ? best : 1;
}

/* --- news --- */

/* Both under the lock, which is free while one waits. */
static void workers_tell(void) {
  atomic_fetch_add(&workers.news, 1);
  if (atomic_load(&workers.sleepers)) os_futex_wake(&workers.news);
}

static void workers_wait(void) {
  uint32_t seen = atomic_load(&workers.news);
  lock_release(&workers.lock);
  for (int i = 0; i < workers_spins && atomic_load_explicit(&workers.news, memory_order_relaxed) == seen; i++)
    __builtin_ia32_pause();
  atomic_fetch_add(&workers.sleepers, 1);
  while (atomic_load(&workers.news) == seen) os_futex_wait(&workers.news, seen, 0);
  atomic_fetch_sub(&workers.sleepers, 1);
  lock_acquire(&workers.lock);
}

static void workers_want(uint32_t what) { atomic_fetch_or(&mark_attention, what); }
static void workers_want_no(uint32_t what) { atomic_fetch_and(&mark_attention, ~what); }

/* --- the pool --- */

/* The later half of a long object. Pointers that begin in one half and end in the other would be missed, where they may
 * begin anywhere. */
static bool workers_split(struct marker *m, uint64_t *half) {
  uint64_t object = *m->bottom, length = object & UNITS_LENGTH, words = length / 2 & ~(uint64_t)1;
  if (object & UNITS_LARGE || m->odd || length < 4 * mark_chunk / sizeof(uintptr_t)) return false;
  *m->bottom = object - length + words;
  *half = object + (words << units_length_bits) - words;
  return true;
}

static void workers_give(struct marker *m) {
  size_t have = (size_t)(m->top - m->bottom), give = have / 2;
  uint64_t half = 0;
  bool split = have == 1 && workers_split(m, &half);
  if (!give && !split) return;
  if (give > workers_give_most) give = workers_give_most;
  lock_acquire(&workers.lock);
  if (give > workers_pool - workers.count) give = workers_pool - workers.count;
  memcpy(workers.pool + workers.count, m->bottom, give * sizeof *m->bottom);
  workers.count += give;
  m->bottom += give;
  if (split && workers.count < workers_pool)
    workers.pool[workers.count++] = half;
  else if (split)
    mark_push(m, half);
  workers_want_no(WORKERS_HUNGRY);
  workers_tell();
  lock_release(&workers.lock);
}

/* Under the lock. */
static void workers_take(struct marker *m) {
  size_t take = (workers.count + 1) / 2;
  if (take > workers_give_most) take = workers_give_most;
  m->top = m->bottom = m->stack;
  for (; take > 0; take--) mark_push(m, workers.pool[--workers.count]);
  if (workers.count == 0) workers_want(WORKERS_HUNGRY);
}

/* For a marker that has nothing left: true when it has something again. */
static bool workers_get(struct marker *m) {
  bool got = false;
  lock_acquire(&workers.lock);
  workers.at_work--;
  workers_tell();
  while (!got && !workers.done && !workers.stop) {
    if (workers.count && !workers.pause) {
      workers_take(m);
      workers.at_work++;
      got = true;
    } else if (workers.at_work + workers.parked == 0 && !workers.count) {
      workers.done = true;
      workers_tell();
      if (workers.over) workers.over();
    } else {
      if (!workers.count) workers_want(WORKERS_HUNGRY);
      workers_wait();
    }
  }
  lock_release(&workers.lock);
  return got;
}

static void workers_park(void) {
  lock_acquire(&workers.lock);
  workers.at_work--;
  workers.parked++;
  workers_tell();
  while (workers.pause) workers_wait();
  workers.parked--;
  workers.at_work++;
  lock_release(&workers.lock);
}

/* --- threads --- */

static void workers_run(void *arg) {
  struct marker *m = arg;
  do mark_run(m);
  while (workers_get(m));
}

static void workers_change_at_work(int by) {
  lock_acquire(&workers.lock);
  workers.at_work += (unsigned)by;
  workers_tell();
  lock_release(&workers.lock);
}

/* A thread for the marker; false when it is refused. */
static bool workers_spawn(unsigned marker) {
  workers_change_at_work(1);
  int thread = os_spawn(workers_run, mark_marker(marker));
  if (thread >= 0) {
    workers.thread[workers.threads++] = thread;
    return true;
  }
  workers_change_at_work(-1);
  workers.refused = true;
  return false;
}

static void workers_join(void) {
  if (!workers.threads) return;
  lock_acquire(&workers.lock);
  workers.stop = true;
  workers_want(WORKERS_STOP);
  workers_tell();
  lock_release(&workers.lock);
  while (workers.threads) os_spawn_join(workers.thread[--workers.threads]);
}

static void workers_start(void) {
  workers_want_no(WORKERS_START);
  workers_want(WORKERS_HUNGRY);
  for (unsigned i = 1; i < workers.markers && !workers.refused; i++) workers_spawn(i);
  if (workers.threads + 1 > workers.most_worked) workers.most_worked = workers.threads + 1;
  if (!workers.threads) workers_want_no(WORKERS_HUNGRY);
}

static bool workers_ask(void) {
  enum { every = 16 };
  if (!workers.gave_up && workers.asks++ % every == 0) workers.gave_up = workers.ask() != 0;
  return workers.gave_up;
}

bool workers_gave_up(void) { return workers.gave_up; }

bool workers_attend(struct marker *m) {
  uint32_t wanted = atomic_load(&mark_attention);
  if (wanted & WORKERS_PAUSE) {
    workers_park();
    wanted = atomic_load(&mark_attention);
  }
  if (wanted & WORKERS_STOP || (wanted & WORKERS_ASK && workers_ask())) return true;
  if (wanted & WORKERS_START && ++workers.asked > workers_start_after) workers_start();
  if (wanted & WORKERS_HUNGRY) workers_give(m);
  return false;
}

/* Nobody takes part any more but marker 0, which is at work; what the others have left is on their stacks. */
static void workers_reset(void) {
  workers_join();
  workers.done = workers.stop = workers.pause = false;
  workers.at_work = 1;
  workers.parked = workers.asked = 0;
  workers.count = 0;
  workers.over = NULL;
  atomic_store(&mark_attention, (workers.markers > 1 && !workers.refused ? WORKERS_START : 0) | (workers.ask ? WORKERS_ASK : 0));
}

void workers_begin(unsigned markers, int (*stop)(void)) {
  workers.markers = markers;
  workers.ask = stop;
  workers.asks = 0;
  workers.gave_up = false;
  workers.most_worked = 1;
  workers.refused = false;
  workers_reset();
}

void workers_end(void) {
  workers.markers = 1;
  workers.ask = NULL;
  workers_reset();
}

unsigned workers_count(void) { return workers.most_worked; }

void workers_all(struct marker *m) {
  mark_run(m);
  if (!workers.threads) return;
  while (workers_get(m)) mark_run(m);
  workers_reset();
}

/* --- in the background --- */

unsigned workers_go(unsigned count, void (*over)(void)) {
  if (count == 0) count = (workers.markers + 1) / 2;
  if (count > workers.markers) count = workers.markers;
  workers_reset();
  atomic_store(&mark_attention, WORKERS_HUNGRY);
  workers.over = over;
  unsigned made = 0;
  /* Marker 0's share of at_work is this thread's, so that none is the last before all are there. */
  while (made < count && workers_spawn(made)) made++;
  if (made)
    workers_change_at_work(-1);
  else
    workers_reset();
  if (made > workers.most_worked) workers.most_worked = made;
  return made;
}

void workers_stop(void) {
  workers_join();
  while (workers.count) mark_push(mark_marker(0), workers.pool[--workers.count]);
  workers_reset();
}

void workers_pause(void) {
  lock_acquire(&workers.lock);
  workers.pause = true;
  workers_want(WORKERS_PAUSE);
  while (workers.at_work) workers_wait();
  lock_release(&workers.lock);
}

void workers_resume(void) {
  lock_acquire(&workers.lock);
  workers.pause = false;
  workers_want_no(WORKERS_PAUSE);
  workers_tell();
  lock_release(&workers.lock);
}

void workers_fork_child(void) {
  lock_reset(&workers.lock);
  workers.threads = 0;
  atomic_store(&workers.sleepers, 0);
  workers_end();
}
