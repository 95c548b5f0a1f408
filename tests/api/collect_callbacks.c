/* SPDX-License-Identifier: MIT
 * gc.h and gc_ext.h: who is told of collections. */
#include "collect.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

/* --- callbacks of gc_ext.h --- */

struct seen {
  char order[256]; /* a letter for each call */
  struct GC_event last[3];
  int count[3];
};

struct letter {
  struct seen *seen;
  char name;
};

static void see(const struct GC_event *event, void *arg) {
  struct letter *letter = arg;
  size_t length = strlen(letter->seen->order);
  if (length + 1 < sizeof letter->seen->order) letter->seen->order[length] = letter->name;
  letter->seen->last[event->phase] = *event;
  letter->seen->count[event->phase]++;
}

static struct crowd crowd;

static void test_phases(void) {
  static struct seen seen;
  static struct letter a = {&seen, 'a'};
  GC_collect(2, NULL);
  OK(GC_add_callback(see, &a) == 0, "a callback can be added");
  GC_word number = GC_get_gc_no();
  crowd_make(&crowd, GC_malloc, 48, NULL);
  wipe();
  struct GC_collection collection;
  GC_collect(1, &collection);
  OK(seen.count[GC_PHASE_START] == 1 && seen.count[GC_PHASE_STOP] == 1 && seen.count[GC_PHASE_SWEPT] == 0,
     "it is called before and after a collection");
  const struct GC_collection *start = &seen.last[GC_PHASE_START].collection, *stop = &seen.last[GC_PHASE_STOP].collection;
  OK(start->number == number + 1 && start->generation == 1 && strcmp(start->reason, "asked") == 0,
     "before, with number, generation and reason");
  OK(memcmp(stop, &collection, sizeof collection) == 0 && stop->collected >= crowd_nearly && stop->pause > 0,
     "after, with all that GC_collect tells");
  memset(&seen, 0, sizeof seen);
  crowd_make(&crowd, GC_malloc, 48, NULL);
  wipe();
  GC_collect(2, &collection);
  OK(seen.count[GC_PHASE_START] == 1 && seen.count[GC_PHASE_STOP] == 1 && seen.count[GC_PHASE_SWEPT] == 1,
     "of a full collection the end of the sweep is told as well");
  const struct GC_collection *swept = &seen.last[GC_PHASE_SWEPT].collection;
  OK(swept->number == number + 2 && swept->generation == 2 && swept->collected == collection.collected &&
         swept->collected_bytes == collection.collected_bytes && swept->live_after == collection.live_after,
     "with what it reclaimed");
  OK(GC_remove_callback(see, &a) == 0, "it can be removed");
  GC_collect(0, NULL);
  OK(seen.count[GC_PHASE_START] == 1, "and is not called any more");
}

static void test_lists(void) {
  static struct seen seen;
  static struct letter a = {&seen, 'a'}, b = {&seen, 'b'}, c = {&seen, 'c'};
  GC_add_callback(see, &a);
  GC_add_callback(see, &b);
  GC_add_callback(see, &c);
  GC_collect(0, NULL);
  OK(strcmp(seen.order, "abcabc") == 0, "callbacks are called in the order in which they were added");
  memset(&seen, 0, sizeof seen);
  GC_remove_callback(see, &b);
  GC_collect(0, NULL);
  OK(strcmp(seen.order, "acac") == 0, "one of them can be removed");
  memset(&seen, 0, sizeof seen);
  GC_add_callback(see, &b);
  GC_add_callback(see, &a);
  GC_collect(0, NULL);
  OK(strcmp(seen.order, "acbaacba") == 0, "and one be there twice");
  errno = 0;
  OK(GC_remove_callback(see, &seen) == -1 && errno == ENOENT, "what was not added cannot be removed");
  errno = 0;
  OK(GC_add_callback(NULL, &a) == -1 && errno == EINVAL, "NULL is no callback");
  errno = 0;
  OK(GC_remove_callback(NULL, NULL) == -1 && errno == ENOENT, "nor was one");
  GC_remove_callback(see, &a);
  GC_remove_callback(see, &a);
  GC_remove_callback(see, &b);
  GC_remove_callback(see, &c);
  memset(&seen, 0, sizeof seen);
  GC_collect(0, NULL);
  OK(!*seen.order, "all can be removed");

  int added = 0;
  errno = 0;
  while (added < 10000 && GC_add_callback(see, &a) == 0) added++;
  OK(added >= 200 && added < 1000 && errno == ENOMEM, "there is room for some %d", added);
  while (GC_remove_callback(see, &a) == 0) added--;
  OK(added == 0, "which can be had back");
  for (int i = 0; i < 10000 && added == 0; i++) added = GC_add_callback(see, &a) | GC_remove_callback(see, &a);
  OK(added == 0, "again and again");
}

