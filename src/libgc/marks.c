/* SPDX-License-Identifier: MIT
 * libgc's names for marks, for walking over the heap, and for telling what was written. Must not know what a mark is (gc/collect.h). */
#include "config.h"

#include "gc.h"
#include "gc/collect.h"
#include "gc_mark.h"
#include "heap/counts.h"
#include "libgc/libgc.h"

/* --- marks --- */

PUBLIC int GC_is_marked(const void *object) { return collect_is_reached((uintptr_t)object); }
PUBLIC void GC_set_mark_bit(const void *object) { collect_reach((uintptr_t)object); }
PUBLIC void GC_clear_mark_bit(const void *object) { collect_unreach((uintptr_t)object); }

/* --- all objects --- */

/* Its last reference was given back, or it was freed while it is pinned. */
static bool marks_is_dying(const struct block *block, uint32_t slot) {
  _Atomic uint32_t *count = counts_find(block, slot);
  return count && atomic_load(count) & COUNT_DYING;
}

static void marks_tell_block(const struct block *block, GC_reachable_object_proc function, void *data) {
  for (uint32_t slot = 0; slot < block->nslots; slot++) {
    uintptr_t object = block_slot_address(block, slot);
    if (collect_is_reached(object) && !marks_is_dying(block, slot)) function((void *)object, block_slot_bytes(block), data);
  }
}

/* The descriptors of blocks stay, whatever other threads free. */
PUBLIC void GC_enumerate_reachable_objects_inner(GC_reachable_object_proc function, void *data) {
  struct block *block;
  for (size_t unit = 0; (block = region_next(&unit)) != NULL;) {
    uint32_t units = block->units;
    if (block->kind != KIND_SCANNED) marks_tell_block(block, function, data);
    unit += units ? units : 1;
  }
}

/* --- what was written: found without being told --- */

static _Atomic int marks_manual;

PUBLIC void GC_set_manual_vdb_allowed(int on) { marks_manual = on != 0; }
PUBLIC int GC_get_manual_vdb_allowed(void) { return marks_manual; }

PUBLIC void GC_end_stubborn_change(const void *object) { keep_alive(object); }
PUBLIC void GC_change_stubborn(const void *object) { keep_alive(object); }

PUBLIC void GC_ptr_store_and_dirty(void *p, const void *q) {
  *(const void *volatile *)p = q;
  keep_alive(q);
}
