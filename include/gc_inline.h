/* SPDX-License-Identifier: MIT
 * Allocation in line, from lists of free objects that a program keeps for itself. Names and meaning are libgc's (8.2, its gc_inline.h). GC_malloc
 * takes a few nanoseconds and needs none of this; it is for programs, and compilers, that use it.
 *
 * tiny_fl is an array of GC_TINY_FREELISTS pointers, zero at first, which is a root (or in one), and which one thread at a time uses. Objects that
 * wait in it are alive, and linked through their first words. GC_generic_malloc_many fills it. What an object's size is rounded up to is the
 * program's business: it should leave room for a byte more if it keeps pointers to the end of an object. */
#ifndef GC_INLINE_H
#define GC_INLINE_H

#include "gc.h"
#include "gc_tiny_fl.h"

#ifdef __cplusplus
extern "C" {
#endif

#ifndef GC_EXPECT
#define GC_EXPECT(value, likely) __builtin_expect(value, likely)
#endif

#ifndef GC_ASSERT
#ifdef NDEBUG
#define GC_ASSERT(condition)
#else
#include <assert.h>
#define GC_ASSERT(condition) assert(condition)
#endif
#endif

#ifndef GC_PREFETCH_FOR_WRITE
#ifdef GC_NO_PREFETCH_FOR_WRITE
#define GC_PREFETCH_FOR_WRITE(address) (void)0
#else
#define GC_PREFETCH_FOR_WRITE(address) __builtin_prefetch((address), 1)
#endif
#endif

/* Those of gc_mark.h, which declares more about kinds. */
#ifndef GC_I_PTRFREE
#define GC_I_PTRFREE 0
#define GC_I_NORMAL 1
#endif
void GC_generic_malloc_many(size_t size, int kind, void **list);
void *GC_malloc_kind(size_t size, int kind) GC_ATTR_MALLOC GC_ATTR_ALLOC_SIZE(1);
void *GC_malloc_kind_global(size_t size, int kind) GC_ATTR_MALLOC GC_ATTR_ALLOC_SIZE(1);

#define GC_FAST_M_AO_STORE(list, next) (void)(*(list) = (next))

/* result = an object of so many granules of the kind: from tiny_fl if it has a list for that size, else what fallback is; this always for a kind
 * without pointers, in whose objects the next one of a list could not be seen. init is done to an
 * object from a list: its first word leads to the next one still, all others are zero.
 *
 * count: so many granules of a size are taken from fallback before there is a list for it. Then all entries must be (void *)1 at first, and an entry
 * counts up, from 1, by the granules and one more each time; what is more than count + GC_TINY_FREELISTS + 1 is a list. */
#define GC_FAST_MALLOC_GRANS(result, granules, tiny_fl, count, kind, fallback, init)                              \
  do {                                                                                                            \
    if (GC_EXPECT((granules) >= GC_TINY_FREELISTS || (kind) == GC_I_PTRFREE, 0)) {                                \
      result = (fallback);                                                                                        \
    } else {                                                                                                      \
      void **gc_list_ = (tiny_fl) + (granules);                                                                   \
      GC_word gc_entry_ = (GC_word)*gc_list_;                                                                     \
      if (gc_entry_ != 0 && gc_entry_ <= (GC_word)(count)) {                                                      \
        GC_FAST_M_AO_STORE(gc_list_, (void *)(gc_entry_ + (granules) + 1));                                       \
        result = (fallback);                                                                                      \
      } else {                                                                                                    \
        if (GC_EXPECT(gc_entry_ <= (GC_word)(count) + GC_TINY_FREELISTS + 1, 0))                                  \
          GC_generic_malloc_many((granules) == 0 ? GC_GRANULE_BYTES : GC_RAW_BYTES_FROM_INDEX(granules), kind,    \
                                 gc_list_);                                                                       \
        if (GC_EXPECT(*gc_list_ == 0, 0)) {                                                                       \
          result = (*GC_get_oom_fn())((granules)*GC_GRANULE_BYTES);                                               \
        } else {                                                                                                  \
          void *gc_next_ = *(void **)*gc_list_;                                                                   \
          result = *gc_list_;                                                                                     \
          GC_FAST_M_AO_STORE(gc_list_, gc_next_);                                                                 \
          init;                                                                                                   \
          GC_PREFETCH_FOR_WRITE(gc_next_);                                                                        \
          GC_reachable_here(gc_next_);                                                                            \
          GC_ASSERT(GC_size(result) >= (granules)*GC_GRANULE_BYTES);                                              \
        }                                                                                                         \
      }                                                                                                           \
    }                                                                                                             \
  } while (0)

#define GC_WORDS_TO_WHOLE_GRANULES(words) GC_WORDS_TO_GRANULES((words) + GC_GRANULE_WORDS - 1)

/* result = an object of so many words, from tiny_fl if it is small. */
#define GC_MALLOC_WORDS_KIND(result, words, tiny_fl, kind, init)                                                                   \
  do {                                                                                                                             \
    size_t gc_granules_ = GC_WORDS_TO_WHOLE_GRANULES(words);                                                                       \
    GC_FAST_MALLOC_GRANS(result, gc_granules_, tiny_fl, 0, kind, GC_malloc_kind(gc_granules_ * GC_GRANULE_BYTES, kind), init);     \
  } while (0)
/* All zero; or without pointers, and not zeroed. */
#define GC_MALLOC_WORDS(result, words, tiny_fl) GC_MALLOC_WORDS_KIND(result, words, tiny_fl, GC_I_NORMAL, *(void **)(result) = 0)
#define GC_MALLOC_ATOMIC_WORDS(result, words, tiny_fl) GC_MALLOC_WORDS_KIND(result, words, tiny_fl, GC_I_PTRFREE, (void)0)

/* result = an object of two words that hold these. */
#define GC_CONS(result, first, second, tiny_fl)                                    \
  do {                                                                             \
    void *gc_first_ = (void *)(first), *gc_second_ = (void *)(second);             \
    GC_MALLOC_WORDS_KIND(result, 2, tiny_fl, GC_I_NORMAL, (void)0);                \
    if ((result) != 0) {                                                           \
      ((void **)(result))[0] = gc_first_;                                          \
      ((void **)(result))[1] = gc_second_;                                         \
      GC_reachable_here(gc_first_);                                                \
      GC_reachable_here(gc_second_);                                               \
    }                                                                              \
  } while (0)

/* Writes how many slots of the size, of one of libgc's first four kinds, are free, to standard output. */
void GC_print_free_list(int kind, size_t granules);

#ifdef __cplusplus
}
#endif

#endif
