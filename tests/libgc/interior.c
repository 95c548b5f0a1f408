/* SPDX-License-Identifier: MIT
 * Where pointers into objects count: everywhere, or only on stacks. Each kind of object that holds the pointer, and of object that it leads into,
 * in collections of each generation, and beside the program. */
#include "../api/collect.h"

#include "gc_mark.h"
#include "gc_typed.h"

#include <pthread.h>

enum { many = 200, nearly = many / 10, word = 3, registered = 5, tag = 2, far = 4200 };

static void *root[many]; /* the holders */
static uintptr_t hidden[many];
static bool ignored; /* the policy is: under the preloaded library */

static int left(void) {
  int count = 0;
  for (int i = 0; i < many; i++) count += GC_base((void *)~hidden[i]) == (void *)~hidden[i];
  return count;
}

static bool all_there(void) {
  int count = left();
  if (count != many) tap_note("only %d of %d are there", count, many);
  return count == many;
}

static bool nearly_gone(void) {
  int count = left();
  if (count > nearly) tap_note("%d of %d are still there", count, many);
  return count <= nearly;
}

/* --- who holds, and what --- */

typedef void *make(void);

static void *make_plain(void) { return GC_malloc(64); }
static void *make_uncollectable(void) { return GC_malloc_uncollectable(64); }
static void *make_large(void) { return GC_malloc(40000); }
static void *make_atomic(void) { return GC_malloc_atomic(64); }
static void *make_atomic_large(void) { return GC_malloc_atomic(40000); }
static void *make_typed(void) {
  GC_word bits[1] = {1 << word};
  return GC_malloc_explicitly_typed(64, GC_make_descriptor(bits, 8));
}

/* Behind their header, which debug objects have; hidden is where they begin. */
static void *make_debug(void) { return GC_debug_malloc(64, GC_EXTRAS); }

static struct GC_ms_entry *mark_word(GC_word *object, struct GC_ms_entry *top, struct GC_ms_entry *limit, GC_word environment) {
  (void)environment;
  return GC_MARK_AND_PUSH((void *)object[word], top, limit, (void **)&object[word]);
}

static void *make_with_procedure(void) {
  static unsigned kind;
  if (!kind) kind = GC_new_kind(GC_new_free_list(), GC_MAKE_PROC(GC_new_proc(mark_word), (GC_word)0), 0, 1);
  return GC_generic_malloc(64, (int)kind);
}

/* All are young when it returns. */
__attribute__((noinline)) static void hold(make *target, size_t offset) {
  GC_disable();
  for (int i = 0; i < many; i++) {
    char *p = target();
    hidden[i] = ~(uintptr_t)GC_base(p);
    ((char **)root[i])[word] = p + offset;
  }
  GC_enable();
  wipe();
}

__attribute__((noinline)) static void make_holders(make *holder) {
  for (int i = 0; i < many; i++) root[i] = holder();
  wipe();
}

static void drop_holders(make *holder) {
  for (int i = 0; i < many; i++)
    if (holder == make_uncollectable) GC_free(root[i]);
  memset(root, 0, sizeof root);
  wipe();
}

static unsigned long full_collections(void) {
  struct GC_generation_stats stats = {0};
  GC_get_stats(2, &stats);
  return stats.collections;
}

/* Until some collections have come by themselves, the last a full one: what the program says to hold beside the heap makes it due. */
static void churn(void) {
  enum { most = 20000, pressure = 64 << 20 };
  unsigned long before = full_collections();
  GC_add_memory_pressure(pressure);
  for (int i = 0; i < most && full_collections() == before; i++) GC_malloc(200);
  GC_remove_memory_pressure(pressure);
  wipe();
}

/* --- all ways --- */

static void collect(int generation) {
  wipe();
  GC_collect(generation, NULL);
}

