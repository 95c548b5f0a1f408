/* SPDX-License-Identifier: MIT
 * libgc's ways to collect, what steers when that happens, and who is told. */
#define GC_THREADS
#define GC_NO_THREAD_REDIRECTS
#include "crowd.h"
#include "gc_mark.h"

#include <dlfcn.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

static bool preloaded; /* the library serves malloc, too: all memory is searched, and environment variables are not read */

/* --- asking for it --- */

static int stop_calls, stop_after;

static int stop_never(void) { return stop_calls++, 0; }
static int stop_at_once(void) { return 1; }
static int stop_later(void) { return ++stop_calls > stop_after; }

static void test_stopping(void) {
  void *volatile kept = hoard(8 << 20);
  lost_make();
  stop_calls = 0;
  OK(GC_try_to_collect(stop_never) == 1, "a collection that nobody stops is done");
  OK(lost_is_gone(), "and has reclaimed what was lost");
  OK(stop_calls > 10, "its function was asked again and again: %d times", stop_calls);
  lost_make();
  OK(GC_try_to_collect(stop_at_once) == 0, "one that is stopped at once is not");
  stop_calls = 0, stop_after = 5;
  OK(GC_try_to_collect(stop_later) == 0, "nor is one that is stopped while it marks");
  OK(stop_calls == 6, "after which nobody is asked again");
  OK(crowd_alive(&lost_crowd) == crowd_size, "neither has reclaimed anything");
  GC_set_stop_func(stop_at_once);
  OK(GC_get_stop_func() == stop_at_once, "a function for all collections is told");
  GC_gcollect();
  OK(crowd_alive(&lost_crowd) == crowd_size, "GC_gcollect is stopped by it");
  GC_gcollect_and_unmap();
  OK(lost_is_gone(), "and GC_gcollect_and_unmap is not");
  GC_set_stop_func(stop_never);
  lost_make();
  GC_gcollect();
  OK(lost_is_gone(), "GC_gcollect goes on with another one");
  OK(GC_base(kept) == kept, "what is held has lived through all of that");
}

static void test_unmapping(void) {
  litter(8 << 20);
  GC_gcollect_and_unmap();
  OK(GC_get_unmapped_bytes() > 1 << 20, "GC_gcollect_and_unmap gives pages back");
  OK(GC_get_force_unmap_on_gcollect() == 0, "GC_gcollect does not at first");
  GC_set_force_unmap_on_gcollect(1);
  litter(8 << 20);
  GC_gcollect();
  OK(GC_get_force_unmap_on_gcollect() && GC_get_unmapped_bytes() > 1 << 20, "and does when it is told to");
  GC_set_force_unmap_on_gcollect(0);
}

static void test_little(void) {
  int steps = 0;
  lost_make();
  while (GC_collect_a_little() && steps < 100000) steps++;
  OK(steps < 100000 && GC_collect_a_little() == 0, "work that is done in parts comes to its end");
  GC_set_rate(3);
  OK(GC_get_rate() == 3, "the rate is told");
  GC_set_rate(10);
  GC_set_max_prior_attempts(2);
  OK(GC_get_max_prior_attempts() == 2, "so is a number of attempts");
}

static void test_incremental(void) {
  GC_word before = GC_get_gc_no();
  OK(!GC_is_incremental_mode(), "the mode is off at first");
  GC_start_incremental_collection();
  OK(GC_get_gc_no() == before, "in which nothing is begun");
  GC_enable_incremental();
  OK(GC_is_incremental_mode() && GC_incremental_protection_needs() == GC_PROTECTS_NONE, "it is on, and no page of the program's is protected");
  lost_make();
  GC_start_incremental_collection();
  for (int i = 0; i < 100000 && (GC_collect_a_little() || !lost_is_gone()); i++) continue;
  OK(GC_get_gc_no() > before && lost_is_gone(), "a collection begun so comes to its end, too");
}

/* --- when it comes by itself --- */

static GC_word collections_of(size_t bytes) {
  GC_gcollect();
  GC_word before = GC_get_gc_no();
  litter(bytes);
  return GC_get_gc_no() - before;
}

static void finalized(void *object, void *data) { (void)object, (void)data; }

