/* SPDX-License-Identifier: MIT
 * The environment variables that libgc documents: read once, when the collector begins, as libgc reads them. What GLEANER_OPTIONS says wins, and
 * with libgleaner.so preloaded that alone is read: there the variables may be meant for another library. Allocates nothing.
 * Those of leak finding and of interior pointers are read where they are obeyed, before. Must not know what a setting does. */
#include "config.h"

#include "libgc/environment.h"

#include "api/collector.h"
#include "api/gc_events.h"
#include "api/gc_warn.h"
#include "api/hooks.h"
#include "base/print.h"
#include "gc.h"
#include "gc_ext.h"
#include "heap/heap.h"
#include "heap/runs.h"
#include "libgc/libgc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

static bool environment_is_read(void) { return !hook_serves_malloc && !getauxval(AT_SECURE); }

static void environment_complain(const char *name) {
  static char line[128]; /* the procedure may keep it */
  print_buffer(line, sizeof line, "GC Warning: %s has no value that makes sense, and is not heeded\n", name);
  gc_warn(line, 0);
}

/* --- those that are options under another name --- */

/* value NULL: the variable's own. */
static const struct {
  const char *name, *option, *value;
} environment_options[] = {
    {"GC_INITIAL_HEAP_SIZE", "initial-heap", NULL}, {"GC_MAXIMUM_HEAP_SIZE", "max-heap", NULL},
    {"GC_MARKERS", "markers", NULL},                {"GC_NPROCS", "markers", NULL}, /* where the other is not set */
    {"GC_LOG_FILE", "gc-log", NULL},                {"GC_PRINT_VERBOSE_STATS", "stats", "1"},
};

/* False: it makes no sense. */
static bool environment_set(const char *option, const char *value) {
  char error[512];
  return options_are_given(&birth_options, option) ||
         options_set(&birth_options, option, strlen(option), value, strlen(value), error, sizeof error);
}

static void environment_read_option(size_t row) {
  const char *name = environment_options[row].name, *value = getenv(name), *own = environment_options[row].value;
  if (value && !environment_set(environment_options[row].option, own ? own : value)) environment_complain(name);
}

/* --- numbers --- */

static void environment_divisor(unsigned long number) { GC_free_space_divisor = number; }
static void environment_frequency(unsigned long number) { GC_full_freq = (int)number; }
static void environment_pause(unsigned long number) { GC_time_limit = number; }
static void environment_unmap(unsigned long number) { runs_keep = number == 0; }
static void environment_force_unmap(unsigned long number) { GC_set_force_unmap_on_gcollect(number != 0); }
static void environment_entire(unsigned long number) { GC_use_entire_heap = number != 0; }

/* libgc chooses between soft-dirty bits and page faults. */
static void environment_writes(unsigned long number) { environment_set("write-tracking", number ? "soft-dirty" : "uffd"); }

static const struct {
  const char *name;
  void (*set)(unsigned long number);
  unsigned long least, most;
} environment_numbers[] = {
    {"GC_FREE_SPACE_DIVISOR", environment_divisor, 1, 1000000}, {"GC_FULL_FREQUENCY", environment_frequency, 0, 1000000},
    {"GC_PAUSE_TIME_TARGET", environment_pause, 1, GC_TIME_UNLIMITED}, {"GC_UNMAP_THRESHOLD", environment_unmap, 0, 1000000},
    {"GC_FORCE_UNMAP_ON_GCOLLECT", environment_force_unmap, 0, 1000000}, {"GC_USE_ENTIRE_HEAP", environment_entire, 0, 1000000},
    {"GC_USE_GETWRITEWATCH", environment_writes, 0, 1000000},
};

/* Digits alone; an empty value is 1. */
static bool environment_number(const char *text, unsigned long *number) {
  *number = *text ? 0 : 1;
  for (; *text; text++) {
    if (*text < '0' || *text > '9' || *number > 1000000) return false;
    *number = *number * 10 + (unsigned long)(*text - '0');
  }
  return true;
}

static void environment_read_number(size_t row) {
  const char *value = getenv(environment_numbers[row].name);
  unsigned long number;
  if (!value) return;
  if (environment_number(value, &number) && number >= environment_numbers[row].least && number <= environment_numbers[row].most)
    environment_numbers[row].set(number);
  else
    environment_complain(environment_numbers[row].name);
}

/* --- those that are set at all: as in libgc, also to 0 --- */

static bool environment_has(const char *name) { return getenv(name) != NULL; }

static void environment_flags(void) {
  if (environment_has("GC_DONT_GC")) GC_dont_gc = 1;
  if (environment_has("GC_DISABLE_INCREMENTAL")) settings_refuse_incremental();
  if (environment_has("GC_ENABLE_INCREMENTAL")) settings_want_incremental();
  if (environment_has("GC_LOOP_ON_ABORT")) gc_warn_loop();
}

/* A log alone is for warnings and dumps; with statistics asked for collections are told there as well. */
static void environment_log(void) {
  bool stats = environment_has("GC_PRINT_STATS") || environment_has("GC_PRINT_VERBOSE_STATS");
  bool apart = environment_has("GC_ONLY_LOG_TO_FILE"), file = environment_has("GC_LOG_FILE");
  if (stats) gc_log_always(true);
  if (file && !options_are_given(&birth_options, "gc-log")) gc_log_share(!stats, apart);
}

/* --- what is told with each collection --- */

static void environment_dump(const struct GC_event *event, void *arg) {
  (void)arg;
  if (event->phase == GC_PHASE_STOP) GC_dump();
}

static void environment_maps(const struct GC_event *event, void *arg) {
  struct printer out;
  char piece[1024];
  (void)arg;
  int fd = event->phase == GC_PHASE_STOP ? open("/proc/self/maps", O_RDONLY | O_CLOEXEC) : -1;
  if (fd < 0) return;
  print_open(&out, STDERR_FILENO);
  for (ssize_t n; (n = read(fd, piece, sizeof piece)) > 0;) print_text(&out, piece, (size_t)n);
  print_flush(&out);
  close(fd);
}

/* --- both halves --- */

void environment_before(void) {
  if (!environment_is_read()) return;
  environment_log(); /* before the names of options are given */
  for (size_t i = 0; i < sizeof environment_options / sizeof environment_options[0]; i++) environment_read_option(i);
  for (size_t i = 0; i < sizeof environment_numbers / sizeof environment_numbers[0]; i++) environment_read_number(i);
  environment_flags();
  if (environment_has("GC_MAXIMUM_HEAP_SIZE")) heap_set_limit(birth_options.max_heap); /* else what the program has set stays */
}

void environment_after(void) {
  if (!environment_is_read()) return;
  if (environment_has("GC_PRINT_ADDRESS_MAP")) GC_add_callback(environment_maps, NULL);
  if (!environment_has("GC_DUMP_REGULARLY")) return;
  GC_dump();
  GC_add_callback(environment_dump, NULL);
}
