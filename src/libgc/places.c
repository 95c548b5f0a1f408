/* SPDX-License-Identifier: MIT
 * libgc's questions about addresses that are none of the heap's. */
#include "config.h"

#include "base/bits.h"
#include "gc.h"
#include "gc_mark.h"
#include "libgc/libgc.h"
#include "os/memory.h"
#include "os/modules.h"

#include <link.h>

/* --- what can be read --- */

PUBLIC void *GC_find_limit(void *start, int up) {
  uintptr_t page = bits_align_down((uintptr_t)start, os_page_size);
  while (os_memory_is_readable(page)) {
    if (!up && page < os_page_size) return NULL;
    page = up ? page + os_page_size : page - os_page_size;
  }
  return (void *)(up ? page : page + os_page_size);
}

/* --- the data of libraries --- */

struct places_asked {
  uintptr_t address;
  bool found;
};

static int places_look(struct dl_phdr_info *info, size_t size, void *arg) {
  struct places_asked *asked = arg;
  (void)size;
  if (!info->dlpi_name || !*info->dlpi_name) return 0; /* the program */
  for (size_t i = 0; i < info->dlpi_phnum; i++) {
    const ElfW(Phdr) *part = &info->dlpi_phdr[i];
    bool data = part->p_type == PT_LOAD && part->p_flags & PF_W;
    if (data && asked->address - info->dlpi_addr - part->p_vaddr < part->p_memsz) asked->found = true;
  }
  return asked->found;
}

PUBLIC int GC_is_tmp_root(void *p) {
  struct places_asked asked = {(uintptr_t)p, false};
  os_module_phdr(asked.address, places_look, &asked);
  return asked.found;
}
