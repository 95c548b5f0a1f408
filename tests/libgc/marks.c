/* SPDX-License-Identifier: MIT
 * Marks by hand, walking over the heap, objects with a description in the first word, and what is told of writing. */
#include "../api/collect.h"

#include "gc_gcj.h"
#include "gc_mark.h"

enum { many = 200, nearly = many / 10 };

static uintptr_t hidden[many], inner[many];

static int count_left(const uintptr_t *of) {
  int count = 0;
  for (int i = 0; i < many; i++) count += GC_base((void *)~of[i]) == (void *)~of[i];
  return count;
}

static bool all_there(const uintptr_t *of) {
  int count = count_left(of);
  if (count != many) tap_note("only %d of %d are there", count, many);
  return count == many;
}

static bool nearly_gone(const uintptr_t *of) {
  int count = count_left(of);
  if (count > nearly) tap_note("%d of %d are still there", count, many);
  return count <= nearly;
}

static void collect(int generation) {
  wipe();
  GC_collect(generation, NULL);
}

/* So that a full collection comes by itself, which may mark beside the program. */
static void churn(void) {
  enum { most = 20000, pressure = 64 << 20 };
  struct GC_generation_stats before = {0}, now = {0};
  GC_get_stats(2, &before);
  GC_add_memory_pressure(pressure);
  for (int i = 0; i < most && now.collections <= before.collections; i++) {
    GC_malloc(200);
    GC_get_stats(2, &now);
  }
  GC_remove_memory_pressure(pressure);
  wipe();
}

/* --- marks --- */

static bool setting, clearing;
static int seen_marked, seen_unmarked, not_set; /* before they were set; after */
static void *cleared[many];
static GC_push_other_roots_proc before_ours;

static void GC_CALLBACK push_ours(void) {
  for (int i = 0; i < many && setting; i++) {
    void *object = (void *)~hidden[i];
    if (!hidden[i]) continue;
    if (GC_is_marked(object)) seen_marked++;
    else seen_unmarked++;
    GC_set_mark_bit(object);
    if (!GC_is_marked(object)) not_set++;
  }
  for (int i = 0; i < many && clearing; i++) {
    GC_clear_mark_bit(cleared[i]);
    if (GC_is_marked(cleared[i])) seen_marked++;
  }
  before_ours();
}

__attribute__((noinline)) static void make_chain(void) {
  for (int i = 0; i < many; i++) {
    void **object = GC_malloc(48), *behind = GC_malloc(32);
    object[1] = behind;
    hidden[i] = ~(uintptr_t)object;
    inner[i] = ~(uintptr_t)behind;
  }
  wipe();
}

__attribute__((noinline)) static void make_cleared(void) {
  for (int i = 0; i < many; i++) {
    cleared[i] = GC_malloc(48);
    hidden[i] = ~(uintptr_t)cleared[i];
  }
  wipe();
}

static void test_marks(void) {
  before_ours = GC_get_push_other_roots();
  GC_set_push_other_roots(push_ours);
  setting = true;
  make_chain();
  collect(0);
  OK(all_there(hidden) && all_there(inner), "what is marked by hand stays, with what it leads to");
  OK(seen_unmarked > 0 && not_set == 0, "it was not marked before (%d), and is afterwards", seen_unmarked);
  for (int generation = 0; generation < 3; generation++) {
    collect(generation);
    OK(all_there(hidden) && all_there(inner), "again, in a collection of generation %d", generation);
  }
  churn();
  collect(2);
  OK(all_there(hidden) && all_there(inner), "and in those that come by themselves");
  OK(GC_is_marked((void *)~hidden[0]) == 1, "with the program running what is alive is marked");
  setting = false;
  collect(2);
  OK(nearly_gone(hidden) && nearly_gone(inner), "and it goes when it is not marked any more");
  int marked = 0;
  for (int i = 0; i < many; i++) marked += GC_is_marked((void *)~hidden[i]);
  OK(marked <= nearly, "what was reclaimed is not marked");
}

static void test_clearing(void) {
  make_cleared();
  collect(2);
  OK(all_there(hidden), "what a variable holds stays");
  GC_clear_mark_bit(cleared[0]);
  collect(2);
  OK(all_there(hidden), "a mark that is cleared outside of a collection is none");
  clearing = true;
  seen_marked = 0;
  collect(2);
  clearing = false;
  OK(count_left(hidden) == (heap_serves_malloc() ? count_left(hidden) : 0) && seen_marked == 0, "what is cleared after the roots were looked at goes");
  memset(cleared, 0, sizeof cleared);
}

