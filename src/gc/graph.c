/* SPDX-License-Identifier: MIT
 * The heap as a graph. Knows states and words; must not know who asks, nor what is a root. */
#include "config.h"

#include "gc/graph.h"

#include "base/bits.h"
#include "gc/concurrent.h"
#include "gc/holes.h"
#include "heap/sweep.h"
#include "os/maps.h"
#include "os/memory.h"
#include "os/threads.h"

enum {
  graph_paged = 1 << 18, /* a larger object may have pages that were never touched */
  graph_part = 4096,
  graph_turn = 17,       /* by so many bits setjmp rotates */
};

static struct {
  uint64_t guard; /* of mangled words; 0: unknown */
  bool marking;   /* some objects have the other colour, and are alive */
} graph;

int graph_begin(void) {
  graph.guard = 0;
  if (os_thread_pointer()) __asm__("mov %%fs:0x30, %0" : "=r"(graph.guard));
  graph.marking = concurrent_progress() != CONCURRENT_IDLE;
  return holes_find(region.base, region.base + (atomic_load(&region.used) << block_unit_shift));
}

/* What is unswept: see the account of the colour in heap/state.h. */
bool graph_is_alive(const struct block *block, uint32_t slot) {
  uint8_t state = *(volatile uint8_t *)&block->state[slot];
  if (!state_is_live(state)) return false;
  if (graph.marking || !(state & STATE_AGE) || state & STATE_FROZEN) return true;
  return sweep_policies[block->kind] == SWEEP_NEVER || (state & STATE_MARK) == sweep_colour;
}

bool graph_find(uintptr_t word, struct block **block, uint32_t *slot) {
  *block = region_find(word);
  if (!*block || !block_contains(*block, word)) return false;
  *slot = block_slot(*block, word);
  return *slot < (*block)->nslots && graph_is_alive(*block, *slot);
}

/* rol(value ^ guard, 17): an address has its top 17 bits clear, so those of the guard show in the lowest 17. */
uintptr_t graph_unmangle(uintptr_t word) {
  uintptr_t low = graph.guard >> (64 - graph_turn);
  if (!graph.guard || (word & (((uintptr_t)1 << graph_turn) - 1)) != low) return 0;
  return (word >> graph_turn | word << (64 - graph_turn)) ^ graph.guard;
}

void graph_words(uintptr_t lo, uintptr_t hi, uintptr_t copied, graph_word *each, void *arg) {
  const uintptr_t move = copied ? copied - lo : 0, base = region.base, span = region.span;
  for (; lo + sizeof(uintptr_t) <= hi; lo += sizeof(uintptr_t)) {
    uintptr_t word = *(const volatile uintptr_t *)lo;
    if (unlikely(word - base < span)) each(lo + move, word, arg);
  }
}

struct graph_reading {
  graph_piece *piece;
  void *arg;
  size_t overlap;
};

static void graph_copied(uintptr_t lo, uintptr_t hi, const struct graph_reading *reading) {
  _Alignas(uintptr_t) char copy[graph_part + sizeof(uintptr_t)];
  for (uintptr_t next; lo < hi; lo = next) {
    next = bits_align_down(lo, graph_part) + graph_part;
    uintptr_t end = next + reading->overlap < hi ? next + reading->overlap : hi;
    size_t got = os_maps_peek(lo, copy, end - lo);
    reading->piece((uintptr_t)copy, (uintptr_t)copy + got, lo, reading->arg);
  }
}

static void graph_pages(uintptr_t lo, uintptr_t hi, bool present, void *arg) {
  const struct graph_reading *reading = arg;
  if (present && !(holes_any() && holes_meet(lo, hi))) reading->piece(lo, hi, 0, reading->arg);
  else graph_copied(lo, hi, reading);
}

void graph_pieces(const struct block *block, uint32_t slot, size_t overlap, graph_piece *piece, void *arg) {
  struct graph_reading reading = {piece, arg, overlap};
  uintptr_t lo = block_slot_address(block, slot);
  size_t size = block_slot_bytes(block);
  CHECK(overlap <= sizeof(uintptr_t));
  if (size < graph_paged) {
    graph_pages(lo, lo + size, true, &reading);
    return;
  }
  struct os_mapping mapping = {.lo = bits_align_down(lo, os_page_size), .hi = bits_align_down(lo + size, os_page_size),
                               .read = true, .write = true};
  os_maps_written(&mapping, graph_pages, &reading);
}

struct graph_telling {
  graph_word *each;
  void *arg;
};

static void graph_tell(uintptr_t lo, uintptr_t hi, uintptr_t copied, void *arg) {
  const struct graph_telling *telling = arg;
  graph_words(lo, hi, copied, telling->each, telling->arg);
}

void graph_contents(const struct block *block, uint32_t slot, graph_word *each, void *arg) {
  struct graph_telling telling = {each, arg};
  if (kind_is_scanned(block->kind)) graph_pieces(block, slot, 0, graph_tell, &telling);
}
