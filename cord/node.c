/* SPDX-License-Identifier: MIT
 * Making nodes, and the two ways to end. */
#include "config.h"

#include "node.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void (*CORD_oom_fn)(void);

_Noreturn void cord_die(const char *why) {
  fprintf(stderr, "libcord: %s\n", why);
  abort();
}

_Noreturn void cord_no_memory(void) {
  if (CORD_oom_fn) CORD_oom_fn();
  cord_die("out of memory");
}

size_t cord_sum(size_t a, size_t b) {
  size_t sum;
  if (__builtin_add_overflow(a, b, &sum)) cord_no_memory();
  return sum;
}

char *cord_new_chars(size_t size) {
  char *chars = GC_malloc_atomic(size);
  if (!chars) cord_no_memory();
  return chars;
}

void *cord_new_object(size_t size) {
  void *object = GC_malloc(size);
  if (!object) cord_no_memory();
  return object;
}

static struct cord_node *cord_new_node(enum cord_kind kind, size_t len) {
  struct cord_node *node = cord_new_object(sizeof *node);
  node->kind = kind;
  node->len = len;
  return node;
}

CORD cord_of_text(const char *text, size_t len, const void *owner) {
  struct cord_node *node = cord_new_node(cord_text, len);
  node->text = text;
  node->owner = owner;
  return (CORD)node;
}

CORD cord_of_chars(char *chars, size_t len) {
  if (!len) return CORD_EMPTY;
  chars[len] = '\0';
  return memchr(chars, '\0', len) ? cord_of_text(chars, len, chars) : chars;
}

CORD cord_of_copy(const char *text, size_t len) {
  char *copy = cord_new_chars(cord_sum(len, 1));
  memcpy(copy, text, len);
  return cord_of_chars(copy, len);
}

CORD CORD_from_char_star(const char *s) {
  size_t len = strlen(s);
  return len ? cord_of_copy(s, len) : CORD_EMPTY;
}

CORD CORD_from_fn(CORD_fn fn, void *client_data, size_t len) {
  if (len <= CORD_SHORT) {
    char text[CORD_SHORT];
    for (size_t i = 0; i < len; i++) text[i] = fn(i, client_data);
    return len ? cord_of_copy(text, len) : CORD_EMPTY;
  }
  struct cord_node *node = cord_new_node(cord_function, len);
  node->fn = fn;
  node->data = client_data;
  return (CORD)node;
}

/* Its argument is the character. */
static char cord_same_char(size_t i, void *c) {
  (void)i;
  return (char)(uintptr_t)c;
}

CORD CORD_chars(char c, size_t i) { return CORD_from_fn(cord_same_char, (void *)(uintptr_t)(unsigned char)c, i); }

/* --- joins --- */

size_t cord_left_len(const struct cord_node *join) {
  if (join->left_len != CORD_LEFT_UNKNOWN) return join->left_len;
  return cord_is_string(join->left) ? join->len - CORD_len(join->right) : cord_node(join->left)->len;
}

static char cord_fetch_for(size_t i, void *x) { return CORD_fetch(x, i); }

/* For a cord of more leaves than CORD_DEPTH can tell apart, as who joins a cord with itself again and again gets it. */
static CORD cord_lowered(CORD x, size_t len) {
  return cord_depth(x) < CORD_DEPTH ? x : CORD_from_fn(cord_fetch_for, (void *)x, len);
}

CORD cord_join_raw(CORD x, size_t x_len, CORD y, size_t y_len) {
  size_t len = cord_sum(x_len, y_len);
  x = cord_lowered(x, x_len);
  y = cord_lowered(y, y_len);
  struct cord_node *node = cord_new_node(cord_join, len);
  int depth = cord_depth(x) > cord_depth(y) ? cord_depth(x) : cord_depth(y);
  node->depth = (uint8_t)(depth + 1);
  node->left_len = x_len < CORD_LEFT_UNKNOWN ? (uint32_t)x_len : CORD_LEFT_UNKNOWN;
  node->left = x;
  node->right = y;
  return (CORD)node;
}
