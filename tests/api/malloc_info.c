/* SPDX-License-Identifier: MIT
 * The calls that tell about the heap or tune it. What they say is the allocator's business; that they exist, do no harm
 * and say something plausible is not. */
#include "config.h"

#include "tap.h"

#include <ctype.h>
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

/* Tags nest and close, attributes are quoted, nothing stands outside the one root element. */
static bool xml_well_formed(const char *s) {
  char stack[32][32];
  unsigned depth = 0, roots = 0;
  while (*s) {
    if (isspace((unsigned char)*s)) {
      s++;
      continue;
    }
    if (*s != '<') {
      if (depth == 0) return false;
      s += strcspn(s, "<");
      continue;
    }
    bool closing = *++s == '/';
    s += closing;
    size_t name = strcspn(s, " \t\n/>");
    if (name == 0 || name >= sizeof stack[0]) return false;
    const char *start = s;
    for (s += name; *s && *s != '>' && *s != '/'; s++)
      if (*s == '"' && !(s = strchr(s + 1, '"'))) return false;
    bool empty = *s == '/';
    s += empty;
    if (*s++ != '>' || (closing && empty)) return false;
    if (closing) {
      if (depth == 0 || strlen(stack[depth - 1]) != name || memcmp(stack[depth - 1], start, name) != 0) return false;
      depth--;
      continue;
    }
    if (depth == 0 && roots++ > 0) return false;
    if (empty) continue;
    if (depth == 32) return false;
    memcpy(stack[depth], start, name);
    stack[depth++][name] = '\0';
  }
  return depth == 0 && roots == 1;
}

static void test_xml(void) {
  OK(xml_well_formed("<a b=\"c\"><d/></a>\n") && !xml_well_formed("<a><b></a>"), "the checker of XML checks");
  char *text = NULL;
  size_t size = 0;
  FILE *f = open_memstream(&text, &size);
  int result = malloc_info(0, f);
  fclose(f);
  OK(result == 0 && strncmp(text, "<malloc", 7) == 0, "malloc_info writes an element 'malloc'");
  OK(xml_well_formed(text), "that is well-formed XML");
  free(text);
  f = open_memstream(&text, &size);
  result = malloc_info(1, f);
  fclose(f);
  OK(result == EINVAL && size == 0, "malloc_info knows no options: EINVAL and nothing written");
  free(text);
}

static size_t info_in_use(void) {
  struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

static void test_mallinfo(void) {
  enum { count = 20000, size = 500 };
  static char *p[count];
  size_t before = info_in_use();
  for (unsigned i = 0; i < count; i++) p[i] = malloc(size);
  size_t full = info_in_use();
  OK(full >= before + count * size, "mallinfo2 counts small blocks in use");
  char *large = malloc(50 << 20);
  OK(large && info_in_use() >= full + (50 << 20), "and large ones");
  free(large);
  for (unsigned i = 0; i < count; i++) free(p[i]);
  size_t after = info_in_use();
  OK(after <= full - count * size / 2, "and those freed no more");
  struct mallinfo old = mallinfo();
  OK(old.uordblks >= 0 && old.arena >= 0, "mallinfo is there for old programs");
}

static void test_tuning(void) {
  OK(mallopt(M_MMAP_THRESHOLD, 1 << 20) == 1 && mallopt(M_TRIM_THRESHOLD, 1 << 20) == 1 &&
         mallopt(M_ARENA_MAX, 1) == 1 && mallopt(M_TOP_PAD, 0) == 1,
     "mallopt accepts");
  char *p = malloc(5000);
  memset(p, 9, 5000);
  for (unsigned i = 0; i < 1000; i++) free(malloc(10000));
  int trimmed = malloc_trim(0);
  bool intact = true;
  for (unsigned i = 0; i < 5000; i++) intact = intact && p[i] == 9;
  OK((trimmed == 0 || trimmed == 1) && intact, "malloc_trim says 0 or 1 and touches nothing that is in use");
  free(p);
  p = malloc(100);
  OK(p != NULL, "and the heap serves on");
  free(p);
}

/* Redirects a descriptor to a temporary file meanwhile, and returns how much was written. */
static off_t info_written(int fd, void (*call)(void)) {
  char name[] = "/tmp/gleaner.XXXXXX";
  int file = mkstemp(name), keep = dup(fd);
  fflush(stdout);
  fflush(stderr);
  unlink(name);
  dup2(file, fd);
  call();
  fflush(stdout);
  fflush(stderr);
  dup2(keep, fd);
  close(keep);
  struct stat st;
  fstat(file, &st);
  close(file);
  return st.st_size;
}

static void test_stats(void) {
  OK(info_written(2, malloc_stats) > 20, "malloc_stats writes to standard error");
  OK(info_written(1, malloc_stats) == 0, "and not to standard output");
}

int main(void) {
  test_xml();
  test_mallinfo();
  test_tuning();
  test_stats();
  return tap_end();
}
