/* SPDX-License-Identifier: MIT
 * Debug objects, through the macros of GC_DEBUG: what they are, and what is told of them. */
#define GC_DEBUG
#include "gc.h"
#include "gc_ext.h"
#include "gc_mark.h"
#include "gc_typed.h"

#include "says.h"
#include "../api/wipe.h"

#include <pthread.h>
#include <stdlib.h>
#include <wchar.h>

enum { many = 300, nearly = many / 10 };

static void *volatile root[many];
static uintptr_t hidden[many];

static void forget(void) {
  for (int i = 0; i < many; i++) root[i] = NULL;
}

static void collect_all(void) {
  for (int i = 0; i < 2; i++) {
    wipe();
    GC_gcollect();
  }
}

static int left(void) {
  int count = 0;
  for (int i = 0; i < many; i++) count += GC_base((void *)~hidden[i]) == (char *)~hidden[i] - GC_get_debug_header_size();
  return count;
}

/* Where it is allocated, as it is told. */
static char place[64];
#define HERE (snprintf(place, sizeof place, "(%s:%d, ", __FILE__, __LINE__), place)

/* --- what they are --- */

static bool is_zero(const char *p, size_t size) {
  for (size_t i = 0; i < size; i++)
    if (p[i]) return false;
  return true;
}

static void check_shape(char *p, size_t size, bool zero, const char *what) {
  size_t header = GC_get_debug_header_size();
  OK(p && (uintptr_t)p % 16 == 0 && (char *)GC_base(p) + header == p && GC_USR_PTR_FROM_BASE(GC_base(p)) == (void *)p,
     "%s: aligned, behind a header", what);
  OK(GC_size(p) == size && GC_size(GC_base(p)) >= size + header, "%s: its size is what was asked for, of %zu", what, size);
  OK(!zero || is_zero(p, size), "%s: zeroed", what);
  memset(p, 0x55, size);
  GC_FREE(p);
}

static void test_shapes(void) {
  static const size_t sizes[] = {0, 1, 7, 8, 10, 100, 5000, 300000};
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    size_t size = sizes[i];
    check_shape(GC_MALLOC(size), size, true, "GC_MALLOC");
    check_shape(GC_MALLOC_ATOMIC(size), size, false, "GC_MALLOC_ATOMIC");
    check_shape(GC_MALLOC_UNCOLLECTABLE(size), size, true, "GC_MALLOC_UNCOLLECTABLE");
    check_shape(GC_MALLOC_ATOMIC_UNCOLLECTABLE(size), size, false, "GC_MALLOC_ATOMIC_UNCOLLECTABLE");
    check_shape(GC_MALLOC_IGNORE_OFF_PAGE(size), size, true, "GC_MALLOC_IGNORE_OFF_PAGE");
    check_shape(GC_MALLOC_ATOMIC_IGNORE_OFF_PAGE(size), size, false, "GC_MALLOC_ATOMIC_IGNORE_OFF_PAGE");
    check_shape(GC_debug_malloc_stubborn(size, GC_EXTRAS), size, true, "GC_debug_malloc_stubborn");
    check_shape(GC_debug_malloc_replacement(size), size, true, "GC_debug_malloc_replacement");
    check_shape(GC_GENERIC_OR_SPECIAL_MALLOC(size, GC_I_NORMAL), size, true, "GC_GENERIC_OR_SPECIAL_MALLOC");
  }
  OK(GC_debug_header_size == GC_get_debug_header_size(), "the variable tells the header's size, too");
  double *number = GC_NEW(double), *atomic = GC_NEW_ATOMIC(double), *kept = GC_NEW_UNCOLLECTABLE(double);
  OK(GC_size(number) == sizeof *number && GC_size(atomic) == sizeof *atomic && GC_size(kept) == sizeof *kept, "GC_NEW and its like");
  GC_FREE(kept);
}

