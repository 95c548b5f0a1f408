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

/* What is kept between looks at the address space, so that none costs a mapping or page faults: the list of mappings,
 * and, until os_maps_close, two descriptors. All zero to begin with; one user at a time. */
struct os_maps {
  struct os_mapping *list; /* in rising order, since os_maps_read; good until the next */
  size_t count;
  struct os_maps_kept {
    char *text;
    size_t length, size, list_size; /* size, list_size: bytes that are mapped */
    int pagemap, memory;            /* descriptors + 1; 0: not open */
  } kept;
};

/* One consistent snapshot of all mappings. 0, or an errno value. */
int os_maps_read(struct os_maps *maps);
void os_maps_close(struct os_maps *maps); /* the descriptors: the program must not see them */

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

/* The same of private anonymous memory without opening a descriptor, which a program that runs meanwhile could see; all of it where
 * the system swaps. Only what is present is told. */
void os_maps_touched(const struct os_mapping *mapping, os_maps_range *each, void *arg);

/* The same for all private mappings in [lo, hi), bounds of pages, as os_maps_read has found them. What is told may
 * cover neighbouring mappings at once, and a shared one's pages where they are no file's. 0, or an errno value when
 * it cannot be known: then some may not have been told. */
int os_maps_private(struct os_maps *maps, uintptr_t lo, uintptr_t hi, os_maps_range *each, void *arg);

/* The pages of a shared mapping: present tells whether they are in core, with certainty where they are. One that is
 * not may be in swap, in its file, or nowhere. To be read by os_maps_peek, since another process may cut the file
 * short. */
void os_maps_shared(const struct os_mapping *mapping, os_maps_range *each, void *arg);

/* Whether the file behind a shared mapping was opened for reading only: nobody has written through this mapping.
 * Slow. */
bool os_maps_is_unwritable(const struct os_mapping *mapping);

/* Whether what its name tells is a device, or cannot be looked at. */
bool os_maps_is_device(const struct os_mapping *mapping);

/* Reads memory that may be PROT_NONE or vanish: bytes copied (fewer when a page in it is unreadable, 0 when the
 * first is), through /proc/self/mem, else by process_vm_readv. Never faults. os_maps_copy keeps the descriptor. */
size_t os_maps_peek(uintptr_t address, void *buffer, size_t size);
size_t os_maps_copy(struct os_maps *maps, uintptr_t address, void *buffer, size_t size);

#endif
