/* SPDX-License-Identifier: MIT
 * The marker. Must not know what a root or a leak is.
 *
 * A word goes this way, and memory is always asked for one station before it is needed:
 *
 *   word --in region?--> block --> slot --> [ring of states] --untaken: paint--> stack --> [ring of objects]
 *                                            prefetched on entry                         prefetched on entry
 *
 * Most words lead to objects that are taken already: for them one state byte is read and the object is never
 * touched. With few objects under way (a list) there is nothing to overlap, so state and object are asked for
 * together.
 *
 * Cost per word of an object: a subtraction and a comparison. Per pointer: half a line about its unit (32 bytes
 * in 64 KiB: it stays in the caches up to some GiB), the state byte. Per object taken: its lines and two
 * entries of 16 bytes.
 *
 * When the stack cannot grow, what does not fit is painted but not looked into, and the whole heap is searched
 * for painted objects afterwards, until nothing overflows: each such pass paints at least one more. */
#include "config.h"

#include "gc/mark.h"

#include "base/bits.h"
#include "gc/marker.h"
#include "gc/scout.h"
#include "os/maps.h"
#include "os/memory.h"
#include "os/threads.h"

#include <errno.h>
#include <string.h>

static struct marker marker;

/* --- the stack --- */

static size_t mark_stack_bytes(const struct marker *m) { return (size_t)((char *)m->end - (char *)m->stack); }

bool mark_grow_slow(struct marker *m) {
  size_t old = mark_stack_bytes(m), bytes = old ? old * 2 : mark_first_stack;
  if (old && m->most_bytes && bytes > m->most_bytes) return false;
  char *more = os_memory_map(bytes);
  if (!more) return false;
  if (old) {
    memcpy(more, m->stack, old);
    os_memory_unmap(m->stack, old);
  }
  m->stack = (struct mark_span *)more;
  m->top = m->stack + old / sizeof *m->top;
  m->end = m->stack + bytes / sizeof *m->end;
  return true;
}

/* Looks at the words that begin in [lo, lo + size) and end by hi. */
ALWAYS_INLINE void mark_words(struct marker *m, uintptr_t lo, size_t size, uintptr_t hi, bool sparse) {
  uintptr_t end = lo + size;
  if (unlikely(m->unaligned)) {
    if (end > hi - (sizeof(uintptr_t) - 1)) end = hi - (sizeof(uintptr_t) - 1);
    for (; lo < end; lo++) {
      uintptr_t word;
      memcpy(&word, (const void *)lo, sizeof word);
      mark_word(m, word, sparse);
    }
    return;
  }
  const uintptr_t base = m->base; /* in registers: a store of a state byte may alias anything */
  const size_t limit = m->limit;
  for (; lo < end; lo += sizeof(uintptr_t)) {
    uintptr_t word = *(const uintptr_t *)lo;
    if (unlikely(word - base < limit)) mark_word(m, word, sparse);
  }
}

/* --- memory that cannot simply be read --- */

static bool mark_is_holed(const struct marker *m, uintptr_t lo, uintptr_t hi) {
  size_t a = 0, b = m->nholes; /* the first hole that ends above lo */
  while (a < b) {
    size_t middle = (a + b) / 2;
    if (m->holes[middle].hi > lo)
      b = middle;
    else
      a = middle + 1;
  }
  return a < m->nholes && m->holes[a].lo < hi;
}

bool mark_may_read(uintptr_t lo, uintptr_t hi) { return !(marker.nholes && mark_is_holed(&marker, lo, hi)); }
bool mark_is_unaligned(void) { return marker.unaligned; }

static void mark_copied(struct marker *m, uintptr_t lo, uintptr_t hi) {
  for (uintptr_t next; lo < hi; lo = next) {
    next = bits_align_down(lo, mark_chunk) + mark_chunk;
    if (next > hi) next = hi;
    size_t got = os_maps_peek(lo, m->buffer, next - lo);
    if (got >= sizeof(uintptr_t)) mark_words(m, (uintptr_t)m->buffer, got, (uintptr_t)m->buffer + got, false);
  }
}

