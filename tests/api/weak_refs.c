/* SPDX-License-Identifier: MIT
 * gc_ext.h's weak references and reference queues. */
#include "collect.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct crowd crowd;
static void *keep[crowd_size];
static struct GC_weak *weak[crowd_size];
static struct GC_ref_queue *queue;

static int calls, wrong;
static struct GC_weak *called[2 * crowd_size];

static void call(struct GC_weak *reference, void *arg) {
  if (calls < 2 * crowd_size) called[calls] = reference;
  calls++;
  if (arg && arg != GC_weak_arg(reference)) wrong++;
}

static void *allocate_malloc(size_t size) {
  void *(*volatile allocate)(size_t) = malloc;
  return allocate(size);
}

/* The callbacks that wait are called. */
static void deliver(void) {
  GC_invoke_finalizers();
}

enum with { PLAIN, CALLED, QUEUED };

/* Objects that are held in keep, and a weak reference to each. */
__attribute__((noinline)) static bool make(void *(*allocate)(size_t), size_t size, int kind, enum with with) {
  bool good = true;
  crowd_make(&crowd, allocate, size, keep);
  for (int i = 0; i < crowd_size; i++) {
    weak[i] = with == QUEUED ? GC_weak_new_queued(keep[i], kind, queue, (void *)(intptr_t)(i + 1))
                             : GC_weak_new(keep[i], kind, with == CALLED ? call : NULL, (void *)(intptr_t)(i + 1));
    good = good && weak[i] && GC_weak_get(weak[i]) == keep[i] && GC_weak_arg(weak[i]) == (void *)(intptr_t)(i + 1);
  }
  deliver();
  calls = wrong = 0;
  return good;
}

static void lose(void) { memset(keep, 0, sizeof keep); }
static void lose_references(void) { memset(weak, 0, sizeof weak); }

/* Cleared exactly when the object is no more. The addresses are compared where no pointer is. */
__attribute__((noinline)) static int cleared(void) {
  int count = 0;
  for (int i = 0; i < crowd_size; i++) {
    bool there = GC_base(crowd_get(&crowd, i)) == crowd_get(&crowd, i);
    uintptr_t target = ~(uintptr_t)GC_weak_get(weak[i]);
    if (target == ~(uintptr_t)0 ? there : !there || target != crowd.hidden[i]) {
      tap_note("reference %d: %#lx, and its object is %s", i, (unsigned long)~target, there ? "there" : "gone");
      return -1;
    }
    count += target == ~(uintptr_t)0;
  }
  return count;
}

static void test_errors(void) {
  static int outside;
  void *p = GC_malloc(32);
  errno = 0;
  OK(!GC_weak_new(p, 2, NULL, NULL) && errno == EINVAL, "there are two kinds");
  errno = 0;
  OK(!GC_weak_new(&outside, GC_WEAK_SHORT, NULL, NULL) && errno == EINVAL, "what is not in the heap is no target");
  struct GC_weak *reference = GC_weak_new(NULL, GC_WEAK_LONG, NULL, NULL);
  OK(reference && !GC_weak_get(reference), "a reference to nothing");
  OK(GC_weak_set(reference, p) == 0 && GC_weak_get(reference) == p, "may be given a target");
  OK(GC_weak_set(reference, (char *)p + 5) == 0 && GC_weak_get(reference) == (char *)p + 5, "and a place inside it");
  errno = 0;
  OK(GC_weak_set(reference, &outside) == -1 && errno == EINVAL && !GC_weak_get(reference), "or, by what is none, none");
  GC_weak_set(reference, p);
  GC_weak_clear(reference);
  OK(!GC_weak_get(reference), "and be cleared");
  GC_weak_free(reference);
  GC_weak_free(NULL);
  GC_free(p);
}

static void test_death(void *(*allocate)(size_t), size_t size, int kind, const char *what) {
  OK(make(allocate, size, kind, CALLED), "%s: references", what);
  for (int generation = 0; generation < 3; generation++) crowd_collect(generation);
  deliver();
  OK(crowd_kept(&crowd) && cleared() == 0 && calls == 0, "%s: what is held is found", what);
  lose();
  crowd_collect(2);
  int gone = cleared();
  OK(gone >= crowd_nearly, "%s: what is lost is cleared, and nothing else", what);
  deliver();
  OK(calls == gone && !wrong, "%s: and who waited for it is called, after that (%d)", what, calls);
  bool order = true;
  for (int i = 1; i < calls && i < crowd_size; i++) order = order && GC_weak_arg(called[i - 1]) > GC_weak_arg(called[i]);
  OK(order, "%s: the newest first", what);
  crowd_collect(2);
  deliver();
  OK(cleared() - gone == calls - gone && !wrong, "%s: once", what);
}

