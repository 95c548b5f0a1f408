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

/* The same for the mappings that reach into [lo, hi), asking the kernel for no others where it can be asked so (6.11).
 * Name and inode are not told; a mapping may be told twice. */
int os_maps_each_within(uintptr_t lo, uintptr_t hi, bool (*each)(const struct os_mapping *mapping, void *arg), void *arg);

/* The mapping that contains the address; name is not set. */
bool os_maps_find(uintptr_t address, struct os_mapping *mapping);

/* The parts of a mapping that may hold data the program wrote: a page of private memory counts if it is present
 * or swapped and was copied on write, the shared zero page excepted; a page of shared memory if it is in core
 * (of a small mapping: always). By PAGEMAP_SCAN, else /proc/self/pagemap, else everything. No page is faulted
 * in.
 *
 * Calls each(lo, hi, present, arg), merged, in rising order. present: the pages are in memory and may be read
 * in place if the mapping is readable; otherwise (swapped, shared and perhaps beyond the end of its file) by
 * os_maps_peek. */
typedef void os_maps_range(uintptr_t lo, uintptr_t hi, bool present, void *arg);
void os_maps_written(const struct os_mapping *mapping, os_maps_range *each, void *arg);

/* Reads memory that may be PROT_NONE or vanish: bytes copied (fewer when a page in it is unreadable, 0 when the
 * first is), through /proc/self/mem, else by process_vm_readv. Never faults. */
size_t os_maps_peek(uintptr_t address, void *buffer, size_t size);

#endif
