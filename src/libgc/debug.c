/* SPDX-License-Identifier: MIT
 * libgc's debug allocation: making, resizing and freeing of objects with guards. Must not know when they are looked at (debug_check.c).
 *
 * As under libgc, an object that may be collected is not given back when the program frees it: it is filled, and stays until nothing leads to
 * it. So a second free is always seen, and so is who writes there still. */
#include "config.h"

#include "libgc/debug.h"

#include "api/alloc.h"
#include "api/collector.h"
#include "base/bits.h"
#include "gc.h"
#include "gc/mark.h"
#include "gc/settle.h"
#include "gc/watch.h"
#include "gc_mark.h"
#include "libgc/libgc.h"

#include <errno.h>
#include <string.h>
#include <wchar.h>

static const uint64_t debug_filling = 0xdeadbeefdeadbeef; /* of what was freed: as libgc's */
static const uintptr_t debug_pattern = 0xfdfc5a5a5a5afcfd;

PUBLIC_DATA size_t GC_debug_header_size = debug_header_bytes;
PUBLIC size_t GC_get_debug_header_size(void) { return debug_header_bytes; }

/* --- what one is --- */

static uintptr_t debug_guard_of(const void *p) { return debug_pattern ^ (uintptr_t)p; }

static size_t debug_fence_bytes(size_t size) { return (-size & (debug_fence_least - 1)) + debug_fence_least; }

size_t debug_total(size_t size) {
  enum { most = debug_header_bytes + 2 * debug_fence_least };
  return size < PTRDIFF_MAX - most ? debug_header_bytes + size + debug_fence_bytes(size) : SIZE_MAX;
}

bool debug_is(const struct block *block, uint32_t slot) {
  _Atomic uint32_t *count = counts_find(block, slot);
  return unlikely(count) && atomic_load(count) & COUNT_DEBUG;
}

struct debug_header *debug_find(const void *p) {
  struct debug_header *header = (struct debug_header *)((uintptr_t)p - debug_header_bytes);
  struct block *block;
  uint32_t slot;
  if ((uintptr_t)p < debug_header_bytes || !alloc_find(header, &block, &slot) || !debug_is(block, slot)) return NULL;
  return header;
}

void *debug_dress(void *base, size_t size, unsigned kind, const struct debug_from *from) {
  static _Atomic uint32_t number;
  struct debug_header *header = base;
  struct block *block = region_find((uintptr_t)base);
  _Atomic uint32_t *count = counts_make(block, block_slot(block, (uintptr_t)base));
  if (!count) {
    alloc_free(base, MISUSE_FREE, from->start);
    errno = ENOMEM;
    return NULL;
  }
  header->file = from->file;
  header->line = from->line;
  header->size = size;
  atomic_store(&header->life, atomic_fetch_add(&number, 1) << debug_life_bits | kind << debug_kind_shift);
  header->guard = debug_guard_of(header + 1);
  memset((char *)debug_pointer(header) + size, debug_fence, debug_fence_bytes(size));
  atomic_fetch_or(count, COUNT_DEBUG);
  mark_add_displacement(debug_header_bytes);
  debug_begin();
  return debug_pointer(header);
}

/* --- what became of it --- */

static const void *debug_differs(const char *at, size_t size, char byte) {
  for (size_t i = 0; i < size; i++)
    if (((const volatile char *)at)[i] != byte) return at + i;
  return NULL;
}

static const void *debug_refilled(const uint64_t *at, size_t words) {
  for (size_t i = 0; i < words; i++)
    if (at[i] != debug_filling) return &at[i];
  return NULL;
}

/* A size that does not fit was written over. */
static bool debug_fits(const struct debug_header *header) {
  const struct block *block = region_find((uintptr_t)header);
  return block && debug_total(header->size) <= block_slot_bytes(block);
}

const void *debug_smashed_at(const struct debug_header *header) {
  const char *p = (const char *)(header + 1);
  uintptr_t wrong = header->guard ^ debug_guard_of(p);
  if (wrong) return p - 1 - (bits_highest(wrong) ^ 63) / 8; /* the last byte of those */
  size_t size = header->size;
  if (!debug_fits(header)) return &header->size;
  const void *at = debug_differs(p + size, debug_fence_bytes(size), (char)debug_fence);
  if (!at && atomic_load(&header->life) & DEBUG_FREED) at = debug_refilled((const uint64_t *)p, size / sizeof debug_filling);
  return at;
}

/* --- allocating --- */

enum { debug_atomic = 0, debug_normal = 1, debug_uncollectable = 2, debug_atomic_uncollectable = 3 };

/* What the out-of-memory handler returned may be anything; it is dressed where it can be. */
static bool debug_has_room(void *base, size_t total) {
  struct block *block;
  uint32_t slot;
  return alloc_find(base, &block, &slot) && block_slot_bytes(block) >= total && !debug_is(block, slot);
}

