/* SPDX-License-Identifier: MIT
 * gc_ext.h: a window on the heap. Single objects, lists of all, what leads where. "leaks": in a mode that collects nothing; "unaligned": where a
 * pointer may begin at any byte. */
#include "collect.h"

#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static bool collects_malloc;

/* Not known to the compiler as what they are: it would leave out stores into memory that it sees nobody read. */
static void *(*volatile plain_malloc)(size_t) = malloc;
static void *(*volatile gc_malloc)(size_t) = GC_malloc;
static void *(*volatile gc_malloc_atomic)(size_t) = GC_malloc_atomic;
static void *(*volatile gc_malloc_uncollectable)(size_t) = GC_malloc_uncollectable;

static bool list_has(void **list, const void *object) {
  for (; list && *list; list++)
    if (*list == object) return true;
  return false;
}

static size_t list_times(void **list, const void *object) {
  size_t times = 0;
  for (; list && *list; list++) times += *list == object;
  return times;
}

/* --- one object --- */

static void test_tracked(void) {
  static int variable;
  int local = 0;
  char *p = gc_malloc(100), *atomic = gc_malloc_atomic(100), *large = gc_malloc(1 << 20);
  char *kept = gc_malloc_uncollectable(100), *plain = plain_malloc(100);
  OK(GC_is_tracked(p) && GC_is_tracked(atomic) && GC_is_tracked(large), "what GC_malloc and GC_malloc_atomic return is tracked");
  OK(!GC_is_tracked(kept), "what is uncollectable is not");
  OK(!GC_is_tracked(p + 1) && !GC_is_tracked(p + 64) && !GC_is_tracked(large + 4096), "nor is an address inside of an object");
  OK(!GC_is_tracked(&variable) && !GC_is_tracked(&local) && !GC_is_tracked(NULL) && !GC_is_tracked((void *)~(uintptr_t)0), "nor any other");
  OK(GC_is_tracked(plain) == collects_malloc, "malloc'ed memory is where it is collected, %d", collects_malloc);
  GC_free(p);
  OK(!GC_is_tracked(p) && !GC_is_finalized(p) && !GC_is_frozen(p), "an object that was freed is not");
  OK(!GC_is_finalized(atomic) && !GC_is_finalized(&variable), "nothing is finalized that has no finalizer");
  free(plain);
  GC_free(kept);
  GC_free(large);
}

static void test_generation(void) {
  static char *p;
  p = gc_malloc(100);
  int ages[5];
  for (int i = 0; i < 5; i++) {
    ages[i] = GC_get_generation(p);
    GC_collect(1, NULL);
  }
  OK(ages[0] == 0 && ages[1] == 1 && ages[2] == 2 && ages[3] == 2, "an object is a generation older after each collection, up to 2");
  tap_note("%d %d %d %d", ages[0], ages[1], ages[2], ages[3]);
  static char *q;
  q = gc_malloc(100000);
  int before = GC_get_generation(q);
  GC_collect(0, NULL);
  OK(before == 0 && GC_get_generation(q) == 1, "so is a large one");
  GC_collect(0, NULL);
  OK(GC_get_generation(q) == 1, "a collection of a younger generation leaves it as it is");
  errno = 0;
  OK(GC_get_generation(p + 8) == -1 && errno == EINVAL && GC_get_generation(NULL) == -1 && GC_get_generation(&before) == -1,
     "what is no object is in none");
  OK(!GC_is_frozen(p), "an object is not frozen");
  static char *young;
  young = gc_malloc(64);
  GC_freeze();
  OK(GC_is_frozen(p) && GC_is_frozen(young) && !GC_is_frozen(p + 1), "until GC_freeze was called");
  OK(GC_get_generation(young) == 2 && GC_is_tracked(young), "then it is as old as can be, and tracked still");
  char *later = gc_malloc(64);
  OK(!GC_is_frozen(later) && GC_get_generation(later) == 0, "what comes later is not frozen");
  void **list = GC_get_objects(-1, NULL);
  OK(list_has(list, later) && !list_has(list, p) && !list_has(list, young), "and alone is listed, as in Python");
  GC_unfreeze();
  OK(!GC_is_frozen(p) && GC_get_generation(young) == 2, "GC_unfreeze puts it into the oldest generation");
  list = GC_get_objects(2, NULL);
  OK(list_has(list, p) && list_has(list, young), "where it is listed");
}

/* --- all objects --- */

