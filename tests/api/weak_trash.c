/* SPDX-License-Identifier: MIT
 * Weak references, callbacks and finalizers in garbage: the situations of CPython's tests of weakref and gc (their names and bug numbers are given), and
 * libgc's links among finalizers. Each is made many times over, as a stale word may keep one or the other. */
#include "collect.h"

enum { many = crowd_size, nearly = crowd_nearly };

struct thing {
  void *next;            /* cycles are made of these */
  struct GC_weak *weak;
  void *link;
  intptr_t number;
};

static struct GC_weak *outside[many], *other[many];
static void *held[many];
static int calls, finals, alive, seen_link, made[many];

__attribute__((noinline)) static struct thing *thing(int number) {
  struct thing *thing = GC_malloc(sizeof *thing);
  thing->number = number;
  return thing;
}

/* Two that lead to each other; the first one is told. */
__attribute__((noinline)) static struct thing *cycle(int number) {
  struct thing *a = thing(number), *b = thing(number);
  a->next = b;
  b->next = a;
  return a;
}

static void begin(void) {
  memset(outside, 0, sizeof outside);
  memset(other, 0, sizeof other);
  memset(held, 0, sizeof held);
  crowd_collect(2);
  crowd_collect(2);
  calls = finals = alive = seen_link = 0;
  memset(made, 0, sizeof made);
}

/* Some only come to their end after a finalizer has been run. */
static void collect(int times) {
  while (times-- > 0) {
    crowd_collect(2);
    GC_invoke_finalizers();
  }
}

static void call(struct GC_weak *weak, void *arg) {
  (void)weak, (void)arg;
  calls++;
}

static int cleared(struct GC_weak **weak) {
  int count = 0;
  for (int i = 0; i < many; i++) count += weak[i] && !GC_weak_get(weak[i]);
  return count;
}

/* --- callbacks --- */

/* test_callback_in_cycle_1 to _4: what is called belongs to the garbage, as the weak reference does. */
__attribute__((noinline)) static void make_inside(void) {
  for (int i = 0; i < many; i++) {
    struct thing *a = cycle(i), *b = a->next;
    a->weak = GC_weak_new(b, GC_WEAK_SHORT, call, a);
  }
}

/* test_callback_reachable_one_way: the reference is in an object that leads to the garbage, and is garbage itself. */
__attribute__((noinline)) static void make_one_way(void) {
  for (int i = 0; i < many; i++) {
    struct thing *a = cycle(i), *before = thing(i);
    before->next = a;
    before->weak = GC_weak_new(a, GC_WEAK_SHORT, call, before);
  }
}

/* Garbage with weak references to it from outside. */
__attribute__((noinline)) static void make_outside(GC_weak_proc callback) {
  for (int i = 0; i < many; i++) {
    struct thing *a = cycle(i);
    outside[i] = GC_weak_new(a, GC_WEAK_SHORT, callback, NULL);
    other[i] = GC_weak_new(a->next, GC_WEAK_SHORT, NULL, NULL);
  }
}

/* test_callback_in_cycle_resurrection, test_callbacks_on_callback, test_bug1055820b, test_bug1055820c: no callback finds anything of the garbage
 * by other weak references. */
static void call_and_look(struct GC_weak *weak, void *arg) {
  (void)arg;
  calls++;
  alive += GC_weak_get(weak) != NULL;
  for (int i = 0; i < many; i++)
    if (outside[i] == weak) alive += GC_weak_get(other[i]) != NULL;
}

static void test_callbacks(void) {
  begin();
  make_inside();
  collect(2);
  OK(calls <= many - nearly, "a weak reference in the garbage that it refers to calls nobody (%d)", calls);
  begin();
  make_one_way();
  collect(2);
  OK(calls <= many - nearly, "nor does one that leads to the garbage, and is part of it (%d)", calls);
  begin();
  make_outside(call_and_look);
  collect(1);
  OK(calls >= nearly && calls == cleared(outside) && alive <= many - nearly,
     "a weak reference outside does, and finds nothing by others: bug 1055820 (%d calls, %d found)", calls, alive);
}

