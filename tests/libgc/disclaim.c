/* SPDX-License-Identifier: MIT
 * Objects whose owner is asked before their memory is used again: once, when they are dead, with what they hold still there; in order; again if the owner
 * wants so. */
#include "../api/collect.h"

#include "gc_disclaim.h"
#include "gc_mark.h"

#include <pthread.h>

enum { many = 200, nearly = many * 9 / 10, magic_least = 0x5eed00 };

/* Another one in each test: a stale word may keep an object of the one before until now. */
static uintptr_t magic = magic_least;

struct thing {
  uintptr_t mark, number;
  struct thing *next;
  char *text;
};

static int asked[many], refusals[many];
static int wrong, out_of_order, collected_by_then;
static uintptr_t hidden[many];
static void *root[many];
static void *links[many]; /* disguised */

static void collect(int generation) {
  wipe();
  GC_collect(generation, NULL);
  *(void *volatile *)GC_malloc(16) = NULL; /* whoever allocates asks */
}

static void collect_some(void) {
  for (int i = 0; i < 3; i++) collect(2);
}

static int count_asked(void) {
  int count = 0;
  for (int i = 0; i < many; i++) count += asked[i] > 0;
  return count;
}

static int count_left(void) {
  int count = 0;
  for (int i = 0; i < many; i++) count += GC_base((void *)~hidden[i]) == (void *)~hidden[i];
  return count;
}

static bool once(void) {
  for (int i = 0; i < many; i++)
    if (asked[i] > 1) return false;
  return true;
}

static void clear(void) {
  memset(asked, 0, sizeof asked);
  memset(refusals, 0, sizeof refusals);
  memset(hidden, 0, sizeof hidden);
  memset(root, 0, sizeof root);
  wrong = out_of_order = 0;
  magic++;
}

static bool is_earlier(const struct thing *thing) { return thing->mark >= magic_least && thing->mark < magic; }

/* It may allocate, which may collect. */
static int GC_CALLBACK ask(void *object) {
  struct thing *thing = object;
  if (is_earlier(thing)) return 0;
  if (thing->mark != magic || thing->number >= many || GC_base(object) != object) {
    wrong++;
    return 0;
  }
  *(void *volatile *)GC_malloc(24) = NULL;
  if (links[thing->number]) collected_by_then++;
  asked[thing->number]++;
  if (refusals[thing->number] == 0) return 0;
  refusals[thing->number]--;
  return 1;
}

static int GC_CALLBACK ask_in_order(void *object) {
  const struct thing *thing = object;
  if (is_earlier(thing)) return 0;
  if (thing->mark != magic) wrong++;
  if (thing->next && (thing->next->mark != magic || asked[thing->next->number])) out_of_order++;
  if (thing->text && strcmp(thing->text, "text") != 0) wrong++;
  return ask(object);
}

__attribute__((noinline)) static void make(int kind, size_t size) {
  for (int i = 0; i < many; i++) {
    struct thing *thing = GC_generic_malloc(size, kind);
    *thing = (struct thing){.mark = magic, .number = (uintptr_t)i};
    root[i] = thing;
    hidden[i] = ~(uintptr_t)thing;
  }
  wipe();
}

static int plain_kind, order_kind;

static void test_once(size_t size, const char *what) {
  clear();
  make(plain_kind, size);
  collect(0);
  collect(1);
  collect(2);
  OK(count_asked() == 0 && count_left() == many, "%s: what is alive is not asked about", what);
  memset(root, 0, sizeof root);
  collect_some();
  OK(count_asked() >= nearly && once() && wrong == 0, "%s: what is dead is, once, as it was (%d)", what, count_asked());
  collect_some();
  OK(count_left() <= many - nearly && once(), "%s: and its memory is used again", what);
}

static void test_young(void) {
  clear();
  make(plain_kind, sizeof(struct thing));
  memset(root, 0, sizeof root);
  collect(0);
  collect(0);
  collect(1);
  collect(2);
  OK(count_asked() >= nearly && once() && wrong == 0, "young ones, in collections of the young (%d)", count_asked());
}

static void test_refusing(void) {
  clear();
  for (int i = 0; i < many; i++) refusals[i] = 2;
  make(plain_kind, 100);
  memset(root, 0, sizeof root);
  collect_some();
  collect_some();
  collect_some();
  int thrice = 0, more = 0;
  for (int i = 0; i < many; i++) {
    thrice += asked[i] == 3;
    more += asked[i] > 3;
  }
  OK(thrice >= nearly && more == 0 && wrong == 0, "who refuses is asked again, until it does not (%d)", thrice);
  collect_some();
  OK(count_left() <= many - nearly, "then it is gone");
}

static char *text_of_its_own(void) {
  char *text = GC_malloc_atomic(40);
  return strcpy(text, "text");
}