static void refuse(void) {
  volatile size_t much = SIZE_MAX - 40;
  snprintf(place, sizeof place, "%s:%d)", __FILE__, __LINE__ + 1);
  void *p = GC_MALLOC(much);
  if (!p) fprintf(stderr, "refused %s", place);
}

static void test_texts(void) {
  const char *text = "a text";
  char *copy = GC_STRDUP(text), *part = GC_STRNDUP(text, 3), *whole = GC_STRNDUP(text, 100);
  wchar_t *wide = GC_debug_wcsdup(L"wide", GC_EXTRAS);
  OK(strcmp(copy, text) == 0 && copy != text && GC_size(copy) == 7, "GC_STRDUP copies a text");
  OK(strcmp(part, "a t") == 0 && strcmp(whole, text) == 0, "GC_STRNDUP a part of it");
  OK(wcscmp(wide, L"wide") == 0 && GC_size(wide) == 5 * sizeof *wide, "GC_debug_wcsdup a wide one");
  OK(GC_debug_strdup(NULL, GC_EXTRAS) == NULL, "of NULL there is none");
}

/* --- changing the size --- */

static void test_resizing(void) {
  char *p = GC_REALLOC(NULL, 20);
  OK(p && GC_size(p) == 20, "GC_REALLOC of NULL allocates");
  strcpy(p, "nineteen characters");
  p = GC_REALLOC(p, 3000);
  OK(GC_size(p) == 3000 && strcmp(p, "nineteen characters") == 0 && is_zero(p + 20, 2980), "a larger one has the contents, and zeroes");
  p = GC_REALLOC(p, 9);
  OK(GC_size(p) == 9 && memcmp(p, "nineteen ", 9) == 0, "a smaller one has what fits");
  OK(GC_REALLOC(p, 0) == NULL, "GC_REALLOC to 0 frees");
  int kind = GC_get_kind_and_size(GC_base(GC_REALLOC(GC_MALLOC_ATOMIC(10), 5000)), NULL);
  char *kept = GC_REALLOC(GC_MALLOC_UNCOLLECTABLE(10), 700);
  OK(kind == GC_I_PTRFREE && GC_get_kind_and_size(GC_base(kept), NULL) == 2, "it stays of its kind");
  GC_FREE(kept);
  p = GC_debug_realloc_replacement(GC_debug_malloc_replacement(10), 50);
  OK(GC_size(p) == 50, "the replacements, too");
  p = GC_realloc(GC_MALLOC(10), 60);
  OK(GC_size(p) == 60 && GC_base(p) != p, "GC_realloc of a debug object makes it another");
  GC_free(p);
  GC_FREE(NULL);
}

/* --- what is told --- */

static char *volatile seen; /* a root: what is looked at lives */

static void behind(void) { seen = GC_MALLOC(10), HERE, seen[10] = 1, GC_gcollect(); }
static void behind_atomic(void) { seen = GC_MALLOC_ATOMIC(33), HERE, seen[33] = 1, GC_gcollect(); }
static void behind_uncollectable(void) { seen = GC_MALLOC_UNCOLLECTABLE(8), HERE, seen[8] = 1, GC_gcollect(); }
static void behind_large(void) { seen = GC_MALLOC(200000), HERE, seen[200003] = 1, GC_gcollect(); }
static void behind_old(void) {
  seen = GC_MALLOC(10), HERE;
  collect_all();
  seen[12] = 1;
  GC_gcollect();
  GC_gcollect();
}
static void before(void) { seen = GC_MALLOC(10), HERE, seen[-1] = 1, GC_gcollect(); }
static void far_before(void) { seen = GC_MALLOC(10), HERE, memset(seen - 24, 0x11, 24), GC_gcollect(), GC_FREE(seen); }
static void behind_freed(void) { seen = GC_MALLOC(10), HERE, seen[10] = 1, GC_FREE(seen); }
static void behind_resized(void) { seen = GC_MALLOC(10), HERE, seen[10] = 1, seen = GC_REALLOC(seen, 500); }
static void behind_plainly(void) { seen = GC_MALLOC(10), HERE, seen[10] = 1, GC_free(seen); }
static void behind_replacement(void) { seen = GC_debug_malloc_replacement(10), seen[10] = 1, GC_gcollect(); }
static void twice(void) { seen = GC_MALLOC(10), HERE, GC_FREE(seen), GC_FREE(seen); }
static void after(void) { seen = GC_MALLOC(64), HERE, GC_FREE(seen), seen[20] = 1, GC_gcollect(); }
static void resized_after(void) { seen = GC_MALLOC(10), HERE, GC_FREE(seen), seen = GC_REALLOC(seen, 20); }
static void free_plain(void) { GC_FREE(GC_malloc(10)); }
static void realloc_plain(void) { seen = GC_REALLOC(GC_malloc(10), 2000); }

