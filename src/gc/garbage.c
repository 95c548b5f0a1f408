/* SPDX-License-Identifier: MIT
 * The list of garbage that was not reclaimed. Must not know why an object will never be finalized. */
#include "config.h"

#include "gc/garbage.h"

#include "base/bits.h"
#include "gc/mark.h"
#include "gc/watch.h"
#include "heap/sweep.h"
#include "os/memory.h"

#include <string.h>

_Atomic unsigned garbage_wants;

/* Grows by doubling, in memory that is no root. */
struct garbage_array {
  void *memory;
  size_t count, bytes;
};

static struct {
  struct garbage_array list, notes; /* of uintptr_t; of struct garbage_note */
  size_t before;                    /* on the list before this collection */
  size_t first, listed;             /* cycles, and objects, that nobody was told of */
  size_t first_before, listed_before;
  bool short_of_memory;
} garbage;

/* Room for one more, or NULL. */
static void *garbage_add(struct garbage_array *array, size_t size) {
  if ((array->count + 1) * size > array->bytes) {
    size_t bytes = array->bytes ? 2 * array->bytes : os_page_size;
    void *more = os_memory_map(bytes);
    if (!more) return NULL;
    if (array->count) memcpy(more, array->memory, array->count * size);
    if (array->memory) os_memory_unmap(array->memory, array->bytes);
    array->memory = more;
    array->bytes = bytes;
  }
  return (char *)array->memory + array->count++ * size;
}

static uintptr_t *garbage_objects(void) { return garbage.list.memory; }

size_t garbage_count(void) { return garbage.list.count; }
uintptr_t garbage_get(size_t n) { return n < garbage.list.count ? garbage_objects()[n] : 0; }
void garbage_clear(void) { garbage.list.count = 0; }

void garbage_drop(uintptr_t object) {
  size_t kept = 0;
  for (size_t i = 0; i < garbage.list.count; i++)
    if (garbage_objects()[i] != object) garbage_objects()[kept++] = garbage_objects()[i];
  garbage.list.count = kept;
}

/* --- what is told --- */

static void garbage_note(uintptr_t object, bool uncollectable) {
  if (!(garbage_wants & GARBAGE_TELL)) return;
  struct garbage_note *note = garbage_add(&garbage.notes, sizeof *note);
  const struct block *block = region_find(object);
  if (note) *note = (struct garbage_note){object, block_slot_bytes(block), uncollectable};
}

size_t garbage_take_notes(struct garbage_note *notes, size_t most) {
  size_t count = garbage.notes.count < most ? garbage.notes.count : most;
  struct garbage_note *from = garbage.notes.memory;
  if (count) memcpy(notes, from + garbage.notes.count - count, count * sizeof *notes);
  garbage.notes.count -= count;
  return count;
}

size_t garbage_take_stuck(size_t *listed) {
  size_t first = garbage.first;
  *listed = garbage.listed;
  garbage.first = garbage.listed = 0;
  return first;
}

/* --- in a collection --- */

void garbage_roots(void (*root)(uintptr_t lo, uintptr_t hi, void *arg), void *arg) {
  uintptr_t lo = (uintptr_t)garbage.list.memory;
  if (garbage.list.count) root(lo, lo + garbage.list.count * sizeof(uintptr_t), arg);
}

void garbage_begin(void) {
  garbage.before = garbage.list.count;
  garbage.first_before = garbage.first;
  garbage.listed_before = garbage.listed;
  garbage.notes.count = 0;
}

size_t garbage_found(void) { return garbage.list.count - garbage.before; }

static bool garbage_list(uintptr_t object) {
  uintptr_t *room = garbage_add(&garbage.list, sizeof *room);
  if (room) *room = object;
  return room;
}

bool garbage_add_stuck(uintptr_t object, bool first) {
  if (!garbage_list(object)) return false;
  garbage.first += first;
  garbage.listed++;
  garbage_note(object, true);
  return true;
}

/* Each object that would be reclaimed. */
static void garbage_each(unsigned generation, void (*each)(uintptr_t object)) {
  struct block *block;
  for (size_t unit = 0; (block = region_next(&unit)) != NULL; unit += block->units) {
    if (sweep_policies[block->kind] == SWEEP_NEVER) continue;
    for (uint32_t slot = 0; slot < block->nslots; slot++)
      if (state_is_live(block->state[slot]) && !sweep_is_reached(block->state[slot], generation)) each(block_slot_address(block, slot));
  }
}

static void garbage_save(uintptr_t object) {
  if (garbage_wants & GARBAGE_SAVE && !garbage_list(object)) garbage.short_of_memory = true;
  garbage_note(object, false);
}

/* First all are listed, then they are marked: what one leads to is garbage as well. */
bool garbage_mark(unsigned generation) {
  size_t from = garbage.list.count;
  if (likely(!garbage_wants)) return false;
  garbage.short_of_memory = false;
  garbage_each(generation, garbage_save);
  for (size_t i = from; i < garbage.list.count; i++) watch_mark(garbage_objects()[i]);
  if (garbage.short_of_memory) garbage_each(generation, watch_mark);
  mark_all();
  return garbage_wants & GARBAGE_SAVE;
}

void garbage_forget(void) {
  garbage.list.count = garbage.before;
  garbage.first = garbage.first_before;
  garbage.listed = garbage.listed_before;
  garbage.notes.count = 0;
}
