/* SPDX-License-Identifier: MIT
 * Roots by name. Knows where things lie in the address space; must not know what is in them.
 *
 *   areas    |registers|   |stack of T |TLS of T|     |global|     known to the byte, none overlaps another
 *   wide     |.... dead stack of T ....|                           around them
 *   mappings |                             |   |      |             what is in neither is told by its mapping
 *
 * A range that is told is cut at the borders of these. */
#include "config.h"

#include "gc/rooted.h"

#include "base/bits.h"
#include "gc/rooting.h"
#include "gc/settle.h"
#include "heap/block.h"
#include "os/memory.h"
#include "os/modules.h"

#include <errno.h>
#include <string.h>

struct rooted_area {
  uintptr_t lo, hi;
  enum rooted_kind kind;
  const struct world_thread *thread;
};

struct rooted_areas {
  struct rooted_area *area;
  size_t count, most;
};

enum { rooted_areas_most = 128 * 1024 };

struct rooted {
  const struct snapshot *snapshot;
  void (*each)(const struct rooted_range *range, void *arg);
  void *arg;
  struct rooted_areas areas, wide; /* sorted */
};

/* --- areas --- */

static void rooted_add(struct rooted_areas *areas, uintptr_t lo, uintptr_t hi, enum rooted_kind kind,
                       const struct world_thread *thread) {
  if (lo >= hi || areas->count == areas->most) return;
  areas->area[areas->count++] = (struct rooted_area){lo, hi, kind, thread};
}

static void rooted_sort(struct rooted_areas *areas) {
  struct rooted_area *a = areas->area;
  for (size_t gap = areas->count / 2; gap > 0; gap /= 2)
    for (size_t i = gap; i < areas->count; i++)
      for (size_t j = i; j >= gap && a[j - gap].lo > a[j].lo; j -= gap) {
        struct rooted_area swap = a[j];
        a[j] = a[j - gap];
        a[j - gap] = swap;
      }
}

/* The first that ends above the address. */
static const struct rooted_area *rooted_next(const struct rooted_areas *areas, uintptr_t address) {
  size_t lo = 0, hi = areas->count;
  while (lo < hi) {
    size_t middle = (lo + hi) / 2;
    if (areas->area[middle].hi > address) hi = middle;
    else lo = middle + 1;
  }
  return lo < areas->count ? &areas->area[lo] : NULL;
}

static const struct os_mapping *rooted_mapping(uintptr_t address) {
  size_t lo = 0, hi = world_maps.count;
  while (lo < hi) {
    size_t middle = (lo + hi) / 2;
    if (world_maps.list[middle].hi > address) hi = middle;
    else lo = middle + 1;
  }
  return lo < world_maps.count && world_maps.list[lo].lo <= address ? &world_maps.list[lo] : NULL;
}

/* A stack in an object of the heap ends with it, one in a mapping with that. */
static void rooted_unknown_stack(struct rooted *rooted, const struct world_thread *thread) {
  const struct block *block = region_find(thread->sp);
  const struct os_mapping *mapping = block ? NULL : rooted_mapping(thread->sp);
  uintptr_t end = mapping ? mapping->hi : 0;
  if (block && block_contains(block, thread->sp))
    end = block_slot_address(block, block_slot(block, thread->sp)) + block_slot_bytes(block);
  rooted_add(&rooted->areas, thread->sp, end, ROOTED_STACK, thread);
}

static void rooted_stack(struct rooted *rooted, const struct world_thread *thread, const struct world_stack *stack) {
  const struct os_mapping *mapping = rooted_mapping(thread->sp);
  bool on_it = stack->lo && thread->sp - stack->lo < stack->tcb - stack->lo;
  uintptr_t tls = stack->tls ? stack->tls : stack->tcb;
  rooted_add(&rooted->areas, tls, stack->end, ROOTED_TLS, thread);
  if (on_it) {
    rooted_add(&rooted->areas, thread->sp, tls, ROOTED_STACK, thread);
    rooted_add(&rooted->wide, stack->lo, thread->sp, ROOTED_DEAD_STACK, thread);
  } else {
    rooted_unknown_stack(rooted, thread);
    if (mapping && strcmp(mapping->name, "[stack]") == 0)
      rooted_add(&rooted->wide, mapping->lo, thread->sp, ROOTED_DEAD_STACK, thread);
  }
}

static void rooted_thread(struct rooted *rooted, const struct world_thread *thread) {
  struct world_stack stack;
  rooted_add(&rooted->areas, thread->frame_lo, thread->frame_hi, ROOTED_REGISTERS, thread);
  rooted_add(&rooted->areas, (uintptr_t)thread, (uintptr_t)(thread + 1), ROOTED_REGISTERS, thread);
  if (!thread->sp) return;
  if (thread->tcb && world_stack_read(thread->tcb, &stack) && stack.tid == thread->tid) rooted_stack(rooted, thread, &stack);
  else rooted_unknown_stack(rooted, thread);
}

static void rooted_module(const struct dl_phdr_info *info, void *arg) {
  struct rooted *rooted = arg;
  for (size_t i = 0; i < info->dlpi_phnum; i++) {
    const ElfW(Phdr) *part = &info->dlpi_phdr[i];
    uintptr_t lo = info->dlpi_addr + part->p_vaddr;
    if (part->p_type == PT_LOAD && part->p_flags & PF_W)
      rooted_add(&rooted->areas, lo, lo + part->p_memsz, ROOTED_GLOBAL, NULL);
  }
}

