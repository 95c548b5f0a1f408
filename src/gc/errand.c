/* SPDX-License-Identifier: MIT
 * Queues of errands. */
#include "config.h"

#include "gc/errand.h"

#include "os/threads.h"

static struct {
  struct errand *first, *last;
  _Atomic size_t count;
} errands[errand_kinds];

static _Atomic uint32_t errand_bell;
static _Atomic bool errand_sleeps; /* somebody waits for the bell */

uint32_t errand_pushes(void) { return atomic_load(&errand_bell); }

void errand_wait(uint32_t pushes) {
  atomic_store(&errand_sleeps, true);
  os_futex_wait(&errand_bell, pushes, 0);
}

void errand_wake(void) {
  atomic_fetch_add(&errand_bell, 1);
  if (atomic_load(&errand_sleeps) && atomic_exchange(&errand_sleeps, false)) os_futex_wake(&errand_bell);
}

void errand_push(struct errand *errand) {
  errand->next = NULL;
  if (errands[errand->kind].first) errands[errand->kind].last->next = errand;
  else errands[errand->kind].first = errand;
  errands[errand->kind].last = errand;
  atomic_fetch_add(&errands[errand->kind].count, 1);
  errand_wake();
}

struct errand *errand_take(enum errand_kind kind) {
  struct errand *errand = errands[kind].first;
  if (!errand) return NULL;
  errands[kind].first = errand->next;
  atomic_fetch_sub(&errands[kind].count, 1);
  return errand;
}

struct errand *errand_first(enum errand_kind kind) { return errands[kind].first; }

size_t errand_count(enum errand_kind kind) { return atomic_load_explicit(&errands[kind].count, memory_order_relaxed); }

void errand_each(void (*root)(uintptr_t lo, uintptr_t hi, void *arg), void *arg) {
  for (unsigned kind = 0; kind < errand_kinds; kind++)
    for (struct errand *errand = errands[kind].first; errand; errand = errand->next)
      root((uintptr_t)errand->word, (uintptr_t)(errand->word + errand_words), arg);
}
