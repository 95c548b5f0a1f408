/* SPDX-License-Identifier: MIT
 * Large objects: a block of one slot each. All of these take the heap lock themselves. */
#ifndef GLEANER_LARGE_H
#define GLEANER_LARGE_H

#include "heap/block.h"

/* A large object of at least size bytes at a multiple of align (a power of two). *zero: its bytes are all 0. NULL when
 * memory is refused. */
void *large_alloc(size_t size, size_t align, enum kind kind, bool *zero);

/* Frees it; false when another thread was faster: a double free. */
bool large_free(struct block *block);

/* Grows or shrinks it, in place or by moving its pages; the old object stays as it is on failure (NULL). */
void *large_resize(struct block *block, size_t size);

#endif