static void test_finalizers(GC_word usual) {
  GC_word before = GC_get_gc_no();
  GC_set_allocd_bytes_per_finalizer(100 << 10);
  for (int i = 0; i < 2000; i++) GC_register_finalizer(GC_malloc(16), finalized, NULL, NULL, NULL);
  litter(4 << 20);
  OK(GC_get_gc_no() > before, "each finalizer counts as so many bytes, if that was set");
  GC_set_allocd_bytes_per_finalizer(10000);
  GC_gcollect();
  before = GC_get_gc_no();
  for (int i = 0; i < 2000; i++) GC_register_finalizer(GC_malloc(16), finalized, NULL, NULL, NULL);
  litter(3 << 20);
  OK(GC_get_gc_no() == before, "which they do not otherwise");
  GC_gcollect();
  before = GC_get_gc_no();
  for (int i = 0; i < 200; i++) {
    GC_non_gc_bytes += 1 << 20; /* as if all of that were no garbage */
    litter(1 << 20);
  }
  OK(GC_get_gc_no() - before < usual, "what the program says is no candidate makes no collection due: %lu", GC_get_gc_no() - before);
  GC_set_non_gc_bytes(0);
}

static void test_pace(void) {
  enum { bytes = 200 << 20 };
  GC_word usual = collections_of(bytes), more, fewer;
  OK(usual >= 2, "garbage is collected by itself: %lu times", usual);
  GC_free_space_divisor = 24;
  more = collections_of(bytes);
  GC_set_free_space_divisor(3);
  OK(more > 2 * usual, "a greater divisor does so more often: %lu times", more);
  GC_set_min_bytes_allocd((size_t)150 << 20);
  fewer = collections_of(bytes);
  OK(GC_get_min_bytes_allocd() == (size_t)150 << 20 && fewer < usual, "a least number of bytes more rarely: %lu times", fewer);
  GC_set_min_bytes_allocd(1);
  test_finalizers(usual);
  GC_set_disable_automatic_collection(1);
  fewer = collections_of(bytes);
  OK(fewer == 0 && GC_get_disable_automatic_collection(), "nothing is collected by itself where that is disabled");
  lost_make();
  GC_gcollect();
  OK(lost_is_gone(), "but what is asked for is");
  GC_set_disable_automatic_collection(0);
  GC_set_stop_func(stop_at_once);
  lost_make();
  litter(bytes);
  OK(crowd_alive(&lost_crowd) == crowd_size, "a stop function holds for what comes by itself, too");
  GC_set_stop_func(stop_never);
}

/* Full collections since, as gc_ext.h counts them. */
static uint64_t fulls(void) {
  struct GC_generation_stats stats;
  return GC_get_stats(2, &stats) == 0 ? stats.collections : 0;
}

static void test_frequency(void) {
  uint64_t before = fulls();
  GC_set_full_freq(0);
  litter(100 << 20);
  OK(fulls() > before, "in incremental mode a frequency of 0 makes all collections full");
  GC_set_full_freq(19);
  before = fulls();
  litter(100 << 20);
  OK(fulls() == before, "which they are not otherwise, as nothing grows old");
}

static void test_limit(void) {
  void *volatile kept = hoard(16 << 20);
  GC_set_time_limit_tv((struct GC_timeval_s){0, 1000}); /* a millionth of a second: no pause is so short */
  GC_word shorter = collections_of(200 << 20);
  GC_set_time_limit_tv((struct GC_timeval_s){GC_TIME_UNLIMITED, 0});
  OK(shorter > collections_of(200 << 20), "a limit of time makes the youngest generation smaller");
  OK(GC_base(kept) == kept, "what is held lives");
}

static void test_expand(void) {
  void *volatile kept = hoard(32 << 20);
  GC_gcollect();
  uint64_t before = fulls();
  GC_set_dont_expand(1);
  void *volatile more = hoard(32 << 20);
  OK(fulls() > before, "a heap that is to stay as it is is collected first");
  OK(more && GC_base(kept) == kept, "and grows all the same when it must");
  GC_set_dont_expand(0);
}

/* --- roots --- */

static void *volatile in_program;

