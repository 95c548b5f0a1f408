/* SPDX-License-Identifier: MIT
 * libgc's settings: what they are at first, that a call and its variable are the same, and what they do. */
#define GC_THREADS
#include "gc.h"
#include "gc_mark.h"
#include "tap.h"

#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* --- before the collector begins --- */

static void test_first(void) {
  OK(GC_get_version() == (8 << 16 | 2 << 8 | 2) && GC_VERSION_MAJOR == 8 && GC_VERSION_MINOR == 2, "the version is 8.2.2");
  OK(GC_get_free_space_divisor() == 3 && GC_free_space_divisor == 3, "the divisor is libgc's");
  OK(GC_get_full_freq() == 19 && GC_full_freq == 19, "so is the frequency of full collections");
  OK(GC_get_time_limit() == GC_TIME_UNLIMITED && GC_time_limit == GC_TIME_UNLIMITED, "time is not limited");
  OK(GC_get_max_retries() == 0 && GC_max_retries == 0, "nothing is tried again");
  OK(GC_get_dont_expand() == 0 && GC_get_dont_precollect() == 0 && GC_get_no_dls() == 0 && GC_use_entire_heap == 0, "the rest is off");
  OK(GC_get_min_bytes_allocd() == 1 && GC_get_allocd_bytes_per_finalizer() == 10000 && GC_get_rate() == 10, "numbers are as in libgc");
  OK(GC_dont_gc == 0 && !GC_is_disabled(), "collections are enabled");
  OK(GC_stackbottom != NULL && (uintptr_t)GC_stackbottom > (uintptr_t)__builtin_frame_address(0), "the stack's bottom is known");
}

/* What only matters before. */
static void test_before(void) {
  int chosen = GC_get_suspend_signal();
  GC_set_markers_count(3);
  GC_set_pages_executable(1);
  OK(GC_get_pages_executable() == 1, "a wish for executable pages is told again");
  GC_set_pages_executable(0);
  GC_set_dont_precollect(1);
  OK(GC_get_dont_precollect() == 1 && GC_dont_precollect == 1, "so is one for no collection at the beginning");
  GC_set_dont_precollect(0);
  GC_set_suspend_signal(SIGUSR1);
  GC_set_thr_restart_signal(SIGUSR2);
  OK(GC_get_suspend_signal() == chosen, "the signal has been chosen already");
}

static void test_begun(void) {
  OK(GC_is_init_called(), "the collector begins when it is told to");
  OK(GC_get_gc_no() == 0, "without a collection");
  OK(GC_get_parallel() == 2 && GC_parallel == 2, "with as many markers as the program wanted");
  GC_set_markers_count(5);
  GC_set_pages_executable(1);
  OK(GC_get_parallel() == 2 && GC_get_pages_executable() == 0, "afterwards these change nothing");
  GC_use_threads_discovery();
  OK(GC_get_suspend_signal() > 0 && GC_get_thr_restart_signal() == GC_get_suspend_signal(), "one signal does for both");
}

/* --- variables and calls --- */

static void test_pairs(void) {
  GC_set_free_space_divisor(5);
  OK(GC_free_space_divisor == 5, "a call sets the variable");
  GC_free_space_divisor = 3;
  OK(GC_get_free_space_divisor() == 3, "and the variable is what the call tells");
  GC_set_time_limit_tv((struct GC_timeval_s){7, 500});
  OK(GC_get_time_limit() == 7 && GC_get_time_limit_tv().tv_ms == 7 && GC_get_time_limit_tv().tv_nsec == 500, "a limit has two parts");
  GC_set_time_limit(GC_TIME_UNLIMITED);
  GC_set_time_limit_tv((struct GC_timeval_s){GC_TIME_UNLIMITED, 0});
  GC_set_full_freq(4);
  GC_set_max_retries(2);
  GC_set_no_dls(1);
  GC_set_dont_expand(1);
  OK(GC_full_freq == 4 && GC_max_retries == 2 && GC_no_dls == 1 && GC_dont_expand == 1, "as do the others");
  GC_set_full_freq(19);
  GC_set_max_retries(0);
  GC_set_no_dls(0);
  GC_set_dont_expand(0);
}

/* --- collections are held back --- */

static void test_disabled(void) {
  GC_word before = GC_get_gc_no();
  GC_dont_gc = 1;
  OK(GC_is_disabled(), "the variable disables");
  GC_gcollect();
  OK(GC_get_gc_no() == before, "also what is asked for");
  GC_enable();
  OK(GC_dont_gc == 0 && !GC_is_disabled(), "a call takes it back");
  GC_gcollect();
  OK(GC_get_gc_no() == before + 1 && GC_gc_no == before + 1, "a collection is counted, in the variable as well");
}

static void test_bounds(void) {
  char *p = GC_MALLOC(100);
  OK((void *)p >= GC_least_plausible_heap_addr && (void *)p < GC_greatest_plausible_heap_addr, "objects lie within the bounds of the heap");
  OK((void *)&p < GC_least_plausible_heap_addr || (void *)&p > GC_greatest_plausible_heap_addr, "and the stack does not");
}

int main(void) {
  test_first();
  bool preloaded = getenv("LD_PRELOAD") != NULL; /* then it has begun */
  if (!preloaded) {
    test_before();
    OK(!GC_is_init_called(), "nothing of that begins the collector");
  }
  GC_INIT();
  if (!preloaded) test_begun();
  test_pairs();
  test_disabled();
  test_bounds();
  return tap_end();
}
