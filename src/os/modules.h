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

/* All modules by the loader's own list, without its lock, for one who has stopped every thread that could hold it.
 * dlpi_tls_modid is 0 when the module has no thread-local storage, and dlpi_tls_data is not set. False when the list
 * was being changed by one of them, or cannot be understood: then some may not have been told. */
bool os_modules_listed(void (*each)(const struct dl_phdr_info *info, void *arg), void *arg);

/* How the C library describes a field to debuggers, in symbols that begin with _thread_db_. */
struct os_modules_field {
  uint32_t bits, count, offset; /* of an element, elements, from the beginning of the structure */
};

/* The address of a symbol that the loader or one of the libraries which the program began with defines, or NULL.
 * Takes no lock and calls nobody, unlike dlsym; knows nothing of versions. */
const void *os_modules_symbol(const char *name);

/* All modules, under the loader's lock. */
void os_modules_each(bool (*each)(const struct os_module *module, void *arg), void *arg);

#endif