static void test_ages(void) {
  for (int way = 0; way < 4; way++) {
    bool old_reference = way & 1, old_target = way & 2;
    const char *one = old_reference ? "an old" : "a young", *other = old_target ? "an old" : "a young";
    lose_references();
    if (old_reference)
      for (int i = 0; i < crowd_size; i++) weak[i] = GC_weak_new(NULL, GC_WEAK_SHORT, call, NULL);
    if (old_reference) crowd_collect(1), crowd_collect(1);
    crowd_make(&crowd, GC_malloc, 48, keep);
    if (old_target) crowd_collect(1), crowd_collect(1);
    for (int i = 0; i < crowd_size; i++) {
      if (!old_reference) weak[i] = GC_weak_new(keep[i], GC_WEAK_SHORT, call, NULL);
      else GC_weak_set(weak[i], keep[i]);
    }
    calls = wrong = 0;
    lose();
    crowd_collect(0);
    int gone = cleared();
    if (old_target) OK(gone == 0, "a collection of the young does not clear %s reference to %s object", one, other);
    else OK(gone >= crowd_nearly, "a collection of the young clears %s reference to %s object", one, other);
    crowd_collect(2);
    gone = cleared();
    deliver();
    OK(gone >= crowd_nearly && calls == gone && !wrong, "a full one has cleared it");
  }
}

static void test_free(void) {
  make(GC_malloc, 48, GC_WEAK_SHORT, CALLED);
  for (int i = 0; i < crowd_size; i++) GC_free(keep[i]);
  lose();
  OK(cleared() == crowd_size, "what is freed is cleared at once");
  deliver();
  OK(calls == crowd_size && !wrong, "and who waited is called");
  make(GC_malloc, 48, GC_WEAK_SHORT, CALLED);
  for (int i = 0; i < crowd_size; i++) i % 2 ? GC_weak_free(weak[i]) : GC_free(weak[i]);
  lose_references();
  static void *after[4 * crowd_size];
  for (int i = 0; i < 4 * crowd_size; i++) memset(after[i] = GC_malloc_atomic(40), 0x77, 40);
  for (int i = 0; i < crowd_size; i++) GC_free(keep[i]);
  lose();
  crowd_collect(2);
  bool whole = true;
  for (int i = 0; i < 4 * crowd_size; i++) whole = whole && *(uintptr_t *)after[i] == 0x7777777777777777;
  deliver();
  OK(whole && calls == 0, "a reference that was freed is forgotten");
  memset(after, 0, sizeof after);
}

static void test_lost_references(void) {
  make(GC_malloc, 48, GC_WEAK_SHORT, CALLED);
  lose_references();
  crowd_collect(2);
  lose();
  crowd_collect(2);
  deliver();
  OK(crowd_lost(&crowd) && calls <= crowd_size - crowd_nearly, "a reference that was lost before calls nobody (%d)", calls);
  make(GC_malloc, 48, GC_WEAK_SHORT, CALLED);
  lose();
  lose_references();
  crowd_collect(2);
  deliver();
  OK(crowd_lost(&crowd) && calls <= crowd_size - crowd_nearly, "nor one that is lost with its target (%d)", calls);
}

/* What the program does to the reference after the end of its target, before anybody is called. */
static void test_meanwhile(void) {
  make(GC_malloc, 48, GC_WEAK_SHORT, CALLED);
  for (int i = 0; i < crowd_size; i++) GC_free(keep[i]);
  for (int i = 0; i < crowd_size; i++) GC_weak_free(weak[i]);
  lose();
  lose_references();
  deliver();
  OK(calls == 0, "a reference that was freed since calls nobody");
  make(GC_malloc, 48, GC_WEAK_SHORT, CALLED);
  for (int round = 0; round < 3; round++)
    for (int i = 0; i < crowd_size; i++) {
      GC_free(keep[i]);
      GC_weak_set(weak[i], keep[i] = GC_malloc(48));
    }
  for (int i = 0; i < crowd_size; i++) GC_free(keep[i]);
  lose();
  deliver();
  OK(calls == 4 * crowd_size && !wrong, "each clearing is a call, though it was given another target meanwhile (%d)", calls);
  make(GC_malloc, 48, GC_WEAK_SHORT, CALLED);
  for (int i = 0; i < crowd_size; i++) GC_weak_clear(weak[i]);
  lose();
  crowd_collect(2);
  deliver();
  OK(crowd_lost(&crowd) && calls == 0, "a reference that the program cleared calls nobody");
}

