/* SPDX-License-Identifier: MIT
 * libgc's settings: variables that a program sets, and calls that set and tell them. What they mean for a collection is said to the pace and in
 * the collector's wishes, whenever one of them has changed; whoever changes none gets what Gleaner finds best. Must not know how anything is
 * collected. */
#include "config.h"

#define GC_THREADS
#define GC_NO_THREAD_REDIRECTS
#include "api/collector.h"
#include "gc.h"
#include "gc/workers.h"
#include "gc_mark.h"
#include "heap/block.h"
#include "libgc/environment.h"
#include "libgc/findleak.h"
#include "libgc/libgc.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

enum { settings_full_freq = 19, settings_divisor = 3, settings_finalizer_bytes = 10000 };

/* --- variables: see gc.h --- */

PUBLIC_DATA int GC_dont_expand, GC_dont_precollect, GC_use_entire_heap, GC_no_dls, GC_parallel;
PUBLIC_DATA int GC_full_freq = settings_full_freq;
PUBLIC_DATA GC_word GC_free_space_divisor = settings_divisor;
PUBLIC_DATA GC_word GC_max_retries;
PUBLIC_DATA unsigned long GC_time_limit = GC_TIME_UNLIMITED;
PUBLIC_DATA char *GC_stackbottom;
PUBLIC_DATA void *GC_least_plausible_heap_addr, *GC_greatest_plausible_heap_addr;

/* What there are only calls for. */
static unsigned long settings_limit_ns; /* besides GC_time_limit */
static size_t settings_least = 1;
static GC_word settings_per_finalizer = settings_finalizer_bytes;
static int settings_incremental, settings_by_hand, settings_rate = 10, settings_prior = 1, settings_executable;
static GC_has_static_roots_func settings_has_roots;

/* --- what they mean --- */

/* Those that the pace or the collector must be told of; zero beyond its fields, so that it can be compared. */
struct settings {
  unsigned long divisor, retries, limit_ms, limit_ns;
  size_t least, per_finalizer;
  GC_has_static_roots_func has_roots;
  int full_freq, stay, entire, no_libraries, incremental, by_hand;
};

static struct settings settings_now(void) {
  struct settings now;
  memset(&now, 0, sizeof now);
  now.divisor = GC_free_space_divisor;
  now.retries = GC_max_retries;
  now.limit_ms = GC_time_limit;
  now.limit_ns = settings_limit_ns;
  now.least = settings_least;
  now.per_finalizer = settings_per_finalizer;
  now.full_freq = GC_full_freq;
  now.stay = GC_dont_expand;
  now.entire = GC_use_entire_heap;
  now.no_libraries = GC_no_dls;
  now.incremental = settings_incremental;
  now.by_hand = settings_by_hand;
  now.has_roots = settings_has_roots;
  return now;
}

static void settings_tell_pace(const struct settings *now) {
  const uint64_t ms = 1000 * 1000;
  struct pace_settings pace;
  bool limited = now->incremental && now->limit_ms < GC_TIME_UNLIMITED;
  int full_freq = now->full_freq > 0 ? now->full_freq : 0;
  pace_get(&pace);
  pace.divisor = now->divisor == settings_divisor ? 0 : now->divisor ? now->divisor : 1;
  pace.nursery_least = now->least;
  pace.full_every = now->incremental && now->full_freq != settings_full_freq ? (unsigned)full_freq + 1 : 0;
  pace.pause_ns = limited ? now->limit_ms * ms + now->limit_ns + 1 : 0;
  pace.stay = now->stay != 0;
  pace.entire = now->entire != 0;
  pace_set(&pace);
  collector_wishes = (struct collector_wishes){
      .by_hand = now->by_hand != 0,
      .concurrent = limited,
      .no_libraries = now->no_libraries != 0,
      .segment = now->has_roots,
      .stop = collector_wishes.stop,
      .per_finalizer = now->per_finalizer == settings_finalizer_bytes ? 0 : now->per_finalizer,
      .retries = now->retries < UINT_MAX ? (unsigned)now->retries : UINT_MAX - 1,
  };
}

static void settings_learn_heap(void) {
  GC_least_plausible_heap_addr = (void *)region.base;
  GC_greatest_plausible_heap_addr = (void *)(region.base + region.span);
}

/* What libgc tells once it has begun. */
static void settings_begun(void) {
  const size_t large = (size_t)1 << 40;
  unsigned markers = birth_options.markers ? (unsigned)birth_options.markers : workers_best(large);
  GC_parallel = (int)markers - 1;
  settings_learn_heap();
}