static void test_outside(void) {
  void *object = GC_malloc(20);
  int variable = 0;
  OK(GC_is_marked(object) == 1, "what is new is marked");
  GC_set_mark_bit(object);
  GC_set_mark_bit(&variable);
  GC_clear_mark_bit(&variable);
  OK(GC_is_marked(&variable) == 0 && GC_is_marked((char *)object + 1) == 0 && GC_is_marked(NULL) == 0, "what is no object's beginning is not");
  GC_free(object);
  OK(GC_is_marked(object) == 0, "nor what was freed");
}

static void *outside[many];

/* Before the first collection, when there are no markers yet; and after it. */
static void test_pushing_outside(void) {
  for (int round = 0; round < 2; round++) {
    for (int i = 0; i < many; i++) hidden[i] = ~(uintptr_t)(outside[i] = GC_malloc(40));
    GC_push_all(outside, outside + many);
    GC_push_all_eager(outside, outside + many);
    GC_push_conditional(outside, outside + many, 1);
    OK(GC_mark_and_push(outside[0], NULL, NULL, outside) == NULL, "what is told of outside of a collection is not heeded");
    collect(2);
    OK(all_there(hidden), "and all that is held stays");
    for (int i = 0; i < many; i++) outside[i] = NULL;
    collect(2);
    OK(nearly_gone(hidden), "and nothing else");
  }
}

/* --- all objects --- */

struct walk {
  int found, wrong, all;
};

static void GC_CALLBACK walk_one(void *object, size_t bytes, void *data) {
  struct walk *walk = data;
  walk->all++;
  if (GC_base(object) != object || GC_size(object) != bytes) walk->wrong++;
  for (int i = 0; i < many; i++) walk->found += object == (void *)~hidden[i];
}

static void *walk_all(void *data) {
  GC_enumerate_reachable_objects_inner(walk_one, data);
  return data;
}

static void test_walk(void) {
  struct walk walk = {0}, later = {0};
  static void *held[many];
  for (int i = 0; i < many; i++) {
    held[i] = i % 4 == 0 ? GC_malloc_uncollectable(40) : i % 4 == 1 ? GC_malloc_atomic(100000) : i % 4 == 2 ? GC_malloc(300) : GC_malloc_atomic(9);
    hidden[i] = ~(uintptr_t)held[i];
  }
  collect(2);
  OK(GC_call_with_alloc_lock(walk_all, &walk) == &walk && walk.found == many, "all that is alive is told (%d)", walk.found);
  OK(walk.wrong == 0 && walk.all >= many, "where it begins, and how large it is");
  for (int i = 0; i < many; i += 4) GC_free(held[i]);
  memset(held, 0, sizeof held);
  collect(2);
  GC_call_with_alloc_lock(walk_all, &later);
  OK(later.found <= nearly && later.wrong == 0, "what is dead is not (%d)", later.found);
}

/* --- descriptions --- */

struct table {
  void *method;
  GC_word descriptor;
};

static unsigned calls, debug_calls;

static struct GC_ms_entry *mark_second(GC_word *object, struct GC_ms_entry *top, struct GC_ms_entry *limit, GC_word environment) {
  if (environment == 1) {
    object = GC_USR_PTR_FROM_BASE(object);
    debug_calls++;
  }
  calls++;
  if (!object[0]) return top;
  return GC_MARK_AND_PUSH((void *)object[1], top, limit, (void **)&object[1]);
}

static void *root[many];
typedef void *make_one(size_t size, void *description);

static void *make_debug(size_t size, void *description) { return GC_debug_gcj_malloc(size, description, GC_EXTRAS); }

__attribute__((noinline)) static void fill(make_one *make, size_t size, struct table *table, int word, bool anew) {
  for (int i = 0; i < many; i++) {
    if (anew) root[i] = make(size, table);
    void **object = root[i];
    object[word] = GC_malloc(40);
    hidden[i] = ~(uintptr_t)object[word];
  }
  wipe();
}

static void check(make_one *make, size_t size, GC_word descriptor, int word, bool kept, const char *what) {
  static struct table table;
  table.descriptor = descriptor;
  fill(make, size, &table, word, true);
  OK(*(void **)root[0] == &table && ((GC_word *)root[many - 1])[size / sizeof(GC_word) - 1] == 0, "%s: the description, and zeroes", what);
  if (kept) {
    collect(0);
    OK(all_there(hidden), "%s: held by what is young", what);
    fill(make, size, &table, word, false);
    collect(0);
    OK(all_there(hidden), "%s: held by what is old", what);
    fill(make, size, &table, word, false);
    churn();
    OK(all_there(hidden), "%s: held while the program runs", what);
  }
  collect(2);
  OK(kept ? all_there(hidden) : nearly_gone(hidden), "%s: %s", what, kept ? "held" : "not held");
  memset(root, 0, sizeof root);
  collect(2);
  OK(nearly_gone(hidden), "%s: and gone", what);
}