__attribute__((noinline)) static void lose_smashed(void) {
  for (int i = 0; i < many; i++) {
    char *volatile p = GC_MALLOC(10);
    p[10] = 1;
  }
}
/* A collection of the young looks at none but those that it reclaims. */
static void reclaimed(void) {
  lose_smashed();
  wipe();
  GC_collect(0, NULL);
}

/* HERE is evaluated in the child: the same line is told from here. */
static void check_said(void (*act)(void), const char *what, const char *about, const char *size) {
  hear(act);
  OK(said_times(what) == 1 && said_it(what), "%s is told, once", about);
  OK(said_it(__FILE__) && said_it(size), "%s: with where it was allocated, and its size", about);
}

static void test_overwriting(void) {
  check_said(behind, "smashed: ", "a byte behind the end", "sz=10, NORMAL)");
  check_said(behind_atomic, "smashed: ", "one of an object without pointers", "sz=33, PTRFREE)");
  check_said(behind_uncollectable, "smashed: ", "of an uncollectable one", "sz=8, UNCOLLECTABLE)");
  check_said(behind_large, "smashed: ", "of a large one", "sz=200000, NORMAL)");
  check_said(behind_old, "smashed: ", "of an old one", "sz=10, NORMAL)");
  check_said(before, "smashed: ", "a byte before the beginning", "sz=10, NORMAL)");
  check_said(behind_freed, "GC_debug_free: smashed: ", "a byte behind one that is freed", "sz=10, NORMAL)");
  check_said(behind_resized, "GC_debug_realloc: smashed: ", "a byte behind one that is resized", "sz=10, NORMAL)");
  check_said(behind_plainly, "GC_free: smashed: ", "a byte behind one that GC_free is given", "sz=10, NORMAL)");
  hear(far_before);
  OK(said_it("smashed: ") && said_status == 0, "what is written over the whole header does no harm");
  hear(reclaimed);
  OK(said_times("smashed: ") >= many - nearly && said_times("smashed: ") <= many, "those that are reclaimed are told: %d of %d", said_times("smashed: "), many);
  hear(behind_replacement);
  OK(said_it("smashed: ") && said_it("(?:0, sz=10"), "without a file it is told without");
}

/* --- the functions themselves: file and line are what they are given --- */

static void *strndup_like(size_t size, const char *file, int line) { return GC_debug_strndup("0123456789", size - 1, file, line); }
static void *strdup_like(size_t size, const char *file, int line) { return GC_debug_strdup("012345678" + (10 - size), file, line); }
static void *realloc_like(size_t size, const char *file, int line) { return GC_debug_realloc(GC_MALLOC(1), size, file, line); }
static void *kind_like(size_t size, const char *file, int line) { return GC_debug_generic_or_special_malloc(size, GC_I_NORMAL, file, line); }

