/* SPDX-License-Identifier: MIT
 * The roots of a report and of a collection. Knows what may be read and what is ours; must not know what is done with
 * a range.
 *
 *   the address space  |  a stretch         | the heap |  a stretch                  |
 *                      |mapping|  |mapping| |  ours    | |mapping| |shared| |mapping||
 *   what is told            ^^^^     ^   ^                  ^^           ^       ^         written pages that no cut holds
 *
 * The kernel is asked for the written pages of a whole stretch at once, ranges of ours in it included as long as they
 * are small: a call costs as much as looking at hundreds of pages. Shared memory is asked for mapping by mapping,
 * since "absent" from the page tables proves nothing there.
 *
 * What could be there and cannot be read. A report goes without; a collection is given up. It is doubtful where a
 * page of shared memory is that is not in core: in swap, or in the file, or beyond its end, or nowhere. Some of them
 * are read to see; a program that has more of them is not collected. */
#include "config.h"

#include "gc/pins.h"
#include "gc/rooting.h"

#include "base/bits.h"
#include "heap/block.h"
#include "os/call.h"
#include "os/memory.h"

#include <elf.h>
#include <errno.h>
#include <link.h>
#include <signal.h>
#include <string.h>

enum {
  roots_piece = 64 * 1024,
  roots_frames = 16 * 1024,       /* no search goes deeper below roots_each */
  roots_cuts_of_report = 2 * 4096, /* of threads that ended: two each */
  roots_doubtful_most = 16 << 20,
  roots_unwritable_least = 1 << 20, /* smaller ones are looked at without asking */
  roots_stretch_cut = 4 << 20,    /* a cut of this size ends a stretch */
};

uintptr_t roots_copied;
bool roots_data;

/* --- what is taken out --- */

void roots_cut(struct roots *roots, uintptr_t lo, uintptr_t hi) {
  lo = bits_align_up(lo, sizeof(uintptr_t));
  hi = bits_align_down(hi, sizeof(uintptr_t));
  if (lo >= hi || roots->ncuts == roots->most_cuts) return; /* one cut less hides a leak at worst */
  roots->cuts[roots->ncuts++] = (struct roots_range){lo, hi};
}