/* --- callbacks that do something --- */

static void call_again(struct GC_weak *reference, void *arg) {
  (void)arg;
  if (++calls < 10) GC_weak_set(reference, GC_malloc(32));
}

static void call_free(struct GC_weak *reference, void *arg) {
  calls++;
  (void)arg;
  GC_weak_free(reference);
}

static void call_collect(struct GC_weak *reference, void *arg) {
  (void)reference, (void)arg;
  calls++;
  for (int i = 0; i < 1000; i++) GC_malloc(100);
  GC_collect(calls % 3, NULL);
}

static jmp_buf out;
static void call_jump(struct GC_weak *reference, void *arg) {
  (void)reference, (void)arg;
  calls++;
  longjmp(out, 1);
}

__attribute__((noinline)) static struct GC_weak *one(GC_weak_proc callback) {
  return GC_weak_new(GC_malloc(32), GC_WEAK_SHORT, callback, NULL);
}

static void test_callbacks(void) {
  weak[0] = one(call_again);
  calls = 0;
  for (int i = 0; i < 100 && calls < 10; i++) crowd_collect(2), deliver();
  OK(calls == 10, "a callback may aim its reference anew, and is called again (%d)", calls);
  calls = 0;
  for (int i = 0; i < crowd_size; i++) weak[i] = one(call_free);
  crowd_collect(2);
  lose_references();
  deliver();
  OK(calls >= crowd_nearly, "a callback may free its reference (%d)", calls);
  calls = 0;
  for (int i = 0; i < crowd_size; i++) weak[i] = one(call_collect);
  crowd_collect(2);
  deliver();
  crowd_collect(2);
  deliver();
  OK(calls >= crowd_nearly, "a callback may allocate and collect (%d)", calls);
  calls = 0;
  for (int i = 0; i < 20; i++) weak[i] = one(call_jump);
  volatile int jumps = 0;
  for (volatile int i = 0; i < 30; i++) {
    if (setjmp(out) == 0) {
      crowd_collect(2);
      deliver();
    } else {
      jumps++;
    }
  }
  OK(calls >= 15 && jumps == calls, "a callback may leave by longjmp, and the others are called (%d)", calls);
  lose_references();
}

/* --- the argument --- */

static void test_arg(void) {
  for (int i = 0; i < crowd_size; i++) {
    void *p = GC_malloc(64);
    crowd.hidden[i] = ~(uintptr_t)p;
    weak[i] = GC_weak_new(keep[i] = GC_malloc(16), GC_WEAK_SHORT, call, p);
  }
  crowd_collect(0);
  crowd_collect(2);
  OK(crowd_kept(&crowd), "the argument lives as long as the reference");
  lose();
  calls = wrong = 0;
  crowd_collect(2);
  OK(crowd_kept(&crowd), "also when it was cleared");
  lose_references();
  crowd_collect(2);
  deliver();
  OK(calls >= crowd_nearly && !wrong, "and what was to be called is called with it, though the reference was lost since (%d)", calls);
  memset(called, 0, sizeof called);
  crowd_collect(2);
  crowd_collect(2);
  OK(crowd_lost(&crowd), "then it goes");
}

/* --- queues --- */

static int drain(void) {
  int got = 0;
  for (struct GC_weak *reference; (reference = GC_ref_queue_poll(queue)) != NULL; got++)
    if (GC_weak_get(reference) || !GC_weak_arg(reference)) wrong++;
  return got;
}

