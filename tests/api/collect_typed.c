/* SPDX-License-Identifier: MIT
 * gc_typed.h and gc_mark.h: only the words that are described hold something; mark procedures hold what they mark. */
#include "collect.h"

#include "gc_mark.h"
#include "gc_typed.h"

#include <pthread.h>
#include <string.h>

enum { many = 300, nearly = many / 10 };

/* Of many objects, each in a word of a described one: how many are there? */
struct held {
  uintptr_t hidden[many];
};
static void *root[many];
static struct crowd crowd;

static int left_of(const struct held *held, int first) {
  int count = 0;
  for (int i = 0; i < first; i++) count += GC_base((void *)~held->hidden[i]) == (void *)~held->hidden[i];
  return count;
}

static int left(const struct held *held) { return left_of(held, many); }

__attribute__((noinline)) static void fill(struct held *held, size_t size, size_t word, GC_descr descriptor, size_t count) {
  for (int i = 0; i < many; i++) {
    void **object = count ? GC_calloc_explicitly_typed(count, size, descriptor) : GC_malloc_explicitly_typed(size, descriptor);
    root[i] = object;
    object[word] = GC_malloc(40);
    held->hidden[i] = ~(uintptr_t)object[word];
  }
}

static void collect_all(void) {
  wipe();
  GC_gcollect();
  wipe();
  GC_gcollect();
}

static void check(size_t size, size_t word, GC_descr descriptor, size_t count, bool kept, const char *what) {
  static struct held held;
  fill(&held, size, word, descriptor, count);
  wipe();
  GC_collect(0, NULL);
  if (kept) OK(left(&held) == many, "%s: held in a collection of the young", what);
  collect_all();
  int now = left(&held);
  OK(kept ? now == many : now <= nearly, "%s: %d of %d are there", what, now, many);
  if (kept) {
    for (int i = 0; i < many; i++) { /* old ones, with something young */
      void **object = root[i];
      object[word] = GC_malloc(40);
      held.hidden[i] = ~(uintptr_t)object[word];
    }
    wipe();
    GC_collect(0, NULL);
    GC_collect(1, NULL);
    OK(left(&held) == many, "%s: what is young is held by what is old", what);
  }
  memset(root, 0, sizeof root);
  collect_all();
  OK(left(&held) <= nearly, "%s: and gone with it", what);
}

static void test_descriptors(void) {
  GC_word bits[4] = {0};
  GC_descr none = GC_make_descriptor(bits, 10);
  GC_set_bit(bits, 1);
  GC_set_bit(bits, 3);
  GC_descr some = GC_make_descriptor(bits, 10);
  check(80, 1, some, 0, true, "a word of the bitmap");
  check(80, 3, some, 0, true, "another");
  check(80, 2, some, 0, false, "a word between");
  check(80, 9, some, 0, false, "one behind");
  check(80, 1, none, 0, false, "no word at all");
  check(400000, 3, some, 0, true, "a word of a large object");
  check(400000, 30000, some, 0, false, "one far behind");
  GC_word first[1] = {7};
  check(80, 2, GC_make_descriptor(first, 3), 0, true, "the first words");
  check(80, 3, GC_make_descriptor(first, 3), 0, false, "the one behind these");
  GC_word far[4] = {0};
  GC_set_bit(far, 150);
  GC_descr layout = GC_make_descriptor(far, 200);
  check(1600, 150, layout, 0, true, "a word far into a large bitmap");
  check(1600, 149, layout, 0, false, "the one before");
  OK(layout == GC_make_descriptor(far, 200), "the same layout has the same descriptor");
}

static void test_arrays(void) {
  GC_word bits[1] = {0};
  GC_set_bit(bits, 1);
  GC_descr element = GC_make_descriptor(bits, 4);
  check(32, 5 * 4 + 1, element, 20, true, "an element's word");
  check(32, 19 * 4 + 1, element, 20, true, "the last element's");
  check(32, 5 * 4 + 2, element, 20, false, "another word of an element");
  check(32, 0, element, 1, false, "an array of one");
  volatile size_t much = SIZE_MAX / 2;
  OK(GC_calloc_explicitly_typed(much, 32, element) == NULL, "too many are refused");
}

/* --- kinds and procedures --- */

static unsigned calls;
static _Atomic unsigned outside; /* called while the program runs */

/* Its second word is a disguised pointer. */
static struct GC_ms_entry *disguised(GC_word *object, struct GC_ms_entry *top, struct GC_ms_entry *limit, GC_word environment) {
  calls++;
  if (environment != 5) outside++;
  if (object[1]) top = GC_MARK_AND_PUSH((void *)~object[1], top, limit, (void **)&object[1]);
  return top;
}

