/* SPDX-License-Identifier: MIT
 * Queues of errands. */
#include "config.h"

#include "gc/errand.h"

static struct {
  struct errand *first, *last;
  _Atomic size_t count;
} errands[errand_kinds];

void errand_push(struct errand *errand) {
  errand->next = NULL;
  if (errands[errand->kind].first) errands[errand->kind].last->next = errand;
  else errands[errand->kind].first = errand;
  errands[errand->kind].last = errand;
  atomic_fetch_add(&errands[errand->kind].count, 1);
}

struct errand *errand_take(enum errand_kind kind) {
  struct errand *errand = errands[kind].first;
  if (!errand) return NULL;
  errands[kind].first = errand->next;
  atomic_fetch_sub(&errands[kind].count, 1);
  return errand;
}

size_t errand_count(enum errand_kind kind) { return atomic_load_explicit(&errands[kind].count, memory_order_relaxed); }

void errand_each(void (*root)(uintptr_t lo, uintptr_t hi, void *arg), void *arg) {
  for (unsigned kind = 0; kind < errand_kinds; kind++)
    for (struct errand *errand = errands[kind].first; errand; errand = errand->next)
      root((uintptr_t)errand->word, (uintptr_t)(errand->word + errand_words), arg);
}