static void test_queue(void) {
  queue = GC_ref_queue_new();
  errno = 0;
  OK(queue && !GC_ref_queue_poll(queue), "a queue is empty");
  OK(!GC_ref_queue_wait(queue, 1000000) && errno == ETIMEDOUT, "and who waits for it does so in vain");
  for (int kind = GC_WEAK_SHORT; kind <= GC_WEAK_LONG; kind++) {
    make(GC_malloc, 48, kind, QUEUED);
    crowd_collect(2);
    OK(drain() == 0, "what is held is not put in");
    lose();
    crowd_collect(2);
    int gone = cleared();
    lose_references();
    crowd_collect(1);
    crowd_collect(2);
    OK(drain() == gone && !wrong && gone >= crowd_nearly, "what was lost is put in, and stays until it is taken out (%d)", gone);
    make(GC_malloc, 48, kind, QUEUED);
    for (int i = 0; i < crowd_size; i++) GC_free(keep[i]);
    lose();
    for (int i = 0; i < crowd_size; i += 2) GC_weak_free(weak[i]);
    lose_references();
    OK(drain() == crowd_size / 2 && !wrong, "what is freed is put in at once, and leaves when the reference is freed");
  }
  make(GC_malloc, 48, GC_WEAK_SHORT, QUEUED);
  lose();
  lose_references();
  crowd_collect(2);
  int got = drain();
  OK(got <= crowd_size - crowd_nearly, "a reference that is lost with its target is not put in (%d)", got);
}

/* From its front, its end and its midst. */
static void test_queue_left(void) {
  enum { some = 7 };
  struct GC_weak *reference[some], *next;
  bool good = true;
  queue = GC_ref_queue_new();
  for (int i = 0; i < some; i++) {
    void *target = GC_malloc(48);
    reference[i] = GC_weak_new_queued(target, GC_WEAK_SHORT, queue, (void *)(intptr_t)(i + 1));
    GC_free(target);
    if (i == some - 2)
      for (int k = 0; k < some - 1; k += k == 0 ? 2 : 3) GC_weak_free(reference[k]); /* 0, 2 and 5 */
  }
  static const int left[] = {1, 3, 4, 6};
  for (int i = 0; i < 4; i++) good = good && (next = GC_ref_queue_poll(queue)) == reference[left[i]] && GC_weak_arg(next) == (void *)(intptr_t)(left[i] + 1);
  OK(good && !GC_ref_queue_poll(queue), "where some are freed the others stay in order");
}

/* An old queue that references of all ages come into. */
static void test_old_queue(void) {
  queue = GC_ref_queue_new();
  crowd_collect(1);
  crowd_collect(1);
  crowd_collect(1);
  int got = 0, gone = 0;
  for (int round = 0; round < 10; round++) {
    make(GC_malloc, 48, GC_WEAK_SHORT, QUEUED);
    lose();
    crowd_collect(0);
    gone += cleared();
    lose_references();
    crowd_collect(0);
    for (int i = 0; i < 1000; i++) memset(GC_malloc_atomic(56), 0x33, 56);
    if (round % 3 == 2) got += drain();
  }
  crowd_collect(1);
  got += drain();
  OK(got == gone && gone >= 10 * crowd_nearly && !wrong, "an old queue keeps young references (%d of %d)", got, gone);
}

static void *wait_for_some(void *arg) {
  intptr_t got = 0;
  (void)arg;
  for (struct GC_weak *reference; (reference = GC_ref_queue_wait(queue, GC_FOREVER)) != NULL && GC_weak_arg(reference) != (void *)-1;) got++;
  return (void *)got;
}

static void test_wait(void) {
  enum { threads = 4 };
  pthread_t thread[threads];
  queue = GC_ref_queue_new();
  for (int i = 0; i < threads; i++) pthread_create(&thread[i], NULL, wait_for_some, NULL);
  intptr_t gone = 0, got = 0;
  for (int round = 0; round < 5; round++) {
    make(GC_malloc, 48, GC_WEAK_SHORT, QUEUED);
    lose();
    crowd_collect(round % 3);
    gone += cleared();
    lose_references();
  }
  crowd_collect(2);
  for (int i = 0; i < threads; i++) {
    void *p = GC_malloc(16);
    struct GC_weak *last = GC_weak_new_queued(p, GC_WEAK_SHORT, queue, (void *)-1);
    GC_free(p);
    __asm__ volatile("" ::"r"(last));
  }
  for (int i = 0; i < threads; i++) {
    void *result;
    pthread_join(thread[i], &result);
    got += (intptr_t)result;
  }
  OK(got >= gone && got <= 5 * crowd_size && gone >= 2 * crowd_nearly, "threads that wait get each once (%ld of %ld)", (long)got, (long)gone);
  queue = GC_ref_queue_new();
}

/* --- counted objects --- */