static void test_order(void) {
  enum { length = 4 };
  clear();
  make(order_kind, sizeof(struct thing));
  for (int i = 0; i < many; i++) {
    struct thing *thing = root[i];
    if (i % length < length - 1) thing->next = root[i + 1];
    thing->text = text_of_its_own();
  }
  memset(root, 0, sizeof root);
  for (int i = 0; i < 2 * length; i++) collect_some();
  OK(count_asked() >= nearly && once(), "all of a chain are asked about (%d)", count_asked());
  OK(out_of_order == 0 && wrong == 0, "the first one first, with all that it leads to still there");
  clear();
  make(order_kind, sizeof(struct thing));
  for (int i = 0; i < many; i++) ((struct thing *)root[i])->next = root[i];
  memset(root, 0, sizeof root);
  collect_some();
  OK(count_asked() == 0 && count_left() == many, "what leads to itself never is");
}

static void test_freed(void) {
  clear();
  make(plain_kind, 64);
  for (int i = 0; i < many; i++) {
    if (i % 2) GC_free(root[i]);
    else root[i] = GC_realloc(root[i], 3000 + 40000 * (size_t)(i % 4 == 0));
    hidden[i] = i % 2 ? 0 : ~(uintptr_t)root[i];
  }
  memset(root, 0, sizeof root);
  collect_some();
  int freed = 0, moved = 0;
  for (int i = 0; i < many; i++) (*(i % 2 ? &freed : &moved)) += asked[i];
  OK(freed == 0, "what is freed is not asked about (%d)", freed);
  OK(moved >= nearly / 2 && once() && wrong == 0, "what has moved is (%d)", moved);
}

static void test_links(void) {
  clear();
  collected_by_then = 0;
  make(plain_kind, 64);
  for (int i = 0; i < many; i++) {
    links[i] = (void *)GC_HIDE_POINTER(root[i]);
    GC_general_register_disappearing_link(&links[i], root[i]);
  }
  memset(root, 0, sizeof root);
  collect_some();
  OK(count_asked() >= nearly && collected_by_then == 0, "links are NULL by then");
  for (int i = 0; i < many; i++) GC_unregister_disappearing_link(&links[i]);
  memset(links, 0, sizeof links);
}

/* --- with a closure --- */

static void GC_CALLBACK finalize(void *object, void *data) {
  struct thing *thing = object, *known = data;
  if (is_earlier(thing)) return;
  if (thing->mark != magic || known->mark != magic || known->number != thing->number) wrong++;
  asked[thing->number]++;
}

__attribute__((noinline)) static void make_finalized(void) {
  for (int i = 0; i < many; i++) {
    struct thing *known = GC_malloc(sizeof *known);
    struct GC_finalizer_closure *closure = GC_malloc(sizeof *closure);
    *known = (struct thing){.mark = magic, .number = (uintptr_t)i};
    *closure = (struct GC_finalizer_closure){finalize, known};
    struct thing *thing = GC_finalized_malloc(sizeof *thing, closure);
    if (thing->mark || thing->next) wrong++;
    *thing = (struct thing){.mark = magic, .number = (uintptr_t)i};
    root[i] = thing;
    hidden[i] = ~(uintptr_t)thing;
  }
  wipe();
}

static void test_closures(void) {
  clear();
  make_finalized();
  collect(0);
  collect_some();
  OK(count_asked() == 0 && count_left() == many, "finalized ones that are alive are left alone");
  memset(root, 0, sizeof root);
  collect_some();
  OK(count_asked() >= nearly && once() && wrong == 0, "dead ones are finalized once, by what only their closures held (%d)", count_asked());
  collect_some();
  OK(count_left() <= many - nearly, "and are gone");
}

/* --- threads --- */

enum { each = 3000, threads = 3 };
static _Atomic int made, ended;

static void GC_CALLBACK count_end(void *object, void *data) {
  const struct thing *thing = object;
  if (thing->mark == magic && data == &made) ended++;
}

static void *make_and_drop(void *arg) {
  static const struct GC_finalizer_closure closure = {count_end, &made};
  for (int i = 0; i < each; i++) {
    struct thing *thing = GC_finalized_malloc(sizeof *thing, &closure);
    thing->mark = magic;
    made++;
    if (i % 500 == 0) GC_collect(i % 3, NULL);
  }
  return arg;
}

static void test_threads(void) {
  pthread_t thread[threads];
  for (int i = 0; i < threads; i++) pthread_create(&thread[i], NULL, make_and_drop, NULL);
  for (int i = 0; i < threads; i++) pthread_join(thread[i], NULL);
  collect_some();
  collect_some();
  OK(made == each * threads && ended <= made && ended >= made * 9 / 10, "objects of several threads: %d of %d", ended, made);
}

int main(void) {
  GC_INIT();
  GC_init_finalized_malloc();
  plain_kind = (int)GC_new_kind(GC_new_free_list(), GC_DS_LENGTH, 1, 1);
  order_kind = (int)GC_new_kind(GC_new_free_list(), GC_DS_LENGTH, 1, 1);
  GC_register_disclaim_proc(plain_kind, ask, 0);
  GC_register_disclaim_proc(order_kind, ask_in_order, 1);
  test_once(sizeof(struct thing), "small");
  test_once(40000, "large");
  test_young();
  test_refusing();
  test_order();
  test_freed();
  test_links();
  test_closures();
  test_threads();
  return tap_end();
}
