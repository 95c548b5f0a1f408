/* SPDX-License-Identifier: MIT
 * Gleaner's part of the libgc interface: names, types and meaning are libgc's (its gc.h), as far as they are
 * declared here. Link with -lgc; in a program that runs with libgleaner.so preloaded the same heap serves
 * malloc, too.
 *
 * Rules for all: any thread may call at any time, no preparation is needed, and a forked child may go on
 * calling. None of them may be called from a signal handler. Memory is given back by GC_free only: nothing is
 * reclaimed by itself. */
#ifndef GC_H
#define GC_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* size bytes, zeroed, aligned for any type (16 bytes from a size of 16 on), searched for pointers by a leak
 * search. The memory is distinct for each call, also for size 0. Returns NULL, with errno ENOMEM, when there
 * is no memory. */
void *GC_malloc(size_t size) __attribute__((malloc, alloc_size(1)));

/* The same for memory that never holds pointers: not zeroed, and never searched for them. */
void *GC_malloc_atomic(size_t size) __attribute__((malloc, alloc_size(1)));

/* Makes the object at old size bytes long, moving it where it must; its contents up to the smaller of both
 * sizes stay, and memory without pointers stays so. old NULL: as GC_malloc. size 0: as GC_free, and returns
 * NULL. On failure it returns NULL with errno ENOMEM, and old is as it was. old must be what an allocation
 * returned, or it is reported as a misuse. */
void *GC_realloc(void *old, size_t size) __attribute__((alloc_size(2)));

/* Gives the object back. NULL is allowed. Anything else that is not a live object's beginning (freed before,
 * an interior pointer, any other word) is reported as a misuse, after which the program aborts or goes on, as
 * the option misuse says. Keeps errno. */
void GC_free(void *object);

/* The beginning of the object that p points to or into; NULL when it points into none. One past the end is
 * outside. */
void *GC_base(void *p);

/* The bytes that may be used of the object that begins at object, at least those asked for; 0 when none
 * begins there. */
size_t GC_size(const void *object);

/* The bytes of the heap that are in use by blocks, for objects and for their free room; what was given back
 * to the kernel is not counted. */
size_t GC_get_heap_size(void);

/* The sum of the sizes asked for through the functions above since the program began; it never shrinks, and
 * wraps around. */
size_t GC_get_total_bytes(void);

#ifdef __cplusplus
}
#endif

#endif
