/* SPDX-License-Identifier: MIT
 * What the files of this layer know of each other. Only this layer decides and prints. */
#ifndef GLEANER_API_H
#define GLEANER_API_H

#include "base/options.h"
#include "heap/cache.h"
#include "site/site.h"

/* --- birth.c: from the first call of the process to its end --- */

extern struct options birth_options;

/* True once memory can be served; makes it so at the first call. False: the kernel refused memory. */
bool birth_ensure(void);
/* Allocations are recorded: each has a site and its size in a note. */
bool birth_records(void);
/* This process is the one that was born, or a fork child that was told so; false in a vfork child. */
bool birth_is_mine(void);

/* This thread's cache, made at its first use; NULL when memory is refused. */
struct cache *birth_cache(void);
/* The cache if this thread has one. */
struct cache *birth_cache_if_any(void);
/* Whether the thread with this thread pointer, which is still there, has a cache. */
bool birth_knows(uintptr_t tcb);
/* After an allocation: a thread beyond its destructors gives its cache back at once. */
void birth_cache_done(void);

/* The C library's own functions, for pointers that are not ours; NULL before the constructor ran. */
struct birth_libc {
  void (*free)(void *);
  void *(*realloc)(void *, size_t);
  size_t (*usable_size)(void *);
};
extern struct birth_libc birth_libc;

/* --- misuse.c: the program's errors --- */

enum misuse_call {
  MISUSE_FREE,
  MISUSE_REALLOC,
  MISUSE_USABLE_SIZE,
  MISUSE_REF,
  MISUSE_UNREF,
  MISUSE_PIN,
  MISUSE_UNPIN,
};

/* The pointer is not a live object's. Says so with the stacks that are known, and aborts unless told to go on. */
void misuse_pointer(enum misuse_call call, void *p, const struct site_start *start);
/* It is, but this may not be done to it. */
void misuse_object(enum misuse_call call, void *p, const char *why, const struct site_start *start);

/* --- leak_report.c --- */

void leak_report_init(void);
/* Searches and reports, once in a process unless again is set. Returns the blocks lost, or -1 with errno. */
long leak_report(bool again);
/* All that the last report found lost is suppressed. */
bool leak_report_suppressed(void);
void leak_report_fork_child(void);
/* Searches without reporting (stress). */
void leak_report_drill(void);

#endif
