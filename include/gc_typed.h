/* SPDX-License-Identifier: MIT
 * Objects that say where their pointers are. Names, types and meaning are libgc's (8.2, its gc_typed.h).
 *
 * Words that a descriptor leaves out are never taken for pointers, but by a collection of the young alone, which may keep for a
 * while what only such a word of an old object leads to. */
#ifndef GC_TYPED_H
#define GC_TYPED_H

#include "gc.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A bit for each word of an object, the lowest of the first for the first word: it may hold a pointer. */
typedef GC_word *GC_bitmap;

#define GC_WORDSZ (8 * sizeof(GC_word))
#define GC_get_bit(bitmap, i) (((bitmap)[(i) / GC_WORDSZ] >> ((i) % GC_WORDSZ)) & 1)
#define GC_set_bit(bitmap, i) ((bitmap)[(i) / GC_WORDSZ] |= (GC_word)1 << ((i) % GC_WORDSZ))
#define GC_WORD_OFFSET(type, member) (offsetof(type, member) / sizeof(GC_word))
#define GC_WORD_LEN(type) (sizeof(type) / sizeof(GC_word))
#define GC_BITMAP_SIZE(type) ((GC_WORD_LEN(type) + GC_WORDSZ - 1) / GC_WORDSZ)

typedef GC_word GC_descr;

/* Describes objects whose first bits words are as in the bitmap, and which hold no pointers behind them. Always succeeds: where memory is
 * refused, it describes more words as pointers than were asked for. */
GC_descr GC_make_descriptor(const GC_word *bitmap, size_t bits);

/* As GC_malloc, for an object so described, which must not be smaller. */
void *GC_malloc_explicitly_typed(size_t size, GC_descr descriptor) __attribute__((malloc, alloc_size(1)));
void *GC_malloc_explicitly_typed_ignore_off_page(size_t size, GC_descr descriptor) __attribute__((malloc, alloc_size(1)));
/* An array of count elements of size bytes, each so described. */
void *GC_calloc_explicitly_typed(size_t count, size_t size, GC_descr descriptor) __attribute__((malloc, alloc_size(1, 2)));

#ifdef GC_DEBUG /* debug objects, which are searched as a whole */
#define GC_MALLOC_EXPLICITLY_TYPED(size, descriptor) ((void)(descriptor), GC_MALLOC(size))
#define GC_MALLOC_EXPLICITLY_TYPED_IGNORE_OFF_PAGE(size, descriptor) ((void)(descriptor), GC_MALLOC_IGNORE_OFF_PAGE(size))
#define GC_CALLOC_EXPLICITLY_TYPED(count, size, descriptor) ((void)(descriptor), GC_MALLOC((count) * (size)))
#else
#define GC_MALLOC_EXPLICITLY_TYPED(size, descriptor) GC_malloc_explicitly_typed(size, descriptor)
#define GC_MALLOC_EXPLICITLY_TYPED_IGNORE_OFF_PAGE(size, descriptor) GC_malloc_explicitly_typed_ignore_off_page(size, descriptor)
#define GC_CALLOC_EXPLICITLY_TYPED(count, size, descriptor) GC_calloc_explicitly_typed(count, size, descriptor)
#endif

#ifdef __cplusplus
}
#endif

#endif
