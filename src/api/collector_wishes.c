/* SPDX-License-Identifier: MIT
 * Whether anything may be collected, and what the program wants otherwise. Must not know what comes of it. */
#include "config.h"

#include "api/collector.h"

#include "gc.h"

struct collector_wishes collector_wishes;

__attribute__((weak)) void collector_consult(enum collector_moment moment) { (void)moment; }

/* A counter; programs set it, too. */
__attribute__((visibility("default"))) int GC_dont_gc;
static _Atomic bool collector_forbidden;

void collector_disable(void) { __atomic_fetch_add(&GC_dont_gc, 1, __ATOMIC_SEQ_CST); }

/* Sets the counter to what change makes of it. Returns what it was. */
static int collector_count(int (*change)(int)) {
  int old = __atomic_load_n(&GC_dont_gc, __ATOMIC_SEQ_CST);
  while (!__atomic_compare_exchange_n(&GC_dont_gc, &old, change(old), false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) continue;
  if (old != 0 && !collector_is_disabled()) atomic_store(&heap_alarm, true);
  return old;
}

static int collector_one_less(int count) { return count > 0 ? count - 1 : count; }
static int collector_some(int count) { return count > 0 ? count : 1; }
static int collector_none(int count) { return (void)count, 0; }

bool collector_enable(void) { return collector_count(collector_one_less) <= 1; }
bool collector_set_disabled(bool disabled) { return collector_count(disabled ? collector_some : collector_none) != 0; }

void collector_forbid(void) { atomic_store(&collector_forbidden, true); }
bool collector_is_forbidden(void) { return atomic_load(&collector_forbidden); }

bool collector_is_disabled(void) { return __atomic_load_n(&GC_dont_gc, __ATOMIC_SEQ_CST) != 0 || collector_is_forbidden(); }