static void check(make *holder, make *target, size_t offset, bool kept, const char *what) {
  kept = kept || ignored;
  make_holders(holder);
  hold(target, offset);
  collect(0);
  if (kept) OK(all_there(), "%s: by what is young, in a collection of the young", what);
  else if (holder != make_with_procedure) OK(nearly_gone(), "%s: by what is young, in a collection of the young", what);
  collect(2);
  OK(kept ? all_there() : nearly_gone(), "%s: in a full one", what);
  hold(target, offset);
  collect(0);
  OK(kept ? all_there() : nearly_gone(), "%s: by what is old, in a collection of the young", what);
  hold(target, offset);
  churn();
  if (kept) OK(all_there(), "%s: in collections that come by themselves", what);
  collect(2);
  OK(kept ? all_there() : nearly_gone(), "%s: at last", what);
  drop_holders(holder);
}

static void test_holders(void) {
  check(make_plain, make_plain, 0, true, "beginnings, of plain objects");
  check(make_plain, make_plain, 8, false, "insides, of plain objects");
  check(make_plain, make_plain, registered, true, "a displacement, of plain objects");
  check(make_uncollectable, make_plain, 0, true, "beginnings, of uncollectable objects");
  check(make_uncollectable, make_plain, 16, false, "insides, of uncollectable objects");
  check(make_typed, make_plain, 0, true, "beginnings, of typed objects");
  check(make_typed, make_plain, 24, false, "insides, of typed objects");
  check(make_typed, make_plain, registered, true, "a displacement, of typed objects");
  check(make_with_procedure, make_plain, registered, true, "a displacement, told by a procedure");
  check(make_with_procedure, make_plain, 8, false, "insides, told by a procedure");
}

static void test_targets(void) {
  check(make_plain, make_atomic, 0, true, "beginnings of pointer-free objects");
  check(make_plain, make_atomic, 63, false, "insides of pointer-free objects");
  check(make_plain, make_atomic, registered, true, "a displacement of pointer-free objects");
  check(make_plain, make_atomic_large, 0, true, "beginnings of large pointer-free objects");
  check(make_plain, make_atomic_large, 20000, false, "insides of large pointer-free objects");
  check(make_plain, make_atomic_large, registered, true, "a displacement of large pointer-free objects");
  check(make_plain, make_typed, registered, true, "a displacement of typed objects");
  check(make_plain, make_debug, 0, true, "beginnings of debug objects");
  check(make_plain, make_debug, 24, false, "insides of debug objects");
  GC_debug_register_displacement(tag);
  check(make_plain, make_debug, tag, true, "a displacement of debug objects");
  check(make_plain, make_plain, tag, true, "which is one of others, too");
}

static void test_large(void) {
  check(make_large, make_large, 0, true, "beginnings, large");
  check(make_large, make_large, 39992, false, "insides, large");
  check(make_large, make_large, registered, true, "a displacement, large");
}

/* --- data and stacks --- */

static char *data[many];

__attribute__((noinline)) static void fill_data(size_t offset) {
  for (int i = 0; i < many; i++) {
    char *p = GC_malloc(48);
    hidden[i] = ~(uintptr_t)p;
    data[i] = p + offset;
  }
  wipe();
}

static void test_data(void) {
  fill_data(registered);
  collect(0);
  collect(2);
  OK(all_there(), "what a variable holds by a displacement is kept");
  fill_data(8);
  collect(2);
  OK(ignored ? all_there() : nearly_gone(), "what a variable points into is not");
  fill_data(8);
  char **range = malloc(sizeof data);
  memcpy(range, data, sizeof data);
  memset(data, 0, sizeof data);
  GC_add_roots(range, range + many);
  collect(2);
  OK(ignored ? all_there() : nearly_gone(), "nor what is in a range that was added");
  GC_remove_roots(range, range + many);
  free(range);
}

__attribute__((noinline)) static void test_stack(void) {
  char *volatile local[many];
  for (int i = 0; i < many; i++) {
    char *p = GC_malloc(48);
    hidden[i] = ~(uintptr_t)p;
    local[i] = p + 8;
  }
  collect(0);
  OK(all_there(), "what the stack points into is kept, by a collection of the young");
  collect(2);
  churn();
  collect(2);
  OK(all_there(), "and by full ones");
  for (int i = 0; i < many; i++) local[i] = NULL;
  (void)local[0];
  collect(2);
  OK(nearly_gone(), "as long as it does");
}

