/* SPDX-License-Identifier: MIT
 * Who points to an object, and why is it alive? Names, types and meaning are those of libgc's gc_backptr.h (8.2), which Debian's libgc was built
 * without. Gleaner answers for any object, debug object or not: nothing is noted while marking, but searched for when it is asked, as GC_why of gc_ext.h
 * does. So each call takes the time of a search, and the answer is as the program stands, not as the last collection found it. */
#ifndef GC_BACKPTR_H
#define GC_BACKPTR_H

#include "gc.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
  GC_UNREFERENCED,   /* nothing leads to it; or nobody could look, and errno tells why */
  GC_NO_SPACE,       /* there is no object */
  GC_REFD_FROM_ROOT, /* *base is the address of the word, in a variable or on a stack */
  GC_REFD_FROM_REG,  /* a register, which has no address */
  GC_REFD_FROM_HEAP, /* *base is the object that leads to it, as the program knows that one, and *offset where in it the pointer stands */
  GC_FINALIZER_REFD  /* it waits for its finalizer, or what waits for one leads to it; or it is held by what was handed to this library */
} GC_ref_kind;

/* What leads to the object that dest points to or into: the last step on the shortest way from a root. Roots of the caller's own stack count only when
 * there is no other. *base and *offset are set where told above, else NULL and 0. */
GC_ref_kind GC_get_back_ptr_info(void *dest, void **base, size_t *offset) __attribute__((nonnull(1)));

/* Somewhere in the heap, also where no object is; NULL: there is none. */
void *GC_generate_random_heap_address(void);

/* Somewhere in an object that is allocated, or NULL: there is none. */
void *GC_generate_random_valid_address(void);

/* Tells on standard error by which words the object at p, or around it, is reached: from it back to the root, an object a line. */
void GC_print_backtrace(void *p) __attribute__((nonnull(1)));

/* The same for an object chosen at random, after a full collection. */
void GC_generate_random_backtrace(void);

#ifdef __cplusplus
}
#endif

#endif
