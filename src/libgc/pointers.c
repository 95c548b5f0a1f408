/* SPDX-License-Identifier: MIT
 * libgc's checks of pointer arithmetic and of stores: is this still the same object, would the collector see this? Must not know why
 * somebody asks. */
#include "config.h"

#include "api/alloc.h"
#include "api/collector.h"
#include "api/gc_warn.h"
#include "gc.h"
#include "gc/mark.h"
#include "libgc/debug.h"
#include "libgc/libgc.h"
#include "os/memory.h"

#include <stdlib.h>

/* --- what is done when it is not: the program may have its own --- */

static void pointers_end(const char *why) {
  gc_warn_end(why);
  abort();
}

static void pointers_same_failed(void *p, void *q) {
  debug_say("GC_same_obj: %p and %p are not in the same object", p, q);
  pointers_end("GC_same_obj failed");
}

static void pointers_displacement_failed(void *p) {
  debug_say("GC_is_valid_displacement: %p does not point to an object that is allocated, or to a displacement that counts", p);
  pointers_end("GC_is_valid_displacement failed");
}

static void pointers_visible_failed(void *p) {
  debug_say("GC_is_visible: %p is not where the collector looks for pointers", p);
  pointers_end("GC_is_visible failed");
}

PUBLIC_DATA GC_pointers_print_proc GC_same_obj_print_proc = pointers_same_failed;
PUBLIC_DATA GC_pointer_print_proc GC_is_valid_displacement_print_proc = pointers_displacement_failed;
PUBLIC_DATA GC_pointer_print_proc GC_is_visible_print_proc = pointers_visible_failed;

/* --- objects --- */

/* The live object that the address is in: of a debug object, the program's bytes. */
struct pointers_object {
  uintptr_t lo, hi; /* both 0: none */
};

static struct pointers_object pointers_find(const void *p) {
  uintptr_t base = (uintptr_t)GC_base((void *)(uintptr_t)p);
  struct block *block = base ? region_find(base) : NULL;
  if (!block) return (struct pointers_object){0, 0};
  uint32_t slot = block_slot(block, base);
  if (!debug_is(block, slot)) return (struct pointers_object){base, base + block_slot_bytes(block)};
  const struct debug_header *header = (struct debug_header *)base;
  return (struct pointers_object){(uintptr_t)(header + 1), (uintptr_t)(header + 1) + header->size};
}

static bool pointers_within(const struct pointers_object *object, const void *p) {
  return object->lo && (uintptr_t)p >= object->lo && (uintptr_t)p <= object->hi; /* one past the end belongs to it */
}

/* Where neither is in an object of the heap nothing is known. */
static bool pointers_same(const void *p, const void *q) {
  struct pointers_object a = pointers_find(p), b = pointers_find(q);
  if (p == q || (!a.lo && !b.lo)) return true;
  return (pointers_within(&a, p) && pointers_within(&a, q)) || (pointers_within(&b, p) && pointers_within(&b, q));
}

PUBLIC void *GC_same_obj(void *p, void *q) {
  if (!pointers_same(p, q)) GC_same_obj_print_proc(p, q);
  return p;
}

/* The variable is changed whatever is found. */
PUBLIC void *GC_pre_incr(void **p, ptrdiff_t bytes) {
  void *before = *p, *after = (void *)((uintptr_t)before + (uintptr_t)bytes);
  *p = after;
  return GC_same_obj(after, before);
}

PUBLIC void *GC_post_incr(void **p, ptrdiff_t bytes) {
  void *before = *p;
  GC_pre_incr(p, bytes);
  return before;
}

/* Any place inside an object is one. In the heap and in none: the pointer dangles. */
PUBLIC void *GC_is_valid_displacement(void *p) {
  char *base = GC_base(p);
  bool counts = base && (GC_all_interior_pointers || mark_is_displacement((size_t)((char *)p - base)));
  if (GC_is_heap_ptr(p) && !counts) GC_is_valid_displacement_print_proc(p);
  return p;
}

/* --- places --- */

/* Whether a pointer in the word would be seen: not in an object without pointers, nor where it is not aligned, nor in memory that is not mapped.
 * What lies outside of the heap is a root or is not; most is, and what was declared is not asked for here. */
static bool pointers_visible(const void *p) {
  struct block *block = region_find((uintptr_t)p);
  if ((uintptr_t)p % sizeof(void *) != 0 && !birth_options.unaligned) return false;
  if (block) return kind_is_scanned(block->kind) && GC_base((void *)(uintptr_t)p);
  return os_memory_is_readable((uintptr_t)p);
}

PUBLIC void *GC_is_visible(void *p) {
  if (!pointers_visible(p)) GC_is_visible_print_proc(p);
  return p;
}

PUBLIC void GC_debug_ptr_store_and_dirty(void *p, const void *q) {
  *(void **)GC_is_visible(p) = GC_is_valid_displacement((void *)(uintptr_t)q);
}
