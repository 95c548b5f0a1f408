/* SPDX-License-Identifier: MIT
 * Sweeping by itself: every state that there is, against a plain restatement of the rules, slot by slot. */
#include "config.h"

#include "heap/sweep.h"

#include "base/bits.h"
#include "heap/counts.h"
#include "tap.h"
#include "unit/gc_help.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

enum { slots = 1000, rounds = 200 };

static struct block *block; /* of 64-byte slots */
static uint8_t before[4096];

static bool is_covered(uint8_t state, unsigned generation) {
  unsigned age = state & STATE_AGE_2 ? 2 : state & STATE_AGE_1 ? 1 : 0;
  return state_is_live(state) && !(state & STATE_FROZEN) && age <= generation;
}
static bool is_marked(uint8_t state) { return (state & STATE_MARK) != sweep_colour; }

/* A state that a slot can have while a collection is at work. */
static uint8_t any_state(uint64_t *seed) {
  static const uint8_t ages[] = {0, STATE_AGE_1, STATE_AGE_2};
  switch (tap_random(seed) % 8) {
    case 0: return STATE_FREE;
    case 1: return STATE_LIVE | STATE_AGE_2 | STATE_FROZEN;
    case 2: return STATE_HELD | STATE_AGE_1;
  }
  uint8_t state = STATE_LIVE | ages[tap_random(seed) % 3];
  if (tap_random(seed) % 2) state |= STATE_MARK;
  if (tap_random(seed) % 3 == 0) state |= STATE_SUSPECT;
  return state;
}

static void fill(uint64_t *seed) {
  for (uint32_t i = 0; i < block->nslots; i++) before[i] = block->state[i] = any_state(seed);
}

static uint8_t after_minor(uint8_t state, unsigned generation, bool never) {
  if (!is_covered(state, generation)) return state;
  if (!is_marked(state) && !never) return STATE_FREE;
  return (uint8_t)(((state & ~STATE_MARK) | sweep_colour) + STATE_AGE_1);
}

static bool minor_is_right(uint64_t *seed, unsigned generation, bool never) {
  struct sweep_counts counts = {0};
  uint64_t dead = 0, survived = 0;
  bool gone, right = true;
  fill(seed);
  sweep_policies[KIND_COLLECTED] = never ? SWEEP_NEVER : SWEEP_AT_ONCE;
  atomic_store(&block->remote_freed, 0);
  sweep_minor(block, ~(uint64_t)0 >> (64 - (block->nslots + 63) / 64), generation, &counts, &gone);
  for (uint32_t i = 0; i < block->nslots; i++) {
    uint8_t want = after_minor(before[i], generation, never);
    right = right && block->state[i] == want;
    dead += want == STATE_FREE && before[i] != STATE_FREE;
    survived += want != STATE_FREE && is_covered(before[i], generation);
  }
  return right && !gone && counts.objects == dead && counts.bytes == dead * block->slot_size && counts.survived == survived &&
         atomic_load(&block->remote_freed) == dead && (block->state[block->nslots] & STATE_ABSENT);
}

static bool question_is_right(uint64_t *seed, unsigned generation) {
  struct sweep_counts counts = {0};
  bool right = true;
  fill(seed);
  sweep_question(block, ~(uint64_t)0 >> (64 - (block->nslots + 63) / 64), generation, &counts);
  for (uint32_t i = 0; i < block->nslots; i++) {
    uint8_t want = before[i];
    if (is_covered(want, generation) && is_marked(want)) want &= (uint8_t)~STATE_SUSPECT;
    else if (is_covered(want, generation) && !(want & STATE_SUSPECT)) want = (uint8_t)((want ^ STATE_MARK) | STATE_SUSPECT);
    right = right && block->state[i] == want;
  }
  return right;
}

static bool forget_is_right(uint64_t *seed, unsigned generation) {
  bool right = true;
  fill(seed);
  sweep_forget(block, ~(uint64_t)0 >> (64 - (block->nslots + 63) / 64), generation);
  for (uint32_t i = 0; i < block->nslots; i++) {
    uint8_t want = before[i];
    if (is_covered(want, generation)) want = (uint8_t)((want & ~STATE_MARK) | sweep_colour);
    if (is_covered(want, generation) && !(want & STATE_AGE)) want = STATE_LIVE;
    right = right && block->state[i] == want;
  }
  return right;
}

static bool full_is_right(uint64_t *seed) {
  bool right = true;
  fill(seed);
  sweep_policies[KIND_COLLECTED] = SWEEP_AT_ONCE;
  atomic_store(&block->remote_freed, 0);
  sweep_begin();
  while (sweep_some(3)) continue;
  for (uint32_t i = 0; i < block->nslots; i++) {
    uint8_t want = before[i];
    bool old = is_covered(want, 2) && (want & STATE_AGE);
    if (old) want = is_marked(want) ? STATE_FREE : (uint8_t)((want & ~STATE_AGE) | STATE_AGE_2);
    right = right && block->state[i] == want;
  }
  return right && sweep_is_done();
}

