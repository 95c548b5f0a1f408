/* SPDX-License-Identifier: MIT
 * gc_ext.h: what a program tells of its memory, times without collections, waiting for full ones, low memory, and how much there is. "leaks": in a
 * mode that collects nothing. */
#include "collect.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void *(*volatile gc_malloc)(size_t) = GC_malloc;
static void *(*volatile plain_malloc)(size_t) = malloc;
enum { mega = 1 << 20 };

static struct GC_memory_info info_now(void) {
  struct GC_memory_info info;
  GC_get_memory_info(&info);
  return info;
}

/* Collections that came by themselves, by generation. */
static int own[3];
static bool stressed;

static void count_own(const struct GC_event *event, void *arg) {
  (void)arg;
  const char *reason = event->collection.reason;
  stressed = stressed || strcmp(reason, "stress") == 0;
  if (event->phase == GC_PHASE_STOP && strcmp(reason, "asked") != 0 && strcmp(reason, "stress") != 0) own[event->collection.generation]++;
}

static int own_all(void) { return own[0] + own[1] + own[2]; }

/* --- pressure --- */

static void test_pressure(void) {
  GC_collect(2, NULL);
  memset(own, 0, sizeof own);
  errno = 4711;
  GC_add_memory_pressure(mega);
  OK(own_all() == 0 && info_now().pressure == mega && errno == 4711, "a little pressure is noted, and does nothing else");
  GC_add_memory_pressure(200 * mega);
  OK(own_all() >= 1, "much makes a collection due at once");
  GC_remove_memory_pressure(mega);
  OK(info_now().pressure == 200 * mega, "it can be taken back");
  GC_remove_memory_pressure(SIZE_MAX);
  OK(info_now().pressure == 0, "and never falls below nothing");
  GC_add_memory_pressure(SIZE_MAX);
  GC_add_memory_pressure(SIZE_MAX);
  OK(info_now().pressure > (size_t)1 << 60, "nor overflows");
  GC_remove_memory_pressure(SIZE_MAX);
  OK(info_now().pressure == 0, "nor stays then");
  size_t count[3];
  GC_collect(2, NULL);
  GC_add_memory_pressure(2 * mega);
  GC_get_count(count);
  OK(count[0] >= 2 * mega && count[0] < 3 * mega, "the count of generation 0 contains it");
  GC_remove_memory_pressure(2 * mega);
  GC_disable();
  int before = own_all();
  GC_add_memory_pressure(500 * mega);
  OK(own_all() == before, "while collections are disabled it makes none");
  GC_remove_memory_pressure(500 * mega);
  GC_enable();
}

static void test_pressure_grown_old(void) {
  GC_collect(2, NULL);
  memset(own, 0, sizeof own);
  for (int i = 0; i < 800; i++) GC_add_memory_pressure(mega);
  OK(own[2] >= 2 && own[2] <= 20 && own_all() < 60, "what stays makes full collections due, the more there is the more seldom");
  tap_note("%d %d %d", own[0], own[1], own[2]);
  GC_remove_memory_pressure(800 * mega);
  GC_collect(2, NULL);
  memset(own, 0, sizeof own);
  for (int i = 0; i < 800; i++) {
    GC_add_memory_pressure(mega);
    GC_remove_memory_pressure(mega);
  }
  OK(own_all() == 0, "what is given back in time makes none due");
}

/* --- a time without collections --- */

static void churn(size_t bytes) {
  for (size_t done = 0; done < bytes; done += 1024) gc_malloc(1000);
}

static void test_region(void) {
  errno = 0;
  OK(GC_end_no_gc_region() == -1 && errno == EINVAL, "what was not begun cannot be ended");
  errno = 0;
  OK(GC_try_start_no_gc_region(0) == -1 && errno == EINVAL, "none can be begun for nothing");
  GC_collect(2, NULL);
  memset(own, 0, sizeof own);
  errno = 4711;
  OK(GC_try_start_no_gc_region(150 * mega) == 0 && errno == 4711, "a time without collections can be begun");
  errno = 0;
  OK(GC_try_start_no_gc_region(mega) == -1 && errno == EALREADY, "but not another one meanwhile");
  memset(own, 0, sizeof own);
  churn(140 * mega);
  for (int i = 0; i < 5; i++) GC_free(gc_malloc(20 * mega));
  OK(own_all() == 0, "until so much was allocated nothing is collected");
  GC_add_memory_pressure(300 * mega);
  OK(own_all() == 0, "also under pressure");
  GC_remove_memory_pressure(300 * mega);
  errno = 4711;
  OK(GC_end_no_gc_region() == 0 && errno == 4711, "its end succeeds");
  churn(100 * mega);
  OK(own_all() > 0, "then collections come again");
  errno = 0;
  OK(GC_end_no_gc_region() == -1 && errno == EINVAL, "it ends once");
}

