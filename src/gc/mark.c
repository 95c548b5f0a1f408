/* SPDX-License-Identifier: MIT
 * The marker. Must not know what a root or a leak is.
 *
 * A word goes this way, and memory is always asked for one station before it is needed:
 *
 *   word --in region?--> unit --> slot --> [ring of states] --untaken: paint--> stack --> [ring of objects]
 *                                           prefetched on entry                         prefetched on entry
 *
 * Most words lead to objects that are taken already: for them one state byte is read and the object is never
 * touched. With few objects under way (a list) there is nothing to overlap, so state and object are asked for
 * together.
 *
 * Cost per word of an object: a subtraction and a comparison. Per pointer: half a line about its unit (32 bytes
 * in 64 KiB: it stays in the caches up to some GiB), the state byte. Per object taken: its lines and two
 * entries of 8 bytes. An entry is one word, so that it can be taken from the stack right after it was put there: two
 * words loaded as one would wait until all stores before, which miss the caches, are done (twice the time for all).
 *
 * When the stack cannot grow, what does not fit is painted but not looked into, and the whole heap is searched
 * for painted objects afterwards, until nothing overflows: each such pass paints at least one more. */
#include "config.h"

#include "gc/mark.h"

#include "base/bits.h"
#include "gc/holes.h"
#include "gc/marker.h"
#include "gc/scout.h"
#include "gc/typed.h"
#include "gc/workers.h"
#include "os/maps.h"
#include "os/memory.h"
#include "os/threads.h"

#include <emmintrin.h>
#include <errno.h>
#include <string.h>

_Atomic uint32_t mark_attention;

static struct {
  struct marker *markers; /* mark_most of them, in memory that is never given back */
  unsigned count;
  bool later;             /* ranges only begin with what they lead to */
  bool no_scouts;
  uint64_t guard;         /* of mangled words; 0: unknown */
} mark;

struct marker *mark_marker(unsigned number) { return &mark.markers[number]; }

/* --- the stack --- */

static bool mark_grow(struct marker *m) {
  size_t bytes = m->mapped ? m->mapped * 2 : mark_first_stack, used = (size_t)((char *)m->top - (char *)m->bottom);
  if (m->most && m->mapped) return false;
  uint64_t *more = os_memory_map(bytes);
  if (!more) return false;
  if (bytes >= 4 * mark_first_stack) os_memory_huge(more, bytes);
  memcpy(more, m->bottom, used);
  if (m->mapped) os_memory_unmap(m->stack, m->mapped);
  m->mapped = bytes;
  m->stack = m->bottom = more;
  m->top = m->stack + used / sizeof *m->top;
  m->end = m->stack + (m->most ? m->most : bytes / sizeof *m->end);
  return true;
}

/* What was given away has left room at the bottom. */
static bool mark_compact(struct marker *m) {
  size_t gap = (size_t)(m->bottom - m->stack), used = (size_t)(m->top - m->bottom);
  if (gap < used || gap == 0) return false;
  memcpy(m->stack, m->bottom, used * sizeof *m->stack);
  m->bottom = m->stack;
  m->top = m->stack + used;
  return true;
}

static bool mark_has_room(struct marker *m) { return likely(m->top != m->end) || mark_compact(m) || mark_grow(m); }

/* Whether mark_recover_slow will find it. */
static bool mark_is_painted(const struct marker *m, uint64_t object) {
  if ((object & UNITS_LENGTH) == MARK_SEGMENT) return true;
  uintptr_t offset = units_address(object) - m->base;
  const struct unit *unit = &m->units[offset >> block_unit_shift];
  if (!unit->state) return false; /* it has grown since the table was pinned */
  uint8_t state = unit->state[(offset % block_unit + unit->skip) * unit->inverse >> 32];
  return (state & m->colour.mask) == (m->colour.want ^ m->colour.paint);
}

__attribute__((noinline)) void mark_push_slow(struct marker *m, uint64_t object) {
  if (mark_has_room(m)) {
    *m->top++ = object;
    return;
  }
  m->overflow = true;
  if (!mark_is_painted(m, object)) m->failed = true;
}

