/* SPDX-License-Identifier: MIT
 * libgc's questions after who points to an object, answered by GC_why; and random addresses to ask about. Must not know how ways are found. */
#include "config.h"

#include "gc_backptr.h"

#include "api/alloc.h"
#include "api/gc_events.h"
#include "base/bits.h"
#include "base/print.h"
#include "gc_ext.h"
#include "gc_mark.h"
#include "libgc/debug.h"
#include "libgc/libgc.h"
#include "os/memory.h"
#include "os/threads.h"

#include <errno.h>

/* --- objects as the program knows them --- */

static bool backptr_find(const void *p, struct block **block, uint32_t *slot) {
  void *base = GC_base((void *)(uintptr_t)p);
  return base && alloc_find(base, block, slot);
}

static struct debug_told backptr_told(void *base) {
  struct block *block;
  uint32_t slot;
  int kind = GC_get_kind_and_size(base, NULL);
  if (!alloc_find(base, &block, &slot)) return (struct debug_told){.p = base};
  if (debug_is(block, slot)) return debug_tell_of(base);
  return (struct debug_told){.p = base, .size = block_requested(block, slot), .kind = (unsigned)kind, .site = debug_site_of(block, slot), .alive = true};
}

static void *backptr_pointer(void *base) {
  struct block *block;
  uint32_t slot;
  return alloc_find(base, &block, &slot) && debug_is(block, slot) ? debug_pointer(base) : base;
}

/* --- the way to one --- */

enum { backptr_most = 1024 }; /* steps that GC_why tells */

struct backptr_way {
  unsigned told;
  long length;
  struct GC_why_step step[backptr_most];
};

static void backptr_step(const struct GC_why_step *step, void *arg) {
  struct backptr_way *way = arg;
  if (way->told < backptr_most) way->step[way->told++] = *step;
}

/* NULL, with errno: nobody could look. To be unmapped. */
static struct backptr_way *backptr_look(const void *p) {
  size_t bytes = bits_align_up(sizeof(struct backptr_way), os_page_size);
  struct backptr_way *way = os_memory_map(bytes);
  if (!way) {
    errno = ENOMEM;
    return NULL;
  }
  way->length = GC_why(p, backptr_step, way);
  if (way->length >= 0) return way;
  os_memory_unmap(way, bytes);
  return NULL;
}

static void backptr_done(struct backptr_way *way) { os_memory_unmap(way, bits_align_up(sizeof *way, os_page_size)); }

static GC_ref_kind backptr_kind(const struct GC_why_step *step) {
  if (step->index > 0) return GC_REFD_FROM_HEAP;
  if (step->root == GC_ROOT_REGISTERS) return GC_REFD_FROM_REG;
  if (step->root == GC_ROOT_KEPT) return GC_FINALIZER_REFD;
  return step->root == GC_ROOT_OWNED ? GC_UNREFERENCED : GC_REFD_FROM_ROOT; /* nothing need lead to what is never reclaimed */
}

static void backptr_place(const struct GC_why_step *step, GC_ref_kind kind, void **base, size_t *offset) {
  if (kind == GC_REFD_FROM_ROOT) *base = (void *)(uintptr_t)step->from;
  if (kind != GC_REFD_FROM_HEAP) return;
  *base = backptr_pointer(GC_base((void *)(uintptr_t)step->from));
  *offset = (size_t)((uintptr_t)step->from - (uintptr_t)*base);
}

/* Too long a way was not told to its end: then any object that leads there is one that lives, most likely. */
static GC_ref_kind backptr_any(void *object, void **base, size_t *offset) {
  size_t count = 0, size = GC_size(object);
  void **all = GC_get_referrers(&object, 1, &count);
  for (size_t i = 0; all && i < count; i++)
    for (uintptr_t *word = all[i], *end = (uintptr_t *)((char *)all[i] + GC_size(all[i])); word < end; word++)
      if (*word - (uintptr_t)object < size) {
        *base = backptr_pointer(all[i]);
        *offset = (size_t)((uintptr_t)word - (uintptr_t)*base);
        return GC_REFD_FROM_HEAP;
      }
  return GC_UNREFERENCED;
}

PUBLIC GC_ref_kind GC_get_back_ptr_info(void *dest, void **base, size_t *offset) {
  void *ignored;
  size_t ignored_offset, *at = offset ? offset : &ignored_offset;
  void **from = base ? base : &ignored, *object = GC_base(dest);
  *from = NULL;
  *at = 0;
  if (!object) return GC_NO_SPACE;
  struct backptr_way *way = backptr_look(object);
  if (!way) return GC_UNREFERENCED;
  GC_ref_kind kind = GC_UNREFERENCED;
  if (way->length > backptr_most) {
    kind = backptr_any(object, from, at);
  } else if (way->told > 0) {
    const struct GC_why_step *last = &way->step[way->told - 1];
    kind = backptr_kind(last);
    backptr_place(last, kind, from, at);
  }
  backptr_done(way);
  return kind;
}

/* --- telling it --- */

static void backptr_say_object(void *base, const char *before) {
  char text[debug_text_bytes];
  struct debug_told told = backptr_told(base);
  debug_say("%s%s", before, debug_describe(&told, text));
}

