/* SPDX-License-Identifier: MIT
 * Pages: which of them the program wrote, by the kernel's page map, and reading those that cannot be read in place.
 * Knows nothing of what lies where. */
#include "config.h"

#include "os/maps.h"

#include "base/bits.h"
#include "base/print.h"
#include "os/call.h"
#include "os/memory.h"

#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static int pages_open(const char *path, const char *older_path) {
  int fd = os_call_open(path, 0);
  return fd == -ENOENT ? os_call_open(older_path, 0) : fd;
}

static int pages_open_map(void) { return pages_open("/proc/thread-self/pagemap", "/proc/self/pagemap"); }
static int pages_open_memory(void) { return pages_open("/proc/thread-self/mem", "/proc/self/mem"); }

/* One of the two descriptors that are kept, or -errno. */
static int pages_kept(int *kept, int (*open)(void)) {
  if (*kept) return *kept - 1;
  int fd = open();
  if (fd >= 0) *kept = fd + 1;
  return fd;
}

void os_maps_close(struct os_maps *maps) {
  if (maps->kept.pagemap) os_call_close(maps->kept.pagemap - 1);
  if (maps->kept.memory) os_call_close(maps->kept.memory - 1);
  maps->kept.pagemap = maps->kept.memory = 0;
}

/* --- the page map --- */

/* Merges neighbours before they are told. */
struct pages_merge {
  uintptr_t lo, hi;
  bool present;
  os_maps_range *each;
  void *arg;
};

static void pages_flush(struct pages_merge *merge) {
  if (merge->lo != merge->hi) merge->each(merge->lo, merge->hi, merge->present, merge->arg);
  merge->lo = merge->hi = 0;
}

static void pages_add(struct pages_merge *merge, uintptr_t lo, uintptr_t hi, bool present) {
  if (lo == merge->hi && present == merge->present) {
    merge->hi = hi;
    return;
  }
  pages_flush(merge);
  merge->lo = lo;
  merge->hi = hi;
  merge->present = present;
}