/* --- what a callback may do --- */

static long refused;
static int refused_errno, allocated;

static void work(const struct GC_event *event, void *arg) {
  (void)event, (void)arg;
  for (int i = 0; i < 3000; i++) {
    void **p = GC_malloc(100);
    if (p && !p[0] && !p[5]) allocated++;
    GC_free(GC_malloc_atomic(300));
  }
  errno = 0;
  refused = GC_collect(0, NULL);
  refused_errno = errno;
  GC_gcollect();
}

static void remove_self(const struct GC_event *event, void *arg) {
  see(event, arg);
  GC_remove_callback(remove_self, arg);
}

static void add_more(const struct GC_event *event, void *arg) {
  if (event->phase == GC_PHASE_START) GC_add_callback(see, arg);
}

static void test_work(void) {
  GC_word number = GC_get_gc_no();
  GC_add_callback(work, NULL);
  GC_collect(0, NULL);
  GC_remove_callback(work, NULL);
  OK(allocated == 6000, "a callback may allocate and free");
  OK(refused == -1 && refused_errno == EBUSY, "it cannot collect");
  OK(GC_get_gc_no() == number + 1, "and nothing is collected meanwhile");

  static struct seen seen;
  static struct letter a = {&seen, 'a'}, b = {&seen, 'b'}, c = {&seen, 'c'};
  GC_add_callback(see, &a);
  GC_add_callback(remove_self, &b);
  GC_add_callback(see, &c);
  GC_collect(0, NULL);
  OK(strcmp(seen.order, "abcac") == 0, "a callback may remove itself, and no other is passed over");
  GC_remove_callback(see, &c);
  memset(&seen, 0, sizeof seen);
  GC_add_callback(add_more, &b);
  GC_collect(0, NULL);
  OK(strcmp(seen.order, "aab") == 0, "one that is added by a callback is called from the next time on");
  GC_remove_callback(add_more, &b);
  GC_remove_callback(see, &a);
  GC_remove_callback(see, &b);
}

static int poked;

static void poke(const struct GC_event *event, void *arg) {
  (void)event;
  int *number = arg;
  poked += *number == 4711;
}

__attribute__((noinline)) static void remove_hidden(volatile uintptr_t *hidden) {
  GC_remove_callback(poke, (void *)~*hidden);
}

__attribute__((noinline)) static void add_hidden(volatile uintptr_t *hidden) {
  int *number = GC_malloc(48);
  *number = 4711;
  GC_add_callback(poke, number);
  *hidden = ~(uintptr_t)number;
}

static void test_root(void) {
  volatile uintptr_t hidden;
  add_hidden(&hidden);
  for (int i = 0; i < 5; i++) crowd_collect(2);
  OK(GC_base((void *)~hidden) == (void *)~hidden && poked == 5 * 3, "what only the list of callbacks points to is kept");
  remove_hidden(&hidden);
  crowd_collect(2);
  crowd_collect(2);
  OK(GC_base((void *)~hidden) == NULL, "until it is removed");
}

/* --- by itself --- */

static void test_own_accord(void) {
  static struct seen seen;
  static struct letter a = {&seen, 'a'};
  GC_add_callback(see, &a);
  for (int i = 0; i < 2000000 && seen.count[GC_PHASE_STOP] < 5; i++) GC_malloc(100);
  OK(seen.count[GC_PHASE_START] >= 5 && seen.count[GC_PHASE_STOP] >= 5, "collections that come by themselves are told, too");
  OK(strcmp(seen.last[GC_PHASE_STOP].collection.reason, "asked") != 0, "and why they came: %s",
     seen.last[GC_PHASE_STOP].collection.reason);
  GC_remove_callback(see, &a);
}

static _Atomic int depth, most_depth, unpaired;

static void pair(const struct GC_event *event, void *arg) {
  (void)arg;
  if (event->phase == GC_PHASE_SWEPT) return;
  int now = event->phase == GC_PHASE_START ? ++depth : --depth;
  if (now > most_depth) most_depth = now;
  if (now < 0 || now > 1) unpaired++;
}

