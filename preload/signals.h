/* SPDX-License-Identifier: MIT
 * The one reserved signal in masks that the program hands over. */
#ifndef GLEANER_PRELOAD_SIGNALS_H
#define GLEANER_PRELOAD_SIGNALS_H

#include "api/hooks.h"

#include <signal.h>

/* The mask without our signal: itself when the signal is not in it, else a copy in *store. The kernel's mask has 64
 * bits and a caller may have no more memory than that behind its pointer. */
static inline const sigset_t *signals_without_ours(const sigset_t *mask, sigset_t *store) {
  int ours = hook_world_signal();
  if (!mask || ours <= 0) return mask;
  uint64_t bit = (uint64_t)1 << (ours - 1), bits;
  __builtin_memcpy(&bits, mask, sizeof bits);
  if (!(bits & bit)) return mask;
  bits &= ~bit;
  __builtin_memset(store, 0, sizeof *store);
  __builtin_memcpy(store, &bits, sizeof bits);
  return store;
}

#endif