/* A part of an object, of any size. */
static void mark_push_range(struct marker *m, uintptr_t lo, size_t size) {
  const size_t most = (size_t)1 << 29;
  for (size_t part; size > 0; lo += part, size -= part) {
    part = size < most ? size : most;
    mark_push(m, units_object(lo, part / sizeof(uintptr_t)));
  }
}

/* --- words --- */

_Atomic uint8_t mark_displacements[mark_displacements_most + 1] = {1};

static size_t mark_displacement(size_t bytes) { return bytes < mark_displacements_most ? bytes : mark_displacements_most; }

void mark_add_displacement(size_t bytes) { atomic_store(&mark_displacements[mark_displacement(bytes)], 1); }
bool mark_is_displacement(size_t bytes) { return atomic_load(&mark_displacements[mark_displacement(bytes)]); }

ALWAYS_INLINE void mark_word(struct marker *m, uintptr_t word, bool sparse, bool running, bool exact) {
  uintptr_t offset = word - m->base;
  if (offset < m->limit) mark_offset(m, offset, sparse, running, exact);
}

void mark_word_told(struct marker *m, uintptr_t word) { mark_word(m, word, true, m->running, m->exact); }

/* Looks at the words of [lo, lo + size). */
ALWAYS_INLINE void mark_words(struct marker *m, uintptr_t lo, size_t size, bool sparse, bool running, bool exact) {
  const uintptr_t end = lo + size, base = m->base; /* in registers: a store of a state byte may alias anything */
  const size_t limit = m->limit;
  for (; lo < end; lo += sizeof(uintptr_t)) {
    uintptr_t offset = *(const volatile uintptr_t *)lo - base;
    if (unlikely(offset < limit)) mark_offset(m, offset, sparse, running, exact);
  }
}

/* At any byte: the words that begin in [lo, lo + size) and end by hi. */
static void mark_bytes(struct marker *m, uintptr_t lo, size_t size, uintptr_t hi, bool exact) {
  uintptr_t end = lo + size;
  if (end > hi - (sizeof(uintptr_t) - 1)) end = hi - (sizeof(uintptr_t) - 1);
  for (; lo < end; lo++) {
    uintptr_t word;
    memcpy(&word, (const void *)lo, sizeof word);
    mark_word(m, word, false, m->running, exact);
  }
}

static bool mark_grow_list(struct mark_later **list, size_t *mapped) {
  size_t bytes = *mapped ? *mapped * 2 : mark_first_later;
  struct mark_later *more = os_memory_map(bytes);
  if (!more) return false;
  if (*mapped) memcpy(more, *list, *mapped);
  if (*mapped) os_memory_unmap(*list, *mapped);
  *list = more;
  *mapped = bytes;
  return true;
}

static bool mark_append(struct mark_later **list, size_t *count, size_t *mapped, struct mark_later entry) {
  if (*count == *mapped / sizeof **list && !mark_grow_list(list, mapped)) return false;
  (*list)[(*count)++] = entry;
  return true;
}

bool mark_put_aside(struct marker *m, uintptr_t start, uintptr_t type) {
  return mark_append(&m->aside, &m->aside_count, &m->aside_mapped, (struct mark_later){start, type});
}

/* Beside the program nothing is opened: it may count on the number of the next descriptor, and close any. What can only be read by
 * one waits for the second stop. */
static void mark_put_off(struct marker *m, uintptr_t lo, uintptr_t hi) {
  struct mark_later *last = m->later_count ? &m->later[m->later_count - 1] : NULL;
  if (last && last->hi == lo) last->hi = hi;
  else if (!mark_append(&m->later, &m->later_count, &m->later_mapped, (struct mark_later){lo, hi})) m->failed = true;
}

