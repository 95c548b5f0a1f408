/* SPDX-License-Identifier: MIT
 * Threads that stand still: one by one, and all; what they hold is found, and they go on afterwards. And functions that switch stacks. */
#define GC_THREADS
#include "../api/collect.h"

#include "gc_mark.h"
#include "javaxfc.h"

#include <sched.h>
#include <signal.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

enum { threads = 4, held_each = 50 };

struct counter {
  pthread_t thread;
  _Atomic unsigned long count;
  _Atomic bool ready, over, wrong, allocates;
  uintptr_t hidden[held_each];
};

static struct counter counters[threads];

static void *count_on(void *arg) {
  struct counter *counter = arg;
  void *volatile held[held_each];
  for (int i = 0; i < held_each; i++) {
    held[i] = GC_malloc(40);
    counter->hidden[i] = ~(uintptr_t)held[i];
  }
  counter->ready = true;
  while (!counter->over) {
    counter->count++;
    if (counter->allocates && counter->count % 16 == 0) *(void *volatile *)GC_malloc(64) = NULL;
  }
  for (int i = 0; i < held_each; i++)
    if (~counter->hidden[i] != (uintptr_t)held[i] || GC_base(held[i]) != held[i]) counter->wrong = true;
  return counter;
}

static void pause_some(void) { nanosleep(&(struct timespec){.tv_nsec = 20 * 1000 * 1000}, NULL); }

/* Waits for it, however busy the machine is; false: it does not move for a long time. */
static bool moves(struct counter *counter) {
  unsigned long before = counter->count;
  for (int i = 0; i < 1500 && counter->count == before; i++) pause_some();
  return counter->count != before;
}

static bool stands(struct counter *counter) {
  unsigned long before = counter->count;
  for (int i = 0; i < 3; i++) pause_some();
  return counter->count == before;
}

static void *name(struct counter *counter) { return (void *)(uintptr_t)counter->thread; }

static int held_alive(const struct counter *counter) {
  int alive = 0;
  for (int i = 0; i < held_each; i++) alive += GC_base((void *)~counter->hidden[i]) == (void *)~counter->hidden[i];
  return alive;
}

static void begin(bool allocates) {
  for (int i = 0; i < threads; i++) {
    memset(&counters[i], 0, sizeof counters[i]);
    counters[i].allocates = allocates;
    pthread_create(&counters[i].thread, NULL, count_on, &counters[i]);
  }
  for (int i = 0; i < threads; i++)
    while (!counters[i].ready) pause_some();
}

static void end(void) {
  bool wrong = false;
  for (int i = 0; i < threads; i++) {
    counters[i].over = true;
    pthread_join(counters[i].thread, NULL);
    wrong = wrong || counters[i].wrong;
  }
  OK(!wrong, "all that they held was there to the end");
}

static void test_one(bool allocates) {
  struct counter *one = &counters[1];
  begin(allocates);
  OK(!GC_is_thread_suspended(name(one)), "a thread runs");
  GC_suspend_thread(name(one));
  OK(GC_is_thread_suspended(name(one)) && stands(one), "and stands still when it is suspended");
  OK(moves(&counters[2]) && !GC_is_thread_suspended(name(&counters[2])), "others run");
  GC_suspend_thread(name(one));
  for (int generation = 0; generation < 3; generation++) {
    struct GC_generation_stats before, after;
    GC_get_stats(generation, &before);
    GC_collect(generation, NULL);
    GC_get_stats(generation, &after);
    OK(after.collections > before.collections && after.given_up == before.given_up && held_alive(one) == held_each,
       "a collection of generation %d is done, and finds what it holds", generation);
  }
  OK(stands(one), "it still stands");
  GC_resume_thread(name(one));
  OK(!GC_is_thread_suspended(name(one)) && moves(one), "and goes on when it is resumed, once");
  GC_resume_thread(name(one));
  for (int i = 0; i < 50; i++) {
    GC_suspend_thread(name(&counters[i % threads]));
    GC_resume_thread(name(&counters[i % threads]));
  }
  OK(moves(&counters[0]) && moves(&counters[threads - 1]), "again and again");
  for (int i = 0; i < threads; i++) GC_suspend_thread(name(&counters[i]));
  bool all = true;
  for (int i = 0; i < threads; i++) all = all && stands(&counters[i]);
  OK(all, "all at once");
  GC_gcollect();
  for (int i = 0; i < threads; i++) all = all && held_alive(&counters[i]) == held_each;
  OK(all, "what all of them hold is found");
  for (int i = 0; i < threads; i++) GC_resume_thread(name(&counters[i]));
  end();
}

