/* SPDX-License-Identifier: MIT
 * Holes: that each is found, however they meet, and what is about to become one. */
#include "config.h"

#include "gc/holes.h"

#include "os/memory.h"
#include "tap.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { pages = 20000, page = 4096 };

static bool is_hole[pages];

/* Against a table of pages. */
static bool agrees(uintptr_t base, uint64_t *seed, bool exact) {
  for (int i = 0; i < 2000; i++) {
    size_t from = tap_random(seed) % pages, to = from + 1 + tap_random(seed) % 5;
    bool any = false;
    for (size_t k = from; k < to && k < pages; k++) any = any || is_hole[k];
    bool meets = holes_meet(base + from * page, base + to * page);
    if (exact ? meets != any : any && !meets) return false;
  }
  return true;
}

static void test_add(void) {
  uint64_t seed = tap_seed();
  const uintptr_t base = 1 << 20;
  bool good = true;
  for (int round = 0; round < 20 && good; round++) {
    holes_find(0, 0);
    memset(is_hole, 0, sizeof is_hole);
    for (int i = 0; i < 300 && good; i++) {
      size_t from = tap_random(&seed) % (pages - 40), to = from + 1 + tap_random(&seed) % 40;
      memset(is_hole + from, true, to - from);
      holes_add(base + from * page, base + to * page);
    }
    good = agrees(base, &seed, true);
  }
  OK(good, "holes that meet, or lie in others, become one");
  holes_find(0, 0);
  memset(is_hole, 0, sizeof is_hole);
  for (size_t i = 0; i < pages; i += 2) { /* more than there is room for */
    size_t at = i % 4 ? i : pages - 1 - i;
    is_hole[at] = true;
    holes_add(base + at * page, base + (at + 1) * page);
  }
  OK(agrees(base, &seed, false), "when there are too many, none is lost");
}

static void test_find(void) {
  char *p = mmap(NULL, 100 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  uintptr_t lo = (uintptr_t)p;
  mprotect(p + 10 * page, 3 * page, PROT_NONE);
  mprotect(p + 20 * page, page, PROT_READ);
  mprotect(p + 99 * page, page, PROT_NONE);
  OK(holes_find(lo, lo + 100 * page) == 0 && holes_any(), "holes are found");
  OK(!holes_meet(lo, lo + 10 * page) && holes_meet(lo, lo + 10 * page + 1), "each from its first byte");
  OK(holes_meet(lo + 13 * page - 1, lo + 14 * page) && !holes_meet(lo + 13 * page, lo + 99 * page), "to its last");
  OK(holes_meet(lo + 99 * page, lo + 100 * page), "also the last of all");
  holes_find(lo + 30 * page, lo + 90 * page);
  OK(!holes_any(), "those elsewhere do not count");
  unsigned number = holes_expect(lo + 50 * page, lo + 52 * page);
  holes_find(lo, lo + 51 * page);
  OK(holes_meet(lo + 50 * page, lo + 51 * page) && !holes_meet(lo + 51 * page, lo + 60 * page),
     "what is about to become one counts as one, within the bounds");
  holes_expected_over(number);
  holes_find(lo + 30 * page, lo + 90 * page);
  OK(!holes_any(), "and no longer when that is over");
  munmap(p + 40 * page, page);
  munmap(p + 98 * page, 2 * page);
  holes_find(lo + 30 * page, lo + 100 * page);
  OK(holes_meet(lo + 40 * page, lo + 41 * page) && !holes_meet(lo + 41 * page, lo + 98 * page), "where nothing is mapped is one");
  OK(holes_meet(lo + 98 * page, lo + 100 * page), "also behind the last mapping");
  static char copy[3 * page];
  p[39 * page] = p[41 * page] = 7;
  memset(copy, 1, sizeof copy);
  OK(holes_copy(lo + 39 * page, copy, sizeof copy) == sizeof copy && copy[0] == 7 && copy[2 * page] == 7, "it is stepped over");
  OK(copy[page] == 0 && copy[2 * page - 1] == 0, "and holds nothing");
  mprotect(p + 50 * page, page, PROT_NONE);
  OK(holes_copy(lo + 50 * page, copy, 2 * page) == 2 * page, "what nobody may read is copied");
  int fd = memfd_create("short", 0);
  OK(mmap(p + 60 * page, 2 * page, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, 0) == p + 60 * page && ftruncate(fd, page) == 0,
     "a file is mapped, beyond its end");
  holes_find(lo + 55 * page, lo + 70 * page);
  OK(holes_meet(lo + 60 * page, lo + 62 * page) && !holes_meet(lo + 62 * page, lo + 70 * page), "a file's pages are one");
  OK(holes_copy(lo + 60 * page, copy, 2 * page) == page, "and what cannot be read is told");
  close(fd);
  munmap(p, 100 * page);
}

int main(void) {
  os_memory_init();
  test_add();
  test_find();
  return tap_end();
}