__attribute__((noinline)) static void hold_in(void *volatile *place) {
  crowd_make(&lost_crowd, GC_malloc, 48, NULL);
  void **list = GC_malloc(sizeof(void *) * crowd_size);
  for (int i = 0; i < crowd_size; i++) list[i] = crowd_get(&lost_crowd, i);
  *place = list;
  wipe();
}

static int deny_program(const char *name, void *start, size_t size) {
  char *at = (char *)&in_program;
  (void)name;
  return !(at >= (char *)start && at < (char *)start + size);
}

static void test_roots(void) {
  void *volatile *library = dlsym(RTLD_DEFAULT, "obstack_alloc_failed_handler"), *old;
  if (preloaded || !library) {
    tap_skip("data of libraries", "all memory is searched");
    return;
  }
  OK(GC_is_tmp_root((void *)library) && !GC_is_tmp_root((void *)&in_program), "data of a library are told from the program's");
  old = *library;
  hold_in(library);
  GC_gcollect();
  OK(crowd_alive(&lost_crowd) == crowd_size, "a library's data are roots");
  GC_no_dls = 1;
  GC_gcollect();
  OK(lost_is_gone(), "unless none are to be");
  GC_set_no_dls(0);
  *library = old;
  hold_in(&in_program);
  GC_gcollect();
  OK(crowd_alive(&lost_crowd) == crowd_size, "so are the program's");
  GC_register_has_static_roots_callback(deny_program);
  GC_gcollect();
  OK(lost_is_gone(), "unless the function for that says no");
  GC_register_has_static_roots_callback(NULL);
  in_program = NULL;
}

static void test_exclusion(void) {
  static void *volatile table[4];
  if (preloaded) return;
  GC_exclude_static_roots((void *)table, (void *)(table + 4));
  hold_in(&table[1]);
  GC_gcollect();
  OK(lost_is_gone(), "what is excluded is no root");
  hold_in(&table[1]);
  GC_clear_exclusion_table();
  GC_gcollect();
  OK(crowd_alive(&lost_crowd) == crowd_size, "and is one when the table is cleared");
  table[1] = NULL;
}

/* --- being told --- */

static GC_word resized_to;
static int resized;

static void on_resize(GC_word size) {
  resized_to = size;
  resized++;
}

static void test_resize(void) {
  GC_on_heap_resize = on_resize;
  void *volatile kept = hoard(16 << 20);
  OK(resized > 0 && resized_to > 16 << 20, "who wants to know of the heap's size is told");
  OK(GC_get_on_heap_resize() == on_resize && GC_base(kept) == kept, "and is known by a call, too");
  GC_set_on_heap_resize(NULL);
  resized = 0;
  kept = hoard(16 << 20);
  OK(resized == 0, "who does not is not");
}

static _Atomic bool thread_begun, thread_end;
static pthread_t suspended_id;
static int suspended, unsuspended;

static void *thread_wait(void *arg) {
  thread_begun = true;
  while (!thread_end) usleep(1000);
  return arg;
}

static void on_thread(GC_EventType event, void *id) {
  if (id != (void *)suspended_id) return;
  suspended += event == GC_EVENT_THREAD_SUSPENDED;
  unsuspended += event == GC_EVENT_THREAD_UNSUSPENDED;
}

static void test_threads(void) {
  pthread_create(&suspended_id, NULL, thread_wait, NULL);
  while (!thread_begun) usleep(1000);
  GC_set_on_thread_event(on_thread);
  GC_gcollect();
  GC_set_on_thread_event(NULL);
  OK(suspended == 1 && unsuspended == 1, "a thread that was stopped for a collection is told of, by its pthread_t");
  thread_end = true;
  pthread_join(suspended_id, NULL);
  OK(GC_get_on_thread_event() == NULL, "until nobody wants to know");
}

static char warning[200];
static GC_word warning_value;

static void on_warning(char *format, GC_word value) {
  snprintf(warning, sizeof warning, "%s", format);
  warning_value = value;
}

static void *no_memory(size_t size) { return (void)size, NULL; }

static int warned;

static void on_warning_allocate(char *format, GC_word value) {
  (void)format, (void)value;
  if (++warned < 5) GC_malloc_atomic((size_t)1 << 62);
}