static void mark_pages(uintptr_t lo, uintptr_t hi, bool present, void *arg) {
  struct marker *m = arg;
  if (present && !(m->nholes && mark_is_holed(m, lo, hi)))
    mark_push(m, lo, hi - lo);
  else
    mark_copied(m, lo, hi);
}

static __attribute__((noinline)) void mark_paged_slow(struct marker *m, uintptr_t lo, size_t size,
                                                      os_maps_range *each) {
  uintptr_t top = bits_align_down(lo + size, os_page_size); /* a large object ends at a page */
  struct os_mapping mapping = {.lo = bits_align_down(lo, os_page_size), .hi = top, .read = true, .write = true};
  os_maps_written(&mapping, each, m);
}

/* --- the loop --- */

ALWAYS_INLINE void mark_look(struct marker *m, struct mark_span span, bool sparse) {
  if (unlikely(span.size & (MARK_PAGED | MARK_SEGMENT))) {
    if (span.size & MARK_SEGMENT)
      scouts_mark_segment(m, span.lo);
    else
      mark_paged_slow(m, span.lo, span.size & ~MARK_PAGED, mark_pages);
    return;
  }
  uintptr_t hi = span.lo + span.size;
  if (unlikely(span.size > mark_chunk)) {
    mark_push(m, span.lo + mark_chunk, span.size - mark_chunk);
    span.size = mark_chunk;
  }
  if (unlikely(m->nholes) && mark_is_holed(m, span.lo, hi))
    mark_copied(m, span.lo, span.lo + span.size);
  else
    mark_words(m, span.lo, span.size, hi, sparse);
}

/* With hardly anything under way for a while, and that slow, scouts go ahead: see scout.h. A list laid out in
 * order comes at the speed of the processor's own prefetching, so that scouts would only cost. */
static __attribute__((noinline)) void mark_lone_slow(struct marker *m) {
  uint64_t now = os_thread_clock(); /* not by the wall: others may be running */
  if (m->lone > m->lone_most) {
    bool slow = m->lone_eager || now - m->lone_since > (uint64_t)m->lone_most * mark_lone_ns;
    m->lone_windows = slow ? m->lone_windows + 1 : 0; /* one alone may be a machine that was busy elsewhere */
    if (m->lone_windows == mark_lone_windows) scouts_begin(m);
  }
  m->lone = 1;
  m->lone_since = now;
}

ALWAYS_INLINE void mark_lone(struct marker *m) {
  if (m->scouts)
    scouts_step(m);
  else if (!m->scouts_tried && unlikely(m->lone++ == 0 || m->lone > m->lone_most))
    mark_lone_slow(m);
}

/* Until nothing is under way. */
static void mark_drain(struct marker *m) {
  enum { few = 2 };
  for (;;) {
    while (m->object_tail - m->object_head < mark_object_ring && m->top != m->stack) {
      struct mark_span span = *--m->top;
      __builtin_prefetch((void *)span.lo);
      m->objects[m->object_tail++ % mark_object_ring] = span;
    }
    uint32_t under_way = m->object_tail - m->object_head;
    if (under_way) {
      if (under_way <= few)
        mark_lone(m);
      else
        m->lone = 0;
      mark_look(m, m->objects[m->object_head++ % mark_object_ring], under_way <= few);
      continue;
    }
    if (m->state_head == m->state_tail) return;
    if (m->scouts) scouts_step(m);
    while (m->state_head != m->state_tail) mark_take(m, m->states[m->state_head++ % mark_state_ring]);
  }
}

