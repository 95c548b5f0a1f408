/* SPDX-License-Identifier: MIT
 * Objects whose first word leads to the description of their type, and whose second word there is a descriptor (gc_mark.h): what runtimes with tables of
 * methods have. Names, types and meaning are libgc's (8.2, its gc_gcj.h). */
#ifndef GC_GCJ_H
#define GC_GCJ_H

#include "gc.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Once, before the others; again, it does nothing. The procedure, a GC_mark_proc or NULL, is what descriptors of this number call
 * (GC_GCJ_RESERVED_MARK_PROC_INDEX, or another below GC_RESERVED_MARK_PROCS), and, with environment 1, whatever is in the description, what marks debug
 * objects: there it is given the beginning of the whole object, see GC_USR_PTR_FROM_BASE. Before that, all words of an object count. */
void GC_init_gcj_malloc(int number, void *procedure);

/* As GC_malloc, and the description is in the first word. It must be so as long as the object is alive; where it lies in the heap, something must hold it.
 * As long as the first word is NULL, nothing of the object counts. */
void *GC_gcj_malloc(size_t size, void *description) GC_ATTR_MALLOC GC_ATTR_ALLOC_SIZE(1);
void *GC_gcj_malloc_ignore_off_page(size_t size, void *description) GC_ATTR_MALLOC GC_ATTR_ALLOC_SIZE(1);
/* A debug object. */
void *GC_debug_gcj_malloc(size_t size, void *description, GC_EXTRA_PARAMS) GC_ATTR_MALLOC GC_ATTR_ALLOC_SIZE(1);

/* The kinds of both, for GC_generic_malloc. */
extern int GC_gcj_kind;
extern int GC_gcj_debug_kind;

#ifdef GC_DEBUG
#define GC_GCJ_MALLOC(size, description) GC_debug_gcj_malloc(size, description, GC_EXTRAS)
#define GC_GCJ_MALLOC_IGNORE_OFF_PAGE(size, description) GC_debug_gcj_malloc(size, description, GC_EXTRAS)
#else
#define GC_GCJ_MALLOC(size, description) GC_gcj_malloc(size, description)
#define GC_GCJ_MALLOC_IGNORE_OFF_PAGE(size, description) GC_gcj_malloc_ignore_off_page(size, description)
#endif

#ifdef __cplusplus
}
#endif

#endif
