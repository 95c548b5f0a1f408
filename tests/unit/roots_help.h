/* SPDX-License-Identifier: MIT
 * What the tests of the roots share: a value that lies in one place, and whether the roots lead to it. The value is
 * no pointer to anything; it is known by its complement, so that only the place holds it. */
#ifndef ROOTS_HELP_H
#define ROOTS_HELP_H

#include "gc_help.h"

#include "gc/roots.h"

#include <errno.h>

enum { page = 4096 };

static int roots_error; /* of the last search */

struct roots_sought {
  uintptr_t hidden;
  bool found;
};

static __attribute__((noinline, unused)) void roots_look(uintptr_t lo, uintptr_t hi, void *arg) {
  struct roots_sought *sought = arg;
  for (const uintptr_t *word = (const uintptr_t *)lo; word < (const uintptr_t *)hi; word++)
    if (~*word == sought->hidden) sought->found = true;
}

struct roots_asked {
  uintptr_t sp;
  enum roots_purpose purpose;
  struct roots_sought sought;
};

static void roots_ask(void *arg) {
  struct roots_asked *asked = arg;
  struct world_thread self = {.tid = os_thread_id(), .stopped = true, .sp = asked->sp}, *threads;
  int count = world_stop(&self, &threads);
  struct roots_request request = {.purpose = asked->purpose, .threads = threads, .count = count < 0 ? 1 : (unsigned)count};
  roots_error = count < 0 ? -count : roots_each(&request, roots_look, &asked->sought);
  world_resume();
}

/* Whether the value is in a root, with this thread's stack live from sp on. */
static __attribute__((noinline, unused)) bool is_root_from(uintptr_t hidden, enum roots_purpose purpose, uintptr_t sp) {
  struct roots_asked asked = {.sp = sp, .purpose = purpose, .sought = {.hidden = hidden}};
  uint64_t mask = world_acquire();
  heap_lock();
  world_call(roots_ask, &asked);
  heap_unlock();
  world_release(mask);
  return asked.sought.found;
}

/* A new value. */
static __attribute__((noinline, unused)) uintptr_t value(void) {
  static uintptr_t last = 0x123456789a8;
  return last += 0x10008;
}

static __attribute__((noinline, unused)) void put(void *place, uintptr_t hidden) { *(volatile uintptr_t *)place = ~hidden; }

/* Threads that go on in steps. */
static _Atomic uint32_t step;

static __attribute__((unused)) void reach_step(uint32_t n) {
  while (step < n) os_thread_sleep(200 * 1000);
}

static __attribute__((unused)) void next_step(void) { step++; }

#endif