/* Where no stack is recorded, by the shortest way. */
static void *debug_alloc_base(size_t total, unsigned kind, const struct site_start *start) {
  if (kind <= debug_normal && !birth_records()) return kind == debug_normal ? GC_malloc(total) : GC_malloc_atomic(total);
  static const enum kind ours[] = {KIND_POINTER_FREE, KIND_COLLECTED, KIND_UNCOLLECTABLE, KIND_UNCOLLECTABLE_POINTER_FREE};
  return kind < sizeof ours / sizeof ours[0] ? gc_alloc_kind(total, ours[kind], start) : GC_generic_or_special_malloc(total, (int)kind);
}

static void *debug_alloc(size_t size, unsigned kind, const struct debug_from *from) {
  size_t total = debug_total(size);
  void *volatile base = debug_alloc_base(total, kind, from->start);
  if (!base) {
    int saved = errno;
    debug_say("%s(%zu) returns NULL (%s:%d)", from->call, size, from->file ? from->file : "?", from->line);
    errno = saved;
    return NULL;
  }
  return debug_has_room(base, total) ? debug_dress(base, size, kind, from) : base;
}

#define DEBUG_START(from, call_, file_, line_)                                                                \
  struct site_start start;                                                                                    \
  SITE_CALLER(&start);                                                                                        \
  struct debug_from from = {.call = call_, .file = file_, .line = line_, .start = &start}

