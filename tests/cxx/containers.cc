// SPDX-License-Identifier: MIT
// gc_allocator.h: the containers of the library in collected memory. Linked with libgc alone.
#include "gc_allocator.h"

#include <cstring>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <new>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "objects.h"

enum { MANY = 20000 };

template <class T, template <class> class Allocator>
using vector_of = std::vector<T, Allocator<T>>;

// A vector of pointers to numbers that nothing else points to, through many collections.
template <template <class> class Allocator>
static bool keeps() {
  auto numbers = std::unique_ptr<vector_of<int *, Allocator>>(new (GC_malloc_uncollectable(sizeof(vector_of<int *, Allocator>)))
                                                                  vector_of<int *, Allocator>);
  for (int i = 0; i < MANY; i++) {
    numbers->push_back(new (GC_malloc_atomic(sizeof(int))) int(i));
    if (i % 5000 == 0) GC_gcollect();
  }
  collect();
  bool good = numbers->size() == MANY;
  for (int i = 0; i < MANY; i++) good = good && *(*numbers)[i] == i;
  auto *room = numbers.release();
  room->~vector_of<int *, Allocator>();
  GC_free(room);
  return good;
}

// The memory of one that nobody ends: how much the heap grows by 100 MB of them.
template <template <class> class Allocator>
static bool is_collected() {
  collect();
  size_t before = GC_get_heap_size();
  make_many(1000, [](int) { new (GC_malloc(sizeof(vector_of<int *, Allocator>))) vector_of<int *, Allocator>(12500); });
  return GC_get_heap_size() < before + (50 << 20);
}

template <template <class> class Allocator>
static void test_allocator(const char *name, bool collected) {
  OK(keeps<Allocator>(), "%s: what a vector points to stays", name);
  if (collected) OK(is_collected<Allocator>(), "%s: its own memory is reclaimed", name);

  std::list<std::string, Allocator<std::string>> list;
  std::deque<long, Allocator<long>> deque;
  std::set<int, std::less<int>, Allocator<int>> set;
  std::map<int, std::string, std::less<int>, Allocator<std::pair<const int, std::string>>> map;
  std::unordered_map<int, int, std::hash<int>, std::equal_to<int>, Allocator<std::pair<const int, int>>> table;
  std::basic_string<char, std::char_traits<char>, Allocator<char>> text;
  for (int i = 0; i < 2000; i++) {
    list.push_back(std::to_string(i));
    deque.push_front(i);
    set.insert(i % 100);
    map[i] = std::to_string(i);
    table[i * 7] = i;
    text += 'x';
  }
  bool good = list.size() == 2000 && list.back() == "1999" && deque[0] == 1999 && set.size() == 100 && text.size() == 2000;
  for (int i = 0; i < 2000; i++) good = good && map[i] == std::to_string(i) && table[i * 7] == i;
  OK(good, "%s serves all containers", name);
  OK(Allocator<int>() == Allocator<int>() && !(Allocator<int>() != Allocator<char>(Allocator<int>())),
     "%s: all are equal, and made of each other", name);

  Allocator<double> one;
  double *d = one.allocate(3);
  one.construct(d, 2.5);
  OK(*d == 2.5 && one.address(*d) == d && GC_base(d) == d && one.max_size() == size_t(-1) / sizeof(double),
     "%s: one number", name);
  one.destroy(d);
  one.deallocate(d, 3);
  bool thrown = false;
  try {
    one.allocate(size_t(-1) / sizeof(double) + 2);
  } catch (const std::bad_alloc &) {
    thrown = true;
  }
  OK(thrown, "%s throws when there is no memory, also for more than can be counted", name);
}

// --- free of pointers ---

struct declared {
  GC_word bits;
};
GC_DECLARE_PTRFREE(declared);

template <class T, class Put>
static int count_held(Put put) {
  static T *holder;
  static GC_word hidden[100];
  gc_allocator<T> one;
  holder = one.allocate(100);
  make_many(100, [&](int i) {
    void *object = GC_malloc(48);
    put(holder[i], object);
    hidden[i] = ~(GC_word)object;
  });
  collect();
  int held = 0;
  for (int i = 0; i < 100; i++) held += GC_base((void *)~hidden[i]) != NULL;
  return held;
}

static void test_pointer_free() {
  OK(count_held<void *>([](void *&at, void *object) { at = object; }) == 100, "pointers are seen in collected containers");
  OK(count_held<unsigned long>([](unsigned long &at, void *object) { at = (GC_word)object; }) <= 10, "but not in numbers");
  OK(count_held<declared>([](declared &at, void *object) { at.bits = (GC_word)object; }) <= 10,
     "nor in a type that is declared free of them");
}

int main() {
  GC_INIT();
  test_allocator<gc_allocator>("gc_allocator", true);
  test_allocator<gc_allocator_ignore_off_page>("gc_allocator_ignore_off_page", true);
  test_allocator<traceable_allocator>("traceable_allocator", false);
  test_pointer_free();
  return tap_end();
}
