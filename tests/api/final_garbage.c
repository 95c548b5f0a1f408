/* SPDX-License-Identifier: MIT
 * gc.h and gc_ext.h: the order of finalizers, and garbage that is not reclaimed. The situations are those that CPython checks of its own collector in
 * test_gc and test_finalization, with our objects: the tests' names there are in brackets. Its __del__ of today is a finalizer without an order; that
 * of before, which made cycles uncollectable (tp_del), one with an order. */
#include "final.h"

enum { crowd = 60, far = 20 };

struct node {
  struct node *to[2];
  int number;
};

static int ran, order_of[crowd + 1], order;

static void GC_CALLBACK count(void *object, void *data) {
  int number = ((struct node *)object)->number;
  (void)data;
  ran++;
  if (number >= 0 && number <= crowd) order_of[number] = ++order;
}

static void reset(void) {
  ran = order = 0;
  memset(order_of, 0, sizeof order_of);
}

typedef void register_function(void *, GC_finalization_proc, void *, GC_finalization_proc *, void **);

static struct node *make(register_function *how, int number) {
  struct node *node = GC_malloc(sizeof *node);
  node->number = number;
  if (how) how(node, count, NULL, NULL, NULL);
  return node;
}

/* Each function loses many of its kind, before anything is collected. */
#define LOSE(name)                                     \
  static void name##_one(void);                        \
  __attribute__((noinline)) static void name(void) {   \
    reset();                                           \
    GC_disable();                                      \
    for (int i = 0; i < crowd; i++) name##_one();      \
    GC_enable();                                       \
    wipe();                                            \
  }                                                    \
  __attribute__((noinline)) static void name##_one(void)

LOSE(lose_self_ordered) {
  struct node *node = make(GC_register_finalizer, -1);
  node->to[0] = node;
}

LOSE(lose_self_ignored) {
  struct node *node = make(GC_register_finalizer_ignore_self, -1);
  node->to[0] = node->to[1] = node;
}

LOSE(lose_self_unordered) {
  struct node *node = make(GC_register_finalizer_no_order, -1);
  node->to[0] = node;
}

static void lose_pair(register_function *a_how, register_function *b_how) {
  struct node *a = make(a_how, -1), *b = make(b_how, -1);
  a->to[0] = b;
  b->to[0] = a;
}

LOSE(lose_pair_unordered) { lose_pair(GC_register_finalizer_no_order, GC_register_finalizer_no_order); }
LOSE(lose_pair_ordered) { lose_pair(GC_register_finalizer, GC_register_finalizer_ignore_self); }
LOSE(lose_pair_plain) { lose_pair(GC_register_finalizer, NULL); }
LOSE(lose_pair_heterogenous) { lose_pair(GC_register_finalizer, GC_register_finalizer_no_order); }

/* The object has a finalizer, and the cycle is before it, or behind it. */
LOSE(lose_behind_cycle) {
  struct node *a = make(NULL, -1);
  a->to[0] = a;
  a->to[1] = make(GC_register_finalizer, -1);
}

LOSE(lose_before_cycle) {
  struct node *a = make(GC_register_finalizer, -1);
  a->to[0] = make(NULL, -1);
  a->to[0]->to[0] = a->to[0];
}

__attribute__((noinline)) static void lose_chain(int length) {
  struct node *first = NULL;
  reset();
  GC_disable();
  for (int i = length; i > 0; i--) {
    struct node *node = make(GC_register_finalizer, i);
    node->to[0] = first;
    first = node;
  }
  GC_enable();
  wipe();
}

/* Breaks all cycles: what is merely taken off the list would be found anew. */
static void clear(void) {
  for (int i = 0; i < 3; i++) {
    for (size_t n = 0; n < GC_get_garbage_count(); n++) memset(((struct node *)GC_get_garbage(n))->to, 0, 2 * sizeof(struct node *));
    GC_clear_garbage();
    collect_all();
  }
}