static void test_procedure(void) {
  static struct held held;
  unsigned procedure = GC_new_proc(disguised);
  unsigned kind = GC_new_kind(GC_new_free_list(), GC_MAKE_PROC(procedure, (GC_word)5), 0, 1);
  OK(procedure >= GC_RESERVED_MARK_PROCS && kind > 3, "a procedure and a kind are made");
  for (int round = 0; round < 3; round++) {
    for (int i = 0; i < many; i++) {
      if (!root[i]) root[i] = GC_generic_malloc(48, (int)kind);
      GC_word *object = root[i];
      if (round == 0 && (object[0] || object[1] || object[5])) outside++;
      void *target = GC_malloc(64);
      object[1] = ~(GC_word)target;
      held.hidden[i] = ~(uintptr_t)target;
    }
    wipe();
    GC_collect(round, NULL);
    OK(left(&held) == many, "what a procedure marks is held in a collection of generation %d", round);
  }
  collect_all();
  OK(left(&held) == many && calls > 0 && outside == 0, "again and again");
  for (int i = 0; i < many; i++) { /* a procedure's object that moves is still its */
    root[i] = GC_realloc(root[i], 5000);
    if (((GC_word *)root[i])[1] != held.hidden[i]) outside++;
  }
  collect_all();
  OK(left(&held) == many && outside == 0, "an object that was resized is of its kind");
  memset(root, 0, sizeof root);
  collect_all();
  OK(left(&held) <= nearly, "and is gone with it");
}

/* Large ones: what is behind one keeps it from growing where it is. */
static void test_resized(void) {
  enum { size = 200000, words = 2 * size / sizeof(void *) };
  static struct held held;
  GC_word bits[1] = {10}; /* words 1 and 3 */
  GC_descr some = GC_make_descriptor(bits, 10);
  unsigned plain = GC_new_kind(GC_new_free_list(), GC_DS_LENGTH, 1, 1);
  for (int behind = 0; behind < 2; behind++) {
    memset(&held, 0, sizeof held);
    for (int i = 0; i < many; i++) held.hidden[i] = ~(uintptr_t)0;
    for (int i = 0; i < 20; i++) {
      void **object = i % 2 ? GC_malloc_explicitly_typed(size, some) : GC_generic_malloc(size, (int)plain);
      void *next = behind ? GC_malloc_atomic(size) : NULL;
      object[1] = GC_malloc(40);
      held.hidden[2 * i] = ~(uintptr_t)object[1];
      root[i] = object = GC_realloc(object, 2 * size);
      void **last = &object[i % 2 ? 3 : words - 1];
      *last = GC_malloc(40);
      held.hidden[2 * i + 1] = ~(uintptr_t)*last;
      GC_free(next);
    }
    collect_all();
    int now = left_of(&held, 40);
    OK(now == 40, "large objects that %s hold what they did, and what came to them: %d of 40", behind ? "moved" : "grew", now);
    memset(root, 0, sizeof root);
  }
}

/* What is left of it is looked at as before. */
static void test_shrunk(void) {
  enum { words = 100 };
  static struct held held;
  GC_word bits[2] = {5, (GC_word)1 << 35}; /* words 0, 2 and 99 */
  GC_descr layout = GC_make_descriptor(bits, words);
  memset(&held, 0, sizeof held);
  for (int i = 0; i < 40; i++) {
    void **object = GC_malloc_explicitly_typed(words * sizeof *object, layout);
    object[2] = GC_malloc(40);
    held.hidden[i] = ~(uintptr_t)object[2];
    root[i] = GC_realloc(object, 40 * sizeof *object);
  }
  collect_all();
  int now = left_of(&held, 40);
  OK(now == 40, "an object with a long descriptor that was made smaller holds what it did: %d of 40", now);
  memset(root, 0, sizeof root);
}

static void test_kinds(void) {
  size_t size;
  unsigned plain = GC_new_kind(GC_new_free_list(), GC_DS_LENGTH, 1, 1), none = GC_new_kind(GC_new_free_list(), GC_DS_LENGTH, 0, 1);
  static struct held held;
  for (int whole = 0; whole < 2; whole++) {
    for (int i = 0; i < many; i++) {
      void **object = root[i] = GC_generic_malloc(96, (int)(whole ? plain : none));
      object[11] = GC_malloc(40);
      held.hidden[i] = ~(uintptr_t)object[11];
    }
    collect_all();
    OK(whole ? left(&held) == many : left(&held) <= nearly, "a kind %s", whole ? "that is searched as a whole" : "without pointers");
    memset(root, 0, sizeof root);
  }
  void *p = GC_generic_malloc(10, GC_I_PTRFREE);
  OK(GC_get_kind_and_size(p, &size) == GC_I_PTRFREE && size >= 10, "kind and size of one without pointers");
  OK(GC_get_kind_and_size(GC_malloc(500), &size) == GC_I_NORMAL && size >= 500, "of a normal one");
  OK(GC_get_kind_and_size(GC_generic_malloc(5, 2), NULL) == 2 && GC_get_kind_and_size(GC_generic_malloc(5, 3), NULL) == 3, "of those never reclaimed");
  int listed = 0;
  bool good = true;
  for (void *q = GC_malloc_many(32), *next; q; q = next, listed++) {
    next = GC_NEXT(q);
    good = good && GC_base(q) == q && GC_size(q) >= 32 && ((void **)q)[1] == NULL;
  }
  OK(good && listed > 1, "many at once: %d", listed);
}

