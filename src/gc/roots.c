/* SPDX-License-Identifier: MIT
 * The roots of a report. Knows what may be read and what is dead; must not know what is done with a range.
 *
 *   a thread's stack   | guard |  dead  sp| live ... | static TLS | descriptor |   taken out: [lo, sp)
 *   of one that ended  | guard |  dead            | dead TLS   tcb| descriptor |  taken out: [lo, tcb), and the
 *                      descriptor behind its header unless its result waits to be joined. The header stays: it
 *                      leads to the table of dynamic TLS, which the C library keeps for the next thread.
 *   the main thread's  [stack] |  dead  sp| live ... arguments, environment |      taken out: [lo, sp)
 *
 * A stack pointer that is in none of these (a coroutine, an alternate signal stack) takes nothing out: then the
 * known stack and the mapping that holds the stack pointer are scanned whole, like any other memory. */
#include "config.h"

#include "gc/roots.h"

#include "base/bits.h"
#include "heap/block.h"
#include "os/maps.h"
#include "os/memory.h"

#include <elf.h>
#include <errno.h>
#include <link.h>
#include <string.h>

enum {
  roots_piece = 64 * 1024,
  roots_header = 64,
  roots_frames = 16 * 1024, /* no search goes deeper below roots_each */
};

struct roots_cut {
  uintptr_t lo, hi;
};

struct roots {
  const struct roots_request *request;
  void (*range)(uintptr_t lo, uintptr_t hi, void *arg);
  void *arg;
  struct roots_cut *cuts; /* sorted, not overlapping: taken out */
  size_t ncuts, most_cuts;
  uintptr_t own;   /* from here to the stack pointer of this thread lie our own frames */
  uintptr_t guard_end; /* of the last mapping without any rights */
  bool readable;   /* the mapping being looked at */
  char *piece;     /* a copy of what cannot be read in place */
};

/* --- what is taken out --- */

static void roots_cut(struct roots *roots, uintptr_t lo, uintptr_t hi) {
  lo = bits_align_up(lo, sizeof(uintptr_t));
  hi = bits_align_down(hi, sizeof(uintptr_t));
  if (lo >= hi || roots->ncuts == roots->most_cuts) return; /* one cut less hides a leak at worst */
  roots->cuts[roots->ncuts++] = (struct roots_cut){lo, hi};
}

/* Shell sort: few, and nearly in order. Overlaps are merged. */
static void roots_sort_cuts(struct roots *roots) {
  struct roots_cut *cut = roots->cuts;
  size_t n = roots->ncuts, kept = 0;
  for (size_t gap = n / 2; gap > 0; gap /= 2)
    for (size_t i = gap; i < n; i++)
      for (size_t j = i; j >= gap && cut[j - gap].lo > cut[j].lo; j -= gap) {
        struct roots_cut swap = cut[j];
        cut[j] = cut[j - gap];
        cut[j - gap] = swap;
      }
  for (size_t i = 0; i < n; i++) {
    if (kept > 0 && cut[i].lo <= cut[kept - 1].hi) {
      if (cut[i].hi > cut[kept - 1].hi) cut[kept - 1].hi = cut[i].hi;
    } else
      cut[kept++] = cut[i];
  }
  roots->ncuts = kept;
}

/* Our library's variables lead to free slots and to blocks. Linked into a program (a unit test), they are not
 * told apart from the program's own. */
extern const char __ehdr_start[] __attribute__((visibility("hidden")));

static void roots_cut_own_data(struct roots *roots) {
  const ElfW(Ehdr) *header = (const void *)__ehdr_start;
  const ElfW(Phdr) *part = (const void *)(__ehdr_start + header->e_phoff);
  for (int i = 0; i < header->e_phnum; i++)
    if (part[i].p_type == PT_INTERP) return;
  for (int i = 0; i < header->e_phnum; i++) {
    if (part[i].p_type != PT_LOAD || !(part[i].p_flags & PF_W)) continue;
    uintptr_t lo = (uintptr_t)__ehdr_start + part[i].p_vaddr;
    roots_cut(roots, lo, lo + part[i].p_memsz);
  }
}

/* Below the stack pointer, if that is on the stack that the descriptor tells. A thread made by raw clone shows
 * the descriptor of another: its tid differs. */
