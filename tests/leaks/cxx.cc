// SPDX-License-Identifier: MIT
// C++: pointers to second bases, arrays with cookies, what the standard library keeps, exceptions, demangled names.
#include "leaky.h"

#include <dlfcn.h>
#include <exception>
#include <list>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

template <class T> APART void lose(T *p) {
  KEEP(p);
  scrub();
}

void *volatile held;

// In the control run the pointer is forgotten.
template <class T> APART void root(T *p) { held = scenario_drop ? nullptr : static_cast<void *>(p); }

struct First {
  virtual ~First() = default;
  long one = 1;
};
struct Second {
  virtual ~Second() = default;
  long two = 2;
};
struct Both : First, Second {
  long three = 3;
};
struct Virtual : virtual First, virtual Second {};

// @ second_base root=40 -- a pointer to the second base of an object
void second_base() {
  Second *p = new Both;
  root(p);
}

// @ virtual_base root=40 -- to a virtual base
void virtual_base() {
  Second *p = new Virtual;
  root(p);
}

struct Counted {
  ~Counted() { held = this; }
  long value = 7;
};

// @ cookie root=88 -- to an array with its length in front
void cookie() { root(new Counted[10]); }

// @ cookie_lost definite 1 88 frame=(anonymousnamespace)::cookie_lost() -- which counts with its length
APART void cookie_lost() { lose(new Counted[10]); }

volatile size_t none = 0;

// @ empty root=8 -- to an empty array with its length in front
void empty() { root(new Counted[none]); }

// libstdc++ asks for one byte where none is wanted.
// @ empty_lost definite 2 9 -- empty arrays
void empty_lost() {
  lose(new Counted[none]);
  lose(new int[none]);
}

// @ empty_plain root=1 -- an empty array that is kept
void empty_plain() { root(new int[none]); }

std::string text;
std::vector<std::unique_ptr<std::string>> owners;
std::map<std::string, std::shared_ptr<int>> *table_kept;

// @ globals rows=0 -- what global objects own
void globals() {
  text = std::string(1000, 'x');
  for (int i = 0; i < 100; i++) owners.push_back(std::make_unique<std::string>(100, 'y'));
  table_kept = new std::map<std::string, std::shared_ptr<int>>;
  for (int i = 0; i < 100; i++) (*table_kept)[std::string(50, 'z') + std::to_string(i)] = std::make_shared<int>(i);
}

// @ string_lost definite 1 32 indirect 1 101 -- a lost string: the object is definite, its text indirect
void string_lost() { lose(new std::string(100, 'x')); }

// @ short_string definite 1 32 -- a short one points into itself, but that is no cycle to anyone else
void short_string() { lose(new std::string("short")); }

// @ list_lost definite 1 24 indirect 10 240 -- a std::list
void list_lost() { lose(new std::list<long>(10, 1)); }

// @ map_lost definite 1 48 indirect 100 4800 -- a std::map, whose nodes point to it
void map_lost() {
  auto *p = new std::map<long, long>;
  for (long i = 0; i < 100; i++) (*p)[i] = i;
  lose(p);
}

struct Owner {
  std::shared_ptr<Owner> other;
};

// @ shared_cycle definite 1 32 indirect 1 32 cycle=1 -- two objects that own each other
void shared_cycle() {
  auto a = std::make_shared<Owner>(), b = std::make_shared<Owner>();
  a->other = b;
  b->other = a;
}

// @ shared_no_cycle rows=0 -- the same without the second half
void shared_no_cycle() {
  auto a = std::make_shared<Owner>(), b = std::make_shared<Owner>();
  a->other = b;
}

struct alignas(64) Wide {
  char bytes[100];
};

// @ wide definite 2 384 -- objects of extended alignment
void wide() {
  lose(new Wide);
  lose(new Wide[2]);
}

thread_local std::unique_ptr<std::string> per_thread;

// @ thread_objects rows=0 -- thread-local objects, of the first thread and of one that has ended
void thread_objects() {
  per_thread = std::make_unique<std::string>(100, 'x');
  std::thread([] { per_thread = std::make_unique<std::string>(100, 'y'); }).join();
}

} // namespace

namespace leaky {

template <class T> struct Box {
  T value;
  APART static Box *make(T value) {
    Box *box = new Box{value};
    KEEP(box);
    return box;
  }
};

} // namespace leaky

namespace {

// @ named definite 1 4 frame=leaky::Box<int>::make(int) -- names are demangled
void named() { leaky::Box<int>::make(1); }

APART void thrower(int i) {
  std::string local(100, 'x');
  if (i >= 0) throw std::runtime_error(local);
}

// @ exceptions definite 1 64 -- exceptions work, by the unwinder that the program would have without us
void exceptions() {
  int caught = 0;
  for (int i = 0; i < 20000; i++) {
    try {
      thrower(i);
    } catch (const std::runtime_error &) {
      caught++;
    }
  }
  Dl_info info;
  if (caught != 20000 || !dladdr(dlsym(RTLD_DEFAULT, "_Unwind_RaiseException"), &info) ||
      !strstr(info.dli_fname, "libgcc_s"))
    abort();
  make(64);
}

// @ in_flight rows=0 -- exit while an exception is handled
void in_flight() {
  try {
    thrower(0);
  } catch (const std::runtime_error &) {
    exit(0);
  }
}

std::exception_ptr pending;

// @ pending_exception rows=0 -- an exception that is kept for later
void pending_exception() {
  try {
    thrower(0);
  } catch (...) {
    pending = std::current_exception();
  }
}

// @ uncaught reports=0 noisy -- an exception that nobody catches ends the program as ever
void uncaught() { thrower(0); }

const struct scenario table[] = {
    SCENARIO(second_base), SCENARIO(virtual_base), SCENARIO(cookie), SCENARIO(cookie_lost), SCENARIO(empty),
    SCENARIO(empty_lost), SCENARIO(empty_plain), SCENARIO(globals), SCENARIO(string_lost), SCENARIO(short_string),
    SCENARIO(list_lost), SCENARIO(map_lost), SCENARIO(shared_cycle), SCENARIO(shared_no_cycle), SCENARIO(wide),
    SCENARIO(thread_objects), SCENARIO(named), SCENARIO(exceptions), SCENARIO(in_flight),
    SCENARIO(pending_exception), SCENARIO(uncaught),
};

} // namespace

SCENARIO_MAIN(table)
