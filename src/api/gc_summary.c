/* SPDX-License-Identifier: MIT
 * The summary of all collections, at exit: a record, which the gleaner command draws; plain figures where it cannot be run. */
#include "config.h"

#include "api/gc_events.h"

#include "api/record_out.h"
#include "api/report_out.h"
#include "gc_ext.h"
#include "os/process.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { summary_doubling = 16 }; /* buckets that are one line of the histogram */

static uint64_t gc_summary_collections(void) {
  uint64_t n = 0;
  for (unsigned g = 0; g < collect_generations; g++)
    n += atomic_load(&gc_stats.generations[g].collections) + atomic_load(&gc_stats.generations[g].given_up);
  return n;
}

static uint64_t gc_summary_stopped(void) {
  uint64_t ns = 0;
  for (unsigned g = 0; g < collect_generations; g++) ns += atomic_load(&gc_stats.generations[g].pause_ns);
  return ns;
}

static void gc_summary_generation(struct printer *out, unsigned number) {
  const struct gc_stats_generation *g = &gc_stats.generations[number];
  print(out, "generation %u %lu %lu %lu %lu %lu %lu %lu %lu %lu\n", number, atomic_load(&g->collections),
        atomic_load(&g->given_up), atomic_load(&g->objects), atomic_load(&g->bytes), atomic_load(&g->time_ns),
        atomic_load(&g->pause_ns), gc_stats_percentile(g, 50), gc_stats_percentile(g, 99), atomic_load(&g->pause_max_ns));
}

static void gc_summary_pauses(struct printer *out) {
  for (unsigned first = 0; first < gc_stats_buckets; first += summary_doubling) {
    uint64_t count = 0;
    for (unsigned g = 0; g < collect_generations; g++)
      for (unsigned i = 0; i < summary_doubling; i++) count += atomic_load(&gc_stats.generations[g].pauses[first + i]);
    if (count) print(out, "pauses %lu %lu\n", gc_stats_bucket_end(first + summary_doubling - 1), count);
  }
}

static void gc_summary_sites(struct record_out *out) {
  for (uint32_t site = 0; birth_records() && site <= site_count(); site++) {
    uint64_t objects, bytes;
    gc_reclaimed_of(site, &objects, &bytes);
    if (objects == 0) continue;
    const struct site_stack *stack = site_stack(site);
    record_modules(out, stack);
    print(&out->printer, "leak reclaimed %lu %lu 0", objects, bytes);
    record_frames(out, stack);
  }
}

/* The form is told in report/record.h. */
static bool gc_summary_record(int fd) {
  struct record_out out;
  const char *why, *way = GC_get_write_tracking(&why);
  if (!record_begin(&out, fd, "collect")) return false;
  print(&out.printer, "ran %lu %lu %lu %lu %lu %u\n", os_clock() - gc_events_started(), gc_summary_stopped(),
        atomic_load(&gc_stats.collecting_ns), atomic_load(&gc_stats.heap_most), atomic_load(&gc_stats.concurrent),
        atomic_load(&gc_stats.markers_most));
  for (unsigned g = 0; g < collect_generations; g++) gc_summary_generation(&out.printer, g);
  gc_summary_pauses(&out.printer);
  print(&out.printer, "tracking %s %s\n", way, why);
  for (unsigned i = 0; i < gc_stats_errors; i++) {
    uint64_t count = atomic_load(&gc_stats.errors[i].count);
    if (count) print(&out.printer, "given-up %lu %s\n", count, gc_events_error(atomic_load(&gc_stats.errors[i].error)));
  }
  gc_summary_sites(&out);
  return record_end(&out);
}

static void gc_summary_plain(int fd, const char *failed) {
  const char *why, *way = GC_get_write_tracking(&why);
  struct printer out;
  print_open(&out, fd);
  print(&out, "gleaner: %s: %s; the collections in short\n", report_out_tool(), failed);
  for (unsigned i = 0; i < collect_generations; i++) {
    const struct gc_stats_generation *g = &gc_stats.generations[i];
    print(&out,
          "generation %u: %lu collections, %lu given up, reclaimed %lu objects of %lu bytes, pauses of 50 %%: %lu us, 99 %%: "
          "%lu us, longest %lu us\n",
          i, atomic_load(&g->collections), atomic_load(&g->given_up), atomic_load(&g->objects), atomic_load(&g->bytes),
          gc_stats_percentile(g, 50) / 1000, gc_stats_percentile(g, 99) / 1000, atomic_load(&g->pause_max_ns) / 1000);
  }
  print(&out, "ran %lu us, stood still %lu us; write tracking: %s, because %s\n", (os_clock() - gc_events_started()) / 1000,
        gc_summary_stopped() / 1000, way, why);
  print_flush(&out);
}

/* A forked child that collected nothing has nothing to tell. */
void gc_summary_write(void) {
  bool close_it;
  int saved = errno;
  if (gc_summary_collections() == 0 && gc_events_is_forked()) return;
  int out = report_out_open(&close_it), record = os_process_memory_file(), result = record;
  if (record >= 0) {
    result = gc_summary_record(record) ? report_out_draw(record, out) : -ENOSPC;
    close(record);
  }
  if (result != 0) gc_summary_plain(out, result < 0 ? strerrordesc_np(-result) : "the command failed");
  if (close_it) close(out);
  errno = saved;
}
