/* SPDX-License-Identifier: MIT
 * The address space: which pages count as written, and reading what cannot be read. */
#include "config.h"

#include "os/maps.h"

#include "os/memory.h"
#include "tap.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { page = 4096, pages = 64 };

struct listed {
  uintptr_t last;
  bool rising, stack, self;
};

static bool list(const struct os_mapping *mapping, void *arg) {
  struct listed *listed = arg;
  if (mapping->lo < listed->last || mapping->hi <= mapping->lo) listed->rising = false;
  listed->last = mapping->hi;
  if (strcmp(mapping->name, "[stack]") == 0)
    listed->stack = mapping->read && mapping->write && !mapping->shared && (uintptr_t)&listed >= mapping->lo;
  if (strstr(mapping->name, "maps") && mapping->execute && mapping->inode) listed->self = true;
  return true;
}

static size_t written_bytes;
static char *written_base;
static bool written_page[pages];

static void note(uintptr_t lo, uintptr_t hi, bool present, void *arg) {
  (void)present;
  (void)arg;
  written_bytes += hi - lo;
  for (uintptr_t p = lo; p < hi; p += page) written_page[(p - (uintptr_t)written_base) / page] = true;
}

static size_t written(char *base, size_t size, bool shared) {
  struct os_mapping mapping;
  written_bytes = 0;
  written_base = base;
  memset(written_page, 0, sizeof written_page);
  if (!os_maps_find((uintptr_t)base, &mapping) || mapping.shared != shared) return ~(size_t)0;
  mapping.lo = (uintptr_t)base;
  mapping.hi = (uintptr_t)base + size;
  os_maps_written(&mapping, note, NULL);
  return written_bytes;
}

static void test_written(void) {
  char *p = mmap(NULL, pages * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  OK(written(p, pages * page, false) == 0, "memory that nobody touched holds nothing");
  p[5 * page] = p[6 * page] = p[20 * page] = 1;
  OK(written(p, pages * page, false) == 3 * page && written_page[5] && written_page[6] && written_page[20],
     "pages that were written count");
  mprotect(p, pages * page, PROT_NONE);
  OK(written(p, pages * page, false) == 3 * page, "a protection taken away changes nothing");
  char buffer[2 * page] = {0};
  OK(os_maps_peek((uintptr_t)p + 5 * page, buffer, 2 * page) == 2 * page && buffer[0] == 1 && buffer[page] == 1,
     "and the pages can be read");
  munmap(p + 7 * page, page);
  OK(os_maps_peek((uintptr_t)p + 6 * page, buffer, 2 * page) == page, "up to where memory ends");
  OK(os_maps_peek((uintptr_t)p + 7 * page, buffer, 1) == 0 && os_maps_peek(8, buffer, 8) == 0, "but not beyond");
  munmap(p, pages * page);
}

static void test_files(void) {
  int fd = memfd_create("maps-test", MFD_CLOEXEC);
  char text[page] = "some text";
  for (int i = 0; i < 4; i++)
    if (write(fd, text, page) != page) return;
  char *p = mmap(NULL, 8 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
  volatile char c = p[page];
  (void)c;
  p[2 * page] = 'x';
  OK(written(p, 8 * page, false) == page && written_page[2], "of a private file mapping only copied pages count");
  mprotect(p, 8 * page, PROT_READ);
  OK(written(p, 8 * page, false) == page && written_page[2], "also when it was made read-only (RELRO)");
  munmap(p, 8 * page);
  p = mmap(NULL, 8 * page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  p[page] = 'y';
  written(p, 8 * page, true);
  OK(written_page[1], "shared memory counts");
  char buffer[page];
  OK(os_maps_peek((uintptr_t)p + page, buffer, page) == page && buffer[0] == 'y', "and can be read");
  OK(os_maps_peek((uintptr_t)p + 5 * page, buffer, page) == 0, "but for what lies beyond the end of its file");
  munmap(p, 8 * page);
  close(fd);
}

static void test_descriptors(void) {
  int fds[4096], count = 0;
  while (count < 4096 && (fds[count] = dup(0)) >= 0) count++;
  struct listed listed = {.rising = true};
  int error = count < 4096 ? os_maps_each(list, &listed) : 0;
  while (count > 0) close(fds[--count]);
  OK(error == 0, "a program that has used up its descriptors has maps all the same");
}

static bool count_mapping(const struct os_mapping *mapping, void *arg) {
  (void)mapping;
  ++*(size_t *)arg;
  return true;
}

static void test_many(void) {
  enum { many = 6000 };
  char *p = mmap(NULL, (size_t)many * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  for (int i = 0; i < many; i += 2) mprotect(p + (size_t)i * page, page, PROT_READ);
  size_t count = 0;
  os_maps_each(count_mapping, &count);
  OK(count > many, "thousands of mappings are told");
  munmap(p, (size_t)many * page);
}

int main(void) {
  struct listed listed = {.rising = true};
  os_memory_init();
  errno = 4711;
  OK(os_maps_each(list, &listed) == 0 && listed.rising, "mappings are told in rising order");
  OK(listed.stack && listed.self, "with their rights and names");
  struct os_mapping mapping;
  OK(os_maps_find((uintptr_t)&mapping, &mapping) && mapping.write, "the mapping of an address is found");
  OK(!os_maps_find(16, &mapping), "or not");
  test_written();
  test_files();
  test_many();
  OK(errno == 4711, "errno is kept");
  test_descriptors();
  return tap_end();
}
