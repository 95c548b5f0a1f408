/* SPDX-License-Identifier: MIT
 * Positions: the path from the whole cord down to the leaf that has the current character. The macros of cord_pos.h serve
 * what lies in the leaf; these functions go over its ends. */
#include "config.h"

#include "node.h"

static struct CORD_pe *pos_top(CORD_pos p) { return &p[0].path[p[0].path_len]; }

/* The leaf is reached. Of a function nothing is known yet. */
static void pos_at_leaf(CORD_pos p, size_t start, size_t len) {
  CORD x = pos_top(p)->pe_cord;
  bool is_string = cord_is_string(x);
  if (!is_string && cord_node(x)->kind == cord_function) {
    p[0].cur_leaf = p[0].function_buf;
    p[0].cur_start = p[0].cur_end = 0;
    return;
  }
  p[0].cur_leaf = is_string ? x : cord_node(x)->text;
  p[0].cur_start = start;
  p[0].cur_end = start + len;
}

/* From the end of the path, which has the current position, down to the leaf. */
static void pos_go_down(CORD_pos p) {
  size_t start = pos_top(p)->pe_start_pos, len = CORD_len(pos_top(p)->pe_cord);
  while (cord_is_join(pos_top(p)->pe_cord)) {
    const struct cord_node *join = cord_node(pos_top(p)->pe_cord);
    size_t left_len = cord_left_len(join);
    bool to_left = p[0].cur_pos - start < left_len;
    start += to_left ? 0 : left_len;
    len = to_left ? left_len : len - left_len;
    p[0].path_len++;
    *pos_top(p) = (struct CORD_pe){to_left ? join->left : join->right, start};
  }
  pos_at_leaf(p, start, len);
}

static void pos_leave(CORD_pos p) {
  p[0].path_len = CORD_POS_INVALID;
  p[0].cur_leaf = p[0].function_buf;
  p[0].cur_start = p[0].cur_end = 0;
}

void CORD_set_pos(CORD_pos p, CORD x, size_t i) {
  p[0].cur_pos = i;
  p[0].path_len = 0;
  p[0].path[0] = (struct CORD_pe){x, 0};
  if (i < CORD_len(x)) pos_go_down(p);
  else pos_leave(p);
}

/* The node of the leaf if it is a function; else NULL. */
static const struct cord_node *pos_function(CORD_pos p) {
  CORD x = pos_top(p)->pe_cord;
  return !cord_is_string(x) && cord_node(x)->kind == cord_function ? cord_node(x) : NULL;
}

/* Asks the function for the current character and the next ones. */
static void pos_ask(CORD_pos p, const struct cord_node *function) {
  size_t in_leaf = p[0].cur_pos - pos_top(p)->pe_start_pos, count = function->len - in_leaf;
  if (count > FUNCTION_BUF_SZ) count = FUNCTION_BUF_SZ;
  for (size_t i = 0; i < count; i++) p[0].function_buf[i] = function->fn(in_leaf + i, function->data);
  p[0].cur_start = p[0].cur_pos;
  p[0].cur_end = p[0].cur_pos + count;
}

void CORD__next(CORD_pos p) {
  if (!CORD_pos_valid(p)) return;
  size_t pos = ++p[0].cur_pos;
  const struct cord_node *function = pos_function(p);
  if (function && pos - pos_top(p)->pe_start_pos < function->len) {
    pos_ask(p, function);
    return;
  }
  do
    if (--p[0].path_len < 0) {
      pos_leave(p);
      return;
    }
  while (pos - pos_top(p)->pe_start_pos >= cord_node(pos_top(p)->pe_cord)->len);
  pos_go_down(p);
}

void CORD__prev(CORD_pos p) {
  if (!CORD_pos_valid(p)) return;
  if (p[0].cur_pos-- == 0) {
    pos_leave(p);
    return;
  }
  while (p[0].cur_pos < pos_top(p)->pe_start_pos) p[0].path_len--;
  pos_go_down(p);
}

char CORD__pos_fetch(CORD_pos p) {
  const struct cord_node *function = CORD_pos_valid(p) ? pos_function(p) : NULL;
  if (!function) cord_die("CORD_pos_fetch: the position is outside its cord");
  return function->fn(p[0].cur_pos - pos_top(p)->pe_start_pos, function->data);
}

/* --- the macros as functions --- */

int(CORD_pos_valid)(CORD_pos p) { return CORD_pos_valid(p); }
CORD(CORD_pos_to_cord)(CORD_pos p) { return CORD_pos_to_cord(p); }
size_t(CORD_pos_to_index)(CORD_pos p) { return CORD_pos_to_index(p); }
char(CORD_pos_fetch)(CORD_pos p) { return CORD_pos_fetch(p); }
void(CORD_next)(CORD_pos p) { CORD_next(p); }
void(CORD_prev)(CORD_pos p) { CORD_prev(p); }