/* Looks at a range of any size without putting it on the stack. */
static void mark_now(struct marker *m, uintptr_t lo, uintptr_t hi) {
  for (uintptr_t next; lo < hi; lo = next) {
    next = hi - lo > mark_chunk ? lo + mark_chunk : hi;
    if (m->nholes && mark_is_holed(m, lo, hi - next < sizeof(uintptr_t) ? hi : next + sizeof(uintptr_t)))
      mark_copied(m, lo, next);
    else
      mark_words(m, lo, next - lo, hi, false);
    mark_drain(m);
  }
}

static void mark_pages_now(uintptr_t lo, uintptr_t hi, bool present, void *arg) {
  struct marker *m = arg;
  if (present) {
    mark_now(m, lo, hi);
    return;
  }
  mark_copied(m, lo, hi);
  mark_drain(m);
}

static void mark_slot_now(struct marker *m, struct block *block, uint32_t slot) {
  uintptr_t lo = block_slot_address(block, slot);
  size_t size = block_slot_bytes(block);
  if (!kind_is_scanned(block->kind)) return;
  if (size >= mark_paged)
    mark_paged_slow(m, lo, size, mark_pages_now);
  else
    mark_now(m, lo, lo + size);
}

static void mark_recover_slow(struct marker *m) {
  uint8_t mask = m->colour.mask, want = m->colour.want ^ m->colour.paint;
  while (m->overflow) {
    m->overflow = false;
    struct block *block;
    for (size_t unit = 0; (block = region_next(&unit)) != NULL; unit += block->units)
      for (uint32_t slot = 0; slot < block->nslots; slot++)
        if ((block->state[slot] & mask) == want) mark_slot_now(m, block, slot);
  }
}

void mark_range(uintptr_t lo, uintptr_t hi) {
  struct marker *m = &marker;
  if (!m->unaligned) lo = bits_align_up(lo, sizeof(uintptr_t));
  if (!m->unaligned) hi = bits_align_down(hi, sizeof(uintptr_t));
  if (hi < lo + sizeof(uintptr_t) || hi < lo) return;
  mark_now(m, lo, hi);
  if (m->overflow) mark_recover_slow(m);
}

/* rol(value ^ guard, 17): an address has its top 17 bits clear, so those of the guard show in the lowest 17. */
void mark_mangled(uintptr_t lo, uintptr_t hi) {
  enum { turn = 17 };
  struct marker *m = &marker;
  uint64_t guard = m->guard, low = guard >> (64 - turn);
  if (!guard) return;
  hi = bits_align_down(hi, sizeof(uintptr_t));
  for (lo = bits_align_up(lo, sizeof(uintptr_t)); lo < hi; lo += sizeof(uintptr_t)) {
    uint64_t word = *(const uint64_t *)lo;
    if (unlikely((word & (((uint64_t)1 << turn) - 1)) == low))
      mark_word(m, (word >> turn | word << (64 - turn)) ^ guard, false);
  }
  mark_drain(m);
  if (m->overflow) mark_recover_slow(m);
}

void mark_contents(struct block *block, uint32_t slot) {
  struct marker *m = &marker;
  mark_slot_now(m, block, slot);
  if (m->overflow) mark_recover_slow(m);
}

void mark_slot(struct block *block, uint32_t slot) {
  struct marker *m = &marker;
  uint8_t *state = &block->state[slot];
  if ((*state & m->colour.mask) != m->colour.want) return;
  *state ^= m->colour.paint;
  mark_slot_now(m, block, slot);
  if (m->overflow) mark_recover_slow(m);
}

uint8_t mark_young(uintptr_t lo, uintptr_t hi, uint8_t ages) {
  struct marker *m = &marker;
  uint8_t met = 0;
  for (uintptr_t at = lo; at < hi; at += sizeof(uintptr_t)) {
    uintptr_t offset = *(const uintptr_t *)at - m->base;
    if (likely(offset >= m->limit)) continue;
    uint8_t here = atomic_load_explicit(&region.ages[offset >> block_unit_shift], memory_order_relaxed) & ages;
    if (!here) continue;
    met |= here;
    mark_word(m, offset + m->base, false);
  }
  mark_drain(m);
  if (m->overflow) mark_recover_slow(m);
  return met;
}

