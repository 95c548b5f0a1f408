// SPDX-License-Identifier: MIT
// gc_cpp.h: what each way of making an object means. Linked with libgccpp.
#include "gc_cpp.h"

#include <cstdlib>
#include <cstring>
#include <new>
#include <stdexcept>

#include "objects.h"

enum { MANY = 200, FEW = MANY / 10, MOST = MANY - FEW };  // a stale word may keep some, until a later row

// --- who is reclaimed: found by links that are not pointers ---

static GC_word hidden[MANY];  // complements of addresses
static void hide(int i, void *object) { hidden[i] = ~(GC_word)object; }

// How many of them are reclaimed: no object of the size lies there any more.
static int gone;
template <class Make>
static int count_gone(Make make) {
  make_many(MANY, [&](int i) { hide(i, make()); });
  collect();
  gone = 0;
  for (int i = 0; i < MANY; i++) gone += GC_base((void *)~hidden[i]) == NULL;
  return gone;
}

struct collected : gc {
  int numbers[20];
};

static void test_placements() {
  OK(count_gone([] { return new collected; }) >= MOST, "what is derived from gc is collected");
  OK(count_gone([] { return new collected[3]; }) >= MOST, "arrays of it are");
  OK(count_gone([] { return new (UseGC) int[20]; }) >= MOST, "so is anything with UseGC");
  OK(count_gone([] { return new (GC) double; }) >= MOST, "or GC, which is the same");
  OK(count_gone([] { return new (PointerFreeGC) char[100]; }) >= MOST, "and with PointerFreeGC");
  OK(count_gone([] { return new (PointerFreeGC) collected; }) >= MOST, "in classes as well");
  OK(count_gone([] { return new (NoGC) collected; }) == 0, "with NoGC nothing is");
  for (int i = 0; i < MANY; i++) delete (collected *)~hidden[i];
  OK(count_gone([] { return new (NoGC) int; }) == 0, "of any type");
  for (int i = 0; i < MANY; i++) delete (int *)~hidden[i];
  OK(count_gone([] { return new int[5]; }) == 0, "nor without a placement");
  for (int i = 0; i < MANY; i++) delete[] (int *)~hidden[i];
  collected *object = new collected;
  object->numbers[3] = 7;
  collect();
  OK(object->numbers[3] == 7 && GC_base(object) == object, "what is pointed to stays");
}

// --- who is searched ---

struct holder {
  void *pointer;
};

static int count_held(holder *(*make)()) {
  static holder *holders[MANY];  // a root
  make_many(MANY, [&](int i) {
    void *object = GC_malloc(48);
    holders[i] = make();
    holders[i]->pointer = object;
    hide(i, object);
  });
  collect();
  int held = 0;
  for (int i = 0; i < MANY; i++) held += GC_base((void *)~hidden[i]) != NULL;
  memset(holders, 0, sizeof holders);
  return held;
}

static void test_searched() {
  OK(count_held([] { return new (UseGC) holder; }) == MANY, "what a collected object points to stays");
  OK(count_held([] { return new (NoGC) holder; }) == MANY, "and an uncollected one");
  OK(count_held([] { return new holder; }) == MANY, "also one of ::operator new");
  OK(count_held([] { return new holder[3]; }) == MANY, "and an array");
  OK(count_held([] { return (holder *)operator new(sizeof(holder), std::nothrow); }) == MANY, "that does not throw");
  OK(count_held([] { return (holder *)operator new(sizeof(holder), std::align_val_t(256)); }) == MANY, "or has an alignment");
  OK(count_held([] { return new (PointerFreeGC) holder; }) <= MANY / 10, "but not an object that is free of pointers");
}

// --- alignment, and deleting at once ---

struct alignas(128) aligned {
  char text[200];
};

static void test_delete() {
  bool good = true;
  size_t before = GC_get_heap_size();
  for (int i = 0; i < 20000; i++) {
    aligned *one = new aligned, *many = new aligned[5];
    char *text = new char[i % 3000];
    int *number = new (std::nothrow) int(i);
    good = good && (GC_word)one % 128 == 0 && (GC_word)many % 128 == 0 && GC_base(one) && *number == i;
    memset(one, 1, sizeof *one);
    memset(many, 1, 5 * sizeof *many);
    delete one;
    delete[] many;
    delete[] text;
    delete number;
    delete new collected;
    delete[] new collected[10];
    delete new (NoGC) collected;
    delete new (UseGC) int;
  }
  OK(good, "::operator new aligns as it is asked to");
  OK(GC_get_heap_size() < before + (8 << 20), "what is deleted is free at once");
  delete (int *)NULL;
  delete (aligned *)NULL;
  delete (collected *)NULL;
  char room[sizeof(collected)] __attribute__((aligned(16)));
  OK((void *)new (room) collected == room, "an object of a class may be made where one likes");
}

