/* SPDX-License-Identifier: MIT
 * Arithmetic on words, sizes and powers of two. Pure functions. */
#ifndef GLEANER_BITS_H
#define GLEANER_BITS_H

#include "base/base.h"

/* align is a power of two in each of these. */
static inline uintptr_t bits_align_up(uintptr_t n, uintptr_t align) { return (n + align - 1) & ~(align - 1); }
static inline uintptr_t bits_align_down(uintptr_t n, uintptr_t align) { return n & ~(align - 1); }

static inline bool bits_is_power_of_two(uintptr_t n) { return n != 0 && (n & (n - 1)) == 0; }

/* n must not be 0. */
static inline unsigned bits_lowest(uint64_t n) { return (unsigned)__builtin_ctzll(n); }
static inline unsigned bits_highest(uint64_t n) { return 63u - (unsigned)__builtin_clzll(n); }
/* The machine that everybody has needs a call for __builtin_popcountll. */
static inline unsigned bits_count(uint64_t n) {
  n -= n >> 1 & 0x5555555555555555u;
  n = (n & 0x3333333333333333u) + (n >> 2 & 0x3333333333333333u);
  return (unsigned)(((n + (n >> 4)) & 0x0f0f0f0f0f0f0f0fu) * 0x0101010101010101u >> 56);
}

/* The smallest power of two that is not below n; 0 when it does not fit. */
static inline uintptr_t bits_power_of_two_up(uintptr_t n) {
  if (n <= 1) return 1;
  unsigned top = bits_highest(n - 1);
  return top == 63 ? 0 : (uintptr_t)1 << (top + 1);
}

/* A good 64-bit mix (the finalizer of SplitMix64). */
static inline uint64_t bits_mix(uint64_t x) {
  x ^= x >> 30;
  x *= 0xbf58476d1ce4e5b9u;
  x ^= x >> 27;
  x *= 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

#endif
