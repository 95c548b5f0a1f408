/* SPDX-License-Identifier: MIT
 * The characters of a cord in order, in pieces as long as they lie together. A function is asked for few at first: who looks
 * for something near may not want more. */
#include "config.h"

#include "node.h"

#include <string.h>

static const size_t CORD_AHEAD = 8;

void cord_reader_begin(struct cord_reader *reader, CORD x, size_t start) {
  size_t len = CORD_len(x);
  reader->cord = x;
  reader->at = start;
  reader->ahead = CORD_AHEAD;
  reader->piece = reader->buffer;
  reader->count = 0;
  reader->ended = start >= len;
  if (!reader->ended) cord_walk_begin(&reader->walk, x, len, start, false, &reader->leaf);
}

static void cord_reader_ask(struct cord_reader *reader, size_t left) {
  reader->piece = reader->buffer;
  reader->count = left < reader->ahead ? left : reader->ahead;
  for (size_t i = 0; i < reader->count; i++) reader->buffer[i] = cord_leaf_char(&reader->leaf, reader->at + i);
  if (reader->ahead < sizeof reader->buffer) reader->ahead *= 2;
}

bool cord_reader_next(struct cord_reader *reader) {
  reader->count = 0;
  if (reader->ended) return false;
  const struct cord_part *part = &reader->leaf.part;
  if (reader->at == part->start + part->len) {
    reader->ahead = CORD_AHEAD;
    reader->ended = !cord_walk_next(&reader->walk, &reader->leaf);
    if (reader->ended) return false;
  }
  size_t left = part->start + part->len - reader->at;
  if (reader->leaf.text) {
    reader->piece = reader->leaf.text + (reader->at - part->start);
    reader->count = left;
  } else {
    cord_reader_ask(reader, left);
  }
  reader->at += reader->count;
  return true;
}

size_t cord_reader_take(struct cord_reader *reader, char *out, size_t n) {
  size_t done = 0;
  while (done < n && cord_reader_some(reader)) {
    size_t now = n - done < reader->count ? n - done : reader->count;
    memcpy(out + done, reader->piece, now);
    cord_reader_skip(reader, now);
    done += now;
  }
  return done;
}
