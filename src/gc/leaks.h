/* SPDX-License-Identifier: MIT
 * The leak search: stop, mark from the roots, classify what was not reached, tell it, resume.
 *
 * Knows slots and sites; knows nothing of stacks' contents, text or files. */
#ifndef GLEANER_LEAKS_H
#define GLEANER_LEAKS_H

#include "gc/world.h"

enum leak_kind { LEAK_DEFINITE, LEAK_INDIRECT, LEAK_REACHABLE, leak_kinds };

struct leak {
  enum leak_kind kind;
  bool cycle;    /* the one entry shown of a cycle */
  uint32_t site;
  uintptr_t address;
  size_t size;   /* as requested */
};

struct leaks_request {
  struct world_thread self; /* the calling thread, where its live stack begins */
  bool unaligned;
  bool want_reachable; /* tell reachable objects, too */
  bool last; /* the process ends after this: no other search comes after it (ECANCELED), and what it cuts short stays so */
};

struct leaks_summary {
  uint64_t objects;       /* live slots looked at */
  uint64_t reachable, reachable_bytes; /* counted, whether they are told or not; bytes as requested */
  uint64_t root_bytes;    /* bytes of roots scanned */
  unsigned threads;
  unsigned not_stopped;
  uint64_t stop_ns, roots_ns, classify_ns;
};

/* Calls tell(leak, arg) for each object, with the world stopped: it must not allocate or lock. Returns 0, or an
 * errno value when nothing could be searched. The states of all slots are as before when it returns. */
int leaks_search(const struct leaks_request *request, void (*tell)(const struct leak *leak, void *arg),
                 void *arg, struct leaks_summary *summary);

/* In a fork child, before world_fork_child: a thread that could not be stopped may have forked in the middle of
 * a search, whose marks are wiped here. */
void leaks_fork_child(void);

#endif