static bool rooted_map(struct rooted *rooted) {
  const size_t bytes = bits_align_up(rooted_areas_most * sizeof *rooted->areas.area, os_page_size);
  rooted->areas.area = os_memory_map(bytes);
  rooted->wide.area = os_memory_map(bytes);
  rooted->areas.most = rooted->wide.most = rooted_areas_most;
  return rooted->areas.area && rooted->wide.area;
}

static int rooted_begin(struct rooted *rooted) {
  if (!rooted_map(rooted)) return ENOMEM;
  int error = os_maps_read(&world_maps);
  if (error) return error;
  for (unsigned i = 0; i < rooted->snapshot->count; i++) rooted_thread(rooted, &rooted->snapshot->threads[i]);
  os_modules_listed(rooted_module, rooted); /* what it does not tell is told as a mapping */
  rooted_sort(&rooted->areas);
  rooted_sort(&rooted->wide);
  return 0;
}

/* --- ranges --- */

static bool rooted_in_set(const struct roots_set *set, uintptr_t address) {
  for (size_t i = 0; i < roots_count(set); i++)
    if (address - set->list->at[i].lo < set->list->at[i].hi - set->list->at[i].lo) return true;
  return false;
}

/* What is not in an area, and where that ends at the latest. */
static void rooted_classify_rest(uintptr_t at, struct rooted_range *range, uintptr_t *end) {
  uintptr_t lo, hi;
  bool own = os_memory_own_find(at, &lo, &hi);
  const struct os_mapping *mapping = own ? NULL : rooted_mapping(at);
  range->kind = own ? ROOTED_KERNEL : ROOTED_MAPPING;
  if (rooted_in_set(&roots_kept, at)) range->kind = ROOTED_KEPT;
  else if (rooted_in_set(&roots_added, at)) range->kind = ROOTED_DECLARED;
  range->mapping = mapping ? mapping->name : "";
  if (mapping && mapping->hi < *end) *end = mapping->hi;
  if (range->kind == ROOTED_MAPPING && mapping && mapping->inode && !mapping->shared) range->kind = ROOTED_GLOBAL;
}

/* Of what begins at the program's address at: its kind, and where that ends. */
static uintptr_t rooted_classify(struct rooted *rooted, uintptr_t at, uintptr_t end, struct rooted_range *range) {
  const struct rooted_area *area = rooted_next(&rooted->areas, at), *wide = rooted_next(&rooted->wide, at);
  bool in_area = area && area->lo <= at, in_wide = wide && wide->lo <= at;
  if (in_area) {
    range->kind = area->kind;
    range->thread = area->thread;
    return area->hi < end ? area->hi : end;
  }
  if (area && area->lo < end) end = area->lo;
  if (wide && !in_wide && wide->lo < end) end = wide->lo;
  if (in_wide) {
    range->kind = wide->kind;
    range->thread = wide->thread;
    return wide->hi < end ? wide->hi : end;
  }
  rooted_classify_rest(at, range, &end);
  return end;
}

static void rooted_range(uintptr_t lo, uintptr_t hi, void *arg) {
  struct rooted *rooted = arg;
  uintptr_t move = roots_copied ? roots_copied - lo : 0;
  while (lo < hi) {
    struct rooted_range range = {.mapping = "", .lo = lo, .copied = roots_copied ? lo + move : 0};
    range.hi = rooted_classify(rooted, lo + move, hi + move, &range) - move;
    rooted->each(&range, rooted->arg);
    lo = range.hi;
  }
}

static void rooted_pins(struct rooted *rooted) {
  const struct snapshot *snapshot = rooted->snapshot;
  if (!snapshot->pin_count) return;
  struct rooted_range range = {.kind = ROOTED_KERNEL, .mapping = "", .lo = (uintptr_t)snapshot->pins};
  range.hi = range.lo + snapshot->pin_count * sizeof *snapshot->pins;
  rooted->each(&range, rooted->arg);
}

static void rooted_kept(uintptr_t lo, uintptr_t hi, void *arg) {
  struct rooted *rooted = arg;
  struct rooted_range range = {.kind = ROOTED_KEPT, .mapping = "", .lo = lo, .hi = hi};
  rooted->each(&range, rooted->arg);
}

int rooted_each(const struct snapshot *snapshot, enum roots_purpose purpose,
                void (*each)(const struct rooted_range *range, void *arg), void *arg) {
  struct rooted rooted = {.snapshot = snapshot, .each = each, .arg = arg};
  struct roots_request request = {snapshot->deaf ? ROOTS_REPORT : purpose, snapshot->threads, snapshot->count};
  int error = rooted_begin(&rooted);
  if (error) return error;
  rooted_pins(&rooted);
  settle_kept(rooted_kept, &rooted);
  return roots_each(&request, rooted_range, &rooted);
}

void rooted_words(const struct rooted_range *range, graph_word *each, void *arg) {
  uintptr_t move = range->copied ? range->copied - range->lo : 0;
  for (uintptr_t at = range->lo; at + sizeof at <= range->hi; at += sizeof at) {
    uintptr_t word = *(const volatile uintptr_t *)at;
    if (word - region.base >= region.span) word = graph_unmangle(word);
    if (word - region.base < region.span) each(at + move, word, arg);
  }
}
