/* SPDX-License-Identifier: MIT
 * Joining and cutting. */
#include "config.h"

#include "node.h"

#include <stdarg.h>
#include <string.h>

size_t CORD_len(CORD x) {
  if (!x) return 0;
  return cord_is_string(x) ? strlen(x) : cord_node(x)->len;
}

/* --- joining --- */

/* Two texts in one, if it is a short one; else NULL. */
static CORD cord_short_sum(const char *x, size_t x_len, const char *y, size_t y_len) {
  if (x_len > CORD_SHORT || y_len > CORD_SHORT - x_len) return NULL;
  char *sum = cord_new_chars(x_len + y_len + 1);
  memcpy(sum, x, x_len);
  memcpy(sum + x_len, y, y_len);
  sum[x_len + y_len] = '\0';
  return sum;
}

/* A short text after a join that ends with one becomes part of it, so that who appends characters one by one gets no node for
 * each. */
static CORD cord_cat_to_right(const struct cord_node *join, const char *y, size_t leny) {
  if (leny >= CORD_SHORT || !cord_is_string(join->right)) return NULL;
  size_t left_len = cord_left_len(join), right_len = join->len - left_len;
  CORD right = cord_short_sum(join->right, right_len, y, leny);
  return right ? cord_join_raw(join->left, left_len, right, right_len + leny) : NULL;
}

/* Of a copy of y, if it goes into one short text with the end of x; else NULL. */
static CORD cord_cat_short(CORD x, size_t len, const char *y, size_t leny) {
  if (cord_is_string(x)) return cord_short_sum(x, len, y, leny);
  return cord_is_join(x) ? cord_cat_to_right(cord_node(x), y, leny) : NULL;
}

CORD CORD_cat_char_star(CORD x, const char *y, size_t leny) {
  if (!leny) return x;
  if (!x) return y;
  size_t len = CORD_len(x);
  CORD sum = cord_cat_short(x, len, y, leny);
  return sum ? sum : cord_join_any(x, len, y, leny);
}

CORD CORD_cat(CORD x, CORD y) {
  if (!x) return y;
  if (!y) return x;
  if (cord_is_string(y)) return CORD_cat_char_star(x, y, strlen(y));
  return cord_join_any(x, CORD_len(x), y, CORD_len(y));
}

CORD CORD_cat_char(CORD x, char c) {
  CORD sum = x && c ? cord_cat_short(x, CORD_len(x), &c, 1) : NULL;
  return sum ? sum : CORD_cat(x, cord_of_copy(&c, 1));
}

CORD CORD_catn(int n, ...) {
  CORD sum = CORD_EMPTY;
  va_list cords;
  va_start(cords, n);
  while (n-- > 0) sum = CORD_cat(sum, va_arg(cords, CORD));
  va_end(cords);
  return sum;
}

/* --- cutting --- */

/* A function that begins later. */
struct cord_shift {
  CORD_fn fn;
  void *data;
  size_t start;
};

static char cord_shifted(size_t i, void *shift_) {
  const struct cord_shift *shift = shift_;
  return shift->fn(i + shift->start, shift->data);
}

static CORD cord_cut_function(const struct cord_node *function, size_t i, size_t n) {
  struct cord_shift inner = {function->fn, function->data, 0};
  if (inner.fn == cord_shifted) inner = *(const struct cord_shift *)function->data;
  inner.start += i;
  if (n <= CORD_SHORT) return CORD_from_fn(cord_shifted, &inner, n);
  struct cord_shift *shift = cord_new_object(sizeof *shift);
  *shift = inner;
  return CORD_from_fn(cord_shifted, shift, n);
}

/* n characters of a leaf from i on, which it has. */
static CORD cord_cut_leaf(CORD x, size_t i, size_t n) {
  bool is_string = cord_is_string(x);
  const struct cord_node *node = cord_node(x);
  if (i == 0 && (is_string ? x[n] == '\0' : node->len == n)) return x;
  if (!is_string && node->kind == cord_function) return cord_cut_function(node, i, n);
  const char *text = is_string ? x : node->text;
  return n <= CORD_SHORT ? cord_of_copy(text + i, n) : cord_of_text(text + i, n, is_string ? x : node->owner);
}

/* What x has from i on, and what it has before n. Neither is deeper than x. */
static CORD cord_tail(CORD x, size_t x_len, size_t i) {
  CORD after[CORD_DEPTH];
  int count = 0;
  while (cord_is_join(x)) {
    const struct cord_node *join = cord_node(x);
    size_t left_len = cord_left_len(join);
    if (i < left_len) after[count++] = join->right;
    x = i < left_len ? join->left : join->right;
    x_len = i < left_len ? left_len : x_len - left_len;
    i -= i < left_len ? 0 : left_len;
  }
  CORD tail = cord_cut_leaf(x, i, x_len - i);
  while (count) tail = CORD_cat(tail, after[--count]);
  return tail;
}

static CORD cord_head(CORD x, size_t n) {
  CORD before[CORD_DEPTH];
  int count = 0;
  while (cord_is_join(x)) {
    const struct cord_node *join = cord_node(x);
    size_t left_len = cord_left_len(join);
    if (n > left_len) before[count++] = join->left;
    x = n > left_len ? join->right : join->left;
    n -= n > left_len ? left_len : 0;
  }
  CORD head = cord_cut_leaf(x, 0, n);
  while (count) head = CORD_cat(before[--count], head);
  return head;
}

CORD CORD_substr(CORD x, size_t i, size_t n) {
  if (!x) return CORD_EMPTY;
  size_t end = n <= SIZE_MAX - i ? i + n : SIZE_MAX;
  size_t len = cord_is_string(x) ? strnlen(x, end) : cord_node(x)->len;
  if (end > len) end = len;
  if (i >= end) return CORD_EMPTY;
  while (cord_is_join(x)) {
    const struct cord_node *join = cord_node(x);
    size_t left_len = cord_left_len(join);
    if (i == 0 && end == join->len) return x;
    if (i < left_len && end > left_len)
      return CORD_cat(cord_tail(join->left, left_len, i), cord_head(join->right, end - left_len));
    x = i < left_len ? join->left : join->right;
    end -= i < left_len ? 0 : left_len;
    i -= i < left_len ? 0 : left_len;
  }
  return cord_cut_leaf(x, i, end - i);
}