static void *allocate(void *arg) {
  for (int i = 0; i < 300000; i++) GC_malloc(64);
  for (int i = 0; i < 20; i++) GC_collect(i % 3, NULL);
  return arg;
}

static void test_pairs(void) {
  pthread_t threads[4];
  GC_add_callback(pair, NULL);
  for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, allocate, NULL);
  for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
  GC_remove_callback(pair, NULL);
  OK(most_depth == 1 && depth == 0 && unpaired == 0, "with many threads each beginning has its end, and no two overlap");
}

/* --- callbacks of gc.h --- */

static int starts, event_count;
static GC_EventType events[32];

static void GC_CALLBACK on_start(void) { starts++; }

static void GC_CALLBACK on_event(GC_EventType event) {
  if (event_count < 32) events[event_count++] = event;
}

static void test_libgc(void) {
  OK(GC_get_start_callback() == NULL && GC_get_on_collection_event() == NULL, "libgc's callbacks are not set at first");
  GC_set_start_callback(on_start);
  GC_set_on_collection_event(on_event);
  OK(GC_get_start_callback() == on_start && GC_get_on_collection_event() == on_event, "they can be set");
  GC_gcollect();
  OK(starts == 1, "the start of a collection is told");
  OK(event_count == 2 && events[0] == GC_EVENT_START && events[1] == GC_EVENT_END, "so are start and end as events");
  OK(GC_EVENT_START == 0 && GC_EVENT_END == 5 && GC_EVENT_THREAD_UNSUSPENDED == 11, "which have libgc's numbers");
  GC_set_start_callback(NULL);
  GC_set_on_collection_event(NULL);
  GC_gcollect();
  OK(starts == 1 && event_count == 2, "NULL ends it");
}

/* --- callbacks that do not return, or not soon --- */

static jmp_buf out;
static enum GC_phase leave_in;
static bool leave;

static void jump(const struct GC_event *event, void *arg) {
  (void)arg;
  if (leave && event->phase == leave_in) longjmp(out, 1);
}

static void *collect_elsewhere(void *arg) {
  long *result = arg;
  result[0] = GC_collect(2, NULL);
  result[1] = errno;
  return NULL;
}

static bool collects_elsewhere(void) {
  long result[2];
  pthread_t thread;
  pthread_create(&thread, NULL, collect_elsewhere, result);
  pthread_join(thread, NULL);
  return result[0] >= 0;
}

/* Whoever has left one collects as before, and so do others. */
static void test_longjmp(void) {
  static const char *const names[] = {"first", "last", "sweep's"};
  GC_add_callback(jump, NULL);
  for (leave_in = GC_PHASE_START; leave_in <= GC_PHASE_SWEPT; leave_in++) {
    leave = true;
    if (setjmp(out) == 0) {
      GC_collect(2, NULL);
      OK(0, "a callback jumps away");
    }
    leave = false;
    OK(GC_collect(2, NULL) >= 0 && collects_elsewhere(), "after a jump out of a collection's %s callback this thread collects, and others do",
       names[leave_in]);
  }
  GC_remove_callback(jump, NULL);
  int added = 0;
  for (int i = 0; i < 10000 && added == 0; i++) added = GC_add_callback(jump, NULL) | GC_remove_callback(jump, NULL);
  OK(added == 0, "and there is room for callbacks as before");
}

static void end_thread(const struct GC_event *event, void *arg) {
  if (event->phase == GC_PHASE_STOP && pthread_equal(pthread_self(), *(pthread_t *)arg)) pthread_exit(NULL);
}

static void *begin_and_end(void *arg) {
  *(pthread_t *)arg = pthread_self();
  GC_collect(0, NULL);
  return arg;
}

static void test_thread_end(void) {
  static pthread_t self;
  pthread_t thread;
  void *result = &self;
  GC_add_callback(end_thread, &self);
  pthread_create(&thread, NULL, begin_and_end, &self);
  pthread_join(thread, &result);
  GC_remove_callback(end_thread, &self);
  OK(!result && GC_collect(2, NULL) >= 0 && collects_elsewhere(), "a thread may end in a callback");
}

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static _Atomic bool at_gate;