static void test_region_ended(void) {
  OK(GC_try_start_no_gc_region(40 * mega) == 0, "a time without collections");
  memset(own, 0, sizeof own);
  churn(300 * mega);
  OK(own_all() > 0, "collections come before its end when more is allocated than was told");
  errno = 0;
  OK(GC_end_no_gc_region() == -1 && errno == EOVERFLOW, "which is told at its end");

  OK(GC_try_start_no_gc_region(40 * mega) == 0, "another one");
  GC_word number = GC_get_gc_no();
  OK(GC_collect(0, NULL) >= 0 && GC_get_gc_no() == number + 1, "what is asked for is collected all the same");
  errno = 0;
  OK(GC_end_no_gc_region() == -1 && errno == ECANCELED, "which ends it as well");

  GC_collect(2, NULL);
  GC_set_max_heap_size(info_now().used + 40 * mega);
  errno = 0;
  OK(GC_try_start_no_gc_region(60 * mega) == -1 && errno == ENOMEM, "there is none for more than the largest heap allows");
  OK(GC_try_start_no_gc_region(10 * mega) == 0 && GC_end_no_gc_region() == 0, "for less there is");
  GC_set_max_heap_size(0);
  errno = 0;
  OK(GC_try_start_no_gc_region(SIZE_MAX) == -1 && errno == ENOMEM && GC_try_start_no_gc_region(SIZE_MAX / 4) == -1, "nor for more than there can be");
  OK(GC_end_no_gc_region() == -1, "what was refused was not begun");
}

/* --- full collections --- */

struct waiter {
  pthread_t thread;
  _Atomic pid_t id;
  bool complete;
  long milliseconds;
  enum GC_notification result;
};

static void *wait_for_it(void *arg) {
  struct waiter *waiter = arg;
  waiter->id = (pid_t)syscall(SYS_gettid);
  waiter->result = waiter->complete ? GC_wait_for_full_gc_complete(waiter->milliseconds) : GC_wait_for_full_gc_approach(waiter->milliseconds);
  return NULL;
}

/* Its thread sleeps, which it does nowhere but in the call that waits. */
static bool is_waiting(const struct waiter *waiter) {
  char path[64], text[256] = "";
  snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)waiter->id);
  int file = waiter->id ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  if (file < 0) return false;
  ssize_t got = read(file, text, sizeof text - 1);
  close(file);
  const char *state = got > 0 ? strrchr(text, ')') : NULL;
  return state && strncmp(state, ") S", 3) == 0;
}

static void let_wait(struct waiter *waiter) {
  pthread_create(&waiter->thread, NULL, wait_for_it, waiter);
  while (!is_waiting(waiter)) usleep(1000);
}

static void test_full(void) {
  OK(GC_wait_for_full_gc_approach(0) == GC_NOTIFICATION_NOT_APPLICABLE && GC_wait_for_full_gc_complete(-1) == GC_NOTIFICATION_NOT_APPLICABLE,
     "who did not register waits for nothing");
  errno = 0;
  OK(GC_cancel_full_gc_notification() == -1 && errno == EINVAL, "and has nothing to cancel");
  errno = 0;
  OK(GC_register_for_full_gc_notification(0) == -1 && errno == EINVAL && GC_register_for_full_gc_notification(100) == -1, "1 to 99 of a hundred");
  OK(GC_register_for_full_gc_notification(10) == 0, "one can register");
  OK(GC_wait_for_full_gc_approach(0) == GC_NOTIFICATION_TIMEOUT && GC_wait_for_full_gc_complete(30) == GC_NOTIFICATION_TIMEOUT,
     "no full collection approaches, none is complete");
  struct waiter approach = {.milliseconds = 60000}, complete = {.complete = true, .milliseconds = -1};
  struct waiter ages = {.complete = true, .milliseconds = 1L << 60};
  let_wait(&approach);
  let_wait(&complete);
  let_wait(&ages);
  GC_collect(1, NULL);
  OK(GC_wait_for_full_gc_approach(0) == GC_NOTIFICATION_TIMEOUT, "a younger generation's collection is none");
  GC_collect(2, NULL);
  pthread_join(complete.thread, NULL);
  pthread_join(ages.thread, NULL);
  OK(complete.result == GC_NOTIFICATION_SUCCEEDED && ages.result == complete.result, "who waits learns that one is complete");
  OK(GC_wait_for_full_gc_complete(0) == GC_NOTIFICATION_SUCCEEDED, "who comes later, too");
  OK(GC_wait_for_full_gc_approach(0) == GC_NOTIFICATION_TIMEOUT, "and then none approaches");
  GC_cancel_full_gc_notification();
  pthread_join(approach.thread, NULL);
  OK(approach.result == GC_NOTIFICATION_SUCCEEDED || approach.result == GC_NOTIFICATION_CANCELED, "who waits for the approach does not wait for ever (%d)",
     (int)approach.result);
}

