/* SPDX-License-Identifier: MIT
 * gc_ext.h: explicit reference counts, and pins. "owned": of malloc'ed memory, where it is the heap's. */
#include "collect.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static struct crowd crowd;
static void *keep[crowd_size];

static bool is_object(void *p) { return GC_base(p) == p; }

/* --- counting --- */

static void test_counts(void *(*allocate)(size_t), const char *name, size_t size) {
  void *volatile p = allocate(size);
  OK(GC_refcount(p) == 1, "%s: a new object of %zu bytes has one reference", name, size);
  OK(GC_ref(p) == p && GC_ref(p) == p && GC_refcount(p) == 3, "%s: and one more each time", name);
  OK(GC_unref(p) == 2 && GC_unref(p) == 1 && is_object(p), "%s: it lives as long as one is left", name);
  memset(p, 1, size);
  OK(GC_unref(p) == 0 && !is_object(p) && GC_refcount(p) == 0, "%s: and is gone with the last", name);
  p = allocate(size);
  OK(GC_unref(p) == 0 && !is_object(p), "%s: also when nothing was counted", name);
  p = allocate(size);
  GC_ref(p);
  GC_free(p);
  OK(!is_object(p), "%s: it may be freed with references", name);
  void *volatile q = allocate(size);
  OK(GC_refcount(q) == 1, "%s: who gets its place begins with one", name);
  GC_free(q);
}

/* All slots of a block, so that each place is used again. */
static void test_places(void) {
  enum { many = 3000 };
  static void *object[many];
  for (int i = 0; i < many; i++) GC_ref(object[i] = GC_malloc(48));
  for (int i = 0; i < many; i++) object[i] = NULL;
  wipe();
  GC_gcollect();
  GC_gcollect();
  bool fresh = true;
  for (int i = 0; i < many; i++) fresh = fresh && GC_refcount(object[i] = GC_malloc(48)) == 1;
  OK(fresh, "what was reclaimed with references leaves none behind");
  for (int i = 0; i < many; i++) GC_unref(object[i]);
  memset(object, 0, sizeof object);
}

/* Two objects that have a reference to each other. */
static void test_cycle(void) {
  enum { many = 2000 };
  static uintptr_t hidden[many];
  for (int i = 0; i < many; i++) {
    void **a = GC_malloc(32), **b = GC_malloc(32);
    *a = GC_ref(b);
    *b = GC_ref(a);
    GC_unref(a);
    GC_unref(b);
    hidden[i] = ~(uintptr_t)a;
  }
  wipe();
  GC_gcollect();
  int left = 0;
  for (int i = 0; i < many; i++) left += is_object((void *)~hidden[i]);
  OK(left < many / 50, "cycles of references are collected: %d of %d are left", left, many);
}

static void test_reachable(void) {
  static void *root;
  root = GC_malloc(64);
  GC_ref(root);
  GC_gcollect();
  OK(GC_refcount(root) == 2, "a collection leaves the counts of what lives alone");
  GC_collect(1, NULL);
  GC_collect(0, NULL);
  OK(GC_refcount(root) == 2 && GC_unref(root) == 1 && GC_unref(root) == 0, "of each generation");
  root = NULL;
}

/* --- threads --- */

enum { threads = 8, rounds = 20000 };
static void *shared[64];

static void *count_up_and_down(void *arg) {
  uint64_t random = (uintptr_t)arg + 1;
  for (int i = 0; i < rounds; i++) {
    void *p = shared[tap_random(&random) % 64];
    if (GC_ref(p) != p) return (void *)1;
    if (tap_random(&random) % 16 == 0) GC_free(GC_malloc(tap_random(&random) % 500));
    if (GC_unref(p) == 0) return (void *)1;
  }
  return NULL;
}

static void test_threads(void) {
  pthread_t thread[threads];
  bool good = true;
  for (int i = 0; i < 64; i++) shared[i] = GC_malloc(40 + (size_t)i);
  for (intptr_t i = 0; i < threads; i++) pthread_create(&thread[i], NULL, count_up_and_down, (void *)i);
  for (int i = 0; i < 20; i++) GC_gcollect();
  for (int i = 0; i < threads; i++) {
    void *result;
    pthread_join(thread[i], &result);
    good = good && !result;
  }
  for (int i = 0; i < 64; i++) good = good && GC_refcount(shared[i]) == 1;
  OK(good, "threads count up and down at once, under collections");
  for (int i = 0; i < 64; i++) GC_unref(shared[i]);
}

