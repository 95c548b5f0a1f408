/* SPDX-License-Identifier: MIT
 * src/api/gc_stats.c and src/api/gc_log.c: figures and lines of collections that are told here. */
#include "config.h"

#include "api/gc_events.h"
#include "gc_ext.h"

#include "tap.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct collection plain = {
    .number = 7, .generation = 1, .reason = COLLECT_YOUNG, .threads = 3, .markers = 2, .pause_ns = 1234567,
    .stop_ns = 1000, .roots_ns = 20000, .old_ns = 300000, .mark_ns = 4000, .weak_ns = 0, .sweep_ns = 999999999,
    .heap_before = 10 << 20, .heap_after = 3 << 20, .root_bytes = 5000, .pages_scanned = 11, .pages_skipped = 12,
    .swept = {.objects = 100, .bytes = 6400},
};

/* --- statistics --- */

static void test_buckets(void) {
  bool rising = true, close = true;
  for (unsigned i = 1; i < gc_stats_buckets; i++) rising = rising && gc_stats_bucket_end(i) > gc_stats_bucket_end(i - 1);
  OK(rising, "the ends of the buckets rise");
  for (uint64_t ns = 300; ns < (uint64_t)1 << 45; ns += ns / 7) {
    struct collection facts = plain;
    facts.pause_ns = ns;
    gc_stats_fork_child();
    gc_stats_collection(&facts);
    unsigned bucket = 0;
    while (bucket < gc_stats_buckets && !gc_stats.generations[1].pauses[bucket]) bucket++;
    uint64_t end = gc_stats_bucket_end(bucket);
    close = close && bucket < gc_stats_buckets && ns < end && end - ns <= ns / 8;
  }
  OK(close, "a pause is in a bucket that ends at most a sixteenth of a doubling above it");
}

static void test_percentiles(void) {
  gc_stats_fork_child();
  const struct gc_stats_generation *g = &gc_stats.generations[1];
  OK(gc_stats_percentile(g, 50) == 0 && gc_stats_percentile(g, 99) == 0, "without a pause there are no percentiles");
  struct collection facts = plain;
  for (uint64_t i = 1; i <= 1000; i++) {
    facts.pause_ns = i * 10000;
    gc_stats_collection(&facts);
  }
  uint64_t half = gc_stats_percentile(g, 50), most = gc_stats_percentile(g, 99);
  OK(half >= 5000000 && half <= 5000000 + 5000000 / 15, "half of 1000 pauses were not longer than the 500th");
  OK(most >= 9900000 && most <= 10000000, "99 of 100 than the 990th");
  OK(gc_stats_percentile(g, 100) == 10000000 && g->pause_max_ns == 10000000, "the longest one is exact");
  OK(g->collections == 1000 && g->objects == 100000 && g->bytes == 6400000, "collections, objects and bytes are added up");
}

static void test_kinds(void) {
  gc_stats_fork_child();
  struct collection facts = plain;
  facts.generation = 2;
  facts.concurrent = true;
  facts.first_pause_ns = 500;
  facts.number = 8;
  gc_stats_collection(&facts);
  OK(gc_stats_number() == 8 && gc_stats.concurrent == 1 && gc_stats.generations[2].time_ns == 500 + 1234567 + 4000 &&
         gc_stats.generations[2].pause_ns == 500 + 1234567,
     "of a concurrent one both pauses count, and its marking as time");
  OK(gc_stats.generations[2].objects == 0, "what a full one reclaims counts when it is swept");
  gc_stats_swept(&(struct sweep_counts){.objects = 5, .bytes = 50});
  OK(gc_stats.generations[2].objects == 5 && gc_stats.generations[2].bytes == 50, "which it does then");
  facts.error = EAGAIN;
  gc_stats_collection(&facts);
  gc_stats_collection(&facts);
  for (int error = 1; error < 40; error++) {
    facts.error = error;
    gc_stats_collection(&facts);
  }
  uint64_t errors = 0;
  for (int i = 0; i < gc_stats_errors; i++) errors += gc_stats.errors[i].count;
  OK(gc_stats.errors[0].error == EAGAIN && gc_stats.errors[0].count == 3 && errors == 41,
     "collections that were given up are counted by what stood in the way, all of them");
  OK(gc_stats.generations[2].given_up == 41 && gc_stats.generations[2].collections == 1, "and not as collections");
}

/* --- what callbacks are told --- */

