/* SPDX-License-Identifier: MIT
 * Every module that was ever seen, so that a stack can be named after its module was closed.
 *
 * The epoch counts dlclose calls that unloaded something. A stack records the epoch in which it was
 * captured; a module the span of epochs in which it was loaded. A module that takes the addresses of
 * another, of whose end nobody told us (the C library closes modules of its own), begins a new epoch as
 * well, as soon as one of its addresses is asked about that was not asked about before. */
#ifndef GLEANER_MODULES_H
#define GLEANER_MODULES_H

#include "os/modules.h"

struct module {
  uintptr_t lo, hi, bias;
  char *path; /* own copy */
  unsigned char build_id[os_build_id_max];
  size_t build_id_size;
  uint32_t first, last; /* epochs in which it was loaded; last is UINT32_MAX while it is */
};

extern _Atomic uint32_t modules_now;

static inline uint32_t modules_epoch(void) { return atomic_load_explicit(&modules_now, memory_order_acquire); }

/* Around dlclose: before, note all that is loaded; after, see what is gone. Both may take the loader's lock. */
void modules_before_close(void);
void modules_after_close(void);

/* Enters the module that holds the address now, if it is new. Takes no lock of the loader. */
void modules_see(uintptr_t address);

/* The index, from 0, of the module that held the address in the epoch; -1 when it is unknown. Enters a
 * module that is loaded now and was not yet seen. */
int modules_find(uintptr_t address, uint32_t epoch);
const struct module *modules_get(int index);
int modules_count(void);
void modules_fork_child(void);

#endif
