/* SPDX-License-Identifier: MIT
 * A library with a RUNPATH of its own ($ORIGIN/hidden), which opens modules by their bare names: the loader finds them
 * only if it sees that the call comes from here. */
#include "config.h"

#include <dlfcn.h>

__attribute__((visibility("default"))) void *opener_open(const char *name, int mode);
__attribute__((visibility("default"))) void *opener_open_apart(const char *name, int mode);

/* The results pass through volatile variables, so that neither call is a jump: its return address lies here. */
void *opener_open(const char *name, int mode) {
  void *volatile handle = dlopen(name, mode);
  return handle;
}

void *opener_open_apart(const char *name, int mode) {
  void *volatile handle = dlmopen(LM_ID_NEWLM, name, mode);
  return handle;
}
