/* SPDX-License-Identifier: MIT
 * How a cord is made, a line for each node and leaf, indented by its depth below the whole. */
#include "config.h"

#include "node.h"

enum { CORD_SHOWN = 40 }; /* characters of a leaf */

static void dump_text(CORD x, size_t len) {
  struct cord_reader reader;
  char text[CORD_SHOWN];
  cord_reader_begin(&reader, x, 0);
  size_t count = cord_reader_take(&reader, text, sizeof text);
  cord_reader_end(&reader);
  putchar('"');
  for (size_t i = 0; i < count; i++)
    if (text[i] >= ' ' && text[i] < 0x7f && text[i] != '"' && text[i] != '\\') putchar(text[i]);
    else printf("\\%03o", (unsigned char)text[i]);
  puts(len > count ? "\"..." : "\"");
}

static void dump_leaf(CORD x, size_t len) {
  static const char *const names[] = {[cord_text] = "text", [cord_function] = "function"};
  printf("%s of %zu: ", cord_is_string(x) ? "string" : names[cord_node(x)->kind], len);
  dump_text(x, len);
}

struct dump_line {
  CORD cord;
  size_t len;
  int indent;
};

void CORD_dump(CORD x) {
  struct dump_line pending[CORD_DEPTH + 1] = {{x, CORD_len(x), 0}};
  if (!x) puts("empty");
  for (int count = x ? 1 : 0; count;) {
    struct dump_line line = pending[--count];
    printf("%*s", 2 * line.indent, "");
    if (!cord_is_join(line.cord)) {
      dump_leaf(line.cord, line.len);
      continue;
    }
    const struct cord_node *join = cord_node(line.cord);
    size_t left_len = cord_left_len(join);
    printf("join of %zu, depth %d\n", line.len, join->depth);
    pending[count++] = (struct dump_line){join->right, line.len - left_len, line.indent + 1};
    pending[count++] = (struct dump_line){join->left, left_len, line.indent + 1};
  }
  fflush(stdout);
}
