/* SPDX-License-Identifier: MIT
 * gc.h and gc_ext.h: what finalizers may do, when they are run, and what else happens to their objects. */
#include "final.h"

#include <errno.h>
#include <setjmp.h>
#include <sys/wait.h>
#include <unistd.h>

static int ran, depth, deepest;

static void GC_CALLBACK count(void *object, void *data) {
  (void)object, (void)data;
  if (++depth > deepest) deepest = depth;
  ran++;
  depth--;
}

/* What was kept by a stale word before is mostly gone now, and does not count. */
static void reset(void) {
  collect_all();
  ran = depth = deepest = 0;
}

static void register_count(void *object) { GC_register_finalizer(object, count, NULL, NULL, NULL); }

/* n lost objects, whose finalizers wait to be run: on demand is on meanwhile. */
__attribute__((noinline)) static void lose(int n, GC_finalization_proc function) {
  GC_disable();
  for (int i = 0; i < n; i++) GC_register_finalizer(GC_malloc(48), function, NULL, NULL, NULL);
  GC_enable();
  wipe();
}

static void lose_waiting(int n, GC_finalization_proc function) {
  reset();
  GC_set_finalize_on_demand(1);
  lose(n, function);
  collect_all();
  GC_set_finalize_on_demand(0);
}

/* --- on demand --- */

static int notified, awaited;

static void GC_CALLBACK notify(void) { notified++; }
static void GC_CALLBACK await(void *object) { awaited += object != NULL && ran == 0; }

static void test_on_demand(void) {
  reset();
  GC_set_finalize_on_demand(1);
  OK(GC_get_finalize_on_demand() == 1 && GC_finalize_on_demand == 1, "finalizers can be had on demand alone");
  GC_set_finalizer_notifier(notify);
  GC_set_await_finalize_proc(await);
  OK(GC_get_finalizer_notifier() == notify && GC_get_await_finalize_proc() == await, "there are functions that are told");
  lose(100, count);
  notified = awaited = 0;
  collect_all();
  OK(ran == 0 && GC_should_invoke_finalizers(), "then a collection runs none");
  OK(notified == 1, "who wants to be notified is, once");
  OK(nearly(awaited, 100), "and is told of each object before");
  for (int i = 0; i < 10000; i++) GC_malloc(64);
  OK(ran == 0, "an allocation runs none either");
  errno = 0;
  OK(GC_wait_for_finalizers(20000000) == -1 && errno == ETIMEDOUT, "to wait for them is in vain");
  GC_set_interrupt_finalizers(10);
  int first = GC_invoke_finalizers();
  OK(first == 10 && ran == 10 && GC_get_interrupt_finalizers() == 10, "so many are run at once as is set");
  GC_set_interrupt_finalizers(0);
  int rest = GC_invoke_finalizers();
  OK(nearly(rest + 10, 100) && ran == rest + 10, "the others by the next call, which tells how many");
  OK(!GC_should_invoke_finalizers() && GC_invoke_finalizers() == 0, "and then there are none");
  GC_set_finalizer_notifier(NULL);
  GC_set_await_finalize_proc(NULL);
  GC_set_finalize_on_demand(0);
}

static void test_allocations(void) {
  void *(*volatile allocate)(size_t) = malloc;
  void (*volatile give_back)(void *) = free;
  lose_waiting(100, count);
  for (int i = 0; i < 20000; i++) give_back(allocate(100 + i % 5000));
  OK(ran == 0, "malloc and free run no finalizer");
  for (int i = 0; i < 20000 && ran == 0; i++) GC_malloc(64);
  OK(nearly(ran, 100), "GC_malloc does, now and then");
  lose_waiting(100, count);
  for (int i = 0; i < 20000 && ran == 0; i++) GC_malloc_atomic(64);
  OK(nearly(ran, 100), "so does GC_malloc_atomic");
  lose_waiting(100, count);
  void *p = NULL;
  for (size_t size = 16; size < 2000000 && ran == 0; size *= 2) p = GC_realloc(p, size);
  OK(nearly(ran, 100), "and GC_realloc");
}

/* --- what a finalizer may do --- */

static void GC_CALLBACK allocating(void *object, void *data) {
  if (++depth > deepest) deepest = depth;
  for (int i = 0; i < 2000; i++) GC_malloc(64);
  depth--;
  ran++;
  (void)object, (void)data;
}

static void GC_CALLBACK collecting(void *object, void *data) {
  if (++depth > deepest) deepest = depth;
  GC_collect(2, NULL);
  GC_gcollect();
  depth--;
  ran++;
  (void)object, (void)data;
}

static void GC_CALLBACK invoking(void *object, void *data) {
  if (++depth > deepest) deepest = depth;
  GC_invoke_finalizers();
  depth--;
  ran++;
  (void)object, (void)data;
}