static struct crowd crowd;
static void *keep[crowd_size];

static int crowd_listed(const struct crowd *which, void **list) {
  int listed = 0;
  for (int i = 0; i < crowd_size; i++) listed += list_times(list, crowd_get(which, i)) == 1;
  return listed;
}

static void test_objects(void) {
  size_t count = 0;
  crowd_make(&crowd, GC_malloc, 48, keep);
  errno = 4711;
  void **list = GC_get_objects(-1, &count);
  OK(list && errno == 4711, "GC_get_objects lists objects, and keeps errno");
  OK(crowd_listed(&crowd, list) == crowd_size, "all that there are, once");
  OK(list && list[count] == NULL && count >= crowd_size, "their number is told, and there is a NULL behind them");
  OK(GC_is_tracked(list) && !list_has(list, list), "the list is an object itself, and not in itself");
  void **again = GC_get_objects(-1, NULL);
  OK(list_has(again, list) && !list_has(again, again), "but in the next one");
  bool live = true;
  for (size_t i = 0; i < count; i++) live = live && GC_base(list[i]) == list[i] && GC_is_tracked(list[i]);
  OK(live, "each is a live object's beginning");
  char *atomic = gc_malloc_atomic(30), *large = gc_malloc(1 << 20), *kept = gc_malloc_uncollectable(30), *freed = gc_malloc(30);
  char *plain = plain_malloc(30);
  GC_free(freed);
  list = GC_get_objects(-1, NULL);
  OK(list_has(list, atomic) && list_has(list, large), "pointer-free ones and large ones are");
  OK(!list_has(list, kept) && !list_has(list, freed), "uncollectable ones and freed ones are not");
  OK(list_has(list, plain) == collects_malloc, "malloc'ed ones are where they are collected");
  GC_free(kept);
  free(plain);

  errno = 0;
  OK(!GC_get_objects(3, NULL) && errno == EINVAL && !GC_get_objects(-2, NULL), "there is no generation 3, nor -2");
  list = again = NULL;
}

static void test_objects_by_age(void) {
  static void *old[crowd_size], *middle[crowd_size];
  struct crowd ages[3];
  GC_disable(); /* nothing ages by itself */
  crowd_make(&ages[2], GC_malloc, 48, old);
  GC_collect(1, NULL);
  GC_collect(1, NULL);
  crowd_make(&ages[1], GC_malloc, 48, middle);
  GC_collect(0, NULL);
  crowd_make(&ages[0], GC_malloc, 48, keep);
  for (int g = 0; g < 3; g++) {
    void **list = GC_get_objects(g, NULL);
    OK(crowd_listed(&ages[g], list) == crowd_size && crowd_listed(&ages[(g + 1) % 3], list) == 0 &&
           crowd_listed(&ages[(g + 2) % 3], list) == 0,
       "those of generation %d alone can be listed", g);
  }
  GC_enable();
  memset(old, 0, sizeof old);
  memset(middle, 0, sizeof middle);
  memset(keep, 0, sizeof keep);
}

__attribute__((noinline)) static void make_garbage(void) { crowd_make(&crowd, GC_malloc, 48, NULL); }

static void test_objects_of_garbage(void) {
  static void **volatile list;
  GC_collect(2, NULL);
  GC_disable();
  make_garbage();
  wipe();
  list = GC_get_objects(-1, NULL);
  GC_enable();
  OK(crowd_listed(&crowd, list) == crowd_size, "what nothing leads to is listed as long as it is there");
  crowd_collect(2);
  crowd_collect(2);
  OK(crowd_kept(&crowd), "a list keeps what is in it");
  list = NULL;
  crowd_collect(2);
  OK(crowd_lost(&crowd), "no longer than it is held");
  list = GC_get_objects(-1, NULL);
  OK(crowd_listed(&crowd, list) <= crowd_size - crowd_nearly, "what was collected is not listed");
  list = NULL;
}

static void test_objects_many(void) {
  enum { many = 300000 };
  static void **volatile first;
  first = NULL;
  for (int i = 0; i < many; i++) {
    void **p = gc_malloc(16);
    *p = first;
    first = p;
  }
  size_t count, listed = 0;
  void **list = GC_get_objects(-1, &count);
  for (size_t i = 0; i < count; i++) listed += GC_size(list[i]) == GC_size(first);
  OK(list && count >= many && listed >= many, "%d objects are listed", many);
  GC_free(list);
  OK(!GC_is_tracked(list), "a list can be freed");
  first = NULL;
}

