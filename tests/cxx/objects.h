// SPDX-License-Identifier: MIT
// What the tests of C++ share.
#ifndef TESTS_OBJECTS_H
#define TESTS_OBJECTS_H

extern "C" {
#include "tap.h"
}
#include "gc.h"

// Calls make for i = 0 to count - 1 and leaves nothing of it on the stack or in registers.
template <class Make>
__attribute__((noinline)) void make_many(int count, Make make) {
  for (int i = 0; i < count; i++) make(i);
}

__attribute__((noinline)) inline void forget_stack() {
  volatile char room[16384];
  for (unsigned i = 0; i < sizeof room; i++) room[i] = 0;
}

// What is due is collected, and cleaned up: an object may wait for another one.
inline void collect() {
  forget_stack();
  for (int i = 0; i < 4; i++) {
    GC_gcollect();
    GC_invoke_finalizers();
  }
}

#endif