/* Where an object says itself what it is: in a word of it, or in what its first word points to. */
static void test_per_object(void) {
  static struct held held;
  static GC_word description[4];
  GC_word bit = (GC_word)1 << 60 | GC_DS_BITMAP; /* word 3 */
  description[2] = bit;
  for (int way = 0; way < 2; way++) {
    GC_descr template = way == 0 ? 2 * sizeof(GC_word) + GC_DS_PER_OBJECT
                                 : (GC_descr)(-(intptr_t)(2 * sizeof(GC_word)) - GC_INDIR_PER_OBJ_BIAS) + GC_DS_PER_OBJECT;
    unsigned kind = GC_new_kind(GC_new_free_list(), template, 0, 1);
    for (int i = 0; i < many; i++) {
      GC_word *object = root[i] = GC_generic_malloc(64, (int)kind);
      if (way == 0) object[2] = bit;
      else object[0] = (GC_word)description;
      void *target = GC_malloc(40);
      object[i % 2 ? 3 : 4] = (GC_word)target;
      held.hidden[i] = ~(uintptr_t)target;
    }
    collect_all();
    int odd = 0, even = 0;
    for (int i = 0; i < many; i++) *(i % 2 ? &odd : &even) += GC_base((void *)~held.hidden[i]) != NULL;
    OK(odd == many / 2 && even <= nearly, "described %s: %d held, %d not", way ? "by what it points to" : "in itself", odd, many / 2 - even);
    memset(root, 0, sizeof root);
  }
}

/* --- the program's own roots --- */

static void **own;
static unsigned pushes;
static GC_push_other_roots_proc before;

static void push_own(void) {
  pushes++;
  GC_push_all(own, own + many);
  before();
}

static void test_roots(void) {
  static struct held held;
  own = GC_malloc_atomic(many * sizeof *own); /* where nobody looks */
  void *volatile keep_own = own;
  before = GC_get_push_other_roots();
  GC_set_push_other_roots(push_own);
  for (int i = 0; i < many; i++) held.hidden[i] = ~(uintptr_t)(own[i] = GC_malloc(40));
  collect_all();
  OK(left(&held) == many && pushes >= 2, "what a function of the program tells is a root");
  GC_set_push_other_roots(before);
  collect_all();
  OK(left(&held) <= nearly && keep_own, "and no longer");
}

/* --- threads, under collections --- */

static void *make(void *arg) {
  GC_word bits[1] = {2};
  GC_descr descriptor = GC_make_descriptor(bits, 6);
  uint64_t random = (uintptr_t)arg + 1;
  void **list = NULL;
  for (int i = 0; i < 20000; i++) {
    void **object = GC_malloc_explicitly_typed(48, descriptor);
    object[1] = tap_random(&random) % 50 ? list : NULL;
    ((GC_word *)object)[3] = 4711;
    list = object;
    if (tap_random(&random) % 3 == 0) GC_free(GC_malloc_explicitly_typed(100, descriptor));
    for (void **at = list; at && i % 500 == 0; at = at[1])
      if (((GC_word *)at)[3] != 4711) return (void *)1;
  }
  return NULL;
}

static void test_threads(void) {
  enum { threads = 4 };
  pthread_t thread[threads];
  bool good = true;
  for (intptr_t i = 0; i < threads; i++) pthread_create(&thread[i], NULL, make, (void *)i);
  for (int i = 0; i < 10; i++) GC_collect(i % 3, NULL);
  for (int i = 0; i < threads; i++) {
    void *result;
    pthread_join(thread[i], &result);
    good = good && !result;
  }
  OK(good, "threads that make lists of described objects, under collections");
}

int main(void) {
  GC_init();
  crowd_make(&crowd, GC_malloc, 10, NULL);
  test_descriptors();
  test_arrays();
  test_procedure();
  test_resized();
  test_shrunk();
  test_kinds();
  test_per_object();
  test_roots();
  test_threads();
  return tap_end();
}