/* --- what leads where --- */

static void **referrers(void *object, size_t *count) { return GC_get_referrers(&object, 1, count); }
static void **referents(void *object, size_t *count) { return GC_get_referents(&object, 1, count); }

static void test_referrers(void) {
  size_t count;
  char *p = gc_malloc(100);
  void **a = gc_malloc(64), **b = gc_malloc(64), **none = gc_malloc(64);
  errno = 4711;
  void **list = referrers(p, &count);
  OK(list && count == 0 && !*list && errno == 4711, "at first nothing in the heap leads to an object; errno is kept");
  a[3] = p;
  list = referrers(p, &count);
  OK(count == 1 && list[0] == a && !list[1], "what points to it is told");
  a[5] = p;
  b[0] = p + 57;
  list = referrers(p, &count);
  OK(count == 2 && list_has(list, a) && list_has(list, b), "each once; who points into it is, too");
  b[0] = p + GC_size(p) - 1;
  OK(list_has(referrers(p, NULL), b), "up to its last byte");
  b[0] = p + GC_size(p);
  OK(!list_has(referrers(p, NULL), b), "but not who points behind it");
  b[0] = p - 1;
  OK(!list_has(referrers(p, NULL), b) && !list_has(referrers(p, NULL), none), "or before it");
  b[0] = NULL;
  a[5] = NULL;
  OK(list_has(referrers(p + 20, NULL), a), "an address inside stands for the object");
  *(void **)p = p;
  OK(list_has(referrers(p, NULL), p), "an object may lead to itself");
  uintptr_t *number = gc_malloc(64);
  number[1] = (uintptr_t)p;
  OK(list_has(referrers(p, NULL), number), "a number that looks like its address counts");
  list = referrers(p, NULL);
  OK(list_has(list, a), "again");
  void **second = referrers(a, NULL);
  OK(second && !list_has(second, second) && list_has(second, list), "a list that is held is a referrer of what is in it, and never of itself");
}

static void test_referrers_kinds(void) {
  static char *p;
  p = gc_malloc(100);
  void **atomic = gc_malloc_atomic(64), **kept = gc_malloc_uncollectable(64), **plain = plain_malloc(64);
  void **large = gc_malloc(32 << 20), **freed = gc_malloc(64);
  *atomic = *kept = *plain = *freed = p;
  large[(20 << 20) / sizeof *large] = p;
  GC_free(freed);
  size_t count;
  void **list = referrers(p, &count);
  OK(!list_has(list, atomic), "what never holds pointers is no referrer");
  OK(list_has(list, kept), "uncollectable memory may be one");
  OK(list_has(list, plain) == heap_serves_malloc(), "malloc'ed memory where it is in the heap");
  OK(list_has(list, large), "and a word amidst a large object");
  OK(!list_has(list, freed), "not what was freed");
  OK(count == 2 + (size_t)heap_serves_malloc(), "and nothing else is");
  free(plain);
  GC_free(kept);
  memset(large, 0, 32 << 20);
  void **into = gc_malloc(32);
  into[1] = (char *)large + (31 << 20);
  list = referrers(large, &count);
  OK(list_times(list, into) == 1, "a pointer far into a large object leads to it");
  GC_freeze();
  list = referrers(large, &count);
  OK(list_has(list, into), "frozen objects lead to others as before");
  GC_unfreeze();
}

static void test_referrers_of_many(void) {
  size_t count;
  void ***holders = gc_malloc(crowd_size * sizeof *holders);
  crowd_make(&crowd, GC_malloc, 48, keep);
  for (int i = 0; i < crowd_size; i++) {
    holders[i] = gc_malloc(48);
    holders[i][i % 5] = keep[i];
  }
  void **list = GC_get_referrers(keep, crowd_size, &count);
  bool all = true;
  for (int i = 0; i < crowd_size; i++) all = all && list_times(list, holders[i]) == 1;
  OK(all && count == crowd_size, "the referrers of many objects can be had at once, each once");
  tap_note("%zu", count);
  list = GC_get_referrers((void *[]){keep[3], keep[3], keep[7]}, 3, &count);
  OK(count == 2, "an object may be asked of twice");
  list = GC_get_referrers(keep, 0, &count);
  OK(list && count == 0, "of none there are none");
  GC_disable();
  void **one = gc_malloc(crowd_size * 8 * sizeof *one);
  for (int i = 0; i < 1000; i++) ((void **)gc_malloc(32))[0] = one;
  list = referrers(one, &count);
  GC_enable();
  OK(count >= 1000 && list[count] == NULL, "of one there may be a thousand");
  memset(keep, 0, sizeof keep);

  static int variable[4];
  void **holder = gc_malloc(32);
  holder[1] = &variable[1];
  list = referrers(&variable[1], &count);
  OK(count == 1 && *list == holder, "an address outside of the heap is looked for as it is");
  OK(referrers(&variable[0], &count) && count == 0, "and no other");
  OK(referrers(NULL, NULL) != NULL, "even NULL");
}