#define DEBUG_MALLOC(name, kind)                                                                              \
  PUBLIC void *name(size_t size, const char *file, int line) {                                                \
    DEBUG_START(from, #name, file, line);                                                                     \
    return debug_alloc(size, kind, &from);                                                                    \
  }

DEBUG_MALLOC(GC_debug_malloc, debug_normal)
DEBUG_MALLOC(GC_debug_malloc_ignore_off_page, debug_normal)
DEBUG_MALLOC(GC_debug_malloc_stubborn, debug_normal)
DEBUG_MALLOC(GC_debug_malloc_atomic, debug_atomic)
DEBUG_MALLOC(GC_debug_malloc_atomic_ignore_off_page, debug_atomic)
DEBUG_MALLOC(GC_debug_malloc_uncollectable, debug_uncollectable)
DEBUG_MALLOC(GC_debug_malloc_atomic_uncollectable, debug_atomic_uncollectable)

PUBLIC void *GC_debug_generic_or_special_malloc(size_t size, int kind, const char *file, int line) {
  DEBUG_START(from, "GC_debug_generic_or_special_malloc", file, line);
  return debug_alloc(size, kind >= 0 && kind < 64 ? (unsigned)kind : debug_normal, &from);
}

PUBLIC void *GC_debug_malloc_replacement(size_t size) {
  DEBUG_START(from, "GC_debug_malloc_replacement", NULL, 0);
  return debug_alloc(size, debug_normal, &from);
}

static void *debug_copy(const void *text, size_t bytes, size_t end, const struct debug_from *from) {
  char *copy = debug_alloc(bytes + end, debug_atomic, from);
  if (!copy) return NULL;
  memcpy(copy, text, bytes);
  memset(copy + bytes, 0, end);
  return copy;
}

PUBLIC char *GC_debug_strdup(const char *text, const char *file, int line) {
  DEBUG_START(from, "GC_debug_strdup", file, line);
  return text ? debug_copy(text, strlen(text), 1, &from) : NULL;
}

PUBLIC char *GC_debug_strndup(const char *text, size_t size, const char *file, int line) {
  DEBUG_START(from, "GC_debug_strndup", file, line);
  return debug_copy(text, strnlen(text, size), 1, &from);
}

PUBLIC wchar_t *GC_debug_wcsdup(const wchar_t *text, const char *file, int line) {
  DEBUG_START(from, "GC_debug_wcsdup", file, line);
  return debug_copy(text, wcslen(text) * sizeof *text, sizeof *text, &from);
}

/* --- freeing --- */

/* Whether it goes at once: where nobody would ever collect it, or somebody waits for its end. */
static bool debug_goes(const struct debug_header *header) {
  struct block *block = region_find((uintptr_t)header);
  uint32_t slot = block_slot(block, (uintptr_t)header), held = ~(uint32_t)(COUNT_DEBUG | COUNT_LISTED | COUNT_FINALIZED);
  bool collected = block->kind == KIND_COLLECTED || block->kind == KIND_POINTER_FREE || block->kind == KIND_TYPED;
  return !collected || !collector_is_armed || debug_frees_at_once() || atomic_load(counts_find(block, slot)) & held;
}

/* Whoever waits for it is told now. The filling comes before the note of it, for who looks meanwhile. */
static void debug_keep_freed(struct debug_header *header) {
  uint64_t *p = debug_pointer(header);
  struct block *block = region_find((uintptr_t)header);
  if (atomic_load(counts_find(block, block_slot(block, (uintptr_t)header))) & COUNT_LISTED) {
    watch_lock();
    settle_freed((uintptr_t)header);
    watch_unlock();
  }
  for (size_t i = 0; i < header->size / sizeof *p; i++) p[i] = debug_filling;
  atomic_fetch_or(&header->life, DEBUG_FREED);
}

static void debug_tell(struct debug_header *header, const char *call, const char *what, const void *at) {
  char text[debug_text_bytes];
  struct debug_told told = debug_tell_of(header);
  debug_describe(&told, text);
  if (at) debug_say("%s: %s: %p in or near the object at %s", call, what, at, text);
  else debug_say("%s: %s: the object at %s", call, what, text);
  debug_say_stack(&told);
}

static void debug_end(struct debug_header *header, const char *call, const struct site_start *start) {
  if (unlikely(atomic_load(&header->life) & DEBUG_FREED)) {
    debug_tell(header, call, "freed before", NULL);
    return;
  }
  const void *at = debug_smashed_at(header);
  if (unlikely(at != NULL)) debug_tell(header, call, "smashed", at);
  if ((at && at < debug_pointer(header)) || debug_goes(header)) alloc_free(header, MISUSE_FREE, start);
  else debug_keep_freed(header);
}

static bool debug_tell_plain(void *p, const char *call) {
  struct block *block;
  uint32_t slot;
  if (!alloc_find(p, &block, &slot)) return false;
  debug_say("%s: %p is no debug object: it was allocated otherwise", call, p);
  return true;
}

PUBLIC void GC_debug_free(void *p) {
  struct site_start start;
  int saved = errno;
  SITE_CALLER(&start);
  struct debug_header *header = p ? debug_find(p) : NULL;
  if (header) debug_end(header, "GC_debug_free", &start);
  else if (p) {
    debug_tell_plain(p, "GC_debug_free");
    alloc_free(p, MISUSE_FREE, &start); /* which tells what is no object */
  }
  keep_alive(p);
  errno = saved;
}

/* --- resizing --- */

static void *debug_resize(struct debug_header *header, size_t size, const struct debug_from *from) {
  uint32_t life = atomic_load(&header->life);
  void *old = debug_pointer(header);
  if (life & DEBUG_FREED) {
    debug_end(header, from->call, from->start); /* which only tells */
    errno = ENOMEM;
    return NULL;
  }
  if (size == 0) {
    debug_end(header, from->call, from->start);
    return NULL;
  }
  size_t before = debug_fits(header) ? header->size : 0;
  void *p = debug_alloc(size, life >> debug_kind_shift & 63, from);
  if (!p) return NULL;
  memcpy(p, old, before < size ? before : size);
  debug_end(header, from->call, from->start);
  keep_alive(old);
  return p;
}

static void *debug_realloc(void *p, size_t size, const struct debug_from *from) {
  if (!p) return debug_alloc(size, debug_normal, from);
  struct debug_header *header = debug_find(p);
  if (header) return debug_resize(header, size, from);
  debug_tell_plain(p, from->call);
  return GC_realloc(p, size);
}

PUBLIC void *GC_debug_realloc(void *p, size_t size, const char *file, int line) {
  DEBUG_START(from, "GC_debug_realloc", file, line);
  return debug_realloc(p, size, &from);
}

PUBLIC void *GC_debug_realloc_replacement(void *p, size_t size) {
  DEBUG_START(from, "GC_debug_realloc_replacement", NULL, 0);
  return debug_realloc(p, size, &from);
}

/* --- the functions without debug, given a debug object --- */

static bool debug_displaced_free(void *p, const struct site_start *start) {
  struct debug_header *header = debug_find(p);
  if (header) debug_end(header, "GC_free", start);
  return header;
}

static bool debug_displaced_resize(void *old, size_t size, void **p, const struct site_start *start) {
  struct debug_header *header = debug_find(old);
  if (!header) return false;
  struct debug_from from = {"GC_realloc", header->file, header->line, start};
  *p = debug_resize(header, size, &from);
  return true;
}

static size_t debug_displaced_size(const void *p) {
  struct debug_header *header = debug_find(p);
  return header ? header->size : 0;
}

const struct alloc_displaced debug_displaced = {debug_displaced_free, debug_displaced_resize, debug_displaced_size};

/* A plain object is at hand as well. */
PUBLIC void GC_debug_register_displacement(size_t offset) {
  mark_add_displacement(offset);
  mark_add_displacement(debug_header_bytes + offset);
}

/* --- what is told of writing: nothing need be --- */

PUBLIC void GC_debug_change_stubborn(const void *p) { (void)p; }
PUBLIC void GC_debug_end_stubborn_change(const void *p) { (void)p; }
