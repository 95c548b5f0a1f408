/* SPDX-License-Identifier: MIT
 * The leaves of a cord in order, without recursion: how deep a cord can be is known. */
#include "config.h"

#include "node.h"

/* Goes down to the leaf with position i, and leaves what is still to come. */
static void cord_walk_down(struct cord_walk *walk, struct cord_part part, size_t i, struct cord_leaf *leaf) {
  while (cord_is_join(part.cord)) {
    const struct cord_node *join = cord_node(part.cord);
    size_t left_len = cord_left_len(join);
    struct cord_part left = {join->left, part.start, left_len};
    struct cord_part right = {join->right, part.start + left_len, part.len - left_len};
    bool to_left = i < right.start;
    if (to_left != walk->backwards) walk->pending[walk->count++] = to_left ? right : left;
    part = to_left ? left : right;
  }
  leaf->part = part;
  if (cord_is_string(part.cord)) leaf->text = part.cord;
  else leaf->text = cord_node(part.cord)->kind == cord_text ? cord_node(part.cord)->text : NULL;
}

void cord_walk_begin(struct cord_walk *walk, CORD x, size_t len, size_t i, bool backwards, struct cord_leaf *leaf) {
  walk->count = 0;
  walk->backwards = backwards;
  cord_walk_down(walk, (struct cord_part){x, 0, len}, i, leaf);
}

bool cord_walk_next(struct cord_walk *walk, struct cord_leaf *leaf) {
  if (!walk->count) return false;
  struct cord_part part = walk->pending[--walk->count];
  cord_walk_down(walk, part, walk->backwards ? part.start + part.len - 1 : part.start, leaf);
  return true;
}

/* --- with a client's function --- */

/* The characters of one leaf from i on. */
static int cord_iter_leaf(const struct cord_leaf *leaf, size_t i, CORD_iter_fn f1, CORD_batched_iter_fn f2, void *data) {
  size_t end = leaf->part.start + leaf->part.len;
  if (f2 && cord_is_string(leaf->part.cord)) return f2(leaf->text + (i - leaf->part.start), data);
  int result = 0;
  for (; !result && i < end; i++) result = f1(cord_leaf_char(leaf, i), data);
  return result;
}

int CORD_iter5(CORD x, size_t i, CORD_iter_fn f1, CORD_batched_iter_fn f2, void *client_data) {
  size_t len = CORD_len(x);
  if (i >= len) return 0;
  struct cord_walk walk;
  struct cord_leaf leaf;
  cord_walk_begin(&walk, x, len, i, false, &leaf);
  int result = cord_iter_leaf(&leaf, i, f1, f2, client_data);
  while (!result && cord_walk_next(&walk, &leaf)) result = cord_iter_leaf(&leaf, leaf.part.start, f1, f2, client_data);
  cord_keep(x);
  return result;
}

int(CORD_iter)(CORD x, CORD_iter_fn f1, void *client_data) { return CORD_iter5(x, 0, f1, CORD_NO_FN, client_data); }

int CORD_riter4(CORD x, size_t i, CORD_iter_fn f1, void *client_data) {
  size_t len = CORD_len(x);
  if (!len) return 0;
  if (i >= len) i = len - 1;
  struct cord_walk walk;
  struct cord_leaf leaf;
  int result;
  cord_walk_begin(&walk, x, len, i, true, &leaf);
  do {
    do result = f1(cord_leaf_char(&leaf, i), client_data);
    while (!result && i-- > leaf.part.start);
  } while (!result && cord_walk_next(&walk, &leaf));
  cord_keep(x);
  return result;
}

int CORD_riter(CORD x, CORD_iter_fn f1, void *client_data) { return CORD_riter4(x, SIZE_MAX, f1, client_data); }