static void roots_cut_thread(struct roots *roots, const struct world_thread *thread) {
  struct world_stack stack;
  if (!thread->sp || !thread->tcb || !world_stack_read(thread->tcb, &stack)) return;
  if (stack.tid != thread->tid || !stack.lo || thread->sp < stack.lo || thread->sp >= stack.tcb) return;
  roots_cut(roots, stack.lo, thread->sp);
}

static void roots_cut_exited(const struct world_stack *stack, void *arg) {
  struct roots *roots = arg;
  if (!stack->guarded) return; /* perhaps the program's own memory, in use for something else by now */
  if (stack->lo) roots_cut(roots, stack->lo, stack->tcb);
  if (stack->tid < 0 || stack->detached) roots_cut(roots, stack->tcb + roots_header, stack->end);
}

static void roots_find_cuts(struct roots *roots) {
  const struct roots_request *request = roots->request;
  roots_cut(roots, region.base, region.base + region.span);
  roots_cut_own_data(roots);
  if (roots->own < request->threads[0].sp) roots_cut(roots, roots->own, request->threads[0].sp);
  for (unsigned i = 0; i < request->count; i++) roots_cut_thread(roots, &request->threads[i]);
  world_exited_each(roots_cut_exited, roots);
}

extern void *__libc_stack_end __attribute__((weak)); /* where the main thread's stack began */

/* The main thread's stack, which may have grown since anybody could have noted its bounds. */
static void roots_cut_main(struct roots *roots, const struct os_mapping *mapping) {
  uintptr_t lowest = 0;
  bool unknown = false;
  for (unsigned i = 0; i < roots->request->count; i++) {
    const struct world_thread *thread = &roots->request->threads[i];
    if (!thread->sp) unknown = true;
    if (thread->sp < mapping->lo || thread->sp >= mapping->hi) continue;
    if (!lowest || thread->sp < lowest) lowest = thread->sp;
  }
  if (!lowest && !unknown && world_main_exited() && &__libc_stack_end) lowest = (uintptr_t)__libc_stack_end;
  if (unknown || lowest <= mapping->lo || lowest > mapping->hi) return;
  roots_cut(roots, mapping->lo, lowest);
}

/* A thread that never used malloc told nobody of its end. Its stack is a mapping behind a guard. */
static void roots_cut_unseen(struct roots *roots, const struct os_mapping *mapping) {
  struct world_stack stack;
  bool plain = mapping->read && mapping->write && !mapping->shared && mapping->inode == 0;
  if (plain && mapping->lo == roots->guard_end && world_stack_below(mapping->hi, &stack) && stack.gone)
    roots_cut_exited(&stack, roots);
  if (!mapping->read && !mapping->write) roots->guard_end = mapping->hi;
}

static bool roots_find_stacks(const struct os_mapping *mapping, void *arg) {
  struct roots *roots = arg;
  if (strcmp(mapping->name, "[stack]") != 0) {
    roots_cut_unseen(roots, mapping);
    return true;
  }
  roots_cut_main(roots, mapping);
  return false;
}

/* --- what is told --- */

static void roots_tell(struct roots *roots, uintptr_t lo, uintptr_t hi) {
  lo = bits_align_up(lo, sizeof(uintptr_t));
  hi = bits_align_down(hi, sizeof(uintptr_t));
  if (lo < hi) roots->range(lo, hi, roots->arg);
}

/* In pieces, page by page behind one that cannot be read. */
static void roots_copy(struct roots *roots, uintptr_t lo, uintptr_t hi) {
  while (lo < hi) {
    size_t want = hi - lo < roots_piece ? hi - lo : roots_piece;
    size_t got = os_maps_peek(lo, roots->piece, want);
    if (got) roots_tell(roots, (uintptr_t)roots->piece, (uintptr_t)roots->piece + got);
    lo = got == want ? lo + want : bits_align_down(lo + got, os_page_size) + os_page_size;
  }
}

static void roots_page(uintptr_t lo, uintptr_t hi, bool present, void *arg) {
  struct roots *roots = arg;
  if (present && roots->readable)
    roots_tell(roots, lo, hi);
  else
    roots_copy(roots, lo, hi);
}

/* The part [lo, hi) of the mapping, with nothing in it taken out. The page map is asked in whole pages, so the
 * neighbours' share of the first and last page is cut off again: such a part lies in a stack and is read as it
 * is. */