static void test_referents(void) {
  size_t count;
  char *p = gc_malloc(100), *q = gc_malloc_atomic(100), *freed = gc_malloc(30);
  void **a = gc_malloc(64);
  OK(referents(a, &count) && count == 0, "an object that holds nothing leads nowhere");
  a[0] = p, a[2] = q + 50, a[3] = p + 99, a[4] = (void *)4711, a[5] = &count, a[6] = freed;
  GC_free(freed);
  void **list = referents(a, &count);
  OK(count == 3 && list[0] == p && list[1] == q && list[2] == p && !list[3], "what it leads to is told in order, and as often as it is pointed to");
  tap_note("%zu", count);
  OK(referents((char *)a + 9, &count) && count == 3, "an address inside stands for the object");
  list = GC_get_referents((void *[]){a, a}, 2, &count);
  OK(count == 6 && list[3] == p, "several objects can be asked of");
  memcpy(q, a, 64);
  OK(referents(q, &count) && count == 0, "what never holds pointers leads nowhere");
  OK(referents(&count, &count) && count == 0 && referents(NULL, &count) && count == 0, "nor does what is no object");
  a[7] = a;
  OK(list_has(referents(a, NULL), a), "an object may lead to itself");
  void **plain = plain_malloc(64);
  memset(plain, 0, 64);
  plain[1] = p;
  OK(list_has(referents(plain, NULL), p) == heap_serves_malloc(), "malloc'ed memory leads to objects where it is in the heap");
  a[0] = plain;
  OK(list_has(referents(a, NULL), plain) == heap_serves_malloc(), "and is led to");
  free(plain);
  enum { words = 3 << 20 };
  void **large = gc_malloc(words * sizeof *large);
  for (int i = 0; i < 500; i++) large[(size_t)i * 6000] = i % 2 ? p : q;
  list = referents(large, &count);
  OK(count == 500 && list[0] == q && list[499] == p, "a large object's are found amidst memory that was never touched");
}

/* The program takes the right to read away. */
static void test_unreadable(void) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE), size = 64 * page, count;
  static char *large, *p;
  large = gc_malloc(size);
  p = gc_malloc(100);
  *(void **)(large + 7 * page) = p;
  mprotect(large + 7 * page, page, PROT_NONE);
  void **list = referrers(p, &count);
  OK(count == 1 && *list == large, "a referrer that cannot be read in place is found");
  list = referents(large, &count);
  OK(count == 1 && *list == p, "and what it leads to");
  mprotect(large + 7 * page, page, PROT_READ | PROT_WRITE);
  GC_free(large);
  large = NULL;
}

static void test_unaligned(bool unaligned) {
  size_t count;
  char *p = gc_malloc(100), *a = gc_malloc(64);
  memcpy(a + 13, &p, sizeof p);
  void **list = referrers(p, &count);
  OK(list_has(list, a) == unaligned && count == unaligned, "a pointer that does not begin at a word counts where it may, %d", unaligned);
  list = referents(a, &count);
  OK(list_has(list, p) == unaligned && count >= unaligned, "and leads on there");
}

/* --- when it is refused --- */

static int busy;

static void ask(const struct GC_event *event, void *arg) {
  (void)event;
  errno = 0;
  busy += !GC_get_objects(-1, NULL) && errno == EBUSY;
  errno = 0;
  busy += !GC_get_referrers(&arg, 1, NULL) && errno == EBUSY;
  busy += GC_is_tracked(arg) && GC_get_generation(arg) >= 0;
}

static void test_refused(void) {
  void *p = gc_malloc(30);
  GC_add_callback(ask, p);
  GC_collect(0, NULL);
  GC_remove_callback(ask, p);
  OK(busy == 6, "a callback of a collection gets no lists, but may ask of single objects");
}

