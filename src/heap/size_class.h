/* SPDX-License-Identifier: MIT
 * Size classes: steps of 16 bytes up to 256, then four to each doubling, up to 32 KiB. Larger objects have a block
 * of their own.
 *
 * Waste inside a slot is at most 15 bytes up to 256 and at most a fifth of the slot above. */
#ifndef GLEANER_SIZE_CLASS_H
#define GLEANER_SIZE_CLASS_H

#include "base/bits.h"

enum {
  size_class_step = 16,
  size_class_linear = 256,                /* up to here by steps */
  size_class_linear_count = size_class_linear / size_class_step,
  size_class_most = 32 * 1024,            /* the largest slot */
  size_class_count = size_class_linear_count + 4 * 7,
};

/* size <= size_class_most. */
static inline unsigned size_class_of(size_t size) {
  if (likely(size <= size_class_linear)) return size == 0 ? 0 : (unsigned)((size - 1) / size_class_step);
  unsigned top = bits_highest(size - 1); /* 8: 257 to 512, ... */
  return size_class_linear_count + 4 * (top - 8) + (unsigned)(((size - 1) >> (top - 2)) & 3);
}

static inline uint32_t size_class_bytes(unsigned class) {
  if (class < size_class_linear_count) return (class + 1) * size_class_step;
  unsigned above = class - size_class_linear_count;
  return (5 + above % 4) << (6 + above / 4);
}

/* The smallest class whose slots hold size and are aligned to align (a power of two, at most size_class_most);
 * size_class_count when there is none. Blocks are aligned to 64 KiB, so a slot size that is a multiple will do. */
static inline unsigned size_class_aligned(size_t size, size_t align) {
  unsigned class = size_class_of(size > align ? size : align);
  while (class < size_class_count && size_class_bytes(class) % align != 0) class++;
  return class;
}

#endif
