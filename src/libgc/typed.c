/* SPDX-License-Identifier: MIT
 * libgc's explicitly typed allocation: bitmaps of where pointers are. Must not know how types are looked at (gc/typed.c). */
#include "config.h"

#include "api/alloc.h"
#include "gc/typed.h"
#include "gc_typed.h"
#include "libgc/libgc.h"

#include <string.h>

enum { typed_bits_in_word = 64, typed_bitmap_most = 62, typed_layout_words = 4096 };

static bool typed_bit(const GC_word *bitmap, size_t i) { return bitmap[i / typed_bits_in_word] >> i % typed_bits_in_word & 1; }

/* A longer bitmap than this describes nothing that a program declares: all of it may hold pointers. */
static GC_descr typed_make_layout(const GC_word *bitmap, size_t words, size_t element, size_t count) {
  struct {
    struct typed_layout head;
    uint64_t bits[typed_layout_words / typed_bits_in_word];
  } layout = {.head = {.words = words, .element = element, .count = count}};
  if (words > typed_layout_words) return 0;
  for (size_t i = 0; i < words; i++) layout.bits[i / typed_bits_in_word] |= (uint64_t)typed_bit(bitmap, i) << i % typed_bits_in_word;
  return typed_add_layout(&layout.head);
}

PUBLIC GC_descr GC_make_descriptor(const GC_word *bitmap, size_t length) {
  size_t full = 0;
  GC_descr descriptor = TYPED_BITMAP;
  while (length > 0 && !typed_bit(bitmap, length - 1)) length--;
  while (full < length && typed_bit(bitmap, full)) full++;
  if (full == length) return length * sizeof(GC_word);
  if (length <= typed_bitmap_most) {
    for (size_t i = 0; i < length; i++) descriptor |= (GC_descr)typed_bit(bitmap, i) << (typed_bits_in_word - 1 - i);
    return descriptor;
  }
  descriptor = typed_make_layout(bitmap, length, length * sizeof(GC_word), 1);
  return descriptor ? descriptor : length * sizeof(GC_word);
}

PUBLIC void *GC_malloc_explicitly_typed(size_t size, GC_descr descriptor) {
  struct site_start start;
  SITE_CALLER(&start);
  return gc_alloc_typed(size, descriptor, false, &start);
}

PUBLIC void *GC_malloc_explicitly_typed_ignore_off_page(size_t size, GC_descr descriptor) {
  struct site_start start;
  SITE_CALLER(&start);
  return gc_alloc_typed(size, descriptor, false, &start);
}

/* An element's descriptor as a bitmap of its words. False: it cannot be one. */
static bool typed_spread(GC_descr descriptor, size_t words, GC_word bitmap[typed_layout_words / typed_bits_in_word]) {
  const struct typed_layout *layout = typed_layout_of(descriptor);
  if (words > typed_layout_words) return false;
  memset(bitmap, 0, typed_layout_words / 8);
  for (size_t i = 0; i < words; i++) {
    bool bit = (descriptor & 3) == TYPED_LENGTH ? i * sizeof(GC_word) < descriptor
               : (descriptor & 3) == TYPED_BITMAP ? i < typed_bitmap_most && descriptor >> (typed_bits_in_word - 1 - i) & 1
               : layout && i < layout->words      ? typed_bit((const GC_word *)layout->bits, i)
                                                  : false;
    if (bit) GC_set_bit(bitmap, i);
  }
  return (descriptor & 3) < TYPED_PROCEDURE || layout;
}

PUBLIC void *GC_calloc_explicitly_typed(size_t count, size_t size, GC_descr descriptor) {
  struct site_start start;
  SITE_CALLER(&start);
  GC_word bitmap[typed_layout_words / typed_bits_in_word];
  size_t bytes, words = size / sizeof(GC_word);
  if (__builtin_mul_overflow(count, size, &bytes)) bytes = SIZE_MAX;
  if (descriptor == 0 || count <= 1) return gc_alloc_typed(bytes, descriptor, false, &start);
  if (size % sizeof(GC_word) != 0 || !typed_spread(descriptor, words, bitmap)) return gc_alloc_typed(bytes, 0, true, &start);
  GC_descr all = typed_make_layout(bitmap, words, size, SIZE_MAX);
  return gc_alloc_typed(bytes, all, all == 0, &start);
}