static void test_describe(void) {
  struct GC_collection told;
  struct collection facts = plain;
  facts.first_pause_ns = 9999999;
  facts.concurrent = true;
  gc_events_describe(&facts, &told);
  OK(told.pause == 9999999 && told.duration == 9999999 + 1234567 + 4000 && told.concurrent && told.mark == 4000,
     "the longer pause is told, and all of the time");
  OK(told.collected == 100 && told.collected_bytes == 6400 && told.live_before == 10 << 20 && told.live_after == 3 << 20 &&
         told.pages_scanned == 11 && told.pages_skipped == 12 && told.threads == 3 && told.markers == 2,
     "so are figures");
  bool named = true;
  for (int error = 0; error < 200; error++) named = named && gc_events_error(error) && *gc_events_error(error);
  OK(named && strstr(gc_events_error(EAGAIN), "thread") && strstr(gc_events_error(EACCES), "/proc"), "errors have a text");
}

/* --- the log --- */

static char path[64];

/* The last line of the log, after its beginning. */
static const char *last_line(void) {
  static char text[65536];
  FILE *in = fopen(path, "r");
  size_t length = in ? fread(text, 1, sizeof text - 1, in) : 0;
  if (in) fclose(in);
  if (length == 0 || text[length - 1] != '\n') return "";
  text[length - 1] = '\0';
  char *line = strrchr(text, '\n') ? strrchr(text, '\n') + 1 : text;
  char *begin = strstr(line, ": collection ");
  return begin ? begin + 2 : line;
}

static bool logs(const char *expected) {
  const char *line = last_line();
  if (strcmp(line, expected) == 0) return true;
  tap_note("%s", line);
  return false;
}

static void test_log(void) {
  struct collection facts = plain;
  snprintf(path, sizeof path, "/tmp/gleaner-unit-%d.log", (int)getpid());
  birth_options.gc_log = path;
  gc_log_collection(&facts);
  OK(logs("collection 7 of generation 1 (enough was allocated): pause 1.234 ms (stop 0.001, roots 0.020, old 0.300, mark 0.004, "
          "weak 0.000, sweep 999.999), heap 10240K -> 3072K, reclaimed 100 objects of 6400 bytes, pages 11 scanned and 12 "
          "skipped, roots 4K, threads 3, markers 2"),
     "a line of a young collection");
  facts.generation = 2;
  facts.concurrent = true;
  facts.first_pause_ns = 7000;
  facts.reason = COLLECT_OLD;
  gc_log_collection(&facts);
  OK(logs("collection 7 of generation 2 (the oldest generation has grown by a quarter): pauses 0.007 and 1.234 ms (stop 0.001, "
          "roots 0.020, old 0.300, mark 0.004 while the program ran, weak 0.000, sweep 999.999), heap 10240K -> 3072K before "
          "the sweep, pages 11 scanned and 12 skipped, roots 4K, threads 3, markers 2"),
     "a line of one that marked while the program ran");
  gc_log_swept(7, 2 << 20, &(struct sweep_counts){.objects = 3, .bytes = 48, .suspects = 2, .suspect_bytes = 32});
  OK(logs("collection 7 of generation 2 is swept: heap 2048K, reclaimed 3 objects of 48 bytes, spared once 2 of 32 bytes"),
     "a line of its sweep");
  facts = plain;
  facts.error = EAGAIN;
  facts.deaf = 1;
  facts.swept = (struct sweep_counts){0};
  gc_log_collection(&facts);
  OK(strstr(last_line(), "(enough was allocated): given up, 1 of 3 threads could not be stopped, pause 1.234 ms"),
     "a line of one that was given up for a thread");
  facts.deaf = 0;
  facts.error = EACCES;
  gc_log_collection(&facts);
  OK(strstr(last_line(), ": given up, /proc cannot be read, so that roots would be missed, pause"), "and for something else");
  facts = (struct collection){.number = UINT64_MAX, .generation = 2, .reason = COLLECT_STRESS, .threads = UINT32_MAX,
                              .markers = UINT32_MAX, .concurrent = true, .pause_ns = UINT64_MAX, .first_pause_ns = UINT64_MAX,
                              .stop_ns = UINT64_MAX, .roots_ns = UINT64_MAX, .old_ns = UINT64_MAX, .mark_ns = UINT64_MAX,
                              .weak_ns = UINT64_MAX, .sweep_ns = UINT64_MAX, .heap_before = SIZE_MAX, .heap_after = SIZE_MAX,
                              .root_bytes = SIZE_MAX, .pages_scanned = SIZE_MAX, .pages_skipped = SIZE_MAX};
  gc_log_collection(&facts);
  OK(strstr(last_line(), "markers 4294967295"), "the longest line of all is whole");
  unlink(path);
  errno = 4711;
  gc_log_collection(&plain);
  OK(errno == 4711, "errno is kept");
}

int main(void) {
  OK(birth_ensure(), "memory can be served");
  test_buckets();
  test_percentiles();
  test_kinds();
  test_describe();
  test_log();
  return tap_end();
}