static void mark_copied(struct marker *m, uintptr_t lo, uintptr_t hi, bool exact) {
  if (m->running) {
    mark_put_off(m, lo, hi);
    return;
  }
  for (uintptr_t next; lo < hi; lo = next) {
    next = bits_align_down(lo, mark_chunk) + mark_chunk;
    if (next > hi) next = hi;
    size_t got = holes_copy(lo, m->buffer, next - lo);
    if (got < next - lo) m->failed = true;
    if (m->unaligned && got >= sizeof(uintptr_t))
      mark_bytes(m, (uintptr_t)m->buffer, got, (uintptr_t)m->buffer + got, exact);
    else
      mark_words(m, (uintptr_t)m->buffer, bits_align_down(got, sizeof(uintptr_t)), false, m->running, exact);
  }
}

/* The same as mark_words where that does not do. */
static __attribute__((noinline)) void mark_oddly(struct marker *m, uintptr_t lo, size_t size, uintptr_t hi, bool exact) {
  uintptr_t last = hi - lo - size < sizeof(uintptr_t) ? hi : lo + size + sizeof(uintptr_t);
  if (holes_any() && holes_meet(lo, last))
    mark_copied(m, lo, lo + size, exact);
  else if (m->unaligned)
    mark_bytes(m, lo, size, hi, exact);
  else
    mark_words(m, lo, size, false, m->running, exact);
}

/* --- objects that are not simply a run of words --- */

static void mark_pages(uintptr_t lo, uintptr_t hi, bool present, void *arg) {
  struct marker *m = arg;
  if (present && mark_may_read(lo, hi))
    mark_push_range(m, lo, hi - lo);
  else
    mark_copied(m, lo, hi, m->exact);
}

static void mark_large(uintptr_t lo, size_t size, os_maps_range *each, struct marker *m) {
  uintptr_t top = bits_align_down(lo + size, os_page_size); /* a large object ends at a page */
  struct os_mapping mapping = {.lo = bits_align_down(lo, os_page_size), .hi = top, .read = true, .write = true};
  (m->running ? os_maps_touched : os_maps_written)(&mapping, each, m);
}

static __attribute__((noinline)) void mark_look_slow(struct marker *m, uint64_t object) {
  if ((object & UNITS_LENGTH) == MARK_SEGMENT) {
    scouts_mark_segment(m, object >> units_length_bits);
    return;
  }
  uintptr_t lo = units_address(object);
  if ((object & UNITS_LENGTH) == UNITS_TYPED) {
    typed_look(m, lo);
    return;
  }
  if (object & UNITS_LARGE) {
    size_t size = ((volatile struct block *)region_find(lo))->size;
    if (size >= mark_paged)
      mark_large(lo, size, mark_pages, m);
    else
      mark_push_range(m, lo, size);
    return;
  }
  size_t size = (object & UNITS_LENGTH) * sizeof(uintptr_t), part = size;
  if (size > mark_chunk) mark_push_range(m, lo + mark_chunk, size - (part = mark_chunk));
  mark_oddly(m, lo, part, lo + size, m->exact);
}

/* --- the loop --- */

