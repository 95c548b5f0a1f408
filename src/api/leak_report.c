/* SPDX-License-Identifier: MIT
 * The leak report: joins each leak with its stack, writes the record, has the gleaner command draw it.
 *
 * Tallies are kept by site, so that the record is as small as the number of stacks. If the command cannot be run, the
 * record's figures are printed plainly: a leak is never lost. */
#include "config.h"

#include "api/api.h"
#include "api/record_out.h"
#include "api/report_out.h"
#include "base/bits.h"
#include "base/lock.h"
#include "base/print.h"
#include "gc/leaks.h"
#include "os/memory.h"
#include "os/modules.h"
#include "os/process.h"
#include "os/threads.h"
#include "site/modules.h"

#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { tally_kinds = leak_kinds * 2 }; /* kind, and whether a cycle */

struct tally {
  uint64_t count, bytes;
};

struct tally_table {
  struct tally (*sites)[tally_kinds]; /* by site; 0: no stack known */
  size_t size;                        /* entries */
  struct tally total[leak_kinds];
};

/* The status with which the command says that something is lost which no suppression covers. */
enum { report_status_lost = 3 };

static _Atomic bool report_done;
static bool report_suppressed;          /* all that the last report found lost */
static uintptr_t report_ends[4];        /* functions that end the program: what lies deeper is dead */

static void report_at_signal(void) { leak_report(false); }

static void report_quick_exit(void) {
  if (birth_is_mine() && leak_report(false) > 0 && birth_options.error_exitcode) _exit(birth_options.error_exitcode);
}

void leak_report_init(void) {
  world_init();
  report_out_init();
  report_ends[0] = (uintptr_t)dlsym(RTLD_NEXT, "exit");
  report_ends[1] = (uintptr_t)dlsym(RTLD_NEXT, "quick_exit");
  report_ends[2] = (uintptr_t)dlsym(RTLD_DEFAULT, "_exit");
  report_ends[3] = (uintptr_t)dlsym(RTLD_DEFAULT, "_Exit");
  at_quick_exit(report_quick_exit);
  if (birth_options.report_at_signal) report_out_at_signal(report_at_signal);
}

bool leak_report_suppressed(void) { return report_suppressed; }

void leak_report_fork_child(void) { atomic_store(&report_done, false); }

/* World stopped: no locks, no allocation. */
static void report_tell(const struct leak *leak, void *arg) {
  struct tally_table *table = arg;
  uint32_t site = leak->site < table->size ? leak->site : 0;
  table->total[leak->kind].count++;
  table->total[leak->kind].bytes += leak->size;
  if (!table->sites) return;
  struct tally *tally = &table->sites[site][leak->kind * 2 + leak->cycle];
  tally->count++;
  tally->bytes += leak->size;
}

static void report_site(struct record_out *out, const struct tally_table *table, uint32_t site) {
  static const char *const kinds[] = {"definite", "indirect", "reachable"};
  int shown = birth_options.show_reachable ? tally_kinds : LEAK_REACHABLE * 2; /* to name what nobody reads is dear */
  for (int k = 0; k < shown; k++) {
    const struct tally *tally = &table->sites[site][k];
    if (tally->count == 0) continue;
    const struct site_stack *stack = site_stack(site);
    record_modules(out, stack);
    print(&out->printer, "leak %s %lu %lu %d", kinds[k / 2], tally->count, tally->bytes, k % 2);
    record_frames(out, stack);
  }
}

static bool report_write_record(int fd, const struct tally_table *table, const struct leaks_summary *summary) {
  struct record_out out;
  if (!record_begin(&out, fd, "leaks")) return false;
  print(&out.printer, "totals");
  for (int k = 0; k < leak_kinds; k++) print(&out.printer, " %lu %lu", table->total[k].count, table->total[k].bytes);
  print(&out.printer, "\nsearch %lu %lu %u %u %lu %lu %lu\n", summary->objects, summary->root_bytes, summary->threads,
        summary->not_stopped, summary->stop_ns, summary->roots_ns, summary->classify_ns);
  for (uint32_t site = 0; site < table->size && site <= site_count(); site++) report_site(&out, table, site);
  return record_end(&out);
}