static void wait_at_gate(const struct GC_event *event, void *arg) {
  if (event->phase != GC_PHASE_START || !pthread_equal(pthread_self(), *(pthread_t *)arg)) return;
  at_gate = true;
  pthread_mutex_lock(&gate);
  pthread_mutex_unlock(&gate);
}

static void test_long(void) {
  static pthread_t self;
  pthread_t thread;
  pthread_mutex_lock(&gate);
  GC_add_callback(wait_at_gate, &self);
  pthread_create(&thread, NULL, begin_and_end, &self);
  while (!at_gate) usleep(1000);
  errno = 0;
  OK(GC_collect(0, NULL) == -1 && errno == EBUSY, "who waits for a callback of another thread for too long is told that it is busy");
  GC_gcollect();
  pthread_mutex_unlock(&gate);
  pthread_join(thread, NULL);
  GC_remove_callback(wait_at_gate, &self);
  OK(GC_collect(2, NULL) >= 0, "until that returns");
}

/* --- a pause of the whole process --- */

enum { pause_us = 1400 * 1000, pause_after_us = 100 * 1000 };
static int gate_pipe[2];

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Returns a moment after the pause. */
static void wait_for_pause(const struct GC_event *event, void *arg) {
  if (event->phase != GC_PHASE_START || !pthread_equal(pthread_self(), *(pthread_t *)arg)) return;
  at_gate = true;
  (void)!write(gate_pipe[1], "", 1);
  double begin = seconds();
  for (double last = begin, now = begin; now - last < pause_us / 2e6 && now - begin < 10; last = now, now = seconds()) usleep(1000);
  usleep(20000);
}

static void pause_parent(void) {
  char byte;
  (void)!read(gate_pipe[0], &byte, 1);
  usleep(pause_after_us);
  kill(getppid(), SIGSTOP);
  usleep(pause_us);
  kill(getppid(), SIGCONT);
  _exit(0);
}

/* The callback runs for a moment only: that nobody ran for longer is not its fault. */
static void test_pause(void) {
  static pthread_t self;
  pthread_t thread;
  if (pipe(gate_pipe) != 0) return tap_skip("a pause of the process is no long callback", "no pipe");
  pid_t child = fork();
  if (child == 0) pause_parent();
  at_gate = false;
  GC_add_callback(wait_for_pause, &self);
  pthread_create(&thread, NULL, begin_and_end, &self);
  while (!at_gate) usleep(1000);
  OK(GC_collect(0, NULL) >= 0, "a pause of the process is no long callback");
  pthread_join(thread, NULL);
  GC_remove_callback(wait_for_pause, &self);
  waitpid(child, NULL, 0);
  close(gate_pipe[0]), close(gate_pipe[1]);
}

/* On a stack that lies higher, what a callback calls looks as if the callback had been left. */
static ucontext_t here, there;
static long nested = -2;

static void on_other_stack(void) {
  nested = GC_collect(0, NULL);
  swapcontext(&there, &here);
}

static void switch_stacks(const struct GC_event *event, void *arg) {
  (void)arg;
  static bool switched;
  if (event->phase != GC_PHASE_START || switched) return;
  switched = true;
  swapcontext(&here, &there);
}

static void *collect_low(void *arg) {
  enum { size = 256 * 1024 };
  getcontext(&there);
  there.uc_stack.ss_sp = (char *)arg + size;
  there.uc_stack.ss_size = size;
  makecontext(&there, on_other_stack, 0);
  return GC_collect(2, NULL) >= 0 ? arg : NULL;
}

static void test_other_stack(void) {
  enum { size = 256 * 1024 };
  pthread_t thread;
  pthread_attr_t attr;
  void *result, *stacks = aligned_alloc(4096, 2 * size);
  memset(stacks, 0, 2 * size);
  GC_add_callback(switch_stacks, NULL);
  pthread_attr_init(&attr);
  pthread_attr_setstack(&attr, stacks, size);
  pthread_create(&thread, &attr, collect_low, stacks);
  pthread_join(thread, &result);
  GC_remove_callback(switch_stacks, NULL);
  OK(result && nested != -2 && GC_collect(2, NULL) >= 0 && collects_elsewhere(), "a callback may go on on another stack");
}

int main(void) {
  GC_INIT();
  test_phases();
  test_lists();
  test_work();
  test_root();
  test_own_accord();
  test_pairs();
  test_libgc();
  test_longjmp();
  test_thread_end();
  test_long();
  test_pause();
  test_other_stack();
  return tap_end();
}