static void test_leaks(void) {
  void *p = gc_malloc(100);
  errno = 0;
  OK(!GC_get_objects(-1, NULL) && errno == ENOTSUP && !referrers(p, NULL) && !referents(p, NULL), "there are no lists");
  OK(!GC_is_tracked(p) && !GC_is_frozen(p) && GC_get_generation(p) == 0, "nothing is tracked, and all are of one generation");
}

/* --- many at once --- */

enum { askers = 8, makers = 3, tries = 12 };
static _Atomic bool done;
static _Atomic int faults;

static void *make(void *arg) {
  unsigned seed = (unsigned)(uintptr_t)arg;
  void **mine = NULL;
  for (int i = 0; !done; i++) {
    void **p = i % 1000 ? gc_malloc(16 + seed % 300) : gc_malloc(100000 + seed % 100000);
    seed = seed * 1103515245 + 12345;
    p[1] = mine;
    mine = i % 500 ? p : NULL;
    if (i % 20000 == 0) GC_collect((int)(seed >> 16) % 3, NULL);
    if (seed % 7 == 0) GC_free(gc_malloc_atomic(seed % 5000));
  }
  return NULL;
}

static void *ask_often(void *arg) {
  (void)arg;
  void **target = gc_malloc(64), **holder = gc_malloc(64);
  holder[2] = &target[3];
  for (int i = 0; i < tries; i++) {
    size_t count, led;
    void **list = GC_get_objects(i % 4 - 1, &count);
    if (!list || list[count]) faults++;
    if (i % 4 == 0 && !(list_has(list, target) && list_has(list, holder))) faults++;
    void **from = GC_get_referrers((void *[]){target}, 1, &led);
    if (!list_has(from, holder)) faults++;
    if (!list_has(referents(holder, NULL), target)) faults++;
    GC_free(list);
  }
  return holder;
}

static void test_threads(void) {
  pthread_t asking[askers], making[makers];
  for (uintptr_t i = 0; i < makers; i++) pthread_create(&making[i], NULL, make, (void *)(i + 1));
  for (int i = 0; i < askers; i++) pthread_create(&asking[i], NULL, ask_often, NULL);
  for (int i = 0; i < askers; i++) pthread_join(asking[i], NULL);
  done = true;
  for (int i = 0; i < makers; i++) pthread_join(making[i], NULL);
  OK(faults == 0, "%d threads look at the heap while others allocate, free and collect", askers);
}

static void test_fork(void) {
  static void *p, **holder;
  p = gc_malloc(30);
  holder = gc_malloc(30);
  *holder = p;
  pid_t child = fork();
  if (child == 0) {
    size_t count;
    _exit(list_has(GC_get_objects(-1, NULL), p) && list_has(referrers(p, &count), holder) && count >= 1 ? 0 : 1);
  }
  int status = 1;
  waitpid(child, &status, 0);
  OK(status == 0, "a forked child has a window, too");
}

/* --- with the lock --- */

static _Atomic bool has_lock;

static void *dump_with_lock(void *arg) {
  has_lock = true;
  usleep(100 * 1000);
  GC_dump_heap("/dev/null");
  return arg;
}

static void *take_lock(void *arg) { return GC_call_with_alloc_lock(dump_with_lock, arg); }

static void test_lock(void) {
  pthread_t thread;
  size_t count = 0;
  alarm(120);
  pthread_create(&thread, NULL, take_lock, NULL);
  while (!has_lock) usleep(1000);
  void **list = GC_get_objects(-1, &count);
  pthread_join(thread, NULL);
  alarm(0);
  OK(list && count > 0, "a list comes also when who has the lock of allocation wants to stop the world as well");
}

int main(int argc, char **argv) {
  const char *how = argc > 1 ? argv[1] : "";
  collects_malloc = argc > 2 && strcmp(argv[2], "collect") == 0;
  if (strcmp(how, "leaks") == 0) {
    test_leaks();
    return tap_end();
  }
  if (strcmp(how, "unaligned") == 0) {
    test_unaligned(true);
    return tap_end();
  }
  test_tracked();
  test_generation();
  test_objects();
  test_objects_by_age();
  test_objects_of_garbage();
  test_objects_many();
  test_referrers();
  test_referrers_kinds();
  test_referrers_of_many();
  test_referents();
  test_unreadable();
  test_unaligned(false);
  test_refused();
  test_threads();
  test_lock();
  test_fork();
  return tap_end();
}