static void test_counted(void) {
  void *p = GC_malloc(40);
  struct GC_weak *reference = GC_weak_new(p, GC_WEAK_SHORT, NULL, NULL);
  OK(GC_weak_get_ref(reference) == p && GC_refcount(p) == 2, "a reference is taken");
  OK(GC_unref(p) == 1 && GC_weak_get(reference) == p, "and given back");
  OK(GC_unref(p) == 0 && !GC_weak_get(reference) && !GC_weak_get_ref(reference), "with the last the weak one is cleared");
  p = GC_malloc(40);
  GC_weak_set(reference, p);
  GC_pin(p);
  GC_unref(p);
  OK(GC_base(p) == p && !GC_weak_get_ref(reference), "an object that is pinned at its end has no more references");
  OK(GC_weak_set(reference, p) == -1 && errno == EINVAL, "and is no target any more");
  GC_unpin(p);
  OK(!GC_base(p), "and then it ends");
}

/* --- free and realloc --- */

static void test_moved(void) {
  void *p = GC_malloc(100);
  struct GC_weak *reference = GC_weak_new(p, GC_WEAK_LONG, NULL, NULL);
  void *q = GC_realloc(p, 5000);
  OK(q != p && !GC_weak_get(reference), "an object that was moved is no more where it was");
  GC_weak_set(reference, q);
  void *r = GC_realloc(q, 100 << 20);
  OK(r == q ? GC_weak_get(reference) == q : !GC_weak_get(reference), "large ones likewise");
  GC_free(r);
  OK(!GC_weak_get(reference), "and freed");
}

static void test_malloc(void) {
  if (!heap_serves_malloc()) {
    void *p = allocate_malloc(40);
    errno = 0;
    OK(!GC_weak_new(p, GC_WEAK_SHORT, NULL, NULL) && errno == EINVAL, "memory of another malloc is no target");
    free(p);
    return;
  }
  make(allocate_malloc, 64, GC_WEAK_SHORT, CALLED);
  crowd_collect(2);
  crowd_collect(2);
  OK(cleared() == 0, "references to malloc'ed objects");
  for (int i = 0; i < crowd_size; i++) free(keep[i]);
  lose();
  OK(cleared() == crowd_size, "are cleared by free");
  void *(*volatile resize)(void *, size_t) = realloc;
  void *p = allocate_malloc(100);
  GC_weak_set(weak[0], p);
  p = resize(p, 100000);
  OK(!GC_weak_get(weak[0]), "and by realloc");
  GC_weak_set(weak[0], p);
  p = resize(p, 10 << 20);
  free(p);
  OK(!GC_weak_get(weak[0]), "of any size");
  make(allocate_malloc, 64, GC_WEAK_SHORT, CALLED);
  lose();
  for (int i = 0; i < 3; i++) crowd_collect(2);
  OK(cleared() >= 0, "and when they are collected, if they are");
}

/* --- freeze, fork --- */

static void test_freeze(void) {
  make(GC_malloc, 48, GC_WEAK_SHORT, CALLED);
  GC_freeze();
  lose();
  crowd_collect(2);
  OK(crowd_kept(&crowd) && cleared() == 0, "what is frozen is not cleared");
  GC_unfreeze();
  crowd_collect(2);
  OK(cleared() >= crowd_nearly, "what thaws is");
}

static void test_fork(void) {
  make(GC_malloc, 48, GC_WEAK_SHORT, CALLED);
  pid_t pid = fork();
  if (pid == 0) {
    lose();
    crowd_collect(2);
    int gone = cleared();
    deliver();
    _exit(gone < crowd_nearly ? 1 : calls == gone ? 0 : 2);
  }
  int status = -1;
  waitpid(pid, &status, 0);
  crowd_collect(2);
  OK(status == 0 && cleared() == 0, "a child's references are its own (%d)", status);
}

int main(void) {
  GC_disable(); /* ages are to be what the test says */
  test_ages();
  GC_enable();
  test_errors();
  test_death(GC_malloc, 64, GC_WEAK_SHORT, "objects");
  test_death(GC_malloc_atomic, 16, GC_WEAK_LONG, "small ones");
  test_death(GC_malloc, 70000, GC_WEAK_SHORT, "large ones");
  test_free();
  test_lost_references();
  test_meanwhile();
  test_callbacks();
  test_arg();
  test_queue();
  test_queue_left();
  GC_disable();
  test_old_queue();
  test_wait();
  GC_enable();
  test_counted();
  test_moved();
  test_malloc();
  test_freeze();
  test_fork();
  return tap_end();
}
