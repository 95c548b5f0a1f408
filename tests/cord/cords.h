/* SPDX-License-Identifier: MIT
 * What the tests of cords share: each compares cords with plain strings. */
#ifndef TESTS_CORDS_H
#define TESTS_CORDS_H

#include <stdlib.h>
#include <string.h>

#include "gc.h"

#include "cord.h"
#include "ec.h"
#include "tap.h"

/* Does x hold just these characters? Looked at by position, with the macros. */
static inline bool cord_is_text(CORD x, const char *text, size_t len) {
  CORD_pos p;
  size_t i = 0;
  CORD_FOR (p, x) {
    if (i >= len || CORD_pos_fetch(p) != text[i] || CORD_pos_to_index(p) != i) return false;
    i++;
  }
  return i == len && CORD_len(x) == len;
}

static inline bool cord_is(CORD x, const char *text) { return cord_is_text(x, text, strlen(text)); }

/* A function's characters: the letters in turn. */
static inline char letter(size_t i, void *unused) {
  (void)unused;
  return (char)('a' + i % 26);
}

/* As many letters from i on as text. */
static inline char *letters(size_t i, size_t n) {
  char *text = GC_malloc_atomic(n + 1);
  for (size_t k = 0; k < n; k++) text[k] = letter(i + k, NULL);
  text[n] = '\0';
  return text;
}

/* The same as a cord of many joins, the left one always the longer one, each of so many characters. */
static inline CORD letters_joined(size_t n, size_t piece) {
  CORD x = CORD_EMPTY;
  for (size_t i = 0; i < n; i += piece) x = CORD_cat(x, letters(i, n - i < piece ? n - i : piece));
  return x;
}

#endif