static void test_cycles(void) {
  lose_self_unordered();
  collect_all();
  OK(nearly(ran, crowd) && GC_get_garbage_count() == 0, "an object that leads to itself, without an order, is finalized [SimpleSelfCycleTest]");
  lose_self_ignored();
  collect_all();
  OK(nearly(ran, crowd) && GC_get_garbage_count() == 0, "as is one that ignores itself");
  lose_pair_unordered();
  collect_all();
  OK(nearly(ran, 2 * crowd) && GC_get_garbage_count() == 0, "so are two that lead to each other, at once [SelfCycleChain]");
  lose_behind_cycle();
  collect_all();
  OK(nearly(ran, crowd), "one to which a cycle without finalizers leads is finalized [test_finalizer_newclass]");
  lose_before_cycle();
  collect_all();
  OK(nearly(ran, crowd), "and one that leads to such a cycle [CycleChainFinalizer]");
  lose_pair_heterogenous();
  collect_all();
  OK(ran == 0, "one without an order, to which one with an order leads, waits for it [heterogenous chains]");
  clear();
}

static size_t uncollectable(void) {
  struct GC_generation_stats stats;
  GC_get_stats(2, &stats);
  return stats.uncollectable;
}

static bool is_listed_whole(void) {
  for (size_t i = 0; i < GC_get_garbage_count(); i++) {
    struct node *node = GC_get_garbage(i);
    if (GC_base(node) != node || node->number != -1 || GC_base(node->to[0]) != node->to[0]) return false;
  }
  return true;
}

static void test_uncollectable(void) {
  size_t before = uncollectable();
  lose_self_ordered();
  collect_all();
  collect_all();
  int listed = (int)GC_get_garbage_count();
  OK(ran == 0 && nearly(listed, crowd), "ordered ones that lead to themselves are not finalized, but listed [LegacySelfCycle]");
  OK((int)(uncollectable() - before) == listed, "and counted");
  OK(is_listed_whole() && GC_get_garbage((size_t)listed) == NULL, "the list has them, and no more");
  for (int i = 0; i < 3; i++) collect_all();
  OK((int)GC_get_garbage_count() == listed && is_listed_whole(), "once, and they live");
  GC_clear_garbage();
  OK(GC_get_garbage_count() == 0, "it can be cleared");
  collect_all();
  collect_all();
  OK((int)GC_get_garbage_count() == listed && ran == 0, "then they are found anew");
  for (size_t i = 0; i < GC_get_garbage_count(); i++) ((struct node *)GC_get_garbage(i))->to[0] = NULL;
  GC_clear_garbage();
  collect_all();
  OK(nearly(ran, crowd), "a cycle that the program breaks is finalized [legacy: garbage is resurrected and cleared]");

  lose_pair_ordered();
  collect_all();
  collect_all();
  OK(ran == 0 && nearly((int)GC_get_garbage_count(), 2 * crowd), "all of a cycle are listed that have finalizers");
  void *freed = GC_get_garbage(0);
  GC_register_finalizer_ignore_self(freed, count, NULL, NULL, NULL);
  GC_free(freed);
  bool gone = true;
  for (size_t i = 0; i < GC_get_garbage_count(); i++) gone = gone && GC_get_garbage(i) != freed;
  OK(gone, "who frees one takes it off the list, though it has got another finalizer");
  freed = NULL;
  clear();
  lose_pair_plain();
  collect_all();
  collect_all();
  OK(ran == 0 && nearly((int)GC_get_garbage_count(), crowd), "and none that has none [test_legacy_finalizer]");
  clear();

  /* others are due all the time */
  lose_self_ordered();
  lose_chain(far);
  collect_all();
  collect_all();
  OK(nearly((int)GC_get_garbage_count(), crowd), "they are found by the second collection where others are due");
  for (int i = 0; i < far + 2; i++) collect_all();
  OK(ran <= far && ran >= far - 2, "which does not hold up the others");
  clear();
}

static void test_order(void) {
  lose_chain(far);
  int collections = 0, most = 0;
  for (int before = -1; ran > before || collections < 3; collections++) {
    before = ran;
    collect_all();
    if (ran - before > most) most = ran - before;
  }
  OK(ran >= far - 1 && most == 1, "of a chain each collection finalizes one");
  bool rising = true;
  for (int i = 2; i <= far; i++) rising = rising && (order_of[i] == 0 || order_of[i] > order_of[i - 1]);
  OK(rising, "from its beginning to its end");
}

/* --- SAVEALL --- */

LOSE(lose_plain) { make(NULL, -1)->to[0] = make(NULL, -1); }
LOSE(lose_finalized) { make(GC_register_finalizer, -1)->to[0] = make(NULL, -1); }

static size_t told;
static void count_uncollectable(const struct GC_event *event, void *arg) {
  (void)arg;
  if (event->phase == GC_PHASE_STOP) told += event->collection.uncollectable;
}