static void roots_part(struct roots *roots, const struct os_mapping *mapping, uintptr_t lo, uintptr_t hi) {
  struct os_mapping part = *mapping;
  part.lo = bits_align_up(lo, os_page_size);
  part.hi = bits_align_down(hi, os_page_size);
  roots->readable = mapping->read;
  if (part.lo >= part.hi) {
    roots_copy(roots, lo, hi);
    return;
  }
  if (lo < part.lo) roots_copy(roots, lo, part.lo);
  os_maps_written(&part, roots_page, roots);
  if (part.hi < hi) roots_copy(roots, part.hi, hi);
}

/* The first thing at or above lo that is taken out: a cut, or memory of ours, which comes and goes while we
 * look. */
static bool roots_next_cut(const struct roots *roots, uintptr_t lo, struct roots_cut *cut) {
  size_t a = 0, b = roots->ncuts;
  while (a < b) {
    size_t middle = (a + b) / 2;
    if (roots->cuts[middle].hi > lo)
      b = middle;
    else
      a = middle + 1;
  }
  bool found = a < roots->ncuts;
  if (found) *cut = roots->cuts[a];
  struct roots_cut own;
  if (os_memory_own_next(lo, &own.lo, &own.hi) && (!found || own.lo < cut->lo)) {
    *cut = own;
    found = true;
  }
  return found;
}

static bool roots_begins(const char *name, const char *with) { return strncmp(name, with, strlen(with)) == 0; }

/* Devices have registers, not memory. A file that others share and that cannot be written here is data, not
 * variables; anonymous shared memory may have been made read-only after it was filled. */
static bool roots_is_skipped(const struct os_mapping *mapping) {
  const char *name = mapping->name;
  if (roots_begins(name, "[v")) return true; /* vdso, vvar, vsyscall */
  bool memory = roots_begins(name, "/dev/zero") || roots_begins(name, "/dev/shm/");
  if (!memory && roots_begins(name, "/dev/")) return true;
  if (mapping->write || !mapping->shared) return false;
  return !memory && !roots_begins(name, "/memfd:") && !roots_begins(name, "/SYSV");
}

static bool roots_mapping(const struct os_mapping *mapping, void *arg) {
  struct roots *roots = arg;
  if (roots_is_skipped(mapping)) return true;
  struct roots_cut cut;
  for (uintptr_t lo = mapping->lo; lo < mapping->hi; lo = cut.hi) {
    if (!roots_next_cut(roots, lo, &cut) || cut.lo >= mapping->hi) {
      roots_part(roots, mapping, lo, mapping->hi);
      break;
    }
    if (cut.lo > lo) roots_part(roots, mapping, lo, cut.lo);
  }
  return true;
}

/* Registers; and a stack that lies in the heap, which is taken out as a whole: the rest of its object. Of the
 * object in which we run ourselves all but our own frames is told, for its beginning may be something else than
 * a stack: whoever asks takes it as reached, so that it is not looked into as a whole. */
static void roots_thread(struct roots *roots, const struct world_thread *thread) {
  if (thread->frame_lo) roots_tell(roots, thread->frame_lo, thread->frame_hi);
  const struct block *block = region_find(thread->sp);
  if (!block || !block_contains(block, thread->sp)) return;
  uintptr_t object = block_slot_address(block, block_slot(block, thread->sp));
  roots_copy(roots, thread->sp, object + block_slot_bytes(block));
  if (thread == roots->request->threads && roots->own < thread->sp) roots_copy(roots, object, roots->own);
}

static size_t roots_bytes(const struct roots *roots) {
  return roots_piece + bits_align_up(roots->most_cuts * sizeof *roots->cuts, os_page_size);
}

int roots_each(const struct roots_request *request, void (*range)(uintptr_t lo, uintptr_t hi, void *arg),
               void *arg) {
  enum { fixed_cuts = 16 + 4096 * 2 }; /* of threads that ended: two each */
  struct roots roots = {.request = request, .range = range, .arg = arg};
  roots.own = (uintptr_t)__builtin_frame_address(0) - roots_frames;
  roots.most_cuts = fixed_cuts + request->count;
  roots.piece = os_memory_map(roots_bytes(&roots));
  if (!roots.piece) return ENOMEM;
  roots.cuts = (void *)(roots.piece + roots_piece);
  roots_find_cuts(&roots);
  int error = os_maps_each(roots_find_stacks, &roots);
  if (!error) {
    roots_sort_cuts(&roots);
    for (unsigned i = 0; i < request->count; i++) roots_thread(&roots, &request->threads[i]);
    error = os_maps_each(roots_mapping, &roots);
  }
  os_memory_unmap(roots.piece, roots_bytes(&roots));
  return error;
}