/* Shell sort: few, and nearly in order. Overlaps are merged. */
void roots_sort_cuts(struct roots *roots) {
  struct roots_range *cut = roots->cuts;
  size_t n = roots->ncuts, kept = 0;
  for (size_t gap = n / 2; gap > 0; gap /= 2)
    for (size_t i = gap; i < n; i++)
      for (size_t j = i; j >= gap && cut[j - gap].lo > cut[j].lo; j -= gap) {
        struct roots_range swap = cut[j];
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

bool roots_next_cut(const struct roots *roots, uintptr_t lo, struct roots_range *cut) {
  size_t a = 0, b = roots->ncuts;
  while (a < b) {
    size_t middle = (a + b) / 2;
    if (roots->cuts[middle].hi > lo)
      b = middle;
    else
      a = middle + 1;
  }
  if (a == roots->ncuts) return false;
  *cut = roots->cuts[a];
  return true;
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

static void roots_cut_own(uintptr_t lo, uintptr_t hi, void *arg) { roots_cut(arg, lo, hi); }

void roots_cut_excluded(struct roots *roots) {
  for (size_t i = 0; i < roots_count(&roots_excluded); i++)
    roots_cut(roots, roots_excluded.list->at[i].lo, roots_excluded.list->at[i].hi);
}

/* The heap is one of our mappings. So is what was mapped for this very search, before the list of mappings was read. */
static void roots_find_cuts(struct roots *roots) {
  uintptr_t sp = roots->request->threads[0].sp;
  os_memory_own_each(roots_cut_own, roots);
  roots_cut_own_data(roots);
  roots_cut_excluded(roots);
  if (roots->own < sp) roots_cut(roots, roots->own, sp);
  if (roots->request->purpose == ROOTS_REPORT) roots_cut_dead(roots);
  roots_sort_cuts(roots);
}

/* --- what is told --- */

void roots_tell(struct roots *roots, uintptr_t lo, uintptr_t hi) {
  lo = bits_align_up(lo, sizeof(uintptr_t));
  hi = bits_align_down(hi, sizeof(uintptr_t));
  if (lo < hi) roots->range(lo, hi, roots->arg);
}

/* Part of a page that could not be copied. */
static void roots_uncopied(struct roots *roots, uintptr_t lo, uintptr_t hi, bool must) {
  if (roots->request->purpose == ROOTS_REPORT || !os_memory_is_mapped(bits_align_down(lo, os_page_size))) return;
  if (os_memory_are_readable(lo, hi))
    roots_tell(roots, lo, hi); /* it is copying that is refused */
  else if (must)
    roots->error = EACCES;
}

/* In pieces, page by page behind one that cannot be read. Pieces overlap by a word, lest one that is not aligned be
 * lost. */
void roots_copy(struct roots *roots, uintptr_t lo, uintptr_t hi, bool must) {
  while (lo < hi) {
    size_t want = hi - lo < roots_piece ? hi - lo : roots_piece;
    size_t got = os_maps_copy(roots->maps, lo, roots->piece, want);
    roots_copied = lo;
    if (got) roots_tell(roots, (uintptr_t)roots->piece, (uintptr_t)roots->piece + got);
    roots_copied = 0;
    lo += got;
    if (got == want && lo < hi) lo -= sizeof(uintptr_t);
    if (got == want) continue;
    uintptr_t next = bits_align_down(lo, os_page_size) + os_page_size;
    roots_uncopied(roots, lo, next < hi ? next : hi, must);
    lo = next;
  }
}

/* Generated code holds pointers at any byte (Java's: at the only place): as if each were aligned, by shifted copies. */
static void roots_code(struct roots *roots, const struct os_mapping *mapping, uintptr_t lo, uintptr_t hi, bool must) {
  if (!mapping->execute) return;
  for (unsigned shift = 1; shift < sizeof(uintptr_t); shift++) roots_copy(roots, lo + shift, hi, must);
}

void roots_checked(struct roots *roots, uintptr_t lo, uintptr_t hi) {
  if (os_memory_are_readable(lo, hi))
    roots_tell(roots, lo, hi);
  else
    roots_copy(roots, lo, hi, true);
}

/* --- pages --- */

static bool roots_begins(const char *name, const char *with) { return strncmp(name, with, strlen(with)) == 0; }

/* Pages of these are in core, in swap, or nowhere. */
static bool roots_is_memory_file(const char *name) {
  return roots_begins(name, "/memfd:") || roots_begins(name, "/SYSV") || roots_begins(name, "/dev/zero") ||
         roots_begins(name, "/dev/shm/") || roots_begins(name, "[anon_shmem");
}

/* To know is dear, so it is kept for the next time. */
static bool roots_is_unwritable(const struct os_mapping *mapping) {
  enum { places = 64 };
  static struct os_mapping known[places];
  static unsigned next;
  for (unsigned i = 0; i < places; i++) {
    const struct os_mapping *k = &known[i];
    bool same = k->lo == mapping->lo && k->hi == mapping->hi;
    if (same && k->inode == mapping->inode && k->offset == mapping->offset) return true;
  }
  if (!os_maps_is_unwritable(mapping)) return false;
  known[next] = *mapping;
  next = (next + 1) % places;
  return true;
}

/* Devices have registers, not memory (files in /dev have), and so have what the kernel maps of its own. A file that others share and that
 * cannot be written here is data, not variables; anonymous shared memory may have been made read-only after it was
 * filled. */
static bool roots_is_skipped(const struct roots *roots, const struct os_mapping *mapping) {
  const char *name = mapping->name;
  if (roots_begins(name, "[v") || roots_begins(name, "[uprobes]")) return true; /* vdso, vvar, vsyscall */
  bool memory = roots_is_memory_file(name);
  if (!memory && roots_begins(name, "/dev/") && !roots_begins(name, "/dev/hugepages") && os_maps_is_device(mapping)) return true;
  if (mapping->write || !mapping->shared || memory) return false;
  if (roots->request->purpose == ROOTS_REPORT) return true;
  return mapping->hi - mapping->lo >= roots_unwritable_least && roots_is_unwritable(mapping);
}

/* [lo, hi) of one private mapping. A page that may be read and yet cannot be (a guard region, memory that has failed)
 * holds nothing for the program either. */
static void roots_private(struct roots *roots, const struct os_mapping *mapping, uintptr_t lo, uintptr_t hi,
                          bool present) {
  if (present && mapping->read)
    roots_tell(roots, lo, hi);
  else
    roots_copy(roots, lo, hi, !mapping->read);
  roots_code(roots, mapping, lo, hi, !mapping->read);
}

void roots_uncut(struct roots *roots, uintptr_t lo, uintptr_t hi, bool present, roots_part *part) {
  struct roots_range cut;
  for (; lo < hi; lo = cut.hi) {
    if (!roots_next_cut(roots, lo, &cut) || cut.lo >= hi) {
      part(roots, lo, hi, present);
      return;
    }
    if (cut.lo > lo) part(roots, lo, cut.lo, present);
  }
}

/* Pages come in rising order, so the mappings are gone through once for each stretch. */
static void roots_pages_part(struct roots *roots, uintptr_t lo, uintptr_t hi, bool present) {
  const struct os_maps *maps = roots->maps;
  while (roots->at < maps->count && maps->list[roots->at].hi <= lo) roots->at++;
  for (size_t i = roots->at; i < maps->count && maps->list[i].lo < hi; i++) {
    const struct os_mapping *mapping = &maps->list[i];
    if (mapping->shared || roots_is_skipped(roots, mapping)) continue;
    roots_private(roots, mapping, lo > mapping->lo ? lo : mapping->lo, hi < mapping->hi ? hi : mapping->hi, present);
  }
}

static void roots_pages(uintptr_t lo, uintptr_t hi, bool present, void *arg) {
  roots_uncut(arg, lo, hi, present, roots_pages_part);
}

/* A report takes all where the kernel does not tell, though a file's pages may lie beyond its end. */
static int roots_refused(struct roots *roots, uintptr_t lo, uintptr_t hi, int error) {
  if (roots->request->purpose != ROOTS_REPORT) return error;
  roots->at = 0;
  for (size_t i = 0; i < roots->maps->count; i++) {
    const struct os_mapping *mapping = &roots->maps->list[i];
    uintptr_t from = mapping->lo > lo ? mapping->lo : lo, to = mapping->hi < hi ? mapping->hi : hi;
    if (from < to) roots_pages(from, to, mapping->inode == 0, roots);
  }
  return 0;
}

/* The private pages of [lo, hi). */
static int roots_stretch(struct roots *roots, uintptr_t lo, uintptr_t hi) {
  roots->at = 0;
  int error = os_maps_private(roots->maps, lo, hi, roots_pages, roots);
  return error ? roots_refused(roots, lo, hi, error) : 0;
}

static bool roots_is_address(uintptr_t address) { return !(address >> 63); } /* not the vsyscall page */

/* The first large cut from this one on that ends above lo. */
static size_t roots_large_cut(const struct roots *roots, size_t at, uintptr_t lo) {
  for (; at < roots->ncuts; at++)
    if (roots->cuts[at].hi > lo && roots->cuts[at].hi - roots->cuts[at].lo >= roots_stretch_cut) break;
  return at;
}

/* From cut to cut, as far as these are large. */
static int roots_all_private(struct roots *roots) {
  const struct os_maps *maps = roots->maps;
  size_t count = maps->count, large = 0;
  while (count > 0 && !roots_is_address(maps->list[count - 1].lo)) count--;
  uintptr_t lo = count ? maps->list[0].lo : 0, end = count ? maps->list[count - 1].hi : 0;
  int error = 0;
  for (; lo < end && !error; large++) {
    large = roots_large_cut(roots, large, lo);
    bool last = large >= roots->ncuts || roots->cuts[large].lo >= end;
    uintptr_t hi = last ? end : bits_align_up(roots->cuts[large].lo, os_page_size);
    if (lo < hi) error = roots_stretch(roots, lo, hi);
    lo = last ? end : bits_align_down(roots->cuts[large].hi, os_page_size);
  }
  return error;
}

/* --- shared memory --- */

static bool roots_is_swapping(struct roots *roots) {
  if (!roots->swap) roots->swap = os_memory_is_swapping() ? 1 : -1;
  return roots->swap > 0;
}

static void roots_core_part(struct roots *roots, uintptr_t lo, uintptr_t hi, bool core) {
  const char *name = roots->shared->name;
  if (core) {
    roots_copy(roots, lo, hi, !roots->shared->read);
    roots_code(roots, roots->shared, lo, hi, !roots->shared->read);
  } else if (!roots_is_memory_file(name) || roots_is_swapping(roots)) {
    roots->doubtful += hi - lo;
    if (roots->doubtful > roots_doubtful_most)
      roots->error = EFBIG;
    else
      roots_copy(roots, lo, hi, false);
  }
}

static void roots_core(uintptr_t lo, uintptr_t hi, bool core, void *arg) {
  roots_uncut(arg, lo, hi, core, roots_core_part);
}

static void roots_shared_part(struct roots *roots, uintptr_t lo, uintptr_t hi, bool present) {
  (void)present;
  roots_copy(roots, lo, hi, false);
  roots_code(roots, roots->shared, lo, hi, false);
}

static void roots_shared_pages(uintptr_t lo, uintptr_t hi, bool present, void *arg) {
  roots_uncut(arg, lo, hi, present, roots_shared_part);
}

static void roots_shared(struct roots *roots, const struct os_mapping *mapping) {
  roots->shared = mapping;
  if (roots->request->purpose == ROOTS_REPORT)
    os_maps_written(mapping, roots_shared_pages, roots);
  else
    os_maps_shared(mapping, roots_core, roots);
}

static void roots_all_shared(struct roots *roots) {
  for (size_t i = 0; i < roots->maps->count; i++) {
    const struct os_mapping *mapping = &roots->maps->list[i];
    if (mapping->shared && !roots_is_skipped(roots, mapping)) roots_shared(roots, mapping);
  }
}

void roots_mapped(struct roots *roots, uintptr_t lo, uintptr_t hi) {
  roots_read_maps(roots);
  for (size_t i = 0; i < roots->maps->count && !roots->error; i++) {
    struct os_mapping part = roots->maps->list[i];
    if (part.hi <= lo || part.lo >= hi || roots_is_skipped(roots, &part)) continue;
    if (part.lo < lo) part.lo = bits_align_down(lo, os_page_size);
    if (part.hi > hi) part.hi = bits_align_up(hi, os_page_size);
    if (part.shared)
      roots_shared(roots, &part);
    else if (roots_stretch(roots, part.lo, part.hi) != 0)
      roots_checked(roots, part.lo, part.hi);
  }
}

/* --- threads --- */

/* A stack that lies in the heap is taken out with it. Of the object in which we run ourselves all but our own frames
 * is told, for its beginning may be something else than a stack: whoever asks takes it as reached, so that it is not
 * looked into as a whole. */
static void roots_heap_stack(struct roots *roots, const struct world_thread *thread, bool whole) {
  const struct block *block = region_find(thread->sp);
  if (!block || !block_contains(block, thread->sp)) return;
  uintptr_t object = block_slot_address(block, block_slot(block, thread->sp));
  bool self = thread == roots->request->threads && roots->own < thread->sp;
  roots_copy(roots, thread->sp, object + block_slot_bytes(block), false);
  if (self || whole) roots_copy(roots, object, self ? roots->own : thread->sp, false);
}

/* Registers, those that are not in the frame included; and where the kernel puts signal frames, which nobody else may
 * know. */
static void roots_thread(struct roots *roots, const struct world_thread *thread) {
  bool report = roots->request->purpose == ROOTS_REPORT;
  if (thread->frame_lo) roots_tell(roots, thread->frame_lo, thread->frame_hi);
  if (!report) roots_tell(roots, (uintptr_t)thread, (uintptr_t)(thread + 1));
  roots_heap_stack(roots, thread, !report);
}

static void roots_threads(struct roots *roots) {
  stack_t alternate = {0};
  for (unsigned i = 0; i < roots->request->count; i++) roots_thread(roots, &roots->request->threads[i]);
  if (roots->request->purpose == ROOTS_REPORT) return;
  os_call(SYS_sigaltstack, NULL, &alternate); /* of others, the kernel has put it into the frame */
  roots_tell(roots, (uintptr_t)&alternate, (uintptr_t)(&alternate + 1));
}

/* --- all together --- */

/* What the client declared is told anyway, unless it lies in memory of ours. */
static void roots_declared_in_ours(struct roots *roots, const struct roots_set *set) {
  for (size_t i = 0; i < roots_count(set); i++) {
    uintptr_t lo = set->list->at[i].lo, hi = set->list->at[i].hi, own_lo, own_hi;
    if (os_memory_own_next(lo, &own_lo, &own_hi) && own_lo < hi) roots_checked(roots, lo, hi);
  }
}

void roots_read_maps(struct roots *roots) {
  int error = roots->maps_read ? 0 : os_maps_read(roots->maps);
  roots->maps_read = true;
  if (error) roots->error = error;
}

static int roots_all(struct roots *roots) {
  roots_read_maps(roots);
  if (roots->error) return roots->error;
  roots_find_cuts(roots);
  int error = roots_all_private(roots);
  if (error) return error;
  roots_all_shared(roots);
  if (roots->request->purpose == ROOTS_REPORT) return 0;
  roots_declared_in_ours(roots, &roots_added);
  for (size_t i = 0; i < roots_count(&roots_kept); i++)
    roots_checked(roots, roots_kept.list->at[i].lo, roots_kept.list->at[i].hi);
  return 0;
}

/* Kept from one time to the next: to map it anew costs more than all the rest. */
static struct {
  char *at;
  size_t size;
} roots_room;

static int roots_make_room(struct roots *roots) {
  size_t cuts = 64 + os_memory_own_most() + roots_count(&roots_excluded) + roots->request->count;
  if (roots->request->purpose == ROOTS_REPORT) cuts += roots_cuts_of_report;
  size_t size = bits_align_up(roots_piece + cuts * sizeof *roots->cuts, os_page_size);
  if (size > roots_room.size) {
    if (roots_room.at) os_memory_unmap(roots_room.at, roots_room.size);
    roots_room.at = os_memory_map(size);
    roots_room.size = roots_room.at ? size : 0;
    if (!roots_room.at) return ENOMEM;
  }
  roots->piece = roots_room.at;
  roots->cuts = (void *)(roots_room.at + roots_piece);
  roots->most_cuts = (roots_room.size - roots_piece) / sizeof *roots->cuts;
  return 0;
}

static bool roots_all_stopped(const struct roots_request *request) {
  for (unsigned i = 0; i < request->count; i++)
    if (!request->threads[i].stopped && !request->threads[i].stranger) return false;
  return true;
}

int roots_each(const struct roots_request *request, void (*range)(uintptr_t lo, uintptr_t hi, void *arg),
               void *arg) {
  struct roots roots = {.request = request, .range = range, .arg = arg, .maps = &world_maps};
  roots.own = world_left ? world_left : (uintptr_t)__builtin_frame_address(0) - roots_frames;
  if (request->purpose != ROOTS_REPORT && !roots_all_stopped(request)) return EAGAIN;
  if (request->purpose != ROOTS_REPORT && !pins_complete()) return ENOMEM;
  int error = roots_make_room(&roots);
  if (error) return error;
  roots_threads(&roots);
  pins_each(range, arg);
  error = request->purpose == ROOTS_DECLARED ? roots_declared(&roots) : ENOTSUP;
  if (error == ENOTSUP) error = roots_all(&roots);
  return error ? error : roots.error;
}