static void test_saveall(void) {
  clear();
  collect_all();
  told = 0;
  size_t before = GC_get_garbage_count();
  GC_add_callback(count_uncollectable, NULL);
  GC_set_debug(GC_DEBUG_SAVEALL);
  OK(GC_get_debug() == GC_DEBUG_SAVEALL, "what is found can be saved [test_saveall]");
  lose_plain();
  struct GC_collection found;
  long unreachable = GC_collect(2, &found);
  OK(nearly((int)GC_get_garbage_count() >= 2 * crowd ? 2 * crowd : (int)GC_get_garbage_count(), 2 * crowd) && found.collected == 0, "then nothing is reclaimed, and all is listed");
  GC_remove_callback(count_uncollectable, NULL);
  OK(told == GC_get_garbage_count() - before && unreachable == (long)found.uncollectable, "and counted, as Python does: %zu", told);
  bool there = true;
  for (size_t i = 0; i < GC_get_garbage_count(); i++) there = there && GC_base(GC_get_garbage(i)) == GC_get_garbage(i);
  OK(there, "and is there");
  size_t count_of = GC_get_garbage_count();
  collect_all();
  OK(GC_get_garbage_count() <= count_of + 10, "once");
  GC_clear_garbage();
  lose_finalized();
  collect_all();
  OK(nearly(ran, crowd), "finalizers are run all the same");
  collect_all();
  OK(GC_get_garbage_count() >= 2 * crowd * 9 / 10, "and what they leave is saved");
  GC_set_debug(0);
  GC_clear_garbage();
  collect_all();
  wipe();
  OK(GC_collect(2, NULL) >= 0 && GC_get_garbage_count() == 0, "without it all is reclaimed as ever");
  GC_collect(0, NULL);
  GC_set_debug(GC_DEBUG_SAVEALL);
  lose_plain();
  GC_collect(0, NULL);
  OK((int)GC_get_garbage_count() >= 2 * crowd * 9 / 10, "a collection of the youngest saves what it finds, too");
  GC_set_debug(0);
  clear();
}

/* --- objects that finalizers bring back --- */

static struct node *back[2 * crowd];
static int backs;

static void GC_CALLBACK bring_back(void *object, void *data) {
  (void)data;
  ran++;
  if (backs < 2 * crowd) back[backs++] = object;
}

static struct node *make_back(void) {
  struct node *node = make(NULL, -1);
  GC_register_finalizer_no_order(node, bring_back, NULL, NULL, NULL);
  return node;
}

LOSE(lose_resurrecting) {
  struct node *a = make_back(), *b = make_back();
  a->to[0] = b;
  b->to[0] = a;
}

static void test_resurrection(void) {
  lose_resurrecting();
  collect_all();
  bool whole = true;
  for (int i = 0; i < backs; i++) whole = whole && GC_base(back[i]) == back[i] && back[i]->to[0]->to[0] == back[i];
  OK(nearly(ran, 2 * crowd) && backs == ran && whole, "a cycle whose finalizers bring it back is whole [test_resurrection, SelfCycleResurrector]");
  int before = ran;
  volatile uintptr_t hidden[2 * crowd];
  for (int i = 0; i < backs; i++) hidden[i] = ~(uintptr_t)back[i];
  memset(back, 0, sizeof back);
  collect_all();
  int left = 0;
  for (int i = 0; i < backs; i++) left += GC_base((void *)~hidden[i]) == (void *)~hidden[i];
  OK(ran - before <= 10 && left <= 20, "lost again it is reclaimed without them [test_del_called_once]");
}

static void GC_CALLBACK say(void *object, void *data) {
  (void)object, (void)data;
  puts("finalized at exit");
}

int main(int argc, char **argv) {
  GC_INIT();
  if (argc > 1 && strcmp(argv[1], "debug") == 0) { /* final.sh looks at what is told */
    GC_set_debug(GC_DEBUG_LEAK | GC_DEBUG_STATS);
    lose_self_ordered();
    lose_plain();
    collect_all();
    return 0;
  }
  if (argc > 1 && strcmp(argv[1], "exit") == 0) {
    static struct node *held;
    held = make(NULL, -1);
    GC_register_finalizer(held, say, NULL, NULL, NULL);
    return 0;
  }
  test_cycles();
  test_uncollectable();
  test_order();
  test_saveall();
  test_resurrection();
  return tap_end();
}