void mark_all(void) {}
unsigned mark_count(void) { return 1; }

void mark_use(struct mark_colour colour) {
  struct marker *m = &marker;
  CHECK((colour.mask & colour.paint) == colour.paint);
  scouts_end(m);
  m->colour = colour;
  m->scouts_tried = m->no_scouts || colour.paint != STATE_MARK || m->unaligned || m->nholes; /* or not to be tried */
  m->lone = m->lone_windows = 0;
}

/* --- begin and end --- */

/* Whether some object reaches into [lo, hi). */
static bool mark_holds_object(uintptr_t lo, uintptr_t hi) {
  for (uintptr_t at = bits_align_down(lo, block_unit); at < hi; at += block_unit) {
    const struct block *block = region_find(at);
    if (block && block->start < hi && block->start + block->size > lo) return true;
  }
  return false;
}

/* The program may have taken away the right to read parts of its heap. */
static bool mark_find_holes(const struct os_mapping *mapping, void *arg) {
  struct marker *m = arg;
  uintptr_t lo = mapping->lo, hi = mapping->hi, end = m->base + m->limit;
  if (lo >= end) return false;
  if (mapping->read || hi <= m->base) return true;
  if (lo < m->base) lo = m->base;
  if (hi > end) hi = end;
  if (!mark_holds_object(lo, hi)) return true;
  if (m->nholes == mark_holes_max) { /* coarse, but right */
    m->holes[m->nholes - 1].hi = hi;
    return true;
  }
  m->holes[m->nholes++] = (struct mark_hole){lo, hi};
  return true;
}

static size_t mark_units_bytes(const struct marker *m) {
  return bits_align_up((m->limit >> block_unit_shift) * sizeof *m->units + 1, os_page_size);
}

static bool mark_list_units(struct marker *m) {
  m->units = os_memory_map(mark_units_bytes(m));
  if (!m->units) return false;
  const struct block *block;
  for (size_t unit = 0; (block = region_next(&unit)) != NULL; unit += block->units)
    for (size_t i = 0; i < block->units; i++)
      m->units[unit + i] = (struct mark_unit){block->start, block->state, block->inverse, block->slot_size,
                                              kind_is_scanned(block->kind)};
  return true;
}

int mark_begin(const struct mark_options *options) {
  struct marker *m = &marker;
  memset(m, 0, sizeof *m); /* what an earlier search left in the rings must not look like a root */
  m->base = region.base;
  m->limit = atomic_load(&region.used) << block_unit_shift;
  m->unaligned = options->unaligned;
  m->no_scouts = options->no_scouts;
  m->lone_eager = options->scouts_after != 0;
  m->lone_most = options->scouts_after ? options->scouts_after : mark_lone_most;
  m->most_bytes = options->most_pending * sizeof(struct mark_span);
  if (os_thread_pointer()) __asm__("mov %%fs:0x30, %0" : "=r"(m->guard));
  m->holes = os_memory_map(mark_holes_max * sizeof *m->holes);
  if (!m->holes || !mark_grow_slow(m) || !mark_list_units(m)) return ENOMEM;
  if (options->most_pending) m->end = m->stack + options->most_pending;
  os_maps_each(mark_find_holes, m);
  return 0;
}

void mark_end(void) {
  struct marker *m = &marker;
  scouts_end(m);
  if (m->stack) os_memory_unmap(m->stack, m->most_bytes ? mark_first_stack : mark_stack_bytes(m));
  if (m->holes) os_memory_unmap(m->holes, mark_holes_max * sizeof *m->holes);
  if (m->units) os_memory_unmap(m->units, mark_units_bytes(m));
  m->stack = m->top = m->end = NULL;
  m->holes = NULL;
  m->units = NULL;
}
