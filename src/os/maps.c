/* SPDX-License-Identifier: MIT
 * The address space of this process. Knows the kernel's text and page map; knows nothing of what lies where.
 *
 * /proc/thread-self is used, not /proc/self: when the main thread has ended, the latter shows an empty
 * space. */
#include "config.h"

#include "os/maps.h"

#include "base/bits.h"
#include "os/call.h"
#include "os/memory.h"

#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

static int maps_open(const char *path, const char *older_path) {
  int fd = os_call_open(path, 0);
  return fd == -ENOENT ? os_call_open(older_path, 0) : fd;
}

/* --- /proc/self/maps --- */

struct maps_text {
  char *at;
  size_t length, size; /* size: of the mapping */
};

static int maps_grow(struct maps_text *text) {
  size_t size = text->size ? text->size * 2 : 256 * 1024;
  char *more = os_memory_map(size);
  if (!more) return ENOMEM;
  if (text->at) {
    memcpy(more, text->at, text->length);
    os_memory_unmap(text->at, text->size);
  }
  text->at = more;
  text->size = size;
  return 0;
}

static int maps_read(struct maps_text *text) {
  int fd = maps_open("/proc/thread-self/maps", "/proc/self/maps");
  if (fd < 0) return -fd;
  int error = 0;
  for (;;) {
    if (text->size - text->length < 2 * 4096 && (error = maps_grow(text)) != 0) break;
    long got = os_call_read(fd, text->at + text->length, text->size - text->length - 1);
    if (got < 0) error = (int)-got;
    if (got <= 0) break;
    text->length += (size_t)got;
  }
  os_call_close(fd);
  if (!error && text->length == 0) error = ESRCH;
  if (!error) text->at[text->length] = 0;
  return error;
}

static uint64_t maps_number(const char **at, unsigned base) {
  uint64_t n = 0;
  for (;; ++*at) {
    unsigned digit = (unsigned char)**at - (unsigned)'0';
    if (digit > 9) digit = ((unsigned char)**at | 32u) - 'a' + 10;
    if (digit >= base) return n;
    n = n * base + digit;
  }
}

/* One line: "lo-hi rwxp offset major:minor inode   name\n". Returns the next; the name is terminated in
 * place. */
static char *maps_line(char *line, struct os_mapping *mapping) {
  const char *at = line;
  mapping->lo = maps_number(&at, 16);
  at++;
  mapping->hi = maps_number(&at, 16);
  at++;
  mapping->read = at[0] == 'r';
  mapping->write = at[1] == 'w';
  mapping->execute = at[2] == 'x';
  mapping->shared = at[3] == 's';
  at += 5;
  mapping->offset = maps_number(&at, 16);
  at++;
  maps_number(&at, 16);
  at++;
  maps_number(&at, 16);
  at++;
  mapping->inode = maps_number(&at, 10);
  while (*at == ' ') at++;
  mapping->name = at;
  char *end = strchr(at, '\n');
  if (!end) return line + strlen(line);
  *end = 0;
  return end + 1;
}

int os_maps_each(bool (*each)(const struct os_mapping *mapping, void *arg), void *arg) {
  struct maps_text text = {0};
  int error = maps_read(&text);
  if (!error) {
    struct os_mapping mapping;
    bool more = true;
    for (char *line = text.at; more && *line;) {
      line = maps_line(line, &mapping);
      more = each(&mapping, arg);
    }
  }
  if (text.at) os_memory_unmap(text.at, text.size);
  return error;
}

struct maps_wanted {
  uintptr_t address;
  struct os_mapping *found;
  bool good;
};

static bool maps_is_wanted(const struct os_mapping *mapping, void *arg) {
  struct maps_wanted *wanted = arg;
  if (mapping->hi <= wanted->address) return true;
  wanted->good = mapping->lo <= wanted->address;
  if (wanted->good) {
    *wanted->found = *mapping;
    wanted->found->name = "";
  }
  return false;
}

bool os_maps_find(uintptr_t address, struct os_mapping *mapping) {
  struct maps_wanted wanted = {address, mapping, false};
  os_maps_each(maps_is_wanted, &wanted);
  return wanted.good;
}

/* --- pages --- */

/* Merges neighbours before they are told. */
struct maps_merge {
  uintptr_t lo, hi;
  bool present;
  os_maps_range *each;
  void *arg;
};

static void maps_flush(struct maps_merge *merge) {
  if (merge->lo != merge->hi) merge->each(merge->lo, merge->hi, merge->present, merge->arg);
  merge->lo = merge->hi = 0;
}

static void maps_add(struct maps_merge *merge, uintptr_t lo, uintptr_t hi, bool present) {
  if (lo == merge->hi && present == merge->present) {
    merge->hi = hi;
    return;
  }
  maps_flush(merge);
  merge->lo = lo;
  merge->hi = hi;
  merge->present = present;
}

