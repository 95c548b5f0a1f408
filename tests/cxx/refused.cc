// SPDX-License-Identifier: MIT
// When there is no memory. Linked with libgctba, so that ::operator new is the library's own; -DWITH_NEW: with libgccpp.
#include "gc_cpp.h"

#include <new>

#include "objects.h"

struct large : gc {
  char text[1 << 20];
};

template <class Make>
static bool throws(Make make) {
  try {
    for (int i = 0; i < 1000; i++) make();
  } catch (const std::bad_alloc &) {
    return true;
  }
  return false;
}

static int handled;
static void handler() {
  if (++handled == 3) std::set_new_handler(NULL);
}

int main() {
  GC_INIT();
  GC_set_max_heap_size(GC_get_heap_size() + (64 << 20));
  OK(throws([] { new (NoGC) large; }), "new of a class throws bad_alloc");
  OK(throws([] { new (UseGC) char[(size_t)1 << 40]; }), "new with a placement does");
  OK(throws([] { new (PointerFreeGC) char[(size_t)1 << 40]; }), "with each of them");
  OK(throws([] { new large[1000000]; }), "and of an array");
#ifdef WITH_NEW
  OK(throws([] { return ::operator new((size_t)1 << 40); }), "so does ::operator new");
  OK(throws([] { return ::operator new((size_t)1 << 40, std::align_val_t(64)); }), "and the aligned one");
  OK(!::operator new((size_t)1 << 40, std::nothrow), "but not the one that must not");
  std::set_new_handler(handler);
  OK(throws([] { return ::operator new((size_t)1 << 40); }) && handled == 3, "a new-handler is called as long as there is one");
#else
  int *number = new int;
  OK(!GC_is_heap_ptr(number), "without libgccpp ::operator new is not ours");
  delete number;
  (void)handler;
#endif
  return tap_end();
}