static void *last_of_many(void *arg) {
  GC_unref(arg);
  return NULL;
}

static void test_last(void) {
  int gone = 0;
  for (int round = 0; round < 200; round++) {
    pthread_t thread[2];
    void *p = GC_malloc(100);
    GC_ref(p);
    for (int i = 0; i < 2; i++) pthread_create(&thread[i], NULL, last_of_many, p);
    for (int i = 0; i < 2; i++) pthread_join(thread[i], NULL);
    gone += !is_object(p);
  }
  OK(gone == 200, "whoever gives the last one back frees it");
}

/* --- pins --- */

static void test_pins(void *(*allocate)(size_t), const char *name, int collections) {
  crowd_make(&crowd, allocate, 48, keep);
  bool good = true;
  for (int i = 0; i < crowd_size; i++) good = good && GC_pin(keep[i]) == 0;
  for (int i = 0; i < crowd_size; i += 2) good = good && GC_pin(keep[i]) == 0;
  OK(good, "%s: objects are pinned", name);
  memset(keep, 0, sizeof keep);
  wipe();
  for (int i = 0; i < collections; i++) GC_gcollect();
  crowd_collect(0);
  crowd_collect(1);
  OK(crowd_kept(&crowd), "%s: they live though nothing reaches them", name);
  for (int i = 0; i < crowd_size; i++) good = good && GC_unpin((void *)~crowd.hidden[i]) == 0;
  wipe();
  for (int i = 0; i < collections; i++) GC_gcollect();
  int left = 0;
  for (int i = 0; i < crowd_size; i++) left += is_object((void *)~crowd.hidden[i]);
  OK(good && left >= crowd_size / 2 && left <= crowd_size * 3 / 4, "%s: until they were unpinned as often: %d", name, left);
  for (int i = 0; i < crowd_size; i += 2) good = good && GC_unpin((void *)~crowd.hidden[i]) == 0;
  wipe();
  for (int i = 0; i < collections; i++) GC_gcollect();
  OK(good && crowd_lost(&crowd), "%s: and no longer", name);
}

static void test_pinned(void) {
  void **volatile p = GC_malloc(32);
  *p = GC_malloc(16);
  volatile uintptr_t hidden = ~(uintptr_t)*p;
  GC_pin(p);
  volatile uintptr_t hidden_p = ~(uintptr_t)p;
  p = NULL;
  wipe();
  GC_gcollect();
  GC_gcollect();
  OK(is_object((void *)~hidden), "what a pinned object points to lives");
  p = (void *)~hidden_p;
  OK(GC_unref(p) == 0 && is_object(p), "its last reference may be given back, and it stays");
  OK(GC_unpin(p) == 0 && !is_object(p), "until it is unpinned");
  p = GC_malloc(32);
  GC_pin(p);
  GC_free(p);
  OK(is_object(p), "it may be freed, and stays");
  GC_unpin(p);
  OK(!is_object(p), "until then");
  p = GC_malloc(100000);
  GC_pin(p);
  errno = 0;
  OK(!GC_realloc(p, 50000000) && errno == EBUSY && is_object(p), "it does not move");
  GC_unpin(p);
  p = GC_realloc(p, 50000000);
  OK(p, "until then");
  GC_free(p);
}

static void test_fork(void) {
  static void *pinned;
  pinned = GC_malloc(64);
  GC_pin(pinned);
  volatile uintptr_t hidden = ~(uintptr_t)pinned;
  pinned = NULL;
  wipe();
  pid_t pid = fork();
  if (pid == 0) {
    GC_gcollect();
    GC_gcollect();
    _exit(is_object((void *)~hidden) && GC_unpin((void *)~hidden) == 0 ? 0 : 1);
  }
  int status;
  waitpid(pid, &status, 0);
  OK(status == 0, "a child has the pins of its parent");
  GC_gcollect();
  OK(is_object((void *)~hidden) && GC_unpin((void *)~hidden) == 0, "and each its own from then on");
}

