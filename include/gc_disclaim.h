/* SPDX-License-Identifier: MIT
 * Objects whose owner is asked before their memory is used again. Names, types and meaning are libgc's (8.2, its gc_disclaim.h). In mode leaks, where
 * nothing is collected, nobody is asked. */
#ifndef GC_DISCLAIM_H
#define GC_DISCLAIM_H

#include "gc.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Called once the object was found unreachable, and when finalizers that lead to it have been run; by a thread of the program that allocates or collects, with no lock
 * held. It must not make the object reachable again. Not 0: not yet; the object stays, and is asked about again by a later collection. 0: its memory may
 * be used again, which it is after the next collection that finds it unreachable. Links and short weak references to it are NULL then. GC_free ends an
 * object without asking. */
typedef int(GC_CALLBACK *GC_disclaim_proc)(void *object);

/* From now on, objects of this kind that GC_generic_malloc and its likes make are asked about; those of GC_malloc, GC_malloc_atomic and their
 * likes never are. in_order not 0: what an object leads to is not asked about before the object itself is gone; so a cycle never is. 0: all that is dead is
 * asked about, and the function must not look at what the object leads to. */
void GC_register_disclaim_proc(int kind, GC_disclaim_proc function, int in_order) __attribute__((nonnull(2)));

struct GC_finalizer_closure {
  GC_finalization_proc proc;
  void *cd;
};

/* Before the next one. */
void GC_init_finalized_malloc(void);

/* As GC_malloc, and closure->proc(object, closure->cd) is called once when the object is dead, in order as above. What the closure is, and what it
 * leads to, lives as long if it is in the heap. Unlike in libgc the object begins where GC_base says, and takes nothing more. */
void *GC_finalized_malloc(size_t size, const struct GC_finalizer_closure *closure) GC_ATTR_MALLOC GC_ATTR_ALLOC_SIZE(1) __attribute__((nonnull(2)));

#ifdef __cplusplus
}
#endif

#endif