/* --- fork, while another thread sweeps --- */

enum { fork_objects = 5000, fork_large = 20 };
static unsigned stall_at, told;
static _Atomic bool stalled;

static void stall(struct block *where, uint32_t slot) {
  (void)where;
  (void)slot;
  if (told++ < stall_at) return;
  atomic_store(&stalled, true);
  for (;;) pause();
}

static void *sweep_there(void *arg) {
  while (sweep_some(8)) continue;
  return arg;
}

/* What is counted as used of each block is what is, or in a free word; no large object is left. */
static bool nothing_is_lost(void) {
  bool good = true;
  struct block *each;
  for (size_t unit = 0; (each = region_next(&unit)) != NULL; unit += each->units) {
    if (each->kind != KIND_COLLECTED) continue;
    const struct bin *bin = &help_cache->bins[KIND_COLLECTED][each->class];
    uint32_t used = each->slot_size && bin->block == each ? bits_count(bin->free) : 0;
    for (uint32_t i = 0; i < each->nslots; i++) used += each->state[i] != STATE_FREE;
    good = good && each->slot_size && each->used - atomic_load(&each->remote_freed) == used;
  }
  return good;
}

/* As if the thread had been stopped before it forgot what was counted of the slot. */
static _Atomic uint32_t *count_held(void) {
  struct block *each;
  for (size_t unit = 0; (each = region_next(&unit)) != NULL; unit += each->units)
    for (uint32_t i = 0; i < each->nslots && each->slot_size; i++) {
      _Atomic uint32_t *count = each->state[i] == STATE_HELD ? counts_make(each, i) : NULL;
      if (count) return atomic_store(count, 5), count;
    }
  return NULL;
}

static int sweep_in_child(void) {
  const _Atomic uint32_t *count = count_held();
  heap_fork_child(help_cache);
  sweep_fork_child(help_cache);
  sweep_tell = NULL;
  while (sweep_some(3)) continue;
  if (!sweep_is_done()) return 1;
  if (count && atomic_load(count)) return 3;
  cache_tidy(help_cache);
  return nothing_is_lost() && cache_check(help_cache) ? 0 : 2;
}

static void set_garbage(uintptr_t hidden) { *help_state(~hidden) = STATE_LIVE | STATE_AGE_2 | sweep_colour; }

static void make_garbage(void) {
  static uintptr_t object[fork_objects + fork_large];
  for (int i = 0; i < fork_objects; i++) object[i] = help_alloc(64, KIND_COLLECTED);
  for (int i = fork_objects; i < fork_objects + fork_large; i++) object[i] = help_alloc(200000, KIND_COLLECTED);
  for (int i = 0; i < fork_objects + fork_large; i++) set_garbage(object[i]);
}

static int fork_while_sweeping(void) {
  int status;
  pthread_t thread;
  sweep_begin();
  sweep_tell = stall;
  pthread_create(&thread, NULL, sweep_there, NULL);
  while (!atomic_load(&stalled)) usleep(1000);
  pid_t pid = fork();
  if (pid == 0) _exit(sweep_in_child());
  waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 99;
}

/* In a process of its own each time, since the thread never ends. */
static void test_fork(unsigned at) {
  int status;
  pid_t pid = fork();
  if (pid == 0) {
    alarm(120);
    stall_at = at;
    make_garbage();
    _exit(fork_while_sweeping());
  }
  waitpid(pid, &status, 0);
  OK(status == 0, "a child forked while object %u is swept by another thread sweeps to the end, and loses nothing (%d)", at, status);
}

int main(void) {
  uint64_t seed = tap_seed();
  help_init();
  sweep_policies[KIND_COLLECTED] = SWEEP_AT_ONCE;
  test_fork(0);
  test_fork(77);
  test_fork(3000);
  test_fork(fork_objects + 3);
  for (int i = 0; i < slots; i++) block = region_find(~help_alloc(64, KIND_COLLECTED));
  for (unsigned generation = 0; generation < 2; generation++) {
    bool minor = true, never = true, question = true, forget = true;
    for (int i = 0; i < rounds; i++) {
      minor = minor && minor_is_right(&seed, generation, false);
      never = never && minor_is_right(&seed, generation, true);
      question = question && question_is_right(&seed, generation);
      forget = forget && forget_is_right(&seed, generation);
      if (i % 7 == 0) sweep_colour ^= STATE_MARK;
    }
    OK(minor, "a minor sweep gives up what is covered and unmarked, and ages the rest");
    OK(never, "where nothing is ever given up, all ages");
    OK(question, "the unmarked become suspects and are spared, the reached are cleared");
    OK(forget, "what is forgotten is as it was");
  }
  bool full = true;
  for (int i = 0; i < rounds; i++) full = full && full_is_right(&seed);
  OK(full, "a full sweep gives up what has the other colour, and makes the rest old");
  return tap_end();
}
