// SPDX-License-Identifier: MIT
// gc_cpp.h and gc_allocator.h with GC_DEBUG: what is made so is a debug object.
#define GC_DEBUG
#define GC_ATOMIC_UNCOLLECTABLE
#include "gc_allocator.h"
#include "gc_cpp.h"
#include "gc_mark.h"

#include <vector>

#include "../cxx/objects.h"

enum { MANY = 200, MOST = MANY - MANY / 10 };  // a stale word may keep some

static bool is_debug(void *p, size_t size) { return (char *)GC_base(p) + GC_get_debug_header_size() == p && GC_size(p) == size; }

static int destroyed, cleaned;

struct plain : gc {
  int numbers[9];
};
struct cleaner : gc_cleanup {
  int number = 7;
  ~cleaner() { destroyed += number == 7; }
};
struct further : virtual cleaner {
  long more[3];
  ~further() { destroyed++; }
};

static void clean_up(void *object, void *data) { cleaned += *(int *)object == 5 && data == &cleaned; }

static void test_kinds() {
  OK(is_debug(new plain, sizeof(plain)), "what is derived from gc is a debug object");
  OK(is_debug(new (GC) double, sizeof(double)) && is_debug(new (PointerFreeGC) char[30], 30), "so is what has a placement");
  plain *uncollectable = new (NoGC) plain;
  int *atomic = new (PointerFreeNoGC) int;
  OK(is_debug(uncollectable, sizeof(plain)) && is_debug(atomic, sizeof(int)), "also what is not collected");
  delete uncollectable;
  GC_FREE(atomic);
  OK(GC_base(uncollectable) == NULL && GC_base(atomic) == NULL, "which delete gives back");
}

static void test_cleaning() {
  make_many(MANY, [](int) { new cleaner; });
  collect();
  GC_invoke_finalizers();
  OK(destroyed >= MOST && destroyed <= MANY, "destructors are run: %d of %d", destroyed, MANY);
  destroyed = 0;
  make_many(MANY, [](int) { new further; });
  collect();
  GC_invoke_finalizers();
  OK(destroyed >= 2 * MOST && destroyed <= 2 * MANY, "of the whole object: %d of %d", destroyed, 2 * MANY);
  make_many(MANY, [](int) { *new (GC, clean_up, &cleaned) int = 5; });
  collect();
  GC_invoke_finalizers();
  OK(cleaned >= MOST && cleaned <= MANY, "a function of the program's is given the object: %d of %d", cleaned, MANY);
  destroyed = 0;
  delete new cleaner;
  OK(destroyed == 1, "delete runs the destructor");
}

static void test_containers() {
  std::vector<long, gc_allocator<long> > collected(3, 4);
  std::vector<void *, traceable_allocator<void *> > traced(2);
  for (int i = 0; i < 1000; i++) {
    collected.push_back(i);
    traced.push_back(new plain);
  }
  collect();
  bool alive = true;
  for (size_t i = 2; i < traced.size(); i++) alive = alive && GC_base(traced[i]);
  OK(is_debug(&collected[0], collected.capacity() * sizeof(long)) && collected[1002] == 999, "a container's memory is a debug object");
  OK(alive && is_debug(&traced[0], traced.capacity() * sizeof(void *)), "and keeps what it leads to");
}

int main() {
  GC_INIT();
  test_kinds();
  test_cleaning();
  test_containers();
  return tap_end();
}