/* One thread at a time; another one has told what there was a moment ago. */
static void settings_tell(bool anew) {
  static _Atomic pid_t busy; /* whose thread is at it: in a fork child nobody is */
  static struct settings told;
  pid_t self = getpid(), was = atomic_load(&busy);
  if (!collector_is_armed || was == self || !atomic_compare_exchange_strong(&busy, &was, self)) return;
  struct settings now = settings_now();
  if (anew || memcmp(&now, &told, sizeof now) != 0) {
    settings_tell_pace(&now);
    told = now;
  }
  atomic_store(&busy, 0);
}

void collector_consult(enum collector_moment moment) {
  if (moment == COLLECTOR_ARMING) {
    environment_before();
    return;
  }
  findleak_consult();
  pace_count(-figures_spared());
  if (moment == COLLECTOR_ARMED) settings_begun();
  settings_tell(moment == COLLECTOR_ARMED);
  if (moment == COLLECTOR_ARMED) environment_after();
}

extern void *__libc_stack_end __attribute__((weak));

__attribute__((constructor)) static void settings_begin(void) {
  if (!GC_stackbottom && &__libc_stack_end) GC_stackbottom = __libc_stack_end;
  settings_learn_heap();
}

/* --- calls: each sets, or tells, what it is named after --- */

/* At once, where a collection would come later otherwise. */
static void settings_changed(void) { settings_tell(false); }

#define SETTINGS(type, name, variable)             \
  PUBLIC void GC_set_##name(type value) {          \
    variable = value;                              \
    settings_changed();                            \
  }                                                \
  PUBLIC type GC_get_##name(void) { return variable; }

SETTINGS(int, dont_expand, GC_dont_expand)
SETTINGS(int, dont_precollect, GC_dont_precollect)
SETTINGS(int, no_dls, GC_no_dls)
SETTINGS(int, full_freq, GC_full_freq)
SETTINGS(GC_word, free_space_divisor, GC_free_space_divisor)
SETTINGS(GC_word, max_retries, GC_max_retries)
SETTINGS(unsigned long, time_limit, GC_time_limit)
SETTINGS(size_t, min_bytes_allocd, settings_least)
SETTINGS(GC_word, allocd_bytes_per_finalizer, settings_per_finalizer)
SETTINGS(int, rate, settings_rate)
SETTINGS(int, max_prior_attempts, settings_prior)
SETTINGS(int, disable_automatic_collection, settings_by_hand)

PUBLIC void GC_set_time_limit_tv(struct GC_timeval_s limit) {
  GC_time_limit = limit.tv_ms;
  settings_limit_ns = limit.tv_nsec;
  settings_changed();
}

PUBLIC struct GC_timeval_s GC_get_time_limit_tv(void) { return (struct GC_timeval_s){GC_time_limit, settings_limit_ns}; }

PUBLIC int GC_get_parallel(void) { return GC_parallel; }

PUBLIC void GC_set_markers_count(unsigned count) {
  if (!collector_is_armed && birth_ensure()) birth_options.markers = count < options_max_markers ? (int)count : options_max_markers;
}

/* Objects are never executable: what runs code in them must make their pages so, as by mprotect. */
PUBLIC void GC_set_pages_executable(int on) {
  if (!collector_is_armed) settings_executable = on;
}
PUBLIC int GC_get_pages_executable(void) { return settings_executable; }

PUBLIC void GC_register_has_static_roots_callback(GC_has_static_roots_func function) {
  settings_has_roots = function;
  settings_changed();
}

/* --- generations and concurrent marking are there without being asked for --- */

static bool settings_refused;

void settings_refuse_incremental(void) { settings_refused = true; }
void settings_want_incremental(void) { settings_incremental = !settings_refused; }

PUBLIC void GC_enable_incremental(void) {
  if (collector_arm() != 0 || collector_is_disabled()) return;
  settings_want_incremental();
  settings_changed();
}

PUBLIC int GC_is_incremental_mode(void) { return settings_incremental; }

/* Writes are reported by the kernel: no program sees a fault. */
PUBLIC int GC_incremental_protection_needs(void) { return GC_PROTECTS_NONE; }

PUBLIC void GC_start_incremental_collection(void) {
  if (settings_incremental) collector_start();
}

PUBLIC int GC_collect_a_little(void) {
  int saved = errno;
  bool more = collector_step(settings_rate > 0 ? (unsigned)settings_rate : 1);
  errno = saved;
  return more;
}