static void approach_asked(const struct GC_event *event, void *arg) {
  enum GC_notification *result = arg;
  if (event->phase == GC_PHASE_START && event->collection.generation == 2) *result = GC_wait_for_full_gc_approach(0);
}

static void test_full_approach(void) {
  enum { many = 3000 };
  static void *kept[many];
  enum GC_notification result = GC_NOTIFICATION_FAILED;
  GC_register_for_full_gc_notification(5);
  GC_add_callback(approach_asked, &result);
  GC_collect(2, NULL);
  GC_remove_callback(approach_asked, &result);
  OK(result == GC_NOTIFICATION_SUCCEEDED, "one that is asked for approaches when it begins");
  GC_register_for_full_gc_notification(90);
  memset(own, 0, sizeof own);
  int i = 0;
  for (; i < many && GC_wait_for_full_gc_approach(0) == GC_NOTIFICATION_TIMEOUT; i++) kept[i] = gc_malloc(100000);
  OK(GC_wait_for_full_gc_approach(0) == GC_NOTIFICATION_SUCCEEDED && own[2] == 0, "a program that grows is told before it comes");
  tap_note("after %d objects, %d collections", i, own_all());
  memset(kept, 0, sizeof kept);

  struct waiter waiter = {.complete = true, .milliseconds = -1};
  GC_register_for_full_gc_notification(50);
  let_wait(&waiter);
  OK(GC_cancel_full_gc_notification() == 0, "it can be canceled");
  pthread_join(waiter.thread, NULL);
  OK(waiter.result == GC_NOTIFICATION_CANCELED, "which is told to who waits");
  OK(GC_wait_for_full_gc_complete(1000) == GC_NOTIFICATION_NOT_APPLICABLE, "and then there is nothing to wait for");
}

/* --- low memory --- */

static struct GC_low_memory low;
static int low_count;

static void count_low(const struct GC_event *event, void *arg) {
  (void)arg;
  if (event->phase != GC_PHASE_LOW_MEMORY) return;
  low = event->memory;
  low_count++;
}

/* By another limit than the test's: the machine's, or a control group's. Both are told of once. */
static bool is_low_already(void) {
  struct GC_memory_info info = info_now();
  return info.limit_used >= info.limit / 100 * 80 && info.limit;
}

static void test_low(void) {
  enum { percent = 90 };
  OK(GC_get_low_memory_threshold() == 0, "at first nobody is told that memory is low");
  errno = 0;
  OK(GC_set_low_memory_threshold(-1) == -1 && errno == EINVAL && GC_set_low_memory_threshold(101) == -1, "0 to 100 of a hundred");
  OK(GC_set_low_memory_threshold(percent) == 0 && GC_get_low_memory_threshold() == percent, "a threshold can be set");
  static char *large;
  GC_collect(2, NULL);
  size_t most = GC_get_heap_size() + 64 * mega;
  GC_add_callback(count_low, NULL);
  GC_collect(2, NULL);
  OK(low_count == 0, "there is enough at first");
  GC_set_max_heap_size(most);
  large = gc_malloc(most * 92 / 100 - info_now().used);
  GC_collect(2, NULL);
  OK(large && low_count == 1 && low.limit == GC_LIMIT_HEAP && low.most == most && low.used >= most / 100 * percent, "the largest heap is nearly reached");
  tap_note("%d %zu of %zu", low_count, low.used, low.most);
  GC_collect(2, NULL);
  GC_collect(0, NULL);
  OK(low_count == 1, "which is told once");
  GC_free(large);
  GC_collect(1, NULL);
  large = gc_malloc(most * 92 / 100 - info_now().used);
  GC_collect(0, NULL);
  OK(low_count == 2, "and again when it was less meanwhile");
  GC_set_low_memory_threshold(0);
  GC_set_low_memory_threshold(percent);
  GC_free(large);
  GC_set_max_heap_size(0);
  GC_collect(2, NULL);
  OK(low_count == 2, "without a limit there is none to reach");
}

