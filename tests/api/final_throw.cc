// SPDX-License-Identifier: MIT
// Finalizers that leave by an exception: final.sh wants status 0.
#include "gc_ext.h"

#include <cstdio>

static int ran, caught;

static void leave(void *, void *) {
  if (ran++ % 3 == 0) throw 42;
}

__attribute__((noinline)) static void lose() {
  GC_disable();
  for (int i = 0; i < 100; i++) GC_register_finalizer(GC_malloc(48), leave, nullptr, nullptr, nullptr);
  GC_enable();
}

__attribute__((noinline)) static void wipe() {
  volatile char frame[16384];
  for (auto &byte : frame) byte = 0;
}

template <typename Function> static void attempt(int times, Function function) {
  for (int i = 0; i < times; i++)
    try {
      function();
    } catch (int) {
      caught++;
    }
}

int main() {
  lose();
  wipe();
  attempt(100, [] { GC_gcollect(); });
  int first = ran;
  lose();
  wipe();
  GC_set_finalize_on_demand(1);
  GC_gcollect();
  GC_set_finalize_on_demand(0);
  attempt(200000, [] { GC_malloc(64); });
  int second = ran - first;
  attempt(100, [] { GC_invoke_finalizers(); });
  int wait = GC_wait_for_finalizers(2000000000);
  std::printf("# %d and %d were run, %d were caught, waiting returned %d\n", first, second, caught, wait);
  return first < 90 || second < 50 || ran > 200 || caught < 50 || wait != 0;
}
