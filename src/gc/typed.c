/* SPDX-License-Identifier: MIT
 * Marking by type. Must not know who made the types. */
#include "config.h"

#include "gc/typed.h"

#include "base/bits.h"
#include "gc/marker.h"
#include "gc/workers.h"
#include "heap/heap.h"
#include "heap/sweep.h"
#include "os/memory.h"

#include <string.h>

enum { typed_most_layouts = 1 << 16, typed_stack = 4096, typed_per_object_bias = 16 };

static struct {
  _Atomic(typed_procedure *) procedures[typed_most_procedures];
  _Atomic unsigned procedure_count;
  _Atomic(struct typed_layout *) layouts[typed_most_layouts]; /* pages that are not used cost nothing */
  _Atomic unsigned layout_count;
} typed = {.procedure_count = typed_first_procedure};

/* --- types --- */

unsigned typed_add_procedure(typed_procedure *procedure) {
  unsigned number = atomic_load(&typed.procedure_count);
  do
    if (number >= typed_layouts) return 0;
  while (!atomic_compare_exchange_weak(&typed.procedure_count, &number, number + 1));
  atomic_store(&typed.procedures[number], procedure);
  return number;
}

void typed_set_procedure(unsigned number, typed_procedure *procedure) {
  if (number < typed_layouts) atomic_store(&typed.procedures[number], procedure);
}

static size_t typed_layout_bytes(const struct typed_layout *layout) {
  return sizeof *layout + (layout->words + 63) / 64 * sizeof layout->bits[0];
}

static uintptr_t typed_of_layout(unsigned number) {
  return (uintptr_t)number << (typed_number_bits + typed_tag_bits) | typed_layouts << typed_tag_bits | TYPED_PROCEDURE;
}

/* The same as one that there is: a program has few kinds of objects, and asks for them again and again. */
static unsigned typed_same_layout(const struct typed_layout *layout) {
  unsigned count = atomic_load(&typed.layout_count);
  for (unsigned number = 1; number <= count; number++) {
    const struct typed_layout *other = atomic_load(&typed.layouts[number]);
    if (other && typed_layout_bytes(other) == typed_layout_bytes(layout) && memcmp(other, layout, typed_layout_bytes(layout)) == 0)
      return number;
  }
  return 0;
}

uintptr_t typed_add_layout(const struct typed_layout *layout) {
  unsigned same = typed_same_layout(layout);
  if (same) return typed_of_layout(same);
  struct typed_layout *copy = os_arena_alloc(typed_layout_bytes(layout), _Alignof(struct typed_layout));
  unsigned number = atomic_load(&typed.layout_count);
  if (!copy) return 0;
  do
    if (number + 1 >= typed_most_layouts) return 0;
  while (!atomic_compare_exchange_weak(&typed.layout_count, &number, number + 1));
  memcpy(copy, layout, typed_layout_bytes(layout));
  atomic_store(&typed.layouts[number + 1], copy);
  return typed_of_layout(number + 1);
}

static unsigned typed_number(uintptr_t type) { return type >> typed_tag_bits & (typed_most_procedures - 1); }
static uintptr_t typed_environment(uintptr_t type) { return type >> (typed_tag_bits + typed_number_bits); }
static unsigned typed_tag(uintptr_t type) { return type & (((uintptr_t)1 << typed_tag_bits) - 1); }

const struct typed_layout *typed_layout_of(uintptr_t type) {
  if (typed_tag(type) != TYPED_PROCEDURE || typed_number(type) != typed_layouts || typed_environment(type) >= typed_most_layouts) return NULL;
  return atomic_load(&typed.layouts[typed_environment(type)]);
}

bool typed_any(void) { return atomic_load_explicit(&heap_bytes[KIND_TYPED], memory_order_relaxed) > 0; }

/* --- one object, or what a procedure put on its stack --- */

/* Where the type is found through the object: at a place in it, or in what its first word points to. */
static uintptr_t typed_of_object(uintptr_t object, uintptr_t type) {
  intptr_t place = (intptr_t)(type - TYPED_PER_OBJECT);
  if (place >= 0) return *(const volatile uintptr_t *)(object + (uintptr_t)place);
  uintptr_t description = *(const volatile uintptr_t *)object;
  if (!description) return 0; /* not yet filled in */
  return *(const volatile uintptr_t *)(description - (uintptr_t)(place + typed_per_object_bias));
}

static void typed_bits(struct marker *m, uintptr_t lo, const uint64_t *bits, size_t words) {
  for (size_t i = 0; i < words; i += 64)
    for (uint64_t left = bits[i / 64]; left && i + bits_lowest(left) < words; left &= left - 1)
      mark_word_told(m, *(const volatile uintptr_t *)(lo + (i + bits_lowest(left)) * sizeof(uintptr_t)));
}

