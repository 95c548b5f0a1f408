/* SPDX-License-Identifier: MIT
 * What a cord is made of. Only this folder knows; it stands on gc.h and libc, and knows nothing of the collector.
 *
 * A cord is NULL, a C string that is not empty, or a node. All nodes are 32 bytes of collected memory:
 *
 *          byte 0   1      2       3        4..7          8..15   16..23   24..31
 *   JOIN        0   kind   depth   unused   left length   len     left     right
 *   TEXT        0   kind   0       unused   unused        len     text     owner
 *   FUNCTION    0   kind   0       unused   unused        len     fn       data
 *
 * JOIN is left and then right, neither empty. depth is 1 more than that of the deeper one, CORD_DEPTH at most. Where the left
 * length does not fit it is left_unknown, and the left cord is asked.
 * TEXT is len characters at text, NULs among them maybe. owner is what keeps them: a text often begins inside an object, and
 * what is seen of such a pointer is for the program to choose (GC_set_all_interior_pointers).
 * FUNCTION is len characters that fn tells.
 *
 * C strings, TEXT and FUNCTION are leaves. No node has length 0, or is changed after it was made. */
#ifndef CORD_NODE_H
#define CORD_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gc.h"

/* What is declared there is seen from outside; all else here is not. */
#define CORD_API extern __attribute__((visibility("default")))
#include "cord.h"

enum cord_kind { cord_join, cord_text, cord_function };
enum {
  CORD_DEPTH = MAX_DEPTH, /* of a C string or another leaf it is 0 */
  CORD_SHORT = 31,        /* texts up to here are copied rather than pointed at: with their NUL they take no more than a node */
};
#define CORD_LEFT_UNKNOWN UINT32_MAX

struct cord_node {
  char nul;
  uint8_t kind;
  uint8_t depth;
  uint32_t left_len;
  size_t len;
  union {
    struct {
      CORD left, right;
    };
    struct {
      const char *text;
      const void *owner;
    };
    struct {
      CORD_fn fn;
      void *data;
    };
  };
};
_Static_assert(sizeof(struct cord_node) == 32, "a node is as drawn");

/* The node that a cord is, which is neither empty nor a C string. */
static inline const struct cord_node *cord_node(CORD x) { return (const struct cord_node *)x; }

static inline bool cord_is_string(CORD x) { return CORD_IS_STRING(x); }
static inline bool cord_is_join(CORD x) { return !cord_is_string(x) && cord_node(x)->kind == cord_join; }
static inline int cord_depth(CORD x) { return cord_is_string(x) ? 0 : cord_node(x)->depth; }

/* What comes before the right part of a JOIN. */
size_t cord_left_len(const struct cord_node *join);

/* x and then y in one node; neither is empty. One that is as deep as a cord can be goes behind a function. */
CORD cord_join_raw(CORD x, size_t x_len, CORD y, size_t y_len);

/* The same, but that a cord which would become too deep is balanced. */
CORD cord_join_any(CORD x, size_t x_len, CORD y, size_t y_len);

/* len characters at text, not 0 of them, which owner keeps and nobody changes from now on. */
CORD cord_of_text(const char *text, size_t len, const void *owner);

/* The same of chars from cord_new_chars, with room for a NUL after them: a C string unless there are NULs among them. */
CORD cord_of_chars(char *chars, size_t len);

/* A copy of them. */
CORD cord_of_copy(const char *text, size_t len);

/* Memory, which is always there: without pointers, for size characters; or for what holds pointers, zeroed. */
char *cord_new_chars(size_t size);
void *cord_new_object(size_t size);

/* The sum of two lengths, which no memory could hold if it is too large. */
size_t cord_sum(size_t a, size_t b);

/* The program has broken a rule, or there is no going on. */
_Noreturn void cord_die(const char *why);
_Noreturn void cord_no_memory(void);

/* Nothing of x is collected before this point. For who holds only a pointer into what x holds. */
static inline void cord_keep(CORD x) { __asm__ volatile("" : : "g"(x) : "memory"); }

/* --- walk.c: the leaves of a cord in order, forwards or backwards --- */

struct cord_part {
  CORD cord;
  size_t start, len; /* where in the whole cord it begins, and its length */
};

struct cord_leaf {
  struct cord_part part;
  const char *text; /* its characters; NULL when a function tells them */
};

struct cord_walk {
  struct cord_part pending[CORD_DEPTH]; /* the other halves of the joins above, the next one last */
  int count;
  bool backwards;
};

/* The leaf that has position i of x, which must be below its length; what follows or precedes it comes next. */
void cord_walk_begin(struct cord_walk *walk, CORD x, size_t len, size_t i, bool backwards, struct cord_leaf *leaf);
bool cord_walk_next(struct cord_walk *walk, struct cord_leaf *leaf);

/* Its character at position i of the whole cord. */
static inline char cord_leaf_char(const struct cord_leaf *leaf, size_t i) {
  const struct cord_part *part = &leaf->part;
  return leaf->text ? leaf->text[i - part->start] : cord_node(part->cord)->fn(i - part->start, cord_node(part->cord)->data);
}

/* --- reader.c: the characters of a cord in order, in pieces --- */

struct cord_reader {
  struct cord_walk walk;
  struct cord_leaf leaf;
  CORD cord;
  size_t at;         /* the position after the piece */
  size_t ahead;      /* how many a function is asked for */
  const char *piece; /* count characters, which last until the next call */
  size_t count;
  bool ended;
  char buffer[256];
};

/* From position start on. No piece is there yet. */
void cord_reader_begin(struct cord_reader *reader, CORD x, size_t start);

/* The next piece, which is not empty; false at the end. */
bool cord_reader_next(struct cord_reader *reader);

/* The same unless some of the piece is left. */
static inline bool cord_reader_some(struct cord_reader *reader) {
  return reader->count || cord_reader_next(reader);
}

/* n characters of the piece are done with. */
static inline void cord_reader_skip(struct cord_reader *reader, size_t n) {
  reader->piece += n;
  reader->count -= n;
}

/* Copies up to n characters to out, and returns how many there were. */
size_t cord_reader_take(struct cord_reader *reader, char *out, size_t n);

/* Who begins a reader ends it. */
static inline void cord_reader_end(struct cord_reader *reader) { cord_keep(reader->cord); }

#endif
