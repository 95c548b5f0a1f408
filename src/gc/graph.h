/* SPDX-License-Identifier: MIT
 * The heap as a graph: which objects there are, and which words of theirs lead to which objects, as a marker sees it. For those who
 * tell of it; a marker has its own ways.
 *
 * The world is stopped or this is a snapshot, and the heap locked, from graph_begin to the last call. */
#ifndef GLEANER_GRAPH_H
#define GLEANER_GRAPH_H

#include "heap/block.h"

/* 0, or an errno value: what can be read is not known. */
int graph_begin(void);

/* Live, and not what a full collection has given up and a sweep not yet come to. */
bool graph_is_alive(const struct block *block, uint32_t slot);

/* The object alive that the word leads to, at its beginning or inside. */
bool graph_find(uintptr_t word, struct block **block, uint32_t *slot);

/* What setjmp has mangled; 0 when the word does not look so. */
uintptr_t graph_unmangle(uintptr_t word);

/* Calls each(at, word, arg) for each word in [lo, hi) whose bits are an address in the heap's region; at is where the program has
 * it. copied: where the program has lo, if this is a copy; 0: it is none. Every page must be readable. */
typedef void graph_word(uintptr_t at, uintptr_t word, void *arg);
void graph_words(uintptr_t lo, uintptr_t hi, uintptr_t copied, graph_word *each, void *arg);

/* Calls piece for each part of the object that may have been touched, in place or, where the program allows it not to be read, as a copy of it;
 * copied as above. A copy goes on for so many bytes beyond its end as overlap says, so that a word that begins in it is whole. */
typedef void graph_piece(uintptr_t lo, uintptr_t hi, uintptr_t copied, void *arg);
void graph_pieces(const struct block *block, uint32_t slot, size_t overlap, graph_piece *piece, void *arg);

/* The same as graph_words for all words of an object that may hold pointers, whatever the program allows to be read. */
void graph_contents(const struct block *block, uint32_t slot, graph_word *each, void *arg);

#endif