static void typed_bitmap(struct marker *m, uintptr_t lo, uintptr_t type, size_t size) {
  uintptr_t end = lo + bits_align_down(size, sizeof(uintptr_t));
  for (uint64_t left = type & ~(uint64_t)3; left && lo < end; left <<= 1, lo += sizeof(uintptr_t))
    if (left >> 63) mark_word_told(m, *(const volatile uintptr_t *)lo);
}

/* Of an object that was made smaller the last element may be cut. */
static void typed_laid_out(struct marker *m, uintptr_t lo, size_t size, const struct typed_layout *layout) {
  for (size_t i = 0; i < layout->count && i * layout->element < size && (i == 0 || layout->element); i++) {
    size_t words = (size - i * layout->element) / sizeof(uintptr_t);
    typed_bits(m, lo + i * layout->element, layout->bits, words < layout->words ? words : layout->words);
  }
}

static void typed_put_aside(struct marker *m, uintptr_t start, uintptr_t type) {
  if (!mark_put_aside(m, start, type)) m->failed = true;
}

/* size: the bytes that there are from start on. */
static void typed_entry(struct marker *m, uintptr_t start, uintptr_t type, size_t size) {
  if (typed_tag(type) == TYPED_PER_OBJECT && m->running) return; /* it may be freed meanwhile, and hold anything: typed_look_reached will do */
  for (int hops = 0; typed_tag(type) == TYPED_PER_OBJECT && hops < 2; hops++) type = typed_of_object(start, type);
  const struct typed_layout *layout = typed_layout_of(type);
  switch (typed_tag(type)) {
    case TYPED_LENGTH: mark_part(m, start, type < size ? type : size); break;
    case TYPED_BITMAP: typed_bitmap(m, start, type, size); break;
    case TYPED_PROCEDURE:
      if (layout) typed_laid_out(m, start, size, layout);
      else if (typed_number(type) != typed_layouts) typed_put_aside(m, start, type);
      break;
    default: mark_part(m, start, size);
  }
}

void typed_look(struct marker *m, uintptr_t object) {
  struct block *block = region_find(object);
  uint32_t slot = block_slot(block, object);
  uintptr_t type = atomic_load_explicit(&block->types[slot], memory_order_acquire);
  size_t size = block_slot_bytes(block);
  if (type == 0) return;
  if (unlikely(m->odd)) mark_part(m, object, size); /* reads it with care: more than asked for */
  if (likely(!m->odd) || typed_tag(type) == TYPED_PROCEDURE) typed_entry(m, object, type, size);
}

/* --- procedures --- */

/* The bytes from an address to the end of its object; what lies elsewhere has as many as it says. */
static size_t typed_room(uintptr_t address) {
  const struct block *block = region_find(address);
  if (!block || !block_contains(block, address)) return (size_t)1 << 40;
  return block_slot_address(block, block_slot(block, address)) + block_slot_bytes(block) - address;
}

static void typed_call(struct marker *m, uintptr_t start, uintptr_t type) {
  static struct typed_entry stack[typed_stack]; /* by the one thread that collects */
  typed_procedure *procedure = atomic_load(&typed.procedures[typed_number(type)]);
  if (!procedure) return;
  struct typed_entry *top = procedure((uintptr_t *)start, stack, stack + typed_stack - 1, typed_environment(type));
  for (struct typed_entry *entry = stack + 1; entry <= top; entry++)
    typed_entry(m, entry->start, entry->type, typed_room(entry->start));
}

void typed_mark(uintptr_t word) { mark_word_told(mark_marker(0), word); }

bool typed_drain(void) {
  struct marker *m = mark_marker(0);
  bool any = false;
  for (unsigned i = 0; i < mark_most; i++) {
    struct marker *from = mark_marker(i);
    for (size_t k = 0; k < from->aside_count; k++) { /* there may be more of them, and elsewhere, after each */
      struct mark_later entry = from->aside[k];
      typed_call(m, entry.lo, entry.hi);
      any = true;
    }
    from->aside_count = 0;
  }
  return any;
}

/* --- what has been reached already --- */

static void typed_look_block(const struct block *block, unsigned generation) {
  for (uint32_t slot = 0; slot < block->nslots; slot++) {
    uintptr_t type = atomic_load(&block->types[slot]);
    if (typed_tag(type) < TYPED_PROCEDURE || !sweep_is_reached(block->state[slot], generation)) continue;
    typed_look(mark_marker(0), block_slot_address(block, slot));
  }
}

/* Those that were put aside while the program ran may be gone. */
static void typed_forget_aside(void) {
  for (unsigned i = 0; i < mark_most; i++) mark_marker(i)->aside_count = 0;
}

void typed_look_reached(unsigned generation) {
  struct block *block;
  if (likely(!typed_any())) return;
  typed_forget_aside();
  for (size_t unit = 0; (block = region_next(&unit)) != NULL; unit += block->units)
    if (block->types) typed_look_block(block, generation);
}