// --- constructors that throw ---

template <class Base>
struct thrower : Base {
  static void *at;
  thrower() {
    at = this;
    throw std::runtime_error("no");
  }
};
template <class Base>
void *thrower<Base>::at;
struct nothing {};

template <class Base, class Make>
static bool is_freed(Make make) {
  try {
    make();
  } catch (const std::runtime_error &) {
    return GC_base(thrower<Base>::at) == NULL;
  }
  return false;
}

static void test_throw() {
  OK(is_freed<gc>([] { new thrower<gc>; }) && is_freed<gc>([] { new (NoGC) thrower<gc>; }) &&
         is_freed<nothing>([] { new thrower<nothing>; }) && is_freed<nothing>([] { new (NoGC) thrower<nothing>; }) &&
         is_freed<nothing>([] { new (UseGC) thrower<nothing>; }),
     "an object whose constructor throws is freed");
}

// --- cleaning up ---

static int ended, cleaned, wrong;

struct cleaning : gc_cleanup {
  cleaning *self;
  int number;
  cleaning() : self(this), number(4711) {}
  ~cleaning() {
    wrong += self != this || number != 4711;
    number = 0;
    ended++;
  }
};

struct more : cleaning {
  cleaning member;
  ~more() { cleaned++; }
};

struct around {
  long before[3];
  cleaning member;
};

struct second {
  virtual ~second() {}
  long numbers[4];
};
struct both : second, cleaning {};

static int clean_ups;
static void clean_up(void *object, void *data) {
  wrong += *(int *)object != 5;
  ++*(int *)data;
}

template <class Make>
static bool ends(int each, Make make) {
  ended = cleaned = 0;
  make_many(MANY, [&](int) { make(); });
  collect();
  return ended >= each * MOST && ended <= each * MANY + FEW && !wrong;
}

static void test_cleanup() {
  OK(ends(1, [] { new cleaning; }), "destructors of gc_cleanup run before they are collected");
  OK(ends(2, [] { new more; }) && cleaned >= MOST, "of the whole object, once");
  OK(ends(1, [] { new (UseGC) around; }), "also of one inside another object");
  OK(ends(1, [] { new both; }), "wherever it begins");
  OK(ends(1, [] { new (UseGC) cleaning[3]; }), "of an array of the first one");
  OK(ends(0, [] { new (NoGC) cleaning; }), "not of one that is not collected");
  ended = 0;
  for (int i = 0; i < MANY; i++) delete new cleaning;
  collect();
  OK(ended == MANY && !wrong, "what is deleted is cleaned up at once, and only then");
  ended = 0;
  make_many(MANY, [&](int) { (new cleaning)->~cleaning(); });
  collect();
  OK(ended == MANY && !wrong, "so is what is destroyed, and its memory reclaimed later");
  ended = 0;
  { cleaning local; }
  OK(ended == 1, "and what lies on the stack");
  make_many(MANY, [&](int) { new (UseGC, clean_up, &clean_ups) int(5); });
  collect();
  OK(clean_ups >= MOST && clean_ups <= MANY + FEW && !wrong, "a clean-up function is called");
  make_many(MANY, [&](int) { (new (UseGC, clean_up, &clean_ups) int[4])[0] = 5; });
  collect();
  OK(clean_ups >= 2 * MOST && !wrong, "for arrays, too");
}

// In a row from one to the next each is cleaned up after who leads to it; in a ring none is.
struct link : gc_cleanup {
  link *next;
  static int turn;
  int number;
  explicit link(link *next_) : next(next_), number(0) {}
  ~link() {
    wrong += next && !next->number;  // who comes next is there yet
    number = 0;
    turn++;
  }
};
int link::turn;

static void test_order() {
  make_many(MANY, [&](int) {
    link *row = NULL;
    for (int i = 0; i < 3; i++) row = new link(row), row->number = i + 1;
  });
  collect();
  collect();
  OK(link::turn >= 3 * MOST && !wrong, "an object is cleaned up before what it leads to");
  link::turn = 0;
  make_many(MANY, [&](int) {
    link *one = new link(NULL), *other = new link(one);
    one->next = other;
    one->number = other->number = 1;
  });
  collect();
  OK(!link::turn, "rings never are");
}

int main(int argc, char **argv) {
  GC_INIT();
  bool collects = argc < 2 || strcmp(argv[1], "leaks");
  if (collects) {
    test_placements();
    test_searched();
  }
  test_delete();
  test_throw();
  if (collects) {
    test_cleanup();
    test_order();
  }
  return tap_end();
}