/* --- finalizers of what was given back --- */

enum { neighbours = 5000 };
static void *neighbour[neighbours], *in_its_place;

/* Frees its object, which is one of them, and goes on until another one is there. Their blocks stay. */
static void GC_CALLBACK replace(void *object, void *data) {
  (void)data;
  for (int i = 0; i < neighbours; i++)
    if (i % 16) GC_free(neighbour[i]);
  for (int i = 0; i < neighbours && !in_its_place; i++)
    if ((neighbour[i] = GC_malloc(48)) == object) in_its_place = object;
}

static void test_replaced(void) {
  for (int i = 0; i < neighbours; i++) neighbour[i] = GC_malloc(48);
  void *p = neighbour[neighbours / 2 + 1];
  GC_register_finalizer_no_order(p, replace, NULL, NULL, NULL);
  GC_ref(p);
  GC_unref(p);
  GC_unref(p);
  OK(in_its_place == p, "a finalizer may free its object, and another may come there");
  OK(is_object(p) && GC_refcount(p) == 1, "which keeps its reference");
  memset(neighbour, 0, sizeof neighbour);
}

static jmp_buf out;
static int finalized;

static void GC_CALLBACK leave(void *object, void *data) {
  (void)object, (void)data;
  finalized++;
  longjmp(out, 1);
}

static void GC_CALLBACK unref_next(void *object, void *data) {
  (void)data;
  finalized++;
  if (*(void **)object) GC_unref(*(void **)object);
}

static void *with_finalizer(GC_finalization_proc function, void *next) {
  void **p = GC_malloc(48);
  *p = next;
  GC_register_finalizer_no_order(p, function, NULL, NULL, NULL);
  return p;
}

/* From frames of all depths. */
__attribute__((noinline)) static void leave_from(int depth) {
  volatile char frame[200];
  frame[0] = 0;
  if (depth > 0) leave_from(depth - 1);
  else GC_unref(with_finalizer(leave, NULL));
  frame[1] = frame[0];
}

static void test_left(void) {
  enum { times = 60, chain = 300 };
  for (volatile int i = 0; i < times; i++)
    if (setjmp(out) == 0) leave_from(i % 5);
  OK(finalized == times, "a finalizer of what was given back may be left by longjmp, %d of %d", finalized, times);
  finalized = 0;
  void *p = NULL;
  for (int i = 0; i < chain; i++) p = with_finalizer(unref_next, p);
  GC_unref(p);
  OK(finalized == chain, "and those of a long chain are all run then: %d of %d", finalized, chain);
}

/* --- and of counted garbage --- */

enum { pairs = 500 };
struct one_of_two {
  struct one_of_two *other;
  int number;
};
static int given_back[2 * pairs];
static bool stayed = true;

static void GC_CALLBACK give_back(void *object, void *data) {
  struct one_of_two *one = object;
  int number = one->number;
  (void)data;
  given_back[number]++;
  GC_unref(one->other);
  stayed = stayed && is_object(one) && one->number == number;
}

__attribute__((noinline)) static void make_pairs(uintptr_t *hidden) {
  struct one_of_two *made[2 * pairs];
  for (int i = 0; i < 2 * pairs; i++) {
    made[i] = GC_malloc(sizeof *made[i]);
    made[i]->number = i;
    GC_register_finalizer_no_order(made[i], give_back, NULL, NULL, NULL);
    hidden[i] = ~(uintptr_t)made[i];
  }
  for (int i = 0; i < 2 * pairs; i++) made[i]->other = GC_ref(made[i ^ 1]);
  for (int i = 0; i < 2 * pairs; i++) GC_unref(made[i]);
  memset(made, 0, sizeof made);
}