static void test_descriptions(void) {
  GC_init_gcj_malloc(GC_GCJ_RESERVED_MARK_PROC_INDEX, (void *)mark_second);
  GC_init_gcj_malloc(GC_GCJ_RESERVED_MARK_PROC_INDEX, NULL);
  OK(GC_gcj_kind > 3 && GC_gcj_debug_kind > 3 && GC_gcj_kind != GC_gcj_debug_kind, "there are two kinds more");
  const GC_word top = (GC_word)1 << 63;
  check(GC_gcj_malloc, 48, (top >> 2) | GC_DS_BITMAP, 2, true, "a bitmap");
  check(GC_gcj_malloc, 48, (top >> 2) | GC_DS_BITMAP, 3, false, "a bitmap without it");
  check(GC_gcj_malloc, 48, 24 | GC_DS_LENGTH, 2, true, "a length");
  check(GC_gcj_malloc, 48, 24 | GC_DS_LENGTH, 4, false, "a length before it");
  check(GC_gcj_malloc, 48, GC_MAKE_PROC(GC_GCJ_RESERVED_MARK_PROC_INDEX, (GC_word)7), 1, true, "a procedure");
  check(GC_gcj_malloc, 48, GC_MAKE_PROC(GC_GCJ_RESERVED_MARK_PROC_INDEX, (GC_word)7), 2, false, "a procedure that does not look there");
  check(GC_gcj_malloc_ignore_off_page, 40000, (top >> 1) | GC_DS_BITMAP, 1, true, "a large one");
  OK(calls > 0 && debug_calls == 0, "the procedure was called for these");
  check(make_debug, 48, 0, 1, true, "a debug object");
  OK(debug_calls > 0, "and with environment 1 for that");
}

/* --- promises that are not needed --- */

static void test_off_page(void) {
  static char *held[4];
  enum { large = 300000 };
  held[0] = GC_malloc_ignore_off_page(large);
  held[1] = GC_malloc_atomic_ignore_off_page(large);
  held[2] = GC_generic_malloc_ignore_off_page(large, GC_I_NORMAL);
  held[3] = GC_MALLOC_IGNORE_OFF_PAGE(30);
  bool zero = true;
  for (int i = 0; i < large; i++) zero = zero && held[0][i] == 0 && held[2][i] == 0;
  OK(zero && held[3][0] == 0 && held[3][29] == 0, "objects with pointers are zeroed");
  for (int i = 0; i < 4; i++) {
    hidden[i] = ~(uintptr_t)held[i];
    held[i] += 200 / (i == 3 ? 10 : 1);
  }
  collect(2);
  int there = 0;
  for (int i = 0; i < 4; i++) there += GC_base(held[i]) == (void *)~hidden[i];
  OK(there == 4, "a pointer to the first 256 bytes keeps them");
  OK(GC_size((void *)~hidden[0]) >= large && GC_size((void *)~hidden[1]) >= large, "they are as large as asked for");
  memset(held, 0, sizeof held);
}

static void test_telling(void) {
  static void **old[many];
  GC_set_manual_vdb_allowed(1);
  OK(GC_get_manual_vdb_allowed() == 1, "what is set is told");
  for (int i = 0; i < many; i++) old[i] = GC_malloc(64);
  collect(2);
  collect(2);
  for (int i = 0; i < many; i++) {
    void *young = GC_malloc(32);
    hidden[i] = ~(uintptr_t)young;
    if (i % 3 == 0) {
      GC_PTR_STORE_AND_DIRTY(&old[i][2], young);
    } else {
      GC_CHANGE_STUBBORN(old[i]);
      old[i][2] = young;
      if (i % 3 == 1) GC_END_STUBBORN_CHANGE(old[i]);
    }
  }
  collect(0);
  OK(all_there(hidden), "what old objects hold is kept, told or not");
  OK(old[0][2] == (void *)~hidden[0], "and stored");
  GC_set_manual_vdb_allowed(0);
  OK(GC_get_manual_vdb_allowed() == 0, "and back");
}

int main(void) {
  GC_INIT();
  test_pushing_outside(); /* first: nothing was collected yet */
  test_outside();
  test_marks();
  test_clearing();
  test_walk();
  test_descriptions();
  test_off_page();
  test_telling();
  return tap_end();
}
