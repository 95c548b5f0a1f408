/* SPDX-License-Identifier: MIT
 * Comparing, searching, and taking out what cords hold. */
#include "config.h"

#include "node.h"

#include <string.h>

char CORD_fetch(CORD x, size_t i) {
  size_t len = CORD_len(x);
  if (i >= len) cord_die("CORD_fetch: the position is beyond the end");
  struct cord_walk walk;
  struct cord_leaf leaf;
  cord_walk_begin(&walk, x, len, i, false, &leaf);
  char c = cord_leaf_char(&leaf, i);
  cord_keep(x);
  return c;
}

/* --- comparing --- */

/* Of up to len characters; the same pieces of both at a time. */
static int cord_compare(struct cord_reader *x, struct cord_reader *y, size_t len) {
  while (len) {
    bool x_some = cord_reader_some(x), y_some = cord_reader_some(y);
    if (!x_some || !y_some) return (int)x_some - (int)y_some;
    size_t n = x->count < y->count ? x->count : y->count;
    if (n > len) n = len;
    int order = memcmp(x->piece, y->piece, n);
    if (order) return order;
    cord_reader_skip(x, n);
    cord_reader_skip(y, n);
    len -= n;
  }
  return 0;
}

int CORD_ncmp(CORD x, size_t x_start, CORD y, size_t y_start, size_t len) {
  struct cord_reader x_reader, y_reader;
  cord_reader_begin(&x_reader, x, x_start);
  cord_reader_begin(&y_reader, y, y_start);
  int order = cord_compare(&x_reader, &y_reader, len);
  cord_reader_end(&x_reader);
  cord_reader_end(&y_reader);
  return order;
}

int CORD_cmp(CORD x, CORD y) { return x == y ? 0 : CORD_ncmp(x, 0, y, 0, SIZE_MAX); }

/* --- searching --- */

/* Skips to the next c. */
static bool cord_reader_find(struct cord_reader *reader, char c) {
  while (cord_reader_some(reader)) {
    const char *found = memchr(reader->piece, (unsigned char)c, reader->count);
    cord_reader_skip(reader, found ? (size_t)(found - reader->piece) : reader->count);
    if (found) return true;
  }
  return false;
}

/* The position of the first character that is left. */
static size_t cord_reader_position(const struct cord_reader *reader) { return reader->at - reader->count; }

size_t CORD_chr(CORD x, size_t i, int c) {
  struct cord_reader reader;
  cord_reader_begin(&reader, x, i);
  size_t found = cord_reader_find(&reader, (char)c) ? cord_reader_position(&reader) : CORD_NOT_FOUND;
  cord_reader_end(&reader);
  return found;
}

size_t CORD_rchr(CORD x, size_t i, int c) {
  size_t len = CORD_len(x);
  if (!len) return CORD_NOT_FOUND;
  if (i >= len) i = len - 1;
  struct cord_walk walk;
  struct cord_leaf leaf;
  size_t found = CORD_NOT_FOUND;
  cord_walk_begin(&walk, x, len, i, true, &leaf);
  do {
    do
      if (cord_leaf_char(&leaf, i) == (char)c) found = i;
    while (found == CORD_NOT_FOUND && i-- > leaf.part.start);
  } while (found == CORD_NOT_FOUND && cord_walk_next(&walk, &leaf));
  cord_keep(x);
  return found;
}

/* What is sought, and for each length of it that was found how much of it is still found when the next character is another
 * one (Knuth, Morris, Pratt): so each character is looked at once, and a cord need not go back. */
struct cord_pattern {
  const char *text;
  size_t len, *back;
};

static void cord_pattern_init(struct cord_pattern *pattern, CORD s, size_t len) {
  size_t bytes;
  if (__builtin_mul_overflow(len, sizeof *pattern->back, &bytes)) cord_no_memory();
  *pattern = (struct cord_pattern){CORD_to_const_char_star(s), len, (size_t *)(void *)cord_new_chars(bytes)};
  pattern->back[0] = 0;
  for (size_t i = 1, matched = 0; i < len; i++) {
    while (matched && pattern->text[i] != pattern->text[matched]) matched = pattern->back[matched - 1];
    if (pattern->text[i] == pattern->text[matched]) matched++;
    pattern->back[i] = matched;
  }
}

/* Where the pattern ends, when it was found. */
static size_t cord_reader_find_pattern(struct cord_reader *reader, const struct cord_pattern *pattern) {
  size_t matched = 0;
  while (matched < pattern->len) {
    if (matched ? !cord_reader_some(reader) : !cord_reader_find(reader, pattern->text[0])) return CORD_NOT_FOUND;
    while (matched && reader->piece[0] != pattern->text[matched]) matched = pattern->back[matched - 1];
    if (reader->piece[0] == pattern->text[matched]) matched++;
    cord_reader_skip(reader, 1);
  }
  return cord_reader_position(reader);
}

size_t CORD_str(CORD x, size_t start, CORD s) {
  size_t x_len = CORD_len(x), len = CORD_len(s);
  if (start > x_len || len > x_len - start) return CORD_NOT_FOUND;
  if (!len) return start;
  struct cord_pattern pattern;
  struct cord_reader reader;
  cord_pattern_init(&pattern, s, len);
  cord_reader_begin(&reader, x, start);
  size_t end = cord_reader_find_pattern(&reader, &pattern);
  cord_reader_end(&reader);
  return end == CORD_NOT_FOUND ? end : end - len;
}

/* --- taking out --- */

char *CORD_to_char_star(CORD x) {
  size_t len = CORD_len(x);
  char *text = cord_new_chars(cord_sum(len, 1));
  struct cord_reader reader;
  cord_reader_begin(&reader, x, 0);
  cord_reader_take(&reader, text, len);
  cord_reader_end(&reader);
  text[len] = '\0';
  return text;
}

const char *CORD_to_const_char_star(CORD x) {
  if (!x) return "";
  return cord_is_string(x) ? x : CORD_to_char_star(x);
}

int CORD_put(CORD x, FILE *f) {
  struct cord_reader reader;
  bool good = true;
  cord_reader_begin(&reader, x, 0);
  while (good && cord_reader_next(&reader)) good = fwrite(reader.piece, 1, reader.count, f) == reader.count;
  cord_reader_end(&reader);
  return good ? 1 : EOF;
}