static void **reserve;
static void *give_reserve(size_t size) { return (void)size, reserve; }

/* What the handler gives is no object of a list. */
static void test_many_refused(void) {
  GC_oom_func oom = GC_get_oom_fn();
  GC_warn_proc warn = GC_get_warn_proc();
  static void **held;
  reserve = GC_malloc_uncollectable(4096);
  *reserve = reserve;
  GC_set_warn_proc(GC_ignore_warn_proc);
  GC_set_oom_fn(give_reserve);
  GC_gcollect();
  GC_set_max_heap_size(GC_get_heap_size() + (1 << 20));
  int length = 1;
  for (int i = 0; i < 100000 && length > 0; i++) {
    void **list = GC_malloc_many(1000);
    length = 0;
    for (void **next; list && length < 1000; list = next, length++) {
      next = *list;
      *list = held;
      held = list;
    }
  }
  OK(length == 0 && *reserve == reserve, "where there is no memory a list of objects is empty: %d", length);
  GC_set_max_heap_size(0);
  GC_set_oom_fn(oom);
  GC_set_warn_proc(warn);
  for (void **next; held; held = next) next = *held, GC_free(held);
  GC_free(reserve);
}

static void test_warning(void) {
  static void *(*volatile gc_malloc)(size_t) = GC_malloc;
  GC_warn_proc old = GC_get_warn_proc();
  GC_oom_func oom = GC_get_oom_fn();
  GC_oom_fn = no_memory;
  OK(old && GC_get_oom_fn() == no_memory, "the variable is the out-of-memory function");
  GC_set_warn_proc(on_warning);
  GC_set_max_heap_size(GC_get_heap_size() + (16 << 20));
  GC_set_max_retries(2);
  GC_word before = GC_get_gc_no();
  OK(!gc_malloc((size_t)64 << 20), "memory is refused");
  GC_word usual = GC_get_gc_no() - before;
  OK(strstr(warning, "%lu") && warning_value == (GC_word)64 << 20, "of which the program is warned, with the size");
  OK(usual >= 3, "and as often as it wants it was tried before: %lu times", usual);
  GC_set_max_retries(0);
  warning_value = 0;
  GC_set_warn_proc(GC_ignore_warn_proc);
  gc_malloc((size_t)64 << 20);
  OK(warning_value == 0, "who ignores warnings gets none");
  GC_set_warn_proc(on_warning_allocate);
  OK(!GC_malloc_atomic((size_t)1 << 62) && warned == 1, "who is refused memory while being warned is not warned again: %d", warned);
  GC_set_warn_proc(old);
  GC_set_max_heap_size(0);
  GC_set_oom_fn(oom);
}

/* --- the end --- */

static void on_abort(const char *message) { _exit(message ? 7 : 8); }

/* The status with which a child ends that does it. */
static int status_of(void (*act)(void)) {
  int status;
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    freopen("/dev/null", "w", stderr);
    act();
    _exit(0);
  }
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 100 + WTERMSIG(status);
}

static void end_of_memory(void) { GC_abort_on_oom(); }

static void told_end_of_memory(void) {
  GC_on_abort = on_abort;
  GC_abort_on_oom();
}

static void told_misuse(void) {
  void *volatile p = GC_malloc(20);
  GC_set_abort_func(on_abort);
  GC_free(p);
  GC_free(p);
}

static void test_end(void) {
  OK(GC_get_abort_func() == GC_on_abort && GC_on_abort, "there is a function for the end");
  OK(status_of(end_of_memory) == 1, "GC_abort_on_oom exits with 1");
  OK(status_of(told_end_of_memory) == 8, "and calls the function before, without a message");
  OK(status_of(told_misuse) == 7, "a misuse calls it with one");
}

int main(void) {
  preloaded = getenv("LD_PRELOAD") != NULL;
  GC_INIT();
  test_stopping();
  test_unmapping();
  test_little();
  test_pace();
  test_incremental();
  test_frequency();
  test_limit();
  test_expand();
  test_roots();
  test_exclusion();
  test_resize();
  test_threads();
  test_many_refused();
  test_warning();
  test_end();
  return tap_end();
}
