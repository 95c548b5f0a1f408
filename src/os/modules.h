/* SPDX-License-Identifier: MIT
 * Modules (the program, shared libraries, the vdso) from the loader, without its lock where the C library can
 * (_dl_find_object), else under it (dl_iterate_phdr). Nothing allocates. */
#ifndef GLEANER_OS_MODULES_H
#define GLEANER_OS_MODULES_H

#include "base/base.h"

#include <link.h>

enum { os_build_id_max = 32 };

struct os_module {
  uintptr_t lo, hi;  /* the addresses it occupies */
  uintptr_t bias;    /* address - bias is what the file's symbols say */
  const char *path;  /* absolute where known; the program's own is read from /proc/self/exe; valid while it is loaded */
  unsigned char build_id[os_build_id_max];
  size_t build_id_size; /* 0: none */
};

/* The module that holds the address. False when there is none. */
bool os_module_at(uintptr_t address, struct os_module *module);

/* The same for an unwinder: calls back once, as dl_iterate_phdr would for this module. 0 when there is none. */
int os_module_phdr(uintptr_t address, int (*callback)(struct dl_phdr_info *, size_t, void *), void *arg);

/* All modules, under the loader's lock. */
void os_modules_each(bool (*each)(const struct os_module *module, void *arg), void *arg);

#endif