static int waits_errno;

static void GC_CALLBACK waiting(void *object, void *data) {
  (void)object, (void)data;
  errno = 0;
  if (GC_wait_for_finalizers(1) == -1) waits_errno = errno;
  ran++;
}

static void test_inside(void) {
  reset();
  lose(50, allocating);
  collect_all();
  OK(nearly(ran, 50) && deepest == 1, "a finalizer may allocate, which runs no other");
  reset();
  lose(20, collecting);
  collect_all();
  OK(nearly(ran, 20) && deepest == 1, "one may collect, which runs no other");
  lose_waiting(1000, invoking);
  GC_invoke_finalizers();
  OK(nearly(ran, 1000) && deepest > 1 && deepest <= 16, "one may ask for others, %d deep", deepest);
  reset();
  lose(10, waiting);
  collect_all();
  OK(nearly(ran, 10) && waits_errno == EDEADLK, "one may not wait for others");
}

static void *saved[100];
static int save_next;

static void GC_CALLBACK save(void *object, void *data) {
  if (save_next < 100) saved[save_next++] = object;
  ran++;
  if (data && *(bool *)data) GC_reregister_finalizer(object);
}

static void GC_CALLBACK save_anew(void *object, void *data) {
  if (save_next < 100) saved[save_next++] = object;
  ran++;
  GC_register_finalizer(object, count, data, NULL, NULL);
}

__attribute__((noinline)) static void lose_tree(int n, GC_finalization_proc function, void *data) {
  GC_disable();
  for (int i = 0; i < n; i++) {
    void **object = GC_malloc(48);
    object[1] = GC_malloc(32);
    *(int *)object[1] = 4711;
    GC_register_finalizer(object, function, data, NULL, NULL);
  }
  GC_enable();
  wipe();
}

static void forget_saved(void) {
  memset(saved, 0, sizeof saved);
  save_next = 0;
  wipe();
}

static bool saved_are_whole(void) {
  for (int i = 0; i < save_next; i++)
    if (!GC_base(saved[i]) || !GC_base(((void **)saved[i])[1]) || *(int *)((void **)saved[i])[1] != 4711) return false;
  return true;
}

static void test_resurrect(void) {
  static bool yes = true;
  reset();
  lose_tree(50, save, NULL);
  collect_all();
  int first = ran;
  for (int i = 0; i < 3; i++) collect_all();
  for (int i = 0; i < 5000; i++) memset(GC_malloc(32), 0xff, 32);
  OK(nearly(first, 50) && ran == first && saved_are_whole(), "what a finalizer keeps lives on, with all that it leads to");
  OK(save_next == 0 || GC_is_finalized(saved[0]), "and has been finalized");
  volatile uintptr_t hide[100];
  for (int i = 0; i < 100; i++) hide[i] = ~(uintptr_t)saved[i];
  forget_saved();
  collect_all();
  int left = 0;
  for (int i = 0; i < first; i++) left += GC_base((void *)~hide[i]) == (void *)~hide[i];
  OK(ran == first && left <= 5, "lost again it is reclaimed, and not finalized again");

  reset();
  lose_tree(50, save, &yes);
  collect_all();
  first = ran;
  OK(save_next == 0 || !GC_is_finalized(saved[0]), "one may register itself again");
  forget_saved();
  collect_all();
  OK(nearly(first, 50) && nearly(ran - first, 50), "and is run again when the object is lost again");
  forget_saved();
  yes = false;
  for (int i = 0; i < 3; i++) {
    collect_all();
    forget_saved();
  }

  reset();
  lose_tree(50, save_anew, NULL);
  collect_all();
  first = ran;
  forget_saved();
  collect_all();
  OK(ran >= first * 3 / 2, "or another one");
  forget_saved();
  collect_all();
}

static void GC_CALLBACK reregister_forever(void *object, void *data) {
  ran++;
  if (*(int *)data) GC_reregister_finalizer(object);
}

static void test_again_and_again(void) {
  static int on = 1;
  reset();
  GC_disable();
  lose(0, count);
  for (int i = 0; i < 20; i++) GC_register_finalizer(GC_malloc(48), reregister_forever, &on, NULL, NULL);
  GC_enable();
  for (int i = 0; i < 5; i++) collect_all();
  OK(ran >= 5 * 18 - 18 && ran <= 100, "one that registers again is run by each collection");
  on = 0;
  collect_all();
  int last = ran;
  collect_all();
  OK(ran - last <= 2, "until it does not");
}

/* --- leaving by longjmp --- */

static jmp_buf out;

static void GC_CALLBACK leaving(void *object, void *data) {
  (void)object, (void)data;
  ran++;
  if (ran % 3 == 1) longjmp(out, 1);
}