static const struct {
  void *(*make)(size_t size, const char *file, int line);
  const char *name;
} makers[] = {
    {GC_debug_malloc, "GC_debug_malloc"},
    {GC_debug_malloc_atomic, "GC_debug_malloc_atomic"},
    {GC_debug_malloc_uncollectable, "GC_debug_malloc_uncollectable"},
    {GC_debug_malloc_atomic_uncollectable, "GC_debug_malloc_atomic_uncollectable"},
    {GC_debug_malloc_ignore_off_page, "GC_debug_malloc_ignore_off_page"},
    {GC_debug_malloc_atomic_ignore_off_page, "GC_debug_malloc_atomic_ignore_off_page"},
    {GC_debug_malloc_stubborn, "GC_debug_malloc_stubborn"},
    {strdup_like, "GC_debug_strdup"},
    {strndup_like, "GC_debug_strndup"},
    {realloc_like, "GC_debug_realloc"},
    {kind_like, "GC_debug_generic_or_special_malloc"},
};
static size_t maker;

static void made(void) {
  char *volatile p = makers[maker].make(10, "a file", 4711);
  p[10] = 1;
  GC_debug_free(p);
}

static void test_functions(void) {
  for (maker = 0; maker < sizeof makers / sizeof makers[0]; maker++) {
    hear(made);
    OK(said_it("smashed: ") && said_it("(a file:4711, sz=10, "), "%s is told by the file and line it was given", makers[maker].name);
  }
  void **p = GC_MALLOC(16);
  GC_debug_change_stubborn(p);
  GC_debug_ptr_store_and_dirty(p + 1, p);
  GC_debug_end_stubborn_change(p);
  OK(p[1] == p && p[0] == NULL, "GC_debug_ptr_store_and_dirty stores");
  GC_change_stubborn(GC_base(p));
  GC_ptr_store_and_dirty(p + 1, NULL);
  GC_end_stubborn_change(GC_base(p));
  OK(!p[1], "so does the function without debug");
}

static void test_freeing(void) {
  check_said(twice, "GC_debug_free: freed before: ", "a second free", "sz=10, NORMAL)");
  check_said(after, "written to after it was freed: ", "a byte written after the free", "sz=64, NORMAL)");
  check_said(resized_after, "GC_debug_realloc: freed before: ", "a GC_REALLOC after the free", "sz=10, NORMAL)");
  hear(free_plain);
  OK(said_it("is no debug object") && said_status == 0, "GC_FREE of a plain object is told, and frees it");
  hear(realloc_plain);
  OK(said_it("is no debug object") && said_status == 0, "so is GC_REALLOC");
  uint64_t *p = GC_MALLOC(64);
  GC_FREE(p);
  OK(p[3] == 0xdeadbeefdeadbeef && GC_base(p), "what was freed is filled, and stays while something leads to it");
  char *kept = GC_MALLOC_UNCOLLECTABLE(40);
  GC_FREE(kept);
  OK(!GC_base(kept), "an uncollectable one is given back at once");
  hear(refuse);
  OK(said_it("GC_debug_malloc(") && said_it(") returns NULL (") && said_it("refused"), "refused memory is told");
}

static void describe(void *p, char *text) { snprintf(text, GC_TYPE_DESCR_LEN, "says %d", *(int *)p); }

static volatile int behind_one = 1; /* the compiler must not see what is wrong */

static void described(void) {
  GC_register_describe_type_fn(GC_I_NORMAL, describe);
  int *p = GC_MALLOC(sizeof *p);
  *p = 4711;
  p[behind_one] = 1;
  GC_FREE(p);
}

static void described_kind(void) {
  int kind = (int)GC_new_kind(GC_new_free_list(), GC_DS_LENGTH, 1, 1);
  GC_register_describe_type_fn(kind, describe);
  int *p = GC_GENERIC_OR_SPECIAL_MALLOC(sizeof *p, kind);
  seen = (char *)p;
  *p = 4712;
  p[behind_one] = 1;
  GC_gcollect();
}