static int order_of[4 * many], ordered;
static void call_in_order(struct GC_weak *weak, void *arg) {
  alive += GC_weak_get(weak) != NULL;
  if (ordered < 4 * many) order_of[ordered++] = (int)(intptr_t)arg;
}

/* test_multiple_callbacks, test_multiple_selfref_callbacks: all are cleared before any is called, the newest is called first. */
__attribute__((noinline)) static void make_several(void) {
  static struct GC_weak *all[4 * many];
  ordered = 0;
  for (int i = 0; i < many; i++) held[i] = thing(i);
  for (int i = 0; i < 4 * many; i++) all[i] = GC_weak_new(held[i % many], i % 3 ? GC_WEAK_SHORT : GC_WEAK_LONG, call_in_order, (void *)(intptr_t)i);
  memset(held, 0, sizeof held);
  collect(1);
  bool right = ordered >= 4 * nearly;
  for (int i = 1; i < ordered; i++) right = right && order_of[i] < order_of[i - 1];
  OK(right && !alive, "several references to an object call in their order, the newest first (%d)", ordered);
  memset(all, 0, sizeof all);
}

/* test_callback_gcs, test_sf_bug_840829: a callback that collects, while others are still to be called. */
static void call_and_collect(struct GC_weak *weak, void *arg) {
  (void)weak, (void)arg;
  if (calls++ % 20 == 0) GC_collect(calls % 3, NULL);
}

/* The argument leads to the target: then it never dies (a cycle through the callback that Python's callbacks may also make). */
__attribute__((noinline)) static void make_holding(void) {
  for (int i = 0; i < many; i++) {
    struct thing *a = cycle(i);
    outside[i] = GC_weak_new(a, GC_WEAK_SHORT, call, a->next);
  }
}

/* To itself, and to another weak reference. */
__attribute__((noinline)) static void make_to_weak(void) {
  for (int i = 0; i < many; i++) {
    struct GC_weak *self = GC_weak_new(NULL, GC_WEAK_SHORT, call, NULL);
    GC_weak_set(self, self);
    outside[i] = GC_weak_new(self, GC_WEAK_LONG, call, NULL);
  }
}

static void test_more_callbacks(void) {
  begin();
  make_several();
  begin();
  make_outside(call_and_collect);
  collect(1);
  OK(calls >= nearly && calls == cleared(outside), "callbacks that collect (%d)", calls);
  begin();
  make_holding();
  collect(2);
  OK(cleared(outside) == 0 && calls == 0, "an argument that leads to the target keeps it");
  memset(outside, 0, sizeof outside);
  collect(2);
  OK(calls <= many - nearly, "as long as the weak reference is there");
  begin();
  make_to_weak();
  collect(2);
  OK(cleared(outside) >= nearly && calls == cleared(outside), "weak references to weak references to themselves (%d)", calls);
}

/* --- finalizers --- */

/* bug1055820d: a finalizer in the garbage finds nothing of it by short weak references from outside, and everything by long ones. */
static void final_and_look(void *object, void *data) {
  struct thing *thing = object;
  (void)data;
  finals++;
  if (outside[thing->number]) alive += GC_weak_get(outside[thing->number]) != NULL;
  if (other[thing->number]) seen_link += GC_weak_get(other[thing->number]) == object;
}

/* Keeps the object. */
static void final_and_keep(void *object, void *data) {
  (void)data;
  finals++;
  held[((struct thing *)object)->number] = object;
}

/* A new weak reference to what is about to die. */
static void final_and_refer(void *object, void *data) {
  (void)data;
  finals++;
  outside[((struct thing *)object)->number] = GC_weak_new(object, GC_WEAK_SHORT, call, NULL);
}

__attribute__((noinline)) static void make_final(GC_finalization_proc function, GC_weak_proc callback) {
  for (int i = 0; i < many; i++) {
    struct thing *a = cycle(i);
    GC_register_finalizer_no_order(a, function, NULL, NULL, NULL);
    if (!callback) continue;
    outside[i] = GC_weak_new(a, GC_WEAK_SHORT, callback, NULL);
    other[i] = GC_weak_new(a, GC_WEAK_LONG, callback, NULL);
  }
}