static void test_longjmp(void) {
  volatile int left = 0;
  reset();
  lose(100, leaving);
  for (volatile int i = 0; i < 200 && ran < 90; i++) {
    if (setjmp(out)) left++;
    else collect_all();
  }
  OK(nearly(ran, 100) && left >= 25, "a finalizer may leave by longjmp, and others are run next time");
  lose_waiting(100, leaving);
  left = 0;
  for (volatile int i = 0; i < 200; i++) {
    if (setjmp(out)) left++;
    else GC_invoke_finalizers();
  }
  OK(ran >= 90 && left >= 25 && GC_invoke_finalizers() == 0, "also of GC_invoke_finalizers");
  if (setjmp(out) == 0) {
    reset();
    lose(100, leaving);
    collect_all();
  }
  for (volatile int i = 0; i < 100000 && ran < 3; i++)
    if (setjmp(out) == 0) GC_malloc(64);
  while (setjmp(out)) continue;
  OK(GC_wait_for_finalizers(2000000000) == 0, "nobody waits for it for ever");
}

/* --- the end of an object by other means --- */

__attribute__((noinline)) static void end_otherwise(int n) {
  for (int i = 0; i < n; i++) {
    void *object = GC_malloc(48), *large = GC_malloc(200000), *small = GC_malloc(48), *fixed = GC_malloc_uncollectable(48);
    register_count(object);
    register_count(large);
    register_count(small);
    register_count(fixed);
    GC_free(object);
    GC_free(large);
    GC_free(fixed);
    GC_free(GC_realloc(small, 5000));
  }
  wipe();
}

static void test_free(void) {
  reset();
  end_otherwise(50);
  collect_all();
  collect_all();
  OK(ran == 0, "what is freed, or moved by GC_realloc, is not finalized");
  void *stays = GC_malloc(48);
  register_count(stays);
  GC_unref(stays);
  OK(ran == 1, "what loses its last reference is, at once");
  save_next = 0;
  lose_waiting(1, count);
  GC_invoke_finalizers();
  reset();
}

/* The first finalizer to run frees all the others' objects. */
static uintptr_t hidden[50];
static int hidden_count;

static void GC_CALLBACK free_others(void *object, void *data) {
  (void)data;
  ran++;
  for (int i = 0; i < hidden_count; i++)
    if ((uintptr_t)object != ~hidden[i] && GC_base((void *)~hidden[i])) GC_free((void *)~hidden[i]);
  hidden_count = 0;
}

__attribute__((noinline)) static void lose_hidden(void) {
  GC_disable();
  for (int i = 0; i < 50; i++) {
    void *object = GC_malloc(48);
    hidden[i] = ~(uintptr_t)object;
    GC_register_finalizer(object, free_others, NULL, NULL, NULL);
  }
  hidden_count = 50;
  GC_enable();
  wipe();
}

static void test_free_queued(void) {
  reset();
  lose_hidden();
  collect_all();
  OK(ran == 1, "what is freed while its finalizer waits is not finalized");
}

/* --- suppressing --- */

static void test_suppress(void) {
  void *object = GC_malloc(48);
  errno = 0;
  OK(GC_suppress_finalizer(object) == -1 && errno == ENOENT, "without a finalizer there is none to suppress");
  errno = 0;
  OK(GC_reregister_finalizer(object) == -1 && errno == ENOENT, "nor to register again");
  reset();
  GC_disable();
  for (int i = 0; i < 50; i++) {
    void *p = GC_malloc(48);
    register_count(p);
    GC_suppress_finalizer(p);
    if (i % 2) GC_reregister_finalizer(p);
  }
  GC_enable();
  wipe();
  collect_all();
  collect_all();
  OK(ran >= 20 && ran <= 25, "a suppressed one is not run, one registered again is");
  GC_finalization_proc old = NULL;
  register_count(object);
  GC_suppress_finalizer(object);
  GC_register_finalizer(object, NULL, NULL, &old, NULL);
  OK(old == count, "a suppressed one is registered still");
}

/* --- generations, and what is frozen --- */

static void **kept;

__attribute__((noinline)) static void keep(int n) {
  kept = GC_malloc_uncollectable((size_t)n * sizeof *kept);
  for (int i = 0; i < n; i++) register_count(kept[i] = GC_malloc(48));
  wipe();
}

static void test_generations(void) {
  reset();
  lose(100, count);
  wipe();
  GC_collect(0, NULL);
  OK(nearly(ran, 100), "a collection of the youngest finalizes what is new");
  reset();
  keep(100);
  GC_collect(2, NULL);
  GC_collect(2, NULL);
  GC_freeze();
  memset(kept, 0, 100 * sizeof *kept);
  collect_all();
  OK(ran == 0, "what is frozen is not finalized");
  GC_unfreeze();
  collect_all();
  OK(nearly(ran, 100), "until it thaws");
  GC_free(kept);
}