/* Without the command: totals, and each stack as addresses in modules. */
static void report_plain(int fd, const struct tally_table *table, const char *why) {
  struct printer out;
  print_open(&out, fd);
  print(&out, "gleaner: %s: %s; names are missing below\n", report_out_tool(), why);
  static const char *const kinds[] = {"definitely lost", "indirectly lost", "still reachable"};
  for (int k = 0; k < tally_kinds; k++)
    for (uint32_t site = 0; table->sites && site < table->size && site <= site_count(); site++) {
      const struct tally *tally = &table->sites[site][k];
      if (tally->count == 0) continue;
      print(&out, "\n%lu bytes in %lu blocks are %s%s, allocated at\n", tally->bytes, tally->count, kinds[k / 2],
            k % 2 ? " (a cycle)" : "");
      const struct site_stack *stack = site_stack(site);
      for (uint32_t i = 0; stack && i < stack->count; i++) {
        int index = modules_find(stack->pc[i] - 1, stack->epoch);
        const struct module *module = index < 0 ? NULL : modules_get(index);
        print(&out, "    #%u %s+0x%lx\n", i, module ? module->path : "?",
              (unsigned long)(stack->pc[i] - (module ? module->bias : 0)));
      }
    }
  for (int k = 0; k < leak_kinds; k++)
    print(&out, "%s: %lu bytes in %lu blocks\n", kinds[k], table->total[k].bytes, table->total[k].count);
  print_flush(&out);
}

static bool report_wanted(const struct tally_table *table) {
  return birth_options.report || birth_options.verbose || table->total[LEAK_DEFINITE].count ||
         table->total[LEAK_INDIRECT].count || (birth_options.show_reachable && table->total[LEAK_REACHABLE].count);
}

static void report_deliver(const struct tally_table *table, const struct leaks_summary *summary) {
  bool close_it;
  int out = report_out_open(&close_it);
  int record = os_process_memory_file();
  int result = record;
  if (record >= 0) {
    result = report_write_record(record, table, summary) ? report_out_draw(record, out) : -ENOSPC;
    close(record);
  }
  report_suppressed = result == 0;
  if (result != 0 && result != report_status_lost)
    report_plain(out, table, result < 0 ? strerrordesc_np(-result) : "the command failed");
  if (close_it) close(out);
}

/* What this thread has besides its stack. */
struct report_registers {
  struct site_registers saved;
  stack_t alternate; /* only the kernel may know it; other threads' lie in their signal frames */
};

/* Where this thread's live stack begins: at the caller of exit and its like, or here. */
static void report_self(struct world_thread *self, struct report_registers *all) {
  struct site_registers *registers = &all->saved;
  sigaltstack(NULL, &all->alternate);
  if (!site_caller_of(report_ends, sizeof report_ends / sizeof report_ends[0], registers)) {
    __builtin_unwind_init(); /* the callee-saved registers are in this frame */
    registers->sp = (uintptr_t)__builtin_frame_address(0);
  }
  self->tid = os_thread_id();
  self->stopped = true;
  self->sp = registers->sp;
  self->tcb = os_thread_pointer();
  self->frame_lo = (uintptr_t)all;
  self->frame_hi = (uintptr_t)(all + 1);
}

long leak_report(bool again) {
  if (birth_options.mode != MODE_LEAKS) {
    errno = ENOTSUP;
    return -1;
  }
  if (atomic_exchange(&report_done, !again) && !again) return 0;
  struct tally_table table = {.size = (size_t)site_count() + 1024};
  size_t table_bytes = bits_align_up(table.size * sizeof table.sites[0], os_page_size);
  table.sites = os_memory_map(table_bytes);
  struct report_registers registers = {0};
  struct leaks_request request = {.unaligned = birth_options.unaligned, .last = !again,
                                  .want_reachable = birth_options.show_reachable};
  struct leaks_summary summary = {0};
  report_self(&request.self, &registers);
  int error = leaks_search(&request, report_tell, &table, &summary);
  table.total[LEAK_REACHABLE] = (struct tally){summary.reachable, summary.reachable_bytes};
  long lost = error ? -1 : (long)(table.total[LEAK_DEFINITE].count + table.total[LEAK_INDIRECT].count);
  if (error && birth_options.verbose)
    print_fd(report_out_stderr(), "gleaner: nothing was searched: %s\n", strerrordesc_np(error));
  if (!error && report_wanted(&table)) report_deliver(&table, &summary);
  if (table.sites) os_memory_unmap(table.sites, table_bytes);
  errno = error;
  return lost;
}

static void report_ignore(const struct leak *leak, void *arg) { (void)leak, (void)arg; }

void leak_report_drill(void) {
  struct leaks_request request = {.want_reachable = true};
  struct leaks_summary summary = {0};
  struct report_registers registers = {0};
  if (birth_options.mode != MODE_LEAKS || !world_signal) return; /* the constructor has not run yet */
  report_self(&request.self, &registers);
  leaks_search(&request, report_ignore, NULL, &summary);
}
