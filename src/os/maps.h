/* SPDX-License-Identifier: MIT
 * The address space of this process, from /proc/self/maps and the page map. Nothing allocates from malloc;
 * errno is kept; descriptors are closed before returning. */
#ifndef GLEANER_OS_MAPS_H
#define GLEANER_OS_MAPS_H

#include "base/base.h"

struct os_mapping {
  uintptr_t lo, hi;
  bool read, write, execute, shared;
  uint64_t offset;
  uint64_t inode;   /* 0: anonymous */
  const char *name; /* "" or a path or "[stack]"; valid during the call */
};

/* Calls each(mapping, arg) in rising order until it returns false. 0, or an errno value when /proc cannot be
 * read. One consistent snapshot is taken before the first call. */
int os_maps_each(bool (*each)(const struct os_mapping *mapping, void *arg), void *arg);

/* The mapping that contains the address; name is not set. */
bool os_maps_find(uintptr_t address, struct os_mapping *mapping);

/* The parts of a mapping that may hold data the program wrote, by the rules 4 to 7 of the root list: a page of private
 * memory counts if present or swapped, of a private file mapping if it was copied on write, of a shared mapping
 * always (within the file). Calls each(lo, hi, arg), merged, in rising order. Uses PAGEMAP_SCAN, else
 * /proc/self/pagemap, else takes everything. Never faults a page in. */
void os_maps_written(const struct os_mapping *mapping, void (*each)(uintptr_t lo, uintptr_t hi, void *arg),
                     void *arg);

/* Reads memory that may be PROT_NONE or vanish: bytes copied (0 when unreadable), by process_vm_readv, then
 * /proc/self/mem. */
size_t os_maps_peek(uintptr_t address, void *buffer, size_t size);

#endif