static void test_finalizers(void) {
  begin();
  make_final(final_and_look, call);
  collect(1);
  int first = calls;
  OK(finals >= nearly && !alive && seen_link == finals, "a finalizer finds its object by long references alone (%d of %d)", seen_link, finals);
  OK(first == finals && cleared(outside) == finals && cleared(other) == 0, "short ones have called by then, long ones have not (%d)", first);
  collect(2);
  OK(calls == cleared(outside) + cleared(other) && cleared(other) >= nearly, "these do once the object is gone (%d)", calls);
  begin();
  make_final(final_and_keep, call);
  collect(3);
  OK(finals >= nearly && cleared(outside) == finals && cleared(other) == 0 && calls == finals,
     "an object that its finalizer brings back is lost for short references, and not for long ones");
  memset(held, 0, sizeof held);
  collect(2);
  OK(cleared(other) >= nearly && calls == cleared(outside) + cleared(other), "until it dies after all");
  begin();
  make_final(final_and_refer, NULL);
  collect(1);
  OK(finals >= nearly && cleared(outside) <= many - nearly, "a finalizer makes a weak reference");
  collect(2);
  OK(cleared(outside) >= nearly && calls == cleared(outside), "which is cleared when the object is gone");
}

/* A weak reference in garbage that a finalizer brings back was garbage when its target died: it is cleared, and calls nobody (handle_weakrefs before
 * finalizers). */
__attribute__((noinline)) static void make_brought_back(int kind) {
  for (int i = 0; i < many; i++) {
    struct thing *a = thing(i);
    a->weak = GC_weak_new(cycle(i), kind, call, NULL);
    GC_register_finalizer(a, final_and_keep, NULL, NULL, NULL);
  }
}

static void test_brought_back(void) {
  begin();
  make_brought_back(GC_WEAK_SHORT);
  collect(2);
  int empty = 0;
  for (int i = 0; i < many; i++) empty += held[i] && !GC_weak_get(((struct thing *)held[i])->weak);
  OK(finals >= nearly && empty >= nearly && calls <= many - nearly, "a weak reference that comes back is cleared (%d), and called nobody (%d)",
     empty, calls);
  for (int i = 0; i < many; i++)
    if (held[i]) GC_weak_set(((struct thing *)held[i])->weak, cycle(i));
  calls = 0;
  collect(2);
  OK(calls >= nearly, "and works like any other then (%d)", calls);
}

/* --- maps --- */

static struct GC_weak_map *map;

/* The value has a finalizer, and leads to the key; the key has one; the map is its own key and value. */
__attribute__((noinline)) static void make_entries(bool of_key) {
  map = GC_weak_map_new();
  for (int i = 0; i < many; i++) {
    struct thing *key = thing(i), *value = thing(i);
    value->next = key;
    GC_register_finalizer_no_order(of_key ? key : value, final_and_keep, NULL, NULL, NULL);
    GC_weak_map_set(map, key, value);
  }
}

__attribute__((noinline)) static void make_own(void) {
  for (int i = 0; i < many; i++) {
    struct GC_weak_map *own = GC_weak_map_new();
    GC_weak_map_set(own, own, own);
    outside[i] = GC_weak_new(own, GC_WEAK_SHORT, call, NULL);
  }
}

static void test_maps(void) {
  begin();
  make_entries(true);
  collect(1);
  OK(finals >= nearly && (int)GC_weak_map_count(map) >= finals, "an entry stays as long as its key may come back");
  bool right = true;
  for (int i = 0; i < many; i++) {
    if (!held[i]) continue;
    struct thing *value = GC_weak_map_get(map, held[i]);
    right = right && value && value->next == held[i] && value->number == i;
  }
  OK(right, "and has its value when it does");
  memset(held, 0, sizeof held);
  collect(2);
  OK(GC_weak_map_count(map) <= many - nearly, "and goes when the key is gone (%zu)", GC_weak_map_count(map));
  begin();
  make_entries(false);
  collect(1);
  OK(finals >= nearly, "the value of a dead key is finalized (%d)", finals);
  begin();
  make_own();
  collect(1);
  OK(cleared(outside) >= nearly && calls == cleared(outside), "a map that is its own key and value is garbage");
}