/* The kernel's interface, which is younger (6.7) than the headers of many systems. */
struct pages_scan {
  uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
  uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
struct pages_region {
  uint64_t start, end, categories;
};
#define PAGES_SCAN _IOWR('f', 16, struct pages_scan)
enum { PAGES_FILE = 1 << 2, PAGES_PRESENT = 1 << 3, PAGES_SWAPPED = 1 << 4, PAGES_ZERO = 1 << 5 };
enum { pages_regions = 128 };

static int pages_scan(int fd, const struct os_mapping *mapping, struct pages_merge *merge) {
  struct pages_region found[pages_regions];
  struct pages_scan scan = {
      .size = sizeof scan, .start = mapping->lo, .end = mapping->hi,
      .vec = (uintptr_t)found, .vec_len = pages_regions,
      .category_inverted = PAGES_FILE | PAGES_ZERO, .category_mask = PAGES_FILE | PAGES_ZERO,
      .category_anyof_mask = PAGES_PRESENT | PAGES_SWAPPED, .return_mask = PAGES_PRESENT,
  };
  while (scan.start < scan.end) {
    long count = os_call(SYS_ioctl, fd, PAGES_SCAN, &scan);
    if (count == -EINTR) continue;
    if (count < 0) return (int)-count;
    for (long i = 0; i < count; i++)
      pages_add(merge, found[i].start, found[i].end, found[i].categories & PAGES_PRESENT);
    if (scan.walk_end <= scan.start) break;
    scan.start = scan.walk_end;
  }
  return 0;
}

#define PAGES_PAGE_PRESENT ((uint64_t)1 << 63)
#define PAGES_PAGE_SWAPPED ((uint64_t)1 << 62)
#define PAGES_PAGE_FILE ((uint64_t)1 << 61)

static int pages_pagemap(int fd, const struct os_mapping *mapping, struct pages_merge *merge) {
  uint64_t pages[1024];
  for (uintptr_t at = mapping->lo; at < mapping->hi;) {
    size_t want = (mapping->hi - at) / os_page_size;
    if (want > 1024) want = 1024;
    long got = os_call(SYS_pread64, fd, pages, want * 8, at / os_page_size * 8);
    if (got == -EINTR) continue;
    if (got < 8) return got < 0 ? (int)-got : EIO;
    for (long i = 0; i < got / 8; i++, at += os_page_size)
      if ((pages[i] & (PAGES_PAGE_PRESENT | PAGES_PAGE_SWAPPED)) && !(pages[i] & PAGES_PAGE_FILE))
        pages_add(merge, at, at + os_page_size, pages[i] & PAGES_PAGE_PRESENT);
  }
  return 0;
}

/* How to ask, learnt at the first call: it never changes. */
enum { PAGES_UNTRIED, PAGES_BY_SCAN, PAGES_BY_PAGEMAP };
static _Atomic int pages_way;

/* Neither way works: an errno value, and nothing has been told. */
static int pages_ask(int fd, const struct os_mapping *mapping, struct pages_merge *merge) {
  int error = ENOTTY;
  if (pages_way != PAGES_BY_PAGEMAP && (error = pages_scan(fd, mapping, merge)) == 0) pages_way = PAGES_BY_SCAN;
  if (error && pages_way != PAGES_BY_SCAN && (error = pages_pagemap(fd, mapping, merge)) == 0)
    pages_way = PAGES_BY_PAGEMAP;
  return error;
}

/* --- shared memory --- */

/* "Absent" in the page map proves nothing, so the kernel is asked what is in core. */
void os_maps_shared(const struct os_mapping *mapping, os_maps_range *each, void *arg) {
  struct pages_merge merge = {.each = each, .arg = arg};
  unsigned char core[4096];
  for (uintptr_t at = mapping->lo; at < mapping->hi;) {
    size_t pages = (mapping->hi - at) / os_page_size;
    if (pages > sizeof core) pages = sizeof core;
    if (os_call(SYS_mincore, at, pages * os_page_size, core) != 0) memset(core, 1, pages);
    for (size_t i = 0; i < pages; i++, at += os_page_size) pages_add(&merge, at, at + os_page_size, core[i] & 1);
  }
  pages_flush(&merge);
}

/* Of private memory mincore knows what was touched, but not what is swapped out: that is looked at afterwards. */
void os_maps_touched(const struct os_mapping *mapping, os_maps_range *each, void *arg) {
  struct pages_merge merge = {.each = each, .arg = arg};
  unsigned char core[1024];
  for (uintptr_t at = mapping->lo, end; at < mapping->hi; at = end) {
    size_t pages = (mapping->hi - at) / os_page_size;
    if (pages > sizeof core) pages = sizeof core;
    end = at + pages * os_page_size;
    bool all = os_call(SYS_mincore, at, pages * os_page_size, core) != 0 || (memchr(core, 0, pages) && os_memory_is_swapping());
    for (size_t i = 0; i < pages; i++, at += os_page_size)
      if (all || core[i] & 1) pages_add(&merge, at, at + os_page_size, true);
  }
  pages_flush(&merge);
}

/* A page that is only in swap is missed; reading all would allocate every hole of a large segment. */
enum { pages_shared_whole = 1 << 20 };

static void pages_in_core(uintptr_t lo, uintptr_t hi, bool present, void *arg) {
  if (present) pages_add(arg, lo, hi, false);
}

static void pages_shared(const struct os_mapping *mapping, struct pages_merge *merge) {
  if (mapping->hi - mapping->lo <= pages_shared_whole)
    pages_add(merge, mapping->lo, mapping->hi, false);
  else
    os_maps_shared(mapping, pages_in_core, merge);
}

/* --- what may be done with a mapping --- */

/* A line at a time of a text in /proc. */
struct pages_text {
  int fd;
  size_t at, end; /* what is left of the buffer */
  char buffer[2048], line[256]; /* a longer line is cut short */
};

static bool pages_next_line(struct pages_text *text) {
  for (size_t length = 0;;) {
    if (text->at == text->end) {
      long got = os_call_read(text->fd, text->buffer, sizeof text->buffer);
      if (got <= 0) return false;
      text->at = 0;
      text->end = (size_t)got;
    }
    char c = text->buffer[text->at++];
    text->line[c == '\n' ? length : length < sizeof text->line - 1 ? length++ : length] = c == '\n' ? 0 : c;
    if (c == '\n') return true;
  }
}

/* A shared mapping may be made writable only when its file was opened so, which one of the flags tells. The mode of
 * the link in map_files would tell it, too, at less cost, but the kernel keeps that from the last mapping at the same
 * addresses. */
bool os_maps_is_unwritable(const struct os_mapping *mapping) {
  struct pages_text text = {.fd = pages_open("/proc/thread-self/smaps", "/proc/self/smaps")};
  char head[48];
  bool here = false, unwritable = false;
  if (text.fd < 0) return false;
  int length = print_buffer(head, sizeof head, "%lx-%lx ", mapping->lo, mapping->hi);
  while (pages_next_line(&text)) {
    if (!here && strncmp(text.line, head, (size_t)length) == 0) here = true;
    if (!here || strncmp(text.line, "VmFlags:", 8) != 0) continue;
    unwritable = strstr(text.line, " mw") == NULL;
    break;
  }
  os_call_close(text.fd);
  return unwritable;
}

/* --- all ways together --- */

void os_maps_written(const struct os_mapping *mapping, os_maps_range *each, void *arg) {
  struct pages_merge merge = {.each = each, .arg = arg};
  int fd = -1, error = 0;
  if (mapping->shared)
    pages_shared(mapping, &merge);
  else if ((fd = pages_open_map()) < 0)
    error = -fd;
  else {
    error = pages_ask(fd, mapping, &merge);
    os_call_close(fd);
  }
  if (error) { /* refused: all of it, and a file's pages may lie beyond its end */
    merge.lo = merge.hi = 0;
    pages_add(&merge, mapping->lo, mapping->hi, mapping->inode == 0);
  }
  pages_flush(&merge);
}

/* Between mappings there may be terabytes of nothing, which only a scan steps over. */
static int pages_private_each(struct os_maps *maps, const struct os_mapping *range, struct pages_merge *merge) {
  int error = 0;
  for (size_t i = 0; i < maps->count && !error; i++) {
    struct os_mapping part = maps->list[i];
    if (part.shared || part.hi <= range->lo || part.lo >= range->hi) continue;
    if (part.lo < range->lo) part.lo = range->lo;
    if (part.hi > range->hi) part.hi = range->hi;
    error = pages_ask(maps->kept.pagemap - 1, &part, merge);
  }
  return error;
}

int os_maps_private(struct os_maps *maps, uintptr_t lo, uintptr_t hi, os_maps_range *each, void *arg) {
  struct os_mapping range = {.lo = lo, .hi = hi};
  struct pages_merge merge = {.each = each, .arg = arg};
  int fd = pages_kept(&maps->kept.pagemap, pages_open_map), error = fd < 0 ? -fd : ENOTTY;
  if (fd >= 0 && pages_way != PAGES_BY_PAGEMAP && (error = pages_scan(fd, &range, &merge)) == 0)
    pages_way = PAGES_BY_SCAN;
  if (fd >= 0 && error && pages_way != PAGES_BY_SCAN) error = pages_private_each(maps, &range, &merge);
  pages_flush(&merge);
  return error;
}

/* --- reading --- */

static size_t pages_copy_file(int fd, uintptr_t address, char *buffer, size_t size) {
  size_t done = 0;
  while (fd >= 0 && done < size) {
    long got = os_call(SYS_pread64, fd, buffer + done, size - done, address + done);
    if (got == -EINTR) continue;
    if (got <= 0) break;
    done += (size_t)got;
  }
  return done;
}

static size_t pages_copy_process(uintptr_t address, void *buffer, size_t size) {
  struct iovec local = {buffer, size}, remote = {(void *)address, size};
  long got = os_call(SYS_process_vm_readv, os_call(SYS_getpid), &local, 1, &remote, 1, 0);
  return got > 0 ? (size_t)got : 0;
}

size_t os_maps_peek(uintptr_t address, void *buffer, size_t size) {
  int fd = pages_open_memory();
  size_t done = pages_copy_file(fd, address, buffer, size);
  if (fd >= 0) os_call_close(fd);
  return done ? done : pages_copy_process(address, buffer, size);
}

size_t os_maps_copy(struct os_maps *maps, uintptr_t address, void *buffer, size_t size) {
  if (!maps) return os_maps_peek(address, buffer, size);
  size_t done = pages_copy_file(pages_kept(&maps->kept.memory, pages_open_memory), address, buffer, size);
  return done ? done : pages_copy_process(address, buffer, size);
}

bool os_maps_is_device(const struct os_mapping *mapping) {
  static const char deleted[] = " (deleted)";
  size_t length = strlen(mapping->name), end = sizeof deleted - 1;
  struct stat file;
  if (length > end && strcmp(mapping->name + length - end, deleted) == 0) return false;
  if (os_call(SYS_newfstatat, AT_FDCWD, mapping->name, &file, 0) != 0) return true;
  return S_ISCHR(file.st_mode) || S_ISBLK(file.st_mode);
}