/* Data that is younger than the object whose finalizer has it. */
static void GC_CALLBACK check_data(void *object, void *data) {
  (void)object;
  ran += *(int *)data == 815;
}

__attribute__((noinline)) static void give_data(int n) {
  for (int i = 0; i < n; i++) {
    int *data = GC_malloc(48);
    *data = 815;
    GC_register_finalizer(kept[i], check_data, data, NULL, NULL);
  }
  wipe();
}

static void test_young_data(void) {
  reset();
  keep(100);
  for (int i = 0; i < 3; i++) GC_collect(2, NULL);
  give_data(100);
  for (int i = 0; i < 12; i++) {
    GC_collect(i % 3 == 2 ? 1 : 0, NULL);
    for (int k = 0; k < 1000; k++) memset(GC_malloc(48), 0xff, 48);
  }
  memset(kept, 0, 100 * sizeof *kept);
  collect_all();
  OK(nearly(ran, 100), "data that is younger than its object is kept");
  GC_free(kept);
}

/* --- all of them --- */

static void GC_CALLBACK register_another(void *object, void *data) {
  (void)data;
  ran++;
  GC_register_finalizer(object, count, NULL, NULL, NULL);
}

static void test_all(void) {
  reset();
  void *object = GC_malloc(48), *another = GC_malloc(48);
  register_count(object);
  GC_register_finalizer(another, register_another, NULL, NULL, NULL);
  GC_finalize_all();
  OK(ran == 3, "GC_finalize_all runs those of what is reachable, and what they register");
  GC_finalize_all();
  OK(ran == 3 && GC_base(object) == object && GC_base(another) == another, "once, and the objects live");
}

/* --- toggle references --- */

static GC_ToggleRefStatus toggle_answer;
static int toggle_asked;

static GC_ToggleRefStatus GC_CALLBACK toggle(void *object) {
  toggle_asked += GC_base(object) == object;
  return toggle_answer;
}

__attribute__((noinline)) static void lose_toggled(int n, int strong) {
  GC_disable();
  for (int i = 0; i < n; i++) {
    void *object = GC_malloc(48);
    register_count(object);
    if (GC_toggleref_add(object, strong) != GC_SUCCESS) ran = -1000;
  }
  GC_enable();
  wipe();
}

static void test_toggle(void) {
  reset();
  OK(GC_get_toggleref_func() == NULL, "there is no function for toggle references at first");
  GC_set_toggleref_func(toggle);
  toggle_answer = GC_TOGGLE_REF_STRONG;
  lose_toggled(50, 0);
  for (int i = 0; i < 3; i++) collect_all();
  OK(ran == 0 && toggle_asked >= 150, "a strong one keeps its object, and is asked for each time");
  toggle_answer = GC_TOGGLE_REF_WEAK;
  collect_all();
  collect_all();
  OK(nearly(ran, 50), "a weak one does not");
  toggle_asked = 0;
  collect_all();
  OK(toggle_asked <= 5, "and goes with it");
  reset();
  toggle_answer = GC_TOGGLE_REF_DROP;
  lose_toggled(50, 1);
  collect_all();
  OK(nearly(ran, 50), "one that is dropped is none");
  void *object = GC_malloc(48);
  toggle_answer = GC_TOGGLE_REF_STRONG;
  GC_toggleref_add(object, 1);
  GC_free(object);
  toggle_asked = 0;
  collect_all();
  OK(toggle_asked <= 5, "nor one of what was freed");
  GC_set_toggleref_func(NULL);
}

/* --- processes --- */

static int child_status(int (*act)(void)) {
  int status;
  pid_t pid = fork();
  if (pid == 0) _exit(act());
  return waitpid(pid, &status, 0) == pid ? status : -1;
}

static int child_runs(void) {
  if (ran != 0) return 1;
  GC_invoke_finalizers();
  if (!nearly(ran, 100)) return 2;
  lose(100, count);
  collect_all();
  return nearly(ran, 200) ? 0 : 3;
}

static void test_fork(void) {
  lose_waiting(100, count);
  OK(child_status(child_runs) == 0, "a forked child runs what waits, and finalizes");
  GC_invoke_finalizers();
  OK(nearly(ran, 100), "as does its parent");
}

int main(void) {
  GC_INIT();
  test_on_demand();
  test_allocations();
  test_inside();
  test_resurrect();
  test_again_and_again();
  test_longjmp();
  test_free();
  test_free_queued();
  test_suppress();
  test_generations();
  test_young_data();
  test_all();
  test_toggle();
  test_fork();
  return tap_end();
}