/* The kernel's limit on data. */
static void test_low_limit(void) {
  pid_t child = fork();
  if (child == 0) {
    unsigned long words[6] = {0};
    FILE *file = fopen("/proc/self/statm", "r");
    for (int i = 0; i < 6; i++)
      if (fscanf(file, "%lu", &words[i]) != 1) _exit(2);
    size_t data = words[5] * (size_t)sysconf(_SC_PAGESIZE);
    struct rlimit limit = {data / 95 * 100, data / 95 * 100};
    setrlimit(RLIMIT_DATA, &limit);
    low_count = 0;
    GC_collect(2, NULL);
    _exit(low_count == 1 && low.limit == GC_LIMIT_DATA && low.most == limit.rlim_cur ? 0 : 1);
  }
  int status = 1;
  waitpid(child, &status, 0);
  OK(status == 0, "a limit of the kernel's on data is nearly reached");
  GC_set_low_memory_threshold(0);
  GC_remove_callback(count_low, NULL);
}

/* --- how much there is --- */

static struct crowd crowd;

__attribute__((noinline)) static void lose(void) { crowd_make(&crowd, gc_malloc, 100000, NULL); }

static void test_total(void) {
  GC_collect(2, NULL);
  GC_disable();
  lose();
  wipe();
  size_t before = GC_get_total_memory(0), after = GC_get_total_memory(1);
  GC_enable();
  OK(before >= 20000000 && before - after >= 18000000, "what is lost counts until it is collected");
  tap_note("%zu, %zu", before, after);
}

static void *allocate_some(void *arg) {
  size_t before = GC_get_allocated_bytes_for_current_thread();
  for (int i = 0; i < 1000; i++) gc_malloc(90);
  *(size_t *)arg = GC_get_allocated_bytes_for_current_thread();
  return before == 0 ? arg : NULL;
}

static void test_allocated(void) {
  size_t before = GC_get_allocated_bytes_for_current_thread(), theirs[3] = {0};
  for (int i = 0; i < 1000; i++) GC_free(gc_malloc(90));
  OK(GC_get_allocated_bytes_for_current_thread() == before + 1000 * 96, "what a thread has allocated is counted, freed or not");
  gc_malloc(5 * mega);
  OK(GC_get_allocated_bytes_for_current_thread() == before + 1000 * 96 + 5 * mega, "large objects as well");
  before = GC_get_allocated_bytes_for_current_thread();
  bool fresh = true;
  for (int i = 0; i < 3; i++) {
    pthread_t thread;
    void *result;
    pthread_create(&thread, NULL, allocate_some, &theirs[i]);
    pthread_join(thread, &result);
    fresh = fresh && result;
  }
  OK(fresh && theirs[0] == 96000 && theirs[1] == 96000 && theirs[2] == 96000, "each thread for itself, from nothing on");
  tap_note("%zu %zu %zu", theirs[0], theirs[1], theirs[2]);
  OK(GC_get_allocated_bytes_for_current_thread() == before, "and not for others");
}

static void test_info(void) {
  static void *volatile pinned, *volatile held;
  held = gc_malloc(100);
  GC_collect(2, NULL);
  GC_disable();
  struct GC_memory_info a = info_now();
  OK(a.heap == GC_get_heap_size() && a.used == GC_get_live_bytes() && a.used + a.fragmented == a.heap, "the heap, what is used of it, and the rest");
  OK(a.most > a.heap && a.initial < a.most, "what it may grow to");
  OK(a.objects[2] + a.objects[1] + a.objects[0] > 0 && held && a.bytes[2] <= a.used, "each generation's objects");
  OK(a.limit > mega && a.limit_used <= a.limit, "the kernel's narrowest limit");
  OK(a.number == GC_get_gc_no() && a.collections > 0 && a.collections <= a.number, "collections");
  OK(a.pause > 0 && a.pause_percent > 0 && a.pause_percent < 100, "and the time that they took: %.2f percent", a.pause_percent);
  pinned = gc_malloc(32 * mega);
  GC_pin(pinned);
  GC_set_max_heap_size((size_t)1 << 40);
  struct GC_memory_info b = info_now();
  OK(b.used >= a.used + 32 * mega && b.bytes[0] >= 32 * mega && b.objects[0] > 0, "a large object counts for the youngest generation");
  OK(b.pinned == a.pinned + 1 && b.pending == 0, "pinned objects are counted");
  OK(b.most == (size_t)1 << 40, "and the largest heap told");
  GC_set_max_heap_size(0);
  GC_unpin(pinned);
  GC_free(pinned);
  GC_enable();
}