static _Atomic bool waiting, over;
static __thread char *volatile own[8];

static void *other_thread(void *arg) {
  char *volatile local[many / 2];
  (void)arg;
  for (int i = 0; i < many / 2; i++) {
    char *p = GC_malloc(48);
    hidden[i] = ~(uintptr_t)p;
    local[i] = p + 17;
  }
  for (int i = 0; i < 8; i++) {
    char *p = GC_malloc(48);
    hidden[many / 2 + i] = ~(uintptr_t)p;
    own[i] = p + 9;
  }
  waiting = true;
  while (!over) sched_yield();
  for (int i = 0; i < many / 2; i++) local[i] = NULL;
  (void)local[0];
  return NULL;
}

static void test_threads(void) {
  pthread_t thread;
  int there = 0;
  pthread_create(&thread, NULL, other_thread, NULL);
  while (!waiting) sched_yield();
  collect(2);
  collect(2);
  for (int i = 0; i < many / 2 + 8; i++) there += GC_base((void *)~hidden[i]) == (void *)~hidden[i];
  OK(there == many / 2 + 8, "another thread's stack and storage point anywhere (%d)", there);
  over = true;
  pthread_join(thread, NULL);
}

/* --- the policy itself --- */

/* volatile: the compiler knows that an object has no more than was asked for */
static volatile size_t sixteen = 16;

static unsigned complaints;
static void count_complaint(void *p) { complaints += p != NULL; }

static void test_asking(void) {
  char *p = GC_malloc(64);
  GC_is_valid_displacement_print_proc = count_complaint;
  GC_is_valid_displacement(p);
  GC_is_valid_displacement(p + registered);
  OK(complaints == 0, "beginnings and displacements are valid");
  GC_is_valid_displacement(p + 8);
  OK(complaints == 1, "others are not");
}

static void test_sizes(void) {
  OK(GC_size(GC_malloc(sixteen)) == (ignored ? 32 : 16), "nothing is added for pointers to the end");
  OK(GC_size(GC_malloc_atomic(sixteen)) == (ignored ? 32 : 16), "nor to pointer-free objects");
  char *largest = GC_malloc(sixteen * 2048);
  OK(GC_size(largest) >= sixteen * 2048 && largest[sixteen * 2048 - 1] == 0, "the largest of the small ones is whole");
}

static void test_back(void) {
  GC_set_all_interior_pointers(1);
  OK(GC_get_all_interior_pointers() == 1 && GC_all_interior_pointers == 1, "it is on again");
  OK(GC_size(GC_malloc(sixteen)) > 16, "and an object has room for a pointer to its end");
  check(make_plain, make_plain, 64, true, "on again");
  check(make_large, make_large, 30000, true, "on again, large");
  fill_data(40);
  collect(2);
  OK(all_there(), "what a variable points into is kept");
}

static int environment(void) {
  GC_set_all_interior_pointers(0);
  GC_INIT();
  OK(GC_get_all_interior_pointers() == 1, "GC_ALL_INTERIOR_POINTERS has the last word");
  check(make_plain, make_plain, 8, true, "by the environment");
  return tap_end();
}

int main(int argc, char **argv) {
  if (argc > 1 && strcmp(argv[1], "environment") == 0) return environment();
  OK(GC_get_all_interior_pointers() == 1, "at first pointers into objects count");
  GC_all_interior_pointers = 0; /* as old programs do it, before the first allocation */
  GC_INIT();
  OK(GC_get_all_interior_pointers() == 0, "until the variable is set");
  GC_register_displacement(registered);
  ignored = heap_serves_malloc();
  test_asking();
  test_sizes();
  test_holders();
  test_targets();
  test_large();
  test_data();
  test_stack();
  test_threads();
  test_back();
  GC_set_all_interior_pointers(0);
  GC_register_displacement(far);
  check(make_large, make_large, far + 1000, true, "far displacements");
  return tap_end();
}