/* --- itself --- */

static _Atomic int stage;

static void *stop_myself(void *arg) {
  stage = 1;
  GC_suspend_thread((void *)(uintptr_t)pthread_self());
  stage = 2;
  return arg;
}

static void test_myself(void) {
  pthread_t thread;
  pthread_create(&thread, NULL, stop_myself, NULL);
  void *called = (void *)(uintptr_t)thread;
  while (!GC_is_thread_suspended(called)) pause_some();
  GC_gcollect();
  pause_some();
  OK(stage == 1, "a thread may suspend itself");
  GC_resume_thread(called);
  pthread_join(thread, NULL);
  OK(stage == 2, "and is resumed by another");
  GC_suspend_thread(NULL);
  OK(!GC_is_thread_suspended(NULL), "what is no thread is left alone");
}

/* --- a call that waits is not cut short --- */

static int pipe_ends[2];

static void *read_one(void *arg) {
  char byte = 0;
  stage = 3;
  ssize_t got = read(pipe_ends[0], &byte, 1);
  return got == 1 && byte == 'x' ? arg : NULL;
}

static void test_waiting(void) {
  pthread_t thread;
  void *result = NULL;
  if (pipe(pipe_ends) != 0) return;
  pthread_create(&thread, NULL, read_one, &stage);
  while (stage != 3) pause_some();
  pause_some();
  GC_suspend_thread((void *)(uintptr_t)thread);
  GC_resume_thread((void *)(uintptr_t)thread);
  OK(write(pipe_ends[1], "x", 1) == 1, "a byte is written");
  pthread_join(thread, &result);
  OK(result == &stage, "whoever waits for it reads it all the same");
  close(pipe_ends[0]);
  close(pipe_ends[1]);
}

/* --- the world --- */

static void test_world(void) {
  unsigned long before[threads];
  bool still = true;
  begin(true);
  for (int round = 0; round < 5; round++) {
    GC_stop_world_external();
    for (int i = 0; i < threads; i++) before[i] = counters[i].count;
    for (volatile int i = 0; i < 1000000; i++) continue;
    for (int i = 0; i < threads; i++) still = still && counters[i].count == before[i];
    GC_start_world_external();
  }
  OK(still, "nobody runs while the world is stopped");
  bool all = true;
  for (int i = 0; i < threads; i++) all = all && moves(&counters[i]);
  OK(all, "and all do afterwards");
  GC_gcollect();
  end();
}

/* --- other stacks --- */

static ucontext_t here, there;
static uintptr_t on_main, on_other;

static void *collect_active(void *arg) {
  GC_gcollect();
  return arg;
}

static void *collect_blocked(void *arg) { return GC_call_with_gc_active(collect_active, arg); }

static void on_other_stack(void) {
  void *volatile held = GC_malloc(70);
  struct GC_stack_base mine, old;
  void *thread = GC_get_my_stackbottom(&old);
  on_other = ~(uintptr_t)held;
  mine.mem_base = (char *)there.uc_stack.ss_sp + there.uc_stack.ss_size;
  GC_set_stackbottom(thread, &mine);
  if (GC_do_blocking(collect_blocked, &mine) != &mine) on_other = 0;
  GC_set_stackbottom(thread, &old);
  (void)held;
}

static void test_stacks(void) {
  enum { bytes = 256 * 1024 };
  void *volatile held = GC_malloc(71);
  void *stack = GC_malloc_uncollectable(bytes);
  on_main = ~(uintptr_t)held;
  getcontext(&there);
  there.uc_stack.ss_sp = stack;
  there.uc_stack.ss_size = bytes;
  there.uc_link = &here;
  makecontext(&there, on_other_stack, 0);
  swapcontext(&here, &there);
  OK(on_other && GC_base((void *)~on_other) == (void *)~on_other, "what the other stack holds is found, through both functions");
  OK(GC_base((void *)~on_main) == (void *)~on_main, "and what the first one holds");
  int found = 0;
  OK(GC_do_blocking(collect_active, &found) == &found && GC_call_with_gc_active(collect_blocked, &found) == &found, "both return what is returned");
  (void)held;
  GC_free(stack);
}

int main(void) {
  GC_INIT();
  test_one(false);
  test_one(true);
  test_myself();
  test_waiting();
  test_world();
  test_stacks();
  return tap_end();
}
