/* SPDX-License-Identifier: MIT
 * Makes the allocations of a source that includes this, after all other headers, or is compiled with -include leak_detector.h, debug objects of gc.h:
 * in a program that calls GC_set_find_leak(1) first, or runs with GC_FIND_LEAK in its environment, what it forgets to free is told with file and
 * line. Names and meaning are those of libgc's leak_detector.h (8.2). The command gleaner leaks needs neither, and tells call stacks.
 *
 * What one source allocates so another may free, and the other way round, only if that includes this, too. What memalign and posix_memalign give is no
 * debug object, which free says of each. A program may define before it includes this: GC_REQUIRE_WCSDUP, and wcsdup is one of them;
 * GC_DONT_INCLUDE_STDLIB, and the C library's headers are not included first; CHECK_LEAKS, to be something else. */
#ifndef GC_LEAK_DETECTOR_H
#define GC_LEAK_DETECTOR_H

#ifndef GC_DEBUG
#define GC_DEBUG
#endif
#include "gc.h"

#ifndef GC_DONT_INCLUDE_STDLIB
#include <stdlib.h>
#include <string.h>
#endif

/* The bytes of n times m; when no size_t can tell, there is no memory for them. */
static __inline__ size_t leak_detector_bytes(size_t n, size_t m) { return m && n > (size_t)-1 / m ? (size_t)-1 : n * m; }

#undef malloc
#undef calloc
#undef realloc
#undef free
#undef strdup
#undef strndup
#undef memalign
#undef posix_memalign
#define malloc(size) GC_MALLOC(size)
#define calloc(count, size) GC_MALLOC(leak_detector_bytes(count, size))
#define realloc(old, size) GC_REALLOC(old, size)
#define free(object) GC_FREE(object)
#define strdup(text) GC_STRDUP(text)
#define strndup(text, size) GC_STRNDUP(text, size)
#define memalign(align, size) GC_memalign(align, size)
#define posix_memalign(object, align, size) GC_posix_memalign(object, align, size)

#ifdef GC_REQUIRE_WCSDUP
#include <wchar.h>
#undef wcsdup
#define wcsdup(text) GC_WCSDUP(text)
#endif

/* Collects, and so tells of what has leaked by now. */
#ifndef CHECK_LEAKS
#define CHECK_LEAKS() GC_gcollect()
#endif

#endif