static void test_describing(void) {
  hear(described);
  OK(said_it(", says 4711)"), "a function of the program's describes objects");
  hear(described_kind);
  OK(said_it(", says 4712)"), "and those of a kind of its own, in a collection");
}

/* --- they live and die as others --- */

__attribute__((noinline)) static void fill(void *(*make)(size_t size, const char *file, int line)) {
  for (int i = 0; i < many; i++) {
    void **p = root[i] = GC_MALLOC(40);
    p[2] = make(48, GC_EXTRAS);
    hidden[i] = ~(uintptr_t)p[2];
  }
}

static void test_lives(void) {
  fill(GC_debug_malloc);
  collect_all();
  OK(left() == many, "what debug objects lead to is alive");
  forget();
  collect_all();
  OK(left() <= nearly, "and is gone with them: %d of %d are left", left(), many);
  fill(GC_debug_malloc_atomic);
  collect_all();
  OK(left() == many, "so are those without pointers");
  for (int i = 0; i < many; i++) GC_FREE((void *)~hidden[i]);
  forget();
  collect_all();
  OK(left() <= nearly, "and gone when they were freed: %d of %d are left", left(), many);
}

static unsigned marked;
static struct GC_ms_entry *mark_disguised(GC_word *object, struct GC_ms_entry *top, struct GC_ms_entry *limit, GC_word environment) {
  GC_word *p = environment ? GC_USR_PTR_FROM_BASE(object) : object;
  marked++;
  return p[0] ? GC_MARK_AND_PUSH((void *)~p[0], top, limit, (void **)&p[0]) : top;
}

static void test_procedure(void) {
  int kind = (int)GC_new_kind(GC_new_free_list(), GC_MAKE_PROC(GC_new_proc(mark_disguised), (GC_word)1), 0, 1);
  for (int i = 0; i < many; i++) {
    GC_word *p = root[i] = GC_GENERIC_OR_SPECIAL_MALLOC(16, kind);
    p[0] = ~(GC_word)GC_MALLOC(30);
    hidden[i] = p[0];
  }
  collect_all();
  OK(left() == many && marked > 0, "a mark procedure finds the program's part behind the header");
  forget();
  void **typed = GC_MALLOC_EXPLICITLY_TYPED(24, 0), **array = GC_CALLOC_EXPLICITLY_TYPED(3, 24, 0);
  OK(GC_size(typed) == 24 && GC_size(array) == 72, "described objects are debug objects, too");
}

/* --- finalizers, links --- */

static int finalized;
static void finalize(void *object, void *data) { finalized += *(int *)object == 42 && *(int *)data == 43; }
static void finalize_other(void *object, void *data) { (void)object, (void)data; }

typedef void registering(void *object, GC_finalization_proc function, void *data, GC_finalization_proc *old_function, void **old_data);

__attribute__((noinline)) static void lose_finalized(registering *with, int *data) {
  for (int i = 0; i < many; i++) {
    int *p = GC_MALLOC(24);
    *p = 42;
    with(p, finalize, data, NULL, NULL);
  }
}

static void check_finalizer(registering *with, const char *name) {
  static int data = 43;
  GC_finalization_proc function;
  void *old_data;
  void *volatile p = GC_MALLOC(10);
  with(p, finalize, &data, &function, &old_data);
  OK(!function && !old_data, "%s: there was none before", name);
  with(p, finalize_other, NULL, &function, &old_data);
  OK(function == finalize && old_data == &data, "%s: the one before is told as it was registered", name);
  with(p, NULL, NULL, &function, &old_data);
  OK(function == finalize_other && !old_data, "%s: none is registered any more", name);
  with(p, NULL, NULL, &function, &old_data);
  OK(!function && !old_data, "%s: nor told", name);
  finalized = 0;
  lose_finalized(with, &data);
  collect_all();
  collect_all();
  GC_invoke_finalizers();
  OK(finalized >= many - nearly && finalized <= many, "%s: %d of %d are called with the program's pointer", name, finalized, many);
}

