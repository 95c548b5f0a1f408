/* SPDX-License-Identifier: MIT
 * Checked pointer arithmetic and stores, through the macros of GC_DEBUG. */
#define GC_DEBUG
#include "gc.h"

#include "says.h"

static int failed_same, failed_place, failed_visible;
static void *failed_at;
static void GC_CALLBACK on_same(void *p, void *q) { failed_same++, failed_at = p, (void)q; }
static void GC_CALLBACK on_place(void *p) { failed_place++, failed_at = p; }
static void GC_CALLBACK on_visible(void *p) { failed_visible++, failed_at = p; }

static int same_fails(void *p, void *q) {
  failed_same = 0;
  return GC_same_obj(p, q) != p ? 99 : failed_same;
}
static int place_fails(void *p) {
  failed_place = 0;
  return GC_is_valid_displacement(p) != p ? 99 : failed_place;
}
static int visible_fails(void *p) {
  failed_visible = 0;
  return GC_is_visible(p) != p ? 99 : failed_visible;
}

static void check_objects(char *p, size_t size, const char *what) {
  OK(!same_fails(p, p + size - 1) && !same_fails(p + size - 1, p) && !same_fails(p + size, p), "%s: within, and one past the end", what);
  OK(same_fails(p, p + 2 * size + 4096) == 1 && failed_at == p, "%s: far behind is another", what);
}

static int numbers[10];

static void test_same(void) {
  char *debug = GC_MALLOC(100), *plain = GC_malloc(100), *large = GC_MALLOC(300000);
  check_objects(debug, 100, "a debug object");
  check_objects(plain, 100, "a plain one");
  check_objects(large, 300000, "a large one");
  OK(same_fails(debug, plain) && same_fails(debug, numbers) && same_fails(numbers, debug), "two objects, and what is none");
  OK(same_fails(debug - 1, debug) && same_fails(debug + 101, debug), "the header and the guard are not part of a debug object");
  OK(!same_fails(numbers, &failed_same), "outside of the heap nothing is known");
}

static void test_arithmetic(void) {
  long *p = GC_MALLOC(10 * sizeof *p), *first = p;
  failed_same = 0;
  OK(GC_PTR_ADD(p, 4) == first + 4 && p == first, "GC_PTR_ADD adds");
  OK(GC_PRE_INCR(p, 3) == first + 3 && p == first + 3, "GC_PRE_INCR tells the new one");
  OK(GC_POST_INCR(p) == first + 3 && p == first + 4, "GC_POST_INCR the old one");
  OK(GC_POST_DECR(p) == first + 4 && p == first + 3, "GC_POST_DECR as well");
  OK(failed_same == 0, "and nothing fails inside of an object");
  OK(GC_PTR_ADD(p, 100) == first + 103 && failed_same == 1, "but outside, GC_PTR_ADD does");
  OK(GC_PRE_INCR(p, 100) == first + 103 && failed_same == 2, "GC_PRE_INCR does");
  void *at = first;
  OK(GC_pre_incr(&at, 12) == (char *)first + 12 && GC_post_incr(&at, -4) == (char *)first + 12 && at == (char *)first + 8,
     "the functions add bytes");
  p = first;
  OK(GC_POST_DECR(p) == first && p == first - 1 && failed_same == 3, "GC_POST_DECR does");
}

static void test_places(void) {
  char *p = GC_MALLOC(100), *kept = GC_malloc_uncollectable(5000);
  OK(!place_fails(p) && !place_fails(p + 3) && !place_fails(NULL) && !place_fails(numbers), "an object, its inside, and what is not of the heap");
  GC_free(kept);
  OK(place_fails(kept) == 1 && failed_at == kept, "what was freed is no place");
  void **object = GC_MALLOC(64), **atomic = GC_MALLOC_ATOMIC(64);
  static void *global;
  void *local;
  OK(!visible_fails(object + 1) && !visible_fails(&global) && !visible_fails(&local), "objects, variables and the stack are visible");
  OK(visible_fails(atomic) == 1 && failed_at == atomic, "objects without pointers are not");
  OK(visible_fails((char *)object + 1) == 1 && visible_fails(kept) == 1, "nor a word that is not aligned, nor what was freed");
  failed_visible = failed_place = 0;
  GC_PTR_STORE(object, p);
  OK(*object == p && !failed_visible && !failed_place, "GC_PTR_STORE stores what is right");
  GC_PTR_STORE(atomic, kept);
  OK(*atomic == kept && failed_visible == 1 && failed_place == 1, "and tells what is wrong, of both");
}

static void fail_same(void) { GC_same_obj(GC_MALLOC(8), GC_MALLOC(8)); }
static void fail_place(void) {
  char *p = GC_malloc_uncollectable(8);
  GC_free(p);
  GC_is_valid_displacement(p);
}
static void fail_visible(void) { GC_is_visible(GC_MALLOC_ATOMIC(8)); }

static void GC_CALLBACK on_end(const char *why) { fprintf(stderr, "the end: %s", why); }

static void check_default(void (*act)(void), const char *what) {
  char end[100];
  snprintf(end, sizeof end, "the end: %s", what);
  hear(act);
  OK(said_it(what) && said_it(end) && WIFSIGNALED(said_status), "%s: told, and the program aborts", what);
}

int main(void) {
  GC_INIT();
  GC_set_abort_func(on_end);
  check_default(fail_same, "GC_same_obj");
  check_default(fail_place, "GC_is_valid_displacement");
  check_default(fail_visible, "GC_is_visible");
  GC_same_obj_print_proc = on_same;
  GC_is_valid_displacement_print_proc = on_place;
  GC_is_visible_print_proc = on_visible;
  test_same();
  test_arithmetic();
  test_places();
  return tap_end();
}