/* Finalizers of two that have a reference to each other: each gives back the other's last one, while that waits to be finalized, or is being. */
static void test_pairs(void) {
  static uintptr_t hidden[2 * pairs];
  int all = 0, left = 0;
  bool same = true;
  make_pairs(hidden);
  wipe();
  GC_gcollect();
  GC_wait_for_finalizers(0);
  for (int i = 0; i < 2 * pairs; i++) {
    all += given_back[i];
    same = same && given_back[i] == given_back[i ^ 1] && given_back[i] < 2;
    left += is_object((void *)~hidden[i]);
  }
  OK(all >= 2 * pairs * 9 / 10 && same, "finalizers of counted garbage may give back what it holds: %d of %d were run, each once", all, 2 * pairs);
  OK(stayed, "whose last reference is given back while its finalizer runs, it stays until then");
  OK(left == 2 * pairs - all, "and no longer: %d are left", left);
}

/* --- errors: reported, and nothing is changed --- */

/* Runs it in a child with its stderr in a pipe. Whether it said what it should. */
static bool says(void (*wrong)(void), const char *what) {
  int ends[2];
  char text[4096] = "";
  size_t length = 0;
  fflush(NULL);
  if (pipe(ends)) return false;
  pid_t pid = fork();
  if (pid == 0) {
    dup2(ends[1], 2);
    wrong();
    _exit(0);
  }
  close(ends[1]);
  for (ssize_t got; length < sizeof text - 1 && (got = read(ends[0], text + length, sizeof text - 1 - length)) > 0;) length += (size_t)got;
  close(ends[0]);
  waitpid(pid, NULL, 0);
  if (strstr(text, what)) return true;
  tap_note("it said: %s", text);
  return false;
}

static void *wrong_place(void) { return (char *)GC_malloc(64) + 8; }
static void wrong_ref(void) { GC_ref(wrong_place()); }
static void wrong_ref_static(void) { GC_ref(keep); }
static void wrong_unref(void) {
  void *p = GC_malloc(64);
  GC_unref(p);
  GC_unref(p);
}
static void wrong_freed(void) {
  void *p = GC_malloc(64);
  GC_ref(p);
  GC_free(p);
  GC_ref(p);
}
static void wrong_most(void) {
  void *p = GC_malloc(64);
  for (uint32_t i = 0; i <= 33554432; i++) GC_ref(p);
}
static void wrong_unpin(void) {
  void *p = GC_malloc(64);
  GC_pin(p);
  GC_unpin(p);
  GC_unpin(p);
}
static void wrong_free_pinned(void) {
  void *p = GC_malloc(64);
  GC_pin(p);
  GC_free(p);
  GC_free(p);
}
static void wrong_pin(void) { GC_pin(keep); }

static void test_errors(void) {
  OK(says(wrong_ref, "GC_ref(): invalid pointer"), "a reference to the middle of an object is reported");
  OK(says(wrong_ref_static, "which was never allocated"), "and to what is no object");
  OK(says(wrong_unref, "GC_unref(): "), "one given back too often is");
  OK(says(wrong_freed, "GC_ref(): use after free"), "a reference to what was freed is");
  OK(says(wrong_most, "as many references as can be counted"), "and one too many");
  OK(says(wrong_unpin, "GC_unpin(): ") && says(wrong_pin, "GC_pin(): "), "so are pins that are none");
  OK(says(wrong_free_pinned, "was freed before, and is pinned"), "and a pinned object that is freed twice");
  OK(GC_unref(NULL) == 0 && GC_refcount(NULL) == 0 && GC_refcount(keep) == 0, "NULL is no error, nor asking for a count");
}

int main(int argc, char **argv) {
  bool owned = argc > 1 && strcmp(argv[1], "owned") == 0;
  GC_init();
  test_counts(GC_malloc, "GC_malloc", 40);
  test_counts(GC_malloc, "GC_malloc", 300000);
  test_counts(GC_malloc_atomic, "GC_malloc_atomic", 100);
  test_counts(GC_malloc_uncollectable, "GC_malloc_uncollectable", 24);
  if (owned) test_counts(malloc, "malloc", 72);
  test_places();
  test_cycle();
  test_reachable();
  test_threads();
  test_last();
  test_pins(GC_malloc, "GC_malloc", 1);
  if (owned) test_pins(malloc, "malloc", 4);
  test_pinned();
  test_fork();
  test_replaced();
  test_left();
  test_pairs();
  test_errors();
  return tap_end();
}