/* --- collections by themselves, as in Python --- */

static void test_enabled(void) {
  OK(GC_set_enabled(1) == 1 && !GC_is_disabled(), "collections come by themselves at first");
  OK(GC_set_enabled(0) == 1 && GC_is_disabled() && GC_set_enabled(0) == 0, "or do not");
  memset(own, 0, sizeof own);
  churn(100 * mega);
  OK(own_all() == 0, "then none does");
  OK(GC_set_enabled(1) == 0 && !GC_is_disabled(), "one call ends that, however many there were");
  GC_disable();
  GC_disable();
  OK(GC_set_enabled(1) == 0 && !GC_is_disabled(), "also those of libgc's");
  GC_enable();
  OK(!GC_is_disabled(), "and nothing is left over");
  churn(100 * mega);
  OK(own_all() > 0, "then they come again");
}

static void test_thresholds(void) {
  enum { many = 100000 };
  static void *plain[many];
  size_t before[3], got[3];
  GC_get_threshold(before);
  OK(before[0] == GC_THRESHOLD_DEFAULT, "the threshold of generation 0 is as is best at first");
  GC_set_threshold((const size_t[]){0, 10, 10});
  GC_get_threshold(got);
  GC_collect(2, NULL);
  memset(own, 0, sizeof own);
  churn(200 * mega);
  for (int i = 0; i < many; i++) plain[i] = plain_malloc(1000);
  for (int i = 0; i < many; i++) free(plain[i]);
  OK(got[0] == 0 && own_all() == 0, "a threshold of 0 lets nothing be collected by itself, as in Python");
  OK(!GC_is_disabled() && GC_collect(0, NULL) >= 0, "though that is not disabled");
  GC_set_threshold((const size_t[]){mega, 0, 0});
  GC_get_threshold(got);
  memset(own, 0, sizeof own);
  churn(50 * mega);
  OK(got[0] == mega && got[1] == 0 && own[0] == 0 && (own[1] > 5 || stressed), "one of 0 for generation 1 lets it be collected each time");
  tap_note("%d %d %d", own[0], own[1], own[2]);
  GC_set_threshold(before);
  GC_get_threshold(got);
  OK(memcmp(got, (const size_t[]){before[0], before[1], before[2]}, sizeof got) == 0, "what was can be set again");
  GC_set_threshold((const size_t[]){GC_THRESHOLD_DEFAULT, GC_THRESHOLD_DEFAULT, GC_THRESHOLD_DEFAULT});
  GC_get_threshold(got);
  OK(got[1] == 10 && got[2] == 10, "as can be what the options say");
}

static void test_leaks(void) {
  GC_add_memory_pressure(500 * mega);
  GC_remove_memory_pressure(500 * mega);
  errno = 0;
  OK(GC_try_start_no_gc_region(mega) == -1 && errno == ENOTSUP, "there are no times without collections where there are none");
  errno = 0;
  OK(GC_register_for_full_gc_notification(5) == -1 && errno == ENOTSUP, "nor any to wait for");
  OK(info_now().heap > 0 && info_now().number == 0 && info_now().pressure == 0, "sizes are told all the same");
}

int main(int argc, char **argv) {
  if (argc > 1 && strcmp(argv[1], "leaks") == 0) {
    test_leaks();
    return tap_end();
  }
  GC_add_callback(count_own, NULL);
  test_pressure();
  test_pressure_grown_old();
  test_region();
  test_region_ended();
  test_full();
  test_full_approach();
  if (is_low_already()) {
    tap_skip("low memory is told of", "it is low already");
  } else {
    test_low();
    test_low_limit();
  }
  test_total();
  test_allocated();
  test_info();
  test_enabled();
  test_thresholds();
  return tap_end();
}