ALWAYS_INLINE void mark_look(struct marker *m, uint64_t object, bool sparse, bool running, bool exact) {
  const uint64_t chunk = mark_chunk / sizeof(uintptr_t);
  uint64_t length = object & UNITS_LENGTH;
  if (unlikely((object & UNITS_LARGE) | m->odd)) {
    mark_look_slow(m, object);
    return;
  }
  if (unlikely(length > chunk)) {
    mark_push(m, object + (chunk << units_length_bits) - chunk);
    length = chunk;
  }
  mark_words(m, m->base + (object >> units_length_bits) * sizeof(uintptr_t), length * sizeof(uintptr_t), sparse, running, exact);
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

ALWAYS_INLINE void mark_states(struct marker *m, bool running) {
  while (m->state_head != m->state_tail) mark_take(m, m->states[m->state_head++ % mark_state_ring], running);
}

/* What is under way goes back to the stack. */
static void mark_settle(struct marker *m) {
  mark_states(m, m->running);
  while (m->object_head != m->object_tail) mark_push(m, m->objects[m->object_head++ % mark_object_ring]);
}

/* Now and then: whether to stop. */
static __attribute__((noinline)) bool mark_attend(struct marker *m) {
  if (!workers_attend(m)) return false;
  mark_settle(m);
  if (workers_gave_up()) {
    m->failed = true;
    m->top = m->bottom; /* for nothing */
  }
  return true;
}

/* The line where an object begins, and the one where it ends, or its second. It is looked at once, and must not drive states
 * out of the caches. */
ALWAYS_INLINE void mark_prefetch_once(uintptr_t base, uint64_t object) {
  uintptr_t at = base + (object >> units_length_bits) * sizeof(uintptr_t), words = object & UNITS_LENGTH;
  __builtin_prefetch((void *)at, 0, 0);
  __builtin_prefetch((void *)(at + (words < mark_ahead_words ? words : mark_ahead_words) * sizeof(uintptr_t) - 1), 0, 0);
}

ALWAYS_INLINE void mark_loop(struct marker *m, bool running, bool exact) {
  enum { few = 2 };
  for (;;) {
    if (unlikely(++m->patience % mark_attend_every == 0) &&
        unlikely(atomic_load_explicit(&mark_attention, memory_order_relaxed)) && mark_attend(m))
      return;
    while (m->object_tail - m->object_head < mark_object_ring && m->top != m->bottom) {
      uint64_t object = *--m->top;
      mark_prefetch_once(m->base, object);
      m->objects[m->object_tail++ % mark_object_ring] = object;
    }
    uint32_t under_way = m->object_tail - m->object_head;
    if (under_way) {
      if (under_way <= few)
        mark_lone(m);
      else
        m->lone = 0;
      mark_look(m, m->objects[m->object_head++ % mark_object_ring], under_way <= few, running, exact);
      continue;
    }
    if (m->state_head == m->state_tail) return;
    if (m->scouts) scouts_step(m);
    mark_states(m, running);
  }
}

static __attribute__((noinline)) void mark_loop_stopped(struct marker *m) { mark_loop(m, false, false); }
static __attribute__((noinline)) void mark_loop_running(struct marker *m) { mark_loop(m, true, false); }
static __attribute__((noinline)) void mark_loop_exact_stopped(struct marker *m) { mark_loop(m, false, true); }
static __attribute__((noinline)) void mark_loop_exact_running(struct marker *m) { mark_loop(m, true, true); }

void mark_run(struct marker *m) {
  if (m->exact)
    (m->running ? mark_loop_exact_running : mark_loop_exact_stopped)(m);
  else
    (m->running ? mark_loop_running : mark_loop_stopped)(m);
}

/* --- ranges --- */

/* Looks at a range of any size without putting it on the stack. */
static void mark_now(struct marker *m, uintptr_t lo, uintptr_t hi, bool exact) {
  for (uintptr_t next; lo < hi; lo = next) {
    next = hi - lo > mark_chunk ? lo + mark_chunk : hi;
    if (unlikely(m->odd))
      mark_oddly(m, lo, next - lo, hi, exact);
    else
      mark_words(m, lo, next - lo, false, m->running, exact);
    if (!mark.later) mark_run(m);
  }
}

static void mark_pages_now(uintptr_t lo, uintptr_t hi, bool present, void *arg) {
  struct marker *m = arg;
  if (present) {
    mark_now(m, lo, hi, m->exact);
    return;
  }
  mark_copied(m, lo, hi, m->exact);
  if (!mark.later) mark_run(m);
}

/* Looks at an object without putting it on the stack, but for what it leads to. */
static void mark_object_now(struct marker *m, struct block *block, uint32_t slot) {
  uintptr_t lo = block_slot_address(block, slot);
  size_t size = block_slot_bytes(block);
  if (!kind_is_scanned(block->kind)) return;
  if (block->types)
    typed_look(m, lo);
  else if (size >= mark_paged)
    mark_large(lo, size, mark_pages_now, m);
  else
    mark_now(m, lo, lo + size, m->exact);
}

/* An entry of the stack has an even number of words, in the heap. */
void mark_part(struct marker *m, uintptr_t lo, size_t size) {
  size_t words = size / sizeof(uintptr_t);
  if (lo - m->base >= region.span) {
    mark_now(m, lo, lo + words * sizeof(uintptr_t), m->exact);
    return;
  }
  if (words % 2) mark_word_told(m, *(const volatile uintptr_t *)(lo + (words - 1) * sizeof(uintptr_t)));
  mark_push_range(m, lo, (words & ~(size_t)1) * sizeof(uintptr_t));
}

/* --- when the stack was too small --- */

/* While nobody is at work but marker 0. */
static bool mark_take_overflow(void) {
  bool overflow = false;
  for (unsigned i = 0; i < mark.count; i++) {
    overflow = overflow || mark.markers[i].overflow;
    mark.markers[i].overflow = false;
  }
  return overflow;
}

static __attribute__((noinline)) void mark_recover_slow(struct marker *m) {
  uint8_t mask = m->colour.mask, want = m->colour.want ^ m->colour.paint;
  while (mark_take_overflow()) {
    struct block *block;
    for (size_t unit = 0; (block = region_next(&unit)) != NULL; unit += block->units)
      for (uint32_t slot = 0; slot < block->nslots; slot++)
        if ((block->state[slot] & mask) == want) mark_object_now(m, block, slot);
    workers_all(m); /* others may have been called to it */
  }
}

static void mark_finish(struct marker *m) {
  if (mark.later) return;
  mark_run(m);
  if (unlikely(m->overflow) && mark.count == 1) mark_recover_slow(m);
}

/* Enough for the rings to be full most of the time; more would only take room. */
static void mark_go_on(struct marker *m) {
  enum { enough = 4096 };
  if (unlikely(m->top - m->bottom > enough) && !mark.later) mark_finish(m);
}

/* --- what is told --- */

static void mark_told_range(struct marker *m, uintptr_t lo, uintptr_t hi, bool exact) {
  if (!m->unaligned) lo = bits_align_up(lo, sizeof(uintptr_t));
  if (!m->unaligned) hi = bits_align_down(hi, sizeof(uintptr_t));
  if (hi < lo + sizeof(uintptr_t) || hi < lo) return;
  mark_now(m, lo, hi, exact);
  mark_finish(m);
}

void mark_range(uintptr_t lo, uintptr_t hi) { mark_told_range(mark.markers, lo, hi, false); }
void mark_data(uintptr_t lo, uintptr_t hi) { mark_told_range(mark.markers, lo, hi, mark.markers->exact); }

/* rol(value ^ guard, 17): an address has its top 17 bits clear, so those of the guard show in the lowest 17. */
void mark_mangled(uintptr_t lo, uintptr_t hi) {
  enum { turn = 17 };
  struct marker *m = mark.markers;
  uint64_t guard = mark.guard, low = guard >> (64 - turn);
  if (!guard) return;
  hi = bits_align_down(hi, sizeof(uintptr_t));
  for (lo = bits_align_up(lo, sizeof(uintptr_t)); lo < hi; lo += sizeof(uintptr_t)) {
    uint64_t word = *(const volatile uint64_t *)lo;
    if (unlikely((word & (((uint64_t)1 << turn) - 1)) == low))
      mark_word(m, (word >> turn | word << (64 - turn)) ^ guard, true, m->running, false);
  }
  mark_finish(m);
}

static uint64_t mark_object_at(const struct marker *m, const struct block *block, uint32_t slot) {
  return mark_object_of(&m->units[(block->start - m->base) >> block_unit_shift], slot);
}

/* An object that is not painted would not be found again if it did not fit on the stack, or a part of it. */
void mark_contents(struct block *block, uint32_t slot) {
  struct marker *m = mark.markers;
  bool waits = mark.later || mark.count > 1;
  if (waits && block->slot_size && block->slot_size <= mark_chunk && kind_is_scanned(block->kind) && mark_has_room(m)) {
    mark_push(m, mark_object_at(m, block, slot));
    mark_go_on(m);
    return;
  }
  mark_object_now(m, block, slot);
  mark_finish(m);
}

void mark_slot(struct block *block, uint32_t slot) {
  struct marker *m = mark.markers;
  mark_take(m, (struct mark_state){&block->state[slot], mark_object_at(m, block, slot)}, m->running);
  mark_go_on(m);
}

void mark_untake(struct block *block, uint32_t slot) {
  const struct mark_colour *colour = &mark.markers->colour;
  uint8_t state = *(volatile uint8_t *)&block->state[slot], painted = colour->want ^ colour->paint;
  while ((state & colour->mask) == painted &&
         !atomic_compare_exchange_weak((_Atomic uint8_t *)&block->state[slot], &state, state ^ colour->paint))
    continue;
}

/* --- the linear scan --- */

enum { mark_young_stride = 8, mark_young_room = 256 };

/* What the words lead to: all their ages; marked are those asked for. */
static uint8_t mark_young_words(struct marker *m, const volatile uintptr_t *word, size_t count, uint8_t ages) {
  uint8_t met = 0;
  for (size_t i = 0; i < count; i++) {
    uintptr_t offset = word[i] - m->base;
    if (offset >= m->limit) continue;
    uint8_t here = atomic_load_explicit(&region.ages[offset >> block_unit_shift], memory_order_relaxed);
    met |= here;
    if (here & ages) mark_offset(m, offset, false, m->running, m->exact);
  }
  return met;
}

static __attribute__((noinline)) uint8_t mark_young_oddly(struct marker *m, uintptr_t lo, uintptr_t hi, uint8_t ages) {
  uint8_t met = 0;
  if (m->unaligned) { /* the filter is for words: all of it, then */
    mark_now(m, lo, hi, m->exact);
    return REGION_AGE_0 | REGION_AGE_1;
  }
  for (uintptr_t next; lo < hi; lo = next) {
    next = hi - lo > mark_chunk ? lo + mark_chunk : hi;
    uintptr_t from = lo;
    if (holes_meet(lo, next)) {
      from = (uintptr_t)m->buffer;
      if (holes_copy(lo, m->buffer, next - lo) < next - lo) m->failed = true;
    }
    met |= mark_young_words(m, (const uintptr_t *)from, (next - lo) / sizeof(uintptr_t), ages);
  }
  return met;
}

/* Words that lead to units with what is young, as offsets in the region. */
struct mark_young_found {
  const uint8_t *ages; /* by unit */
  size_t units, behind; /* what leads out of the region is taken as leading behind its end, where nothing is young */
  uint32_t count;
  uintptr_t offset[mark_young_room];
};

static void mark_young_found(struct marker *m, struct mark_young_found *found) {
  for (uint32_t i = 0; i < found->count; i++)
    if (likely(found->offset[i] < m->limit)) mark_offset(m, found->offset[i], false, m->running, m->exact);
  found->count = 0;
}

/* Whether none of eight words leads anywhere near: by the upper halves of their offsets. */
ALWAYS_INLINE bool mark_young_none(const uintptr_t *word, __m128i base, __m128i most) {
  __m128i outside = _mm_set1_epi32(-1);
  for (unsigned i = 0; i < mark_young_stride; i += 4) {
    __m128i one = _mm_sub_epi64(_mm_loadu_si128((const __m128i *)(word + i)), base);
    __m128i two = _mm_sub_epi64(_mm_loadu_si128((const __m128i *)(word + i + 2)), base);
    __m128i upper = _mm_castps_si128(_mm_shuffle_ps(_mm_castsi128_ps(one), _mm_castsi128_ps(two), _MM_SHUFFLE(3, 1, 3, 1)));
    outside = _mm_and_si128(outside, _mm_cmpgt_epi32(_mm_xor_si128(upper, _mm_set1_epi32(INT32_MIN)), most));
  }
  return _mm_movemask_epi8(outside) == 0xffff;
}

/* Most pages hold hardly any pointers, or little else: so no branch depends on a single word. */
ALWAYS_INLINE uint8_t mark_young_some(struct mark_young_found *found, const uintptr_t *word, size_t count, uintptr_t base,
                                      uint8_t ages) {
  uint8_t met = 0;
  for (size_t i = 0; i < count; i++) {
    uintptr_t offset = ((const volatile uintptr_t *)word)[i] - base;
    size_t unit = offset >> block_unit_shift;
    uint8_t here = found->ages[unit < found->units ? unit : found->behind];
    found->offset[found->count] = offset;
    found->count += (here & ages) != 0;
    met |= here;
  }
  return met;
}

uint8_t mark_young(uintptr_t lo, uintptr_t hi, uint8_t ages) {
  struct marker *m = mark.markers;
  const size_t units = m->limit >> block_unit_shift;
  const uintptr_t *word = (const uintptr_t *)lo, *end = (const uintptr_t *)hi;
  const __m128i base = _mm_set1_epi64x((long long)m->base);
  const __m128i most = _mm_set1_epi32((int32_t)((uint32_t)(m->limit >> 32) ^ (uint32_t)INT32_MIN));
  struct mark_young_found found;
  uint8_t met = 0;
  found.ages = (const uint8_t *)region.ages;
  found.units = units;
  found.behind = units < region.span >> block_unit_shift ? units : units - 1;
  found.count = 0;
  if (unlikely(m->odd)) {
    met = mark_young_oddly(m, lo, hi, ages);
    word = end;
  }
  for (; end - word >= mark_young_stride; word += mark_young_stride) {
    if (mark_young_none(word, base, most)) continue;
    met |= mark_young_some(&found, word, mark_young_stride, m->base, ages);
    if (unlikely(found.count > mark_young_room - mark_young_stride)) mark_young_found(m, &found);
  }
  met |= mark_young_some(&found, word, (size_t)(end - word), m->base, ages);
  if (found.count) mark_young_found(m, &found);
  mark_go_on(m);
  return met;
}

void mark_all(void) {
  struct marker *m = mark.markers;
  mark.later = false;
  do {
    workers_all(m);
    mark_recover_slow(m);
  } while (typed_drain());
}

static void (*mark_told)(uintptr_t object);

void mark_tell(void (*told)(uintptr_t object)) {
  struct marker *m = mark.markers;
  CHECK(!mark.later && !m->running && !m->scouts);
  mark_told = told;
  m->scouted = told ? STATE_LIVE : 0;
}

__attribute__((noinline)) bool mark_meet(struct marker *m, uint8_t old, const struct mark_state *candidate) {
  if (likely(!mark_told)) return scouts_meet(m, old, candidate->state);
  mark_told(units_address(candidate->object));
  return false;
}

unsigned mark_count(void) { return workers_count(); }

bool mark_may_read(uintptr_t lo, uintptr_t hi) { return !(holes_any() && holes_meet(lo, hi)); }
bool mark_is_unaligned(void) { return mark.markers->unaligned; }

bool mark_was_stopped(void) { return workers_gave_up(); }

bool mark_is_complete(void) {
  for (unsigned i = 0; i < mark.count; i++)
    if (mark.markers[i].failed) return false;
  return true;
}

void mark_use(struct mark_colour colour) {
  CHECK((colour.mask & colour.paint) == colour.paint);
  scouts_end(mark.markers);
  for (unsigned i = 0; i < mark.count; i++) {
    struct marker *m = &mark.markers[i];
    m->colour = colour;
    m->scouts_tried = mark.no_scouts || colour.paint != STATE_MARK || m->odd; /* or not to be tried */
    m->lone = m->lone_windows = 0;
  }
}

/* --- begin and end --- */

static size_t mark_markers_bytes(void) { return bits_align_up(mark_most * sizeof *mark.markers, os_page_size); }

static void mark_prepare(struct marker *m, const struct mark_options *options) {
  m->base = region.base;
  m->limit = atomic_load(&region.used) << block_unit_shift;
  m->units = units_table();
  m->unaligned = options->unaligned;
  m->odd = m->unaligned || holes_any();
  m->exact = options->exact;
  m->running = options->running;
  m->failed = m->overflow = false;
  m->later_count = m->aside_count = 0;
  m->scouts_tried = true;
  m->lone_eager = options->scouts_after != 0;
  m->lone_most = options->scouts_after ? options->scouts_after : mark_lone_most;
  m->state_head = m->state_tail = m->object_head = m->object_tail = 0;
  m->most = options->most_pending;
  m->top = m->bottom = m->stack;
  m->end = m->stack + m->mapped / sizeof *m->end;
  if (m->most && m->mapped) m->end = m->stack + m->most;
}

static int mark_find_holes(void) {
  return holes_find(region.base, region.base + (atomic_load(&region.used) << block_unit_shift));
}

static unsigned mark_how_many(unsigned asked) { return asked == 0 ? 1 : asked < mark_most ? asked : mark_most; }

int mark_begin(const struct mark_options *options) {
  if (!mark.markers) mark.markers = os_memory_map(mark_markers_bytes());
  if (!mark.markers) return ENOMEM;
  int error = units_begin();
  if (!error) error = mark_find_holes();
  if (error) return error;
  mark.count = mark_how_many(options->markers);
  if (options->stop) mark.count = 1;
  workers_begin(mark.count, options->stop);
  mark.later = options->later;
  mark.no_scouts = options->no_scouts || options->running;
  if (os_thread_pointer()) __asm__("mov %%fs:0x30, %0" : "=r"(mark.guard));
  for (unsigned i = 0; i < mark.count; i++) mark_prepare(&mark.markers[i], options);
  return mark.markers->mapped || mark_grow(mark.markers) ? 0 : ENOMEM;
}

/* --- in the background --- */

void mark_in_background(bool running) {
  mark.later = false;
  for (unsigned i = 0; i < mark.count; i++) mark.markers[i].running = running;
}

static void mark_gather(struct marker *m, struct marker *from) {
  for (uint64_t *at = from->bottom; at < from->top; at++) mark_push(m, *at);
  from->top = from->bottom = from->stack;
}

static void mark_take_later(struct marker *m) {
  for (size_t i = 0; i < m->later_count; i++) mark_push_range(mark.markers, m->later[i].lo, m->later[i].hi - m->later[i].lo);
  if (m->later_mapped) os_memory_unmap(m->later, m->later_mapped);
  m->later = NULL;
  m->later_count = m->later_mapped = 0;
}

int mark_renew(void) {
  int error = units_begin();
  if (!error) error = mark_find_holes();
  for (unsigned i = 0; i < mark.count; i++) {
    struct marker *m = &mark.markers[i];
    if (i > 0) mark_gather(mark.markers, m);
    mark_take_later(m);
    m->limit = atomic_load(&region.used) << block_unit_shift;
    m->units = units_table();
    m->odd = m->unaligned || holes_any();
  }
  return error;
}

void mark_add_hole(uintptr_t lo, uintptr_t hi) {
  const struct marker *m = mark.markers;
  if (lo < m->base) lo = m->base;
  if (hi > m->base + region.span) hi = m->base + region.span; /* an object may have grown beyond the limit since */
  if (lo >= hi) return;
  holes_add(lo, hi);
  for (unsigned i = 0; i < mark.count; i++) mark.markers[i].odd = true;
}

/* What a large heap needed is too much for a small one. */
static void mark_trim(struct marker *m) {
  size_t keep = m->limit / 64 > mark_first_stack ? bits_align_up(m->limit / 64, os_page_size) : mark_first_stack;
  if (m->mapped > keep) os_memory_purge((char *)m->stack + keep, m->mapped - keep);
  if (m->aside_mapped > keep) os_memory_purge((char *)m->aside + keep, m->aside_mapped - keep);
}

void mark_end(void) {
  if (!mark.markers) return;
  workers_end();
  scouts_end(mark.markers);
  for (unsigned i = 0; i < mark.count; i++) mark_trim(&mark.markers[i]);
  mark.count = 0;
  units_unmake_deferred();
}
