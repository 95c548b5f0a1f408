/* SPDX-License-Identifier: MIT
 * What became of objects: bytes reclaimed by allocation site, and which collection reclaimed what once lay at an address.
 * Only where allocations are recorded in mode collect.
 *
 * The sweep tells of each object, in any thread, perhaps with the world stopped: nothing is allocated then. */
#include "config.h"

#include "api/gc_events.h"

#include "gc/world.h"
#include "os/memory.h"

enum {
  chunk_sites = 4096,
  chunk_count = 8192,          /* sites beyond 32 million count as unknown */
  number_bits = 20,            /* of a collection's number are kept */
  number_entries = 1 << 20,
};

struct gc_reclaimed_tally {
  _Atomic uint64_t objects, bytes;
};

static struct gc_reclaimed_tally *_Atomic gc_reclaimed_chunks[chunk_count];
/* One entry for all addresses of the same hash, the last one's: address / 16 above, the number of the collection below. */
static _Atomic uint64_t *gc_reclaimed_numbers;
static _Atomic uint64_t gc_reclaimed_now, gc_reclaimed_full; /* numbers: of the collection under way, of the last full one */

static struct gc_reclaimed_tally *gc_reclaimed_tally(uint32_t site) {
  struct gc_reclaimed_tally *chunk = NULL;
  if (site / chunk_sites < chunk_count) chunk = atomic_load(&gc_reclaimed_chunks[site / chunk_sites]);
  return chunk ? &chunk[site % chunk_sites] : NULL;
}

static _Atomic uint64_t *gc_reclaimed_entry(uintptr_t address) {
  return &gc_reclaimed_numbers[(address >> 4) * 0x9e3779b97f4a7c15u >> 44];
}

static void gc_reclaimed_tell(struct block *block, uint32_t slot) {
  const struct note *note = block_note(block, slot);
  uintptr_t address = block_slot_address(block, slot);
  struct gc_reclaimed_tally *tally = gc_reclaimed_tally(note ? note->site : 0);
  if (!tally) tally = gc_reclaimed_tally(0);
  if (tally) {
    atomic_fetch_add_explicit(&tally->objects, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&tally->bytes, block_requested(block, slot), memory_order_relaxed);
  }
  if (!gc_reclaimed_numbers) return;
  /* While the program runs, what is swept is what the last full collection left. */
  uint64_t number = atomic_load(world_is_stopped() ? &gc_reclaimed_now : &gc_reclaimed_full);
  atomic_store_explicit(gc_reclaimed_entry(address), (address >> 4) << number_bits | (number & ((1 << number_bits) - 1)),
                        memory_order_relaxed);
}

void gc_reclaimed_init(void) {
  if (birth_options.mode != MODE_COLLECT || !birth_records()) return;
  if (birth_options.poison) gc_reclaimed_numbers = os_memory_map(number_entries * sizeof *gc_reclaimed_numbers);
  sweep_tell = gc_reclaimed_tell;
}

/* Objects that it may reclaim have their sites by now: makes room for these. */
void gc_reclaimed_begin(uint64_t number) {
  atomic_store(&gc_reclaimed_now, number);
  if (!sweep_tell) return;
  for (uint32_t i = 0; i <= site_count() / chunk_sites && i < chunk_count; i++) {
    if (atomic_load(&gc_reclaimed_chunks[i])) continue;
    size_t size = chunk_sites * sizeof(struct gc_reclaimed_tally);
    struct gc_reclaimed_tally *none = NULL, *chunk = os_memory_map(size);
    if (chunk && !atomic_compare_exchange_strong(&gc_reclaimed_chunks[i], &none, chunk)) os_memory_unmap(chunk, size);
  }
}

void gc_reclaimed_end(const struct collection *facts) {
  if (!facts->error && facts->generation == collect_generations - 1) atomic_store(&gc_reclaimed_full, facts->number);
}

uint64_t gc_reclaimed_by(uintptr_t address) {
  if (!gc_reclaimed_numbers) return 0;
  uint64_t entry = atomic_load(gc_reclaimed_entry(address));
  return entry >> number_bits == address >> 4 ? entry & ((1 << number_bits) - 1) : 0;
}

void gc_reclaimed_of(uint32_t site, uint64_t *objects, uint64_t *bytes) {
  struct gc_reclaimed_tally *tally = gc_reclaimed_tally(site);
  *objects = tally ? atomic_load(&tally->objects) : 0;
  *bytes = tally ? atomic_load(&tally->bytes) : 0;
}

/* The child tells of what it reclaims itself. */
void gc_reclaimed_fork_child(void) {
  for (unsigned i = 0; i < chunk_count && atomic_load(&gc_reclaimed_chunks[i]); i++) {
    struct gc_reclaimed_tally *chunk = atomic_load(&gc_reclaimed_chunks[i]);
    for (unsigned k = 0; k < chunk_sites; k++)
      if (atomic_load(&chunk[k].objects)) {
        atomic_store(&chunk[k].objects, 0);
        atomic_store(&chunk[k].bytes, 0);
      }
  }
}
