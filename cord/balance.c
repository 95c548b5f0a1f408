/* SPDX-License-Identifier: MIT
 * Keeping cords low. The method is that of Boehm, Atkinson and Plass, "Ropes: an alternative to strings" (1995): a cord of
 * depth d is balanced when its length is at least the Fibonacci number d + 2, and then stays whole. The balanced pieces of
 * the others go, from left to right, into a row of slots, each for lengths between two Fibonacci numbers, the longest and
 * leftmost ones last; a piece first takes along what is shorter than itself.
 *
 * A balanced piece is never opened, so that the work is in proportion to what was joined since the last time. */
#include "config.h"

#include "node.h"

enum { CORD_SLOTS = CORD_DEPTH }; /* the last one takes all that is longer */

struct cord_row {
  CORD slot[CORD_SLOTS];
  size_t len[CORD_SLOTS];
  size_t least[CORD_DEPTH + 1]; /* the length from which a slot is meant, and from which a depth is balanced */
};

static void cord_row_init(struct cord_row *row) {
  *row = (struct cord_row){.least = {1, 2}};
  for (int i = 2; i <= CORD_DEPTH; i++) row->least[i] = row->least[i - 1] + row->least[i - 2];
}

static bool cord_is_balanced(const struct cord_row *row, CORD x) {
  return !cord_is_join(x) || cord_node(x)->len >= row->least[cord_node(x)->depth];
}

/* What is in the slot goes before the sum. */
static void cord_row_take(struct cord_row *row, int i, CORD *sum, size_t *sum_len) {
  if (!row->slot[i]) return;
  *sum = *sum ? cord_join_raw(row->slot[i], row->len[i], *sum, *sum_len) : row->slot[i];
  *sum_len += row->len[i];
  row->slot[i] = CORD_EMPTY;
}

static void cord_row_add(struct cord_row *row, CORD x) {
  CORD sum = CORD_EMPTY;
  size_t len = CORD_len(x), sum_len = 0;
  int i = 0;
  for (; i + 1 < CORD_SLOTS && len >= row->least[i + 1]; i++) cord_row_take(row, i, &sum, &sum_len);
  sum = sum ? cord_join_raw(sum, sum_len, x, len) : x;
  sum_len = cord_sum(sum_len, len);
  cord_row_take(row, i, &sum, &sum_len);
  for (; i + 1 < CORD_SLOTS && sum_len >= row->least[i + 1]; cord_row_take(row, i, &sum, &sum_len)) i++;
  row->slot[i] = sum;
  row->len[i] = sum_len;
}

static void cord_row_add_pieces(struct cord_row *row, CORD x) {
  CORD pending[CORD_DEPTH + 1] = {x};
  for (int count = 1; count;) {
    for (x = pending[--count]; !cord_is_balanced(row, x); x = cord_node(x)->left) pending[count++] = cord_node(x)->right;
    cord_row_add(row, x);
  }
}

static CORD cord_row_sum(struct cord_row *row) {
  CORD sum = CORD_EMPTY;
  size_t sum_len = 0;
  for (int i = 0; i < CORD_SLOTS; i++) cord_row_take(row, i, &sum, &sum_len);
  return sum;
}

CORD CORD_balance(CORD x) {
  struct cord_row row;
  cord_row_init(&row);
  if (!x || cord_is_balanced(&row, x)) return x;
  cord_row_add_pieces(&row, x);
  return cord_row_sum(&row);
}

CORD cord_join_any(CORD x, size_t x_len, CORD y, size_t y_len) {
  if (cord_depth(x) < CORD_DEPTH && cord_depth(y) < CORD_DEPTH) return cord_join_raw(x, x_len, y, y_len);
  cord_sum(x_len, y_len);
  struct cord_row row;
  cord_row_init(&row);
  cord_row_add_pieces(&row, x);
  cord_row_add_pieces(&row, y);
  return cord_row_sum(&row);
}