/* --- libgc's links --- */

static void final_and_look_at_link(void *object, void *data) {
  (void)data;
  finals++;
  seen_link += ((struct thing *)object)->link != NULL;
}

/* Both have ordered finalizers, and lead to each other, one of them by a link. */
__attribute__((noinline)) static void make_links(bool registered) {
  for (int i = 0; i < many; i++) {
    struct thing *a = thing(i), *b = thing(i);
    a->link = b;
    b->next = a;
    if (registered) GC_general_register_disappearing_link(&a->link, b);
    GC_register_finalizer(a, final_and_look_at_link, NULL, NULL, NULL);
    GC_register_finalizer(b, final_and_look_at_link, NULL, NULL, NULL);
  }
}

/* In the object itself, which its finalizer brings back. */
__attribute__((noinline)) static void make_self_links(void) {
  for (int i = 0; i < many; i++) {
    struct thing *a = thing(i);
    a->link = a;
    GC_register_disappearing_link(&a->link);
    GC_register_finalizer_ignore_self(a, final_and_keep, NULL, NULL, NULL);
  }
}

static void *long_links[many], *short_links[many];
__attribute__((noinline)) static void make_both_links(void) {
  for (int i = 0; i < many; i++) {
    struct thing *a = thing(i);
    long_links[i] = short_links[i] = (void *)GC_HIDE_POINTER(a);
    GC_register_long_link(&long_links[i], a);
    GC_general_register_disappearing_link(&short_links[i], a);
    GC_register_finalizer(a, final_and_keep, NULL, NULL, NULL);
  }
}

static int zeroes(void **link) {
  int count = 0;
  for (int i = 0; i < many; i++) count += !link[i];
  return count;
}

static void test_links(void) {
  begin();
  make_links(false);
  collect(4);
  OK(finals <= many - nearly, "ordered finalizers of a cycle are not run (%d)", finals);
  begin();
  make_links(true);
  collect(4);
  OK(finals >= 2 * nearly && seen_link <= many - nearly, "a link does not count for the order (%d, %d seen)", finals, seen_link);
  begin();
  make_self_links();
  collect(1);
  int zero = 0;
  for (int i = 0; i < many; i++) zero += held[i] && !((struct thing *)held[i])->link;
  OK(finals >= nearly && zero == finals, "a link in an object that comes back is NULL (%d)", zero);
  begin();
  make_both_links();
  collect(1);
  OK(finals >= nearly && zeroes(short_links) == finals && zeroes(long_links) == 0, "long links stay when the object comes back (%d)", finals);
  memset(held, 0, sizeof held);
  collect(2);
  OK(zeroes(long_links) >= nearly, "and are NULL when it is gone (%d)", zeroes(long_links));
  for (int i = 0; i < many; i++) GC_unregister_long_link(&long_links[i]), GC_unregister_disappearing_link(&short_links[i]);
}

/* --- the last reference --- */

static void final_and_count(void *object, void *data) {
  finals++;
  alive += GC_weak_get(((struct GC_weak **)data)[0]) != NULL;
  seen_link += GC_weak_get(((struct GC_weak **)data)[1]) == object;
}

static void test_counted(void) {
  begin();
  struct thing *a = thing(0);
  outside[0] = GC_weak_new(a, GC_WEAK_SHORT, call, NULL);
  outside[1] = GC_weak_new(a, GC_WEAK_LONG, call, NULL);
  GC_register_finalizer(a, final_and_count, outside, NULL, NULL);
  GC_unref(a);
  GC_invoke_finalizers();
  OK(finals == 1 && !alive && seen_link == 1 && !GC_weak_get(outside[1]) && calls == 2,
     "with the last reference short ones are cleared, the finalizer is run, long ones are cleared");
}

int main(void) {
  GC_disable(); /* each step is to be the one that the test asks for */
  test_callbacks();
  test_more_callbacks();
  test_finalizers();
  test_brought_back();
  test_maps();
  test_links();
  test_counted();
  return tap_end();
}