static void *link_to[1];

static void test_finalizers(void) {
  check_finalizer(GC_debug_register_finalizer, "GC_debug_register_finalizer");
  check_finalizer(GC_debug_register_finalizer_ignore_self, "GC_debug_register_finalizer_ignore_self");
  check_finalizer(GC_debug_register_finalizer_no_order, "GC_debug_register_finalizer_no_order");
  check_finalizer(GC_debug_register_finalizer_unreachable, "GC_debug_register_finalizer_unreachable");
  static int data = 43;
  int *p = GC_MALLOC(10);
  GC_finalization_proc function;
  GC_REGISTER_FINALIZER(p, finalize, &data, NULL, NULL);
  GC_REGISTER_FINALIZER_NO_ORDER(p, finalize, &data, NULL, NULL);
  GC_REGISTER_FINALIZER_UNREACHABLE(p, finalize, &data, NULL, NULL);
  GC_REGISTER_FINALIZER_IGNORE_SELF(p, NULL, NULL, &function, NULL);
  OK(function == finalize, "the macros register at debug objects");
  void **hides = GC_MALLOC_ATOMIC(2 * sizeof *hides);
  hides[0] = hides[1] = p;
  OK(GC_GENERAL_REGISTER_DISAPPEARING_LINK(&hides[0], p) == GC_SUCCESS && GC_REGISTER_LONG_LINK(&hides[1], p) == GC_SUCCESS, "and links");
  GC_FREE(p);
  OK(!hides[0] && !hides[1], "which end when it is freed");
  GC_REGISTER_DISPLACEMENT(8);
  GC_PTR_STORE_AND_DIRTY(&link_to[0], hides);
  GC_END_STUBBORN_CHANGE(hides);
  GC_CHANGE_STUBBORN(hides);
  OK(link_to[0] == hides, "GC_PTR_STORE_AND_DIRTY stores");
}

/* --- threads: nothing is told of who does nothing wrong --- */

static void *work(void *arg) {
  uint64_t random = (uintptr_t)arg + 1;
  char *held[50] = {0};
  for (int i = 0; i < 8000; i++) {
    unsigned at = tap_random(&random) % 50;
    size_t size = tap_random(&random) % (i % 100 ? 200 : 100000);
    if (tap_random(&random) % 3 == 0) GC_FREE(held[at]);
    else if (tap_random(&random) % 3 == 0) GC_free(held[at]);
    else if (tap_random(&random) % 3 == 0 && held[at]) {
      held[at] = GC_REALLOC(held[at], size);
      if (held[at]) memset(held[at], 0x77, size);
      continue;
    }
    if (tap_random(&random) % 4 == 0) memset(GC_malloc_atomic(size), 0x11, size);
    held[at] = tap_random(&random) % 2 ? GC_MALLOC(size) : tap_random(&random) % 2 ? GC_MALLOC_ATOMIC(size) : GC_MALLOC_UNCOLLECTABLE(size);
    memset(held[at], 0x66, size);
  }
  for (int i = 0; i < 50; i++) GC_FREE(held[i]);
  return NULL;
}

static void work_all(void) {
  enum { threads = 3 };
  pthread_t thread[threads];
  for (intptr_t i = 0; i < threads; i++) pthread_create(&thread[i], NULL, work, (void *)i);
  for (int i = 0; i < 10; i++) GC_gcollect();
  for (int i = 0; i < threads; i++) pthread_join(thread[i], NULL);
  GC_gcollect();
}

int main(void) {
  GC_INIT();
  test_shapes();
  test_texts();
  test_resizing();
  test_overwriting();
  test_functions();
  test_freeing();
  test_describing();
  test_lives();
  test_procedure();
  test_finalizers();
  hear(work_all);
  OK(said_nothing(), "threads that do nothing wrong are told nothing, under collections");
  return tap_end();
}