static void backptr_say_root(const struct GC_why_step *step) {
  static const char *const roots[] = {
      [GC_ROOT_REGISTERS] = "a register", [GC_ROOT_STACK] = "the stack", [GC_ROOT_TLS] = "thread-local storage",
      [GC_ROOT_GLOBAL] = "a variable", [GC_ROOT_MAPPING] = "other memory", [GC_ROOT_DECLARED] = "a declared root",
      [GC_ROOT_KEPT] = "what waits for its finalizer, or was handed to this library", [GC_ROOT_KERNEL] = "the kernel",
      [GC_ROOT_DEAD_STACK] = "a dead part of the stack"};
  if (step->root == GC_ROOT_OWNED) debug_say("  which is never reclaimed");
  else if (step->thread) debug_say("  pointed to by %p, in %s of thread %ld", step->from, roots[step->root], step->thread);
  else debug_say("  pointed to by %p, in %s", step->from, roots[step->root]);
}

static void backptr_say_way(const struct backptr_way *way) {
  if (way->length == 0) debug_say("  nothing leads to it");
  if (way->length > way->told) debug_say("  through %ld objects, and then", way->length - way->told);
  for (unsigned i = way->told; i-- > 0;) {
    const struct GC_why_step *step = &way->step[i];
    if (step->index == 0) {
      backptr_say_root(step);
      return;
    }
    char before[64];
    void *base = GC_base((void *)(uintptr_t)step->from);
    print_buffer(before, sizeof before, "  pointed to at offset %zu of the object at ",
                 (size_t)((uintptr_t)step->from - (uintptr_t)backptr_pointer(base)));
    backptr_say_object(base, before);
  }
}

PUBLIC void GC_print_backtrace(void *p) {
  int saved = errno;
  struct block *block;
  uint32_t slot;
  if (!backptr_find(p, &block, &slot)) {
    debug_say("%p is in no object", p);
    return;
  }
  backptr_say_object((void *)block_slot_address(block, slot), "the object at ");
  struct backptr_way *way = backptr_look(p);
  if (way) {
    backptr_say_way(way);
    backptr_done(way);
  } else {
    debug_say("  who leads to it is not known: error %d", errno);
  }
  errno = saved;
}

PUBLIC void GC_generate_random_backtrace(void) {
  GC_gcollect();
  void *p = GC_generate_random_valid_address();
  if (p) GC_print_backtrace(p);
  else debug_say("there is no object");
}

/* --- random addresses --- */

static uint64_t backptr_random(void) {
  static _Atomic uint64_t state;
  return bits_mix(atomic_fetch_add(&state, 0x9e3779b97f4a7c15) ^ os_clock());
}

PUBLIC void *GC_generate_random_heap_address(void) {
  enum { tries = 1000 };
  size_t used = birth_ensure() ? atomic_load(&region.used) : 0;
  struct block *block = NULL;
  for (int i = 0; used && !block && i < tries; i++)
    block = region_find(region.base + (backptr_random() % used << block_unit_shift));
  size_t unit = 0;
  if (!block) block = region_next(&unit);
  return block ? (void *)(block->start + backptr_random() % block->size) : NULL;
}

/* The next live object behind the address, around the end of the heap; NULL: there is none. */
static uintptr_t backptr_next_object(uintptr_t address) {
  struct block *block = region_find(address);
  size_t unit = (address - region.base) >> block_unit_shift;
  uint32_t slot = block ? block_slot(block, address) : 0;
  for (int rounds = 0; rounds < 2;) {
    for (; block && slot < block->nslots; slot++)
      if (state_is_live(((volatile uint8_t *)block->state)[slot])) return block_slot_address(block, slot);
    if (block) unit = block_first_unit(block) + block->units;
    block = region_next(&unit);
    slot = 0;
    if (!block) rounds++, unit = 0;
  }
  return 0;
}

PUBLIC void *GC_generate_random_valid_address(void) {
  enum { tries = 1000 };
  for (int i = 0; i < tries; i++) {
    void *p = GC_generate_random_heap_address();
    if (!p || GC_base(p)) return p;
  }
  uintptr_t object = backptr_next_object((uintptr_t)GC_generate_random_heap_address());
  size_t size = object ? GC_size((void *)object) : 0;
  return size ? (void *)(object + backptr_random() % size) : NULL;
}

/* --- libgc's trace: what it would have noted is not, but all collections are counted --- */

PUBLIC void GC_print_trace_inner(GC_word since) {
  GC_word last = GC_get_gc_no();
  debug_say("collections since number %lu: %lu; of all %lu so far:", since, last > since ? last - since : 0, last);
  for (unsigned i = 0; i < collect_generations; i++) {
    const struct gc_stats_generation *generation = &gc_stats.generations[i];
    uint64_t count = atomic_load(&generation->collections);
    debug_say("  generation %u: %lu collections reclaimed %lu objects of %lu bytes, pauses %lu us", i, count, atomic_load(&generation->objects),
              atomic_load(&generation->bytes), atomic_load(&generation->pause_ns) / 1000);
  }
}

PUBLIC void GC_print_trace(GC_word since) { GC_print_trace_inner(since); }
