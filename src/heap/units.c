/* SPDX-License-Identifier: MIT
 * The table of units. Knows blocks; must not know what is searched for. */
#include "config.h"

#include "heap/units.h"

#include "base/bits.h"
#include "heap/heap.h"
#include "os/memory.h"

#include <errno.h>

enum { units_ahead = 4096, units_in_word = 64 };

static struct {
  struct unit *table;
  uint64_t *late;          /* a bit a unit: changed while pinned. Behind the table, in the same mapping */
  size_t reserved;         /* units */
  size_t committed;
  bool valid;              /* else nothing is kept up to date */
  bool pinned;
  struct block *deferred;  /* to be unmade */
} units;

/* --- memory --- */

static size_t units_table_bytes(size_t count) { return bits_align_up(count * sizeof *units.table, os_page_size); }
static size_t units_late_bytes(size_t count) {
  return bits_align_up((count + units_in_word - 1) / units_in_word * sizeof *units.late, os_page_size);
}

static bool units_reserve(void) {
  if (units.table) return true;
  size_t count = region.span / block_unit;
  char *late = os_memory_reserve_readable(units_late_bytes(count));
  char *table = late ? os_memory_reserve_readable(units_table_bytes(count)) : NULL;
  if (!table) {
    if (late) os_memory_unmap(late, units_late_bytes(count));
    return false;
  }
  units.table = (struct unit *)table;
  units.late = (uint64_t *)late;
  units.reserved = count;
  return true;
}

static bool units_commit_more(void *table, size_t from, size_t to) {
  return from == to || os_memory_commit((char *)table + from, to - from) == 0;
}

static bool units_commit(size_t count) {
  if (likely(count <= units.committed)) return true;
  size_t target = bits_align_up(count + count / 4, units_ahead), old = units.committed;
  if (target > units.reserved) target = units.reserved;
  if (count > target) return false;
  if (!units_commit_more(units.table, units_table_bytes(old), units_table_bytes(target))) return false;
  if (!units_commit_more(units.late, units_late_bytes(old), units_late_bytes(target))) return false;
  units.committed = target;
  return true;
}

void units_limit_span(void) {
  size_t count = region.span / block_unit;
  if (!units.table || count >= units.reserved) return;
  if (count < units.committed) count = units.committed;
  if (units_table_bytes(count) < units_table_bytes(units.reserved))
    os_memory_trim(units.table, units_table_bytes(units.reserved), units_table_bytes(count));
  if (units_late_bytes(count) < units_late_bytes(units.reserved))
    os_memory_trim(units.late, units_late_bytes(units.reserved), units_late_bytes(count));
  units.reserved = count;
}

/* --- entries --- */

static struct unit units_entry(const struct block *block, size_t at) {
  struct unit unit = {0};
  uintptr_t address = region.base + at * block_unit;
  bool scanned = kind_is_scanned(block->kind);
  unit.state = block->state;
  if (block->slot_size) {
    uint64_t words = block->types ? UNITS_TYPED : scanned ? block->slot_size / sizeof(uintptr_t) : 0;
    unit.object = units_object(block->start, words);
    unit.step = units_object(region.base + block->slot_size, 0);
    unit.inverse = block->inverse;
    unit.skip = (uint32_t)(address - block->start);
    return unit;
  }
  size_t left = block->start + block->size - address;
  if (block->start + block->size <= address) left = 0; /* it has shrunk, but kept its units */
  unit.object = units_object(block->start, !scanned ? 0 : block->types ? UNITS_TYPED : UNITS_LARGE);
  unit.step = left < block_unit ? left : block_unit;
  return unit;
}

static void units_write(const struct block *block, size_t at, size_t count) {
  for (size_t i = at; i < at + count; i++) units.table[i] = block ? units_entry(block, i) : (struct unit){0};
}

static void units_write_late(size_t at, size_t count) {
  for (size_t i = at; i < at + count; i++) units.late[i / units_in_word] |= (uint64_t)1 << i % units_in_word;
}

void units_note(const struct block *block, size_t at, size_t count) {
  if (likely(!units.valid)) return;
  units.valid = units_commit(at + count);
  if (!units.valid) return; /* made anew at the next search, if there is memory then */
  if (units.pinned)
    units_write_late(at, count);
  else
    units_write(block, at, count);
}

int units_begin(void) {
  CHECK(!units.pinned);
  if (units.valid) return 0;
  if (!units_reserve() || !units_commit(atomic_load(&region.used))) return ENOMEM;
  size_t used = atomic_load(&region.used), unit = 0;
  struct block *block;
  for (size_t from = 0; from < used; from = unit) {
    block = region_next(&unit);
    for (; from < unit; from++)
      if (units.table[from].state) units.table[from] = (struct unit){0}; /* memory never written stays so */
    if (!block) break;
    units_write(block, unit, block->units);
    unit += block->units;
  }
  units.valid = true;
  return 0;
}

const struct unit *units_table(void) { return units.table; }

static bool units_check_one(size_t at) {
  const struct block *block = atomic_load(&region.blocks[at]);
  struct unit want = block ? units_entry(block, at) : (struct unit){0}, have = units.table[at];
  if (units.late[at / units_in_word] >> at % units_in_word & 1) return units.pinned;
  return have.state == want.state && have.object == want.object && have.step == want.step &&
         have.inverse == want.inverse && have.skip == want.skip;
}

bool units_check(void) {
  size_t used = atomic_load(&region.used);
  if (!units.valid) return true;
  for (size_t at = 0; at < used; at++)
    if (!units_check_one(at)) return false;
  return true;
}

/* --- pinned --- */

void units_pin(void) {
  CHECK(units.valid && !units.pinned);
  units.pinned = true;
}

bool units_are_pinned(void) { return units.pinned; }

static void units_catch_up(size_t word) {
  for (uint64_t bits = units.late[word]; bits; bits &= bits - 1) {
    size_t at = word * units_in_word + bits_lowest(bits);
    units_write(atomic_load(&region.blocks[at]), at, 1);
  }
  units.late[word] = 0;
}

void units_unpin(void) {
  units.pinned = false;
  size_t words = (units.committed + units_in_word - 1) / units_in_word;
  for (size_t i = 0; i < words; i++)
    if (units.late[i]) units_catch_up(i);
}

bool units_defer(struct block *block) {
  size_t at = block_first_unit(block);
  if (likely(!units.pinned) || at >= units.committed || !units.table[at].state) return false;
  block->next = units.deferred;
  units.deferred = block;
  return true;
}

void units_unmake_deferred(void) {
  CHECK(!units.pinned);
  while (units.deferred) {
    struct block *block = units.deferred;
    units.deferred = block->next;
    block_unmake(block);
  }
}

/* --- fork --- */

/* Blocks that were to be unmade are lost with their units. */
void units_lose(void) {
  units.valid = units.pinned = false;
  units.deferred = NULL;
}

/* Memory is copied while other threads run: the table may be older than the map, though the lock was free. It is made anew. The lock may be this
 * thread's, which was interrupted by a signal: then it goes on in the child. */
void units_fork_child(void) {
  units.valid = false;
  if (!units.pinned) return;
  heap_lock();
  units_unpin();
  units_unmake_deferred();
  heap_unlock();
}
