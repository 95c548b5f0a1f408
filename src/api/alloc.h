/* SPDX-License-Identifier: MIT
 * The one allocation path. Everything that hands out memory, whatever its public name, ends here. */
#ifndef GLEANER_ALLOC_H
#define GLEANER_ALLOC_H

#include "api/api.h"

struct alloc_request {
  size_t size;
  size_t align;  /* a power of two, 1 for none */
  enum kind kind;
  bool zero;
};

/* The object, or NULL with errno ENOMEM. start: the caller, recorded where allocations are. */
void *alloc(const struct alloc_request *request, const struct site_start *start);
/* When all that is wrong is that the free word is empty: some slot for the size, not zeroed; else NULL. */
void *alloc_refilled(size_t size, enum kind kind);
/* As GC_malloc: collected, zeroed, and the out-of-memory handler is asked. The type is told beside it (gc/typed.h); full: a length of all its bytes. */
void *gc_alloc_typed(size_t size, uintptr_t type, bool full, const struct site_start *start);
/* As GC_malloc, of any kind. */
void *gc_alloc_kind(size_t size, enum kind kind, const struct site_start *start);
/* What the program's handler of exhausted memory gave in this thread since this was asked last: it may give the same again. */
void *gc_take_given(void);

/* Objects whose pointers lie behind their beginnings: libgc's debug objects. Each does what GC_free, GC_realloc and GC_size do where the pointer is
 * such a one, and says so; size tells 0 where it is not. NULL: there are none. Asked for what begins no object alone. */
struct alloc_displaced {
  bool (*free)(void *p, const struct site_start *start);
  bool (*resize)(void *old, size_t size, void **p, const struct site_start *start);
  size_t (*size)(const void *p);
};
extern const struct alloc_displaced *alloc_displaced;

/* As GC_malloc, at a multiple of align, a power of two. */
void *gc_alloc_aligned(size_t align, size_t size, const struct site_start *start);
void *alloc_resize(void *old, size_t size, const struct site_start *start);
void alloc_free(void *p, enum misuse_call call, const struct site_start *start);

/* The live object that begins at p: its block and slot. False when there is none. */
bool alloc_find(const void *p, struct block **block, uint32_t *slot);

#endif
