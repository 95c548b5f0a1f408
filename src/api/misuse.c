/* SPDX-License-Identifier: MIT
 * The program's errors: what was wrong with a pointer, told with the stacks that are known. */
#include "config.h"

#include "api/gc_events.h"
#include "api/gc_warn.h"
#include "api/record_out.h"
#include "api/report_out.h"
#include "base/print.h"
#include "heap/block.h"
#include "os/process.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static const char *const misuse_calls[] = {"free()", "realloc()", "malloc_usable_size()", "GC_ref()", "GC_unref()", "GC_pin()", "GC_unpin()"};

struct misuse_finding {
  char line[256];
  uint32_t allocated_by; /* a site, or 0 */
};

/* Nothing pointed to the block, in the collector's eyes, and yet here is its address: it was hidden somewhere. */
static void misuse_reclaimed(struct misuse_finding *found, const char *name, uintptr_t p, size_t size) {
  uint64_t number = gc_reclaimed_by(p);
  size_t at = print_buffer(found->line, sizeof found->line, "%s: %p (a block of %zu bytes) was taken back by ", name, (void *)p, size);
  if (number) at += print_buffer(found->line + at, sizeof found->line - at, "collection %lu", number);
  else at += print_buffer(found->line + at, sizeof found->line - at, "a collection");
  print_buffer(found->line + at, sizeof found->line - at, ", which found no pointer to it");
}

/* A slot that is free: freed twice, or reclaimed some time ago, or both. */
static void misuse_free_slot(struct misuse_finding *found, enum misuse_call call, uintptr_t p, size_t size) {
  uint64_t number = gc_reclaimed_by(p);
  const char *what = call == MISUSE_FREE ? "double free" : "use after free";
  size_t at = print_buffer(found->line, sizeof found->line, "%s: %s of %p (a block of %zu bytes)", misuse_calls[call], what,
                           (void *)p, size);
  char *rest = found->line + at;
  if (number) print_buffer(rest, sizeof found->line - at, "; collection %lu took back what was there then", number);
  else if (gc_stats_number() && birth_options.mode == MODE_COLLECT && !birth_options.poison)
    print_buffer(rest, sizeof found->line - at, "; or a collection took it back, which poison=1 would tell");
}

/* One line, with what is known about the address. */
static void misuse_examine(struct misuse_finding *found, enum misuse_call call, uintptr_t p) {
  const char *name = misuse_calls[call];
  struct block *block = region_find(p);
  found->allocated_by = 0;
  if (!block) {
    const char *what = p - region.base < region.span ? "is not allocated (any more)" : "was never allocated";
    print_buffer(found->line, sizeof found->line, "%s: invalid pointer %p, which %s", name, (void *)p, what);
    return;
  }
  uint32_t slot = block_slot(block, p);
  if (slot >= block->nslots || !block_contains(block, p)) {
    print_buffer(found->line, sizeof found->line, "%s: invalid pointer %p, which was never allocated", name, (void *)p);
    return;
  }
  const struct note *note = block_note(block, slot);
  uintptr_t start = block_slot_address(block, slot);
  uint8_t state = ((volatile uint8_t *)block->state)[slot];
  if (note) found->allocated_by = note->site;
  if (state & STATE_HELD && p == start) misuse_reclaimed(found, name, p, block_requested(block, slot));
  else if (!state_is_live(state)) misuse_free_slot(found, call, p, block_requested(block, slot));
  else
    print_buffer(found->line, sizeof found->line, "%s: invalid pointer %p, %zu bytes inside a block of %zu bytes", name,
                 (void *)p, (size_t)(p - start), block_requested(block, slot));
}

static void misuse_stack(struct record_out *out, const char *title, uint32_t site) {
  const struct site_stack *stack = site_stack(site);
  if (!stack) return;
  record_modules(out, stack);
  print(&out->printer, "stack %s", title);
  record_frames(out, stack);
}

/* Through the gleaner command, for names; where no sites are recorded the line says it all. */
static bool misuse_draw(const struct misuse_finding *found, const char *title, uint32_t site) {
  struct record_out out;
  int record = os_process_memory_file();
  if (record < 0) return false;
  bool drawn = false;
  if (record_begin(&out, record, "misuse")) {
    print(&out.printer, "message %s\n", found->line);
    misuse_stack(&out, title, site);
    misuse_stack(&out, "allocated_by", found->allocated_by);
    drawn = record_end(&out) && report_out_draw(record, report_out_stderr()) == 0;
  }
  close(record);
  return drawn;
}

static void misuse_tell(const struct misuse_finding *found, enum misuse_call call, const struct site_start *start) {
  static const char *const titles[] = {"freed_by", "reallocated_by", "asked_by", "counted_by", "given_back_by", "pinned_by", "unpinned_by"};
  uint32_t site = birth_records() ? site_capture(start) : 0;
  if (!birth_records() || !misuse_draw(found, titles[call], site))
    print_fd(report_out_stderr(), "gleaner: %s\n", found->line);
  if (birth_options.misuse != MISUSE_ABORT) return;
  gc_warn_end(found->line);
  abort();
}

void misuse_pointer(enum misuse_call call, void *p, const struct site_start *start) {
  struct misuse_finding found;
  int saved = errno;
  misuse_examine(&found, call, (uintptr_t)p);
  misuse_tell(&found, call, start);
  errno = saved;
}

void misuse_object(enum misuse_call call, void *p, const char *why, const struct site_start *start) {
  struct misuse_finding found = {0};
  struct block *block = region_find((uintptr_t)p);
  int saved = errno;
  uint32_t slot = block_slot(block, (uintptr_t)p);
  const struct note *note = block_note(block, slot);
  if (note) found.allocated_by = note->site;
  print_buffer(found.line, sizeof found.line, "%s: %p (a block of %zu bytes): %s", misuse_calls[call], p,
               block_requested(block, slot), why);
  misuse_tell(&found, call, start);
  errno = saved;
}
