/* SPDX-License-Identifier: MIT
 * How the headers declare things, and what they know of the compiler and the system; gc.h includes it. The names are libgc's (8.2). A program may
 * define those of the second part itself before it includes gc.h. */
#ifndef GC_CONFIG_MACROS_H
#define GC_CONFIG_MACROS_H

#include <stddef.h>

/* --- The compiler and the system: GCC or Clang, Linux --- */

#if defined(__GNUC__) && defined(__GNUC_MINOR__)
#define GC_GNUC_PREREQ(major, minor) (__GNUC__ > (major) || (__GNUC__ == (major) && __GNUC_MINOR__ >= (minor)))
#else
#define GC_GNUC_PREREQ(major, minor) 0
#endif

/* A program with threads says so by any of these names, before the headers. */
#if defined(GC_LINUX_THREADS) || defined(LINUX_THREADS) || defined(GC_PTHREADS)
#ifndef GC_THREADS
#define GC_THREADS
#endif
#endif
#ifdef GC_THREADS
#ifndef GC_LINUX_THREADS
#define GC_LINUX_THREADS
#endif
#ifndef GC_PTHREADS
#define GC_PTHREADS
#endif
#ifndef _REENTRANT
#define _REENTRANT 1
#endif
#endif
#if defined(USE_LD_WRAP) && !defined(GC_USE_LD_WRAP)
#define GC_USE_LD_WRAP
#endif

/* Call stacks can be had, and are, where allocations are recorded. */
#ifndef GC_HAVE_BUILTIN_BACKTRACE
#define GC_HAVE_BUILTIN_BACKTRACE
#endif
#ifndef GC_CAN_SAVE_CALL_STACKS
#define GC_CAN_SAVE_CALL_STACKS
#endif

#ifdef GC_PTHREADS
#define GC_HAVE_PTHREAD_EXIT
#ifndef GC_PTHREAD_EXIT_ATTRIBUTE
#define GC_PTHREAD_EXIT_ATTRIBUTE __attribute__((__noreturn__))
#endif
#endif

/* --- What stands in declarations --- */

#ifndef GC_API
#define GC_API extern
#endif
#ifndef GC_CALL
#define GC_CALL
#endif
#ifndef GC_CALLBACK
#define GC_CALLBACK GC_CALL
#endif

/* A program whose out-of-memory function returns objects that it has pointers to already must define GC_OOM_FUNC_RETURNS_ALIAS. */
#ifndef GC_ATTR_MALLOC
#if defined(GC_OOM_FUNC_RETURNS_ALIAS) || !GC_GNUC_PREREQ(3, 1)
#define GC_ATTR_MALLOC
#else
#define GC_ATTR_MALLOC __attribute__((__malloc__))
#endif
#endif

#ifndef GC_ATTR_ALLOC_SIZE
#if GC_GNUC_PREREQ(4, 3) || defined(__clang__)
#define GC_ATTR_ALLOC_SIZE(argument) __attribute__((__alloc_size__(argument)))
#undef GC_ATTR_CALLOC_SIZE
#define GC_ATTR_CALLOC_SIZE(count, size) __attribute__((__alloc_size__(count, size)))
#else
#define GC_ATTR_ALLOC_SIZE(argument)
#endif
#endif
#ifndef GC_ATTR_CALLOC_SIZE
#define GC_ATTR_CALLOC_SIZE(count, size)
#endif

#ifndef GC_ATTR_NONNULL
#if GC_GNUC_PREREQ(4, 0)
#define GC_ATTR_NONNULL(argument) __attribute__((__nonnull__(argument)))
#else
#define GC_ATTR_NONNULL(argument)
#endif
#endif

#ifndef GC_ATTR_CONST
#if GC_GNUC_PREREQ(4, 0)
#define GC_ATTR_CONST __attribute__((__const__))
#else
#define GC_ATTR_CONST
#endif
#endif

/* libgc warns of its variables and of what is only kept for old programs. Nothing of that is going to go away here, so nothing is marked. */
#ifndef GC_ATTR_DEPRECATED
#if GC_GNUC_PREREQ(4, 0)
#define GC_ATTR_DEPRECATED __attribute__((__deprecated__))
#else
#define GC_ATTR_DEPRECATED
#endif
#endif

#ifdef __cplusplus
#ifndef GC_ATTR_EXPLICIT
#if __cplusplus >= 201103L
#define GC_ATTR_EXPLICIT explicit
#else
#define GC_ATTR_EXPLICIT
#endif
#endif
#ifndef GC_NOEXCEPT
#if __cplusplus >= 201103L
#define GC_NOEXCEPT noexcept
#else
#define GC_NOEXCEPT throw()
#endif
#endif
#endif

#endif
