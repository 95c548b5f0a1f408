/* SPDX-License-Identifier: MIT
 * Files as cords. The argument is a directory to write in. */
#include "cords.h"

#include <unistd.h>

static char path[4096];

/* The file that is at path from now on: letters, with a NUL at each position that nul divides; 0 is none. */
static char *contents(size_t len, size_t nul) {
  char *text = letters(0, len);
  for (size_t i = 0; nul && i < len; i += nul) text[i] = '\0';
  FILE *f = fopen(path, "w");
  if (fwrite(text, 1, len, f) != len || fclose(f)) exit(99);
  return text;
}

/* Those of the file. */
static int descriptors(void) {
  int count = 0;
  char link[64], target[sizeof path];
  for (int fd = 0; fd < 200; fd++) {
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, target, sizeof target);
    if (len > 0 && (size_t)len == strlen(path) && !memcmp(target, path, (size_t)len)) count++;
  }
  return count;
}

typedef CORD from_file(FILE *);

static void test_file(from_file *make, const char *name) {
  static const size_t sizes[] = {0, 1, 30, 31, 32, 33, 4095, 4096, 4097, 100000, 131071, 131072, 131073, 1 << 20};
  bool good = true;
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
    for (size_t nul = 0; nul < 2000; nul += 999) {
      char *text = contents(sizes[i], nul);
      CORD x = make(fopen(path, "r"));
      good = good && cord_is_text(x, text, sizes[i]) && !memcmp(CORD_to_char_star(x), text, sizes[i]);
    }
  OK(good, "%s has all of files of all sizes", name);
  OK(descriptors() == 0, "%s closes them", name);
  char *text = contents(300000, 0);
  CORD x = make(fopen(path, "r")), y = CORD_catn(3, "<", CORD_substr(x, 1000, 290000), ">");
  OK(CORD_ncmp(y, 1, text, 1000, 290000) == 0 && CORD_len(y) == 290002 && CORD_chr(y, 5, '>') == 290001 &&
         CORD_str(x, 1, letters(26 * 11000, 500)) == 26,
     "%s: it is cut, joined and searched", name);
}

/* Parts are held, the rest is not: mappings go with the last part. */
static long mappings(void) {
  char line[1000];
  long count = 0;
  FILE *f = fopen("/proc/self/maps", "r");
  while (fgets(line, sizeof line, f)) count += strstr(line, path) != NULL;
  fclose(f);
  return count;
}

__attribute__((noinline)) static void make_many(void) {
  for (int i = 0; i < 50; i++) CORD_len(CORD_from_file_lazy(fopen(path, "r")));
}

static void test_mappings(void) {
  char *text = contents(500000, 0);
  CORD *kept = GC_malloc_uncollectable(sizeof *kept);
  *kept = CORD_substr(CORD_from_file_lazy(fopen(path, "r")), 400000, 50000);
  make_many();
  long many = mappings();
  for (int i = 0; i < 4; i++) {
    GC_gcollect();
    GC_malloc(10);
  }
  OK(many >= 1 && mappings() >= 1, "a file is mapped while a cord has a part of it");
  OK(mappings() <= 10, "and not when none has");
  OK(cord_is_text(*kept, text + 400000, 50000), "the part is what it was");
  GC_free(kept);
}

static void test_streams(void) {
  contents(1000, 0);
  FILE *f = fopen(path, "r");
  for (int i = 0; i < 100; i++) getc(f);
  OK(cord_is(CORD_from_file_eager(f), letters(100, 900)), "CORD_from_file_eager begins where the file stands");
  f = fopen(path, "r");
  getc(f);
  OK(cord_is(CORD_from_file(f), letters(0, 1000)), "CORD_from_file at its beginning");
  f = popen("printf 0123456789; printf abc", "r");
  OK(f && cord_is(CORD_from_file_eager(f), "0123456789abc"), "a pipe is read to its end");
  f = fopen("/proc/self/stat", "r");
  OK(CORD_len(CORD_from_file(f)) > 50, "so is a file that tells no length");
  f = fopen("/proc/self/stat", "r");
  OK(CORD_len(CORD_from_file_lazy(f)) > 50, "and a file that cannot be mapped");
}

int main(int argc, char **argv) {
  snprintf(path, sizeof path, "%s/file", argc > 1 ? argv[1] : ".");
  GC_INIT();
  test_file(CORD_from_file, "CORD_from_file");
  test_file(CORD_from_file_eager, "CORD_from_file_eager");
  test_file(CORD_from_file_lazy, "CORD_from_file_lazy");
  test_mappings();
  test_streams();
  unlink(path);
  return tap_end();
}