/* The kernel's interface, which is younger (6.7) than the headers of many systems. */
struct maps_scan {
  uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
  uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
struct maps_region {
  uint64_t start, end, categories;
};
#define MAPS_SCAN _IOWR('f', 16, struct maps_scan)
enum { MAPS_FILE = 1 << 2, MAPS_PRESENT = 1 << 3, MAPS_SWAPPED = 1 << 4, MAPS_ZERO = 1 << 5 };
enum { maps_regions = 128 };

static int maps_scan(int fd, const struct os_mapping *mapping, struct maps_merge *merge) {
  struct maps_region found[maps_regions];
  struct maps_scan scan = {
      .size = sizeof scan, .start = mapping->lo, .end = mapping->hi,
      .vec = (uintptr_t)found, .vec_len = maps_regions,
      .category_inverted = MAPS_FILE | MAPS_ZERO, .category_mask = MAPS_FILE | MAPS_ZERO,
      .category_anyof_mask = MAPS_PRESENT | MAPS_SWAPPED, .return_mask = MAPS_PRESENT,
  };
  while (scan.start < scan.end) {
    long count = os_call(SYS_ioctl, fd, MAPS_SCAN, &scan);
    if (count == -EINTR) continue;
    if (count < 0) return (int)-count;
    for (long i = 0; i < count; i++)
      maps_add(merge, found[i].start, found[i].end, found[i].categories & MAPS_PRESENT);
    if (scan.walk_end <= scan.start) break;
    scan.start = scan.walk_end;
  }
  return 0;
}

#define MAPS_PAGE_PRESENT ((uint64_t)1 << 63)
#define MAPS_PAGE_SWAPPED ((uint64_t)1 << 62)
#define MAPS_PAGE_FILE ((uint64_t)1 << 61)

static int maps_pagemap(int fd, const struct os_mapping *mapping, struct maps_merge *merge) {
  uint64_t pages[1024];
  for (uintptr_t at = mapping->lo; at < mapping->hi;) {
    size_t want = (mapping->hi - at) / os_page_size;
    if (want > 1024) want = 1024;
    long got = os_call(SYS_pread64, fd, pages, want * 8, at / os_page_size * 8);
    if (got == -EINTR) continue;
    if (got < 8) return got < 0 ? (int)-got : EIO;
    for (long i = 0; i < got / 8; i++, at += os_page_size)
      if ((pages[i] & (MAPS_PAGE_PRESENT | MAPS_PAGE_SWAPPED)) && !(pages[i] & MAPS_PAGE_FILE))
        maps_add(merge, at, at + os_page_size, pages[i] & MAPS_PAGE_PRESENT);
  }
  return 0;
}

/* Shared memory: "absent" in the page map proves nothing, so what is in core counts. A page that is only in
 * swap is missed; reading all would allocate every hole of a large segment. */
enum { maps_shared_whole = 1 << 20 };

static void maps_shared(const struct os_mapping *mapping, struct maps_merge *merge) {
  if (mapping->hi - mapping->lo <= maps_shared_whole) {
    maps_add(merge, mapping->lo, mapping->hi, false);
    return;
  }
  unsigned char core[4096];
  for (uintptr_t at = mapping->lo; at < mapping->hi;) {
    size_t pages = (mapping->hi - at) / os_page_size;
    if (pages > sizeof core) pages = sizeof core;
    if (os_call(SYS_mincore, at, pages * os_page_size, core) != 0) memset(core, 1, pages);
    for (size_t i = 0; i < pages; i++, at += os_page_size)
      if (core[i] & 1) maps_add(merge, at, at + os_page_size, false);
  }
}

/* How to ask, learnt at the first call: it never changes. */
enum { MAPS_UNTRIED, MAPS_BY_SCAN, MAPS_BY_PAGEMAP };
static _Atomic int maps_way;

void os_maps_written(const struct os_mapping *mapping, os_maps_range *each, void *arg) {
  struct maps_merge merge = {.each = each, .arg = arg};
  int fd = -1, error = 0;
  if (mapping->shared)
    maps_shared(mapping, &merge);
  else if ((fd = maps_open("/proc/thread-self/pagemap", "/proc/self/pagemap")) < 0)
    error = -fd;
  else {
    error = ENOTTY;
    if (maps_way != MAPS_BY_PAGEMAP && (error = maps_scan(fd, mapping, &merge)) == 0) maps_way = MAPS_BY_SCAN;
    if (error && maps_way != MAPS_BY_SCAN && (error = maps_pagemap(fd, mapping, &merge)) == 0)
      maps_way = MAPS_BY_PAGEMAP;
    os_call_close(fd);
  }
  if (error) { /* refused: all of it, and a file's pages may lie beyond its end */
    merge.lo = merge.hi = 0;
    maps_add(&merge, mapping->lo, mapping->hi, mapping->inode == 0);
  }
  maps_flush(&merge);
}

static size_t maps_peek_file(uintptr_t address, char *buffer, size_t size) {
  size_t done = 0;
  int fd = maps_open("/proc/thread-self/mem", "/proc/self/mem");
  if (fd < 0) return 0;
  while (done < size) {
    long got = os_call(SYS_pread64, fd, buffer + done, size - done, address + done);
    if (got == -EINTR) continue;
    if (got <= 0) break;
    done += (size_t)got;
  }
  os_call_close(fd);
  return done;
}

size_t os_maps_peek(uintptr_t address, void *buffer, size_t size) {
  size_t done = maps_peek_file(address, buffer, size);
  if (done) return done;
  struct iovec local = {buffer, size}, remote = {(void *)address, size};
  long got = os_call(SYS_process_vm_readv, os_call(SYS_getpid), &local, 1, &remote, 1, 0);
  return got > 0 ? (size_t)got : 0;
}
