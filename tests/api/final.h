/* SPDX-License-Identifier: MIT
 * For the tests of finalizers: objects that are lost, and finalizers that count. What is lost here leaves hardly a trace on the stack, but the
 * collector is conservative: "nearly all"; one that a stale word kept may come with those of a later row. */
#ifndef FINAL_H
#define FINAL_H

#include "gc_ext.h"
#include "tap.h"
#include "wipe.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__attribute__((noinline)) static void collect_all(void) {
  wipe();
  GC_collect(2, NULL);
  wipe();
}

static inline bool nearly(int n, int all) {
  bool good = n >= all * 9 / 10 && n <= all + all / 10;
  if (n != all) tap_note("%d of %d", n, all);
  return good;
}

#endif
