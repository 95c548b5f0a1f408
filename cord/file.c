/* SPDX-License-Identifier: MIT
 * Files as cords. A large one is mapped: the kernel reads what is looked at, and takes the memory back when it needs it. */
#include "config.h"

#include "node.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

static const size_t CORD_LAZY_FROM = 128 << 10; /* below, what a mapping costs is more than what it saves */

static const size_t CORD_FILE_GUESS = 4096;

/* --- eager --- */

/* How much there seems to be from here on: some files tell wrongly, and streams not at all. */
static size_t file_rest(FILE *f) {
  struct stat st;
  off_t at = ftello(f);
  bool known = at >= 0 && fstat(fileno(f), &st) == 0 && S_ISREG(st.st_mode) && st.st_size > at;
  return known ? (size_t)(st.st_size - at) : CORD_FILE_GUESS;
}

static char *file_more_room(char *text, size_t len, size_t *room) {
  *room = cord_sum(*room, *room);
  char *more = cord_new_chars(*room);
  memcpy(more, text, len);
  GC_free(text);
  return more;
}

CORD CORD_from_file_eager(FILE *f) {
  size_t room = cord_sum(file_rest(f), 2), len = 0, n; /* for a NUL, and to find the end without asking for more room */
  char *text = cord_new_chars(room);
  while ((n = fread(text + len, 1, room - len - 1, f))) {
    len += n;
    if (len == room - 1) text = file_more_room(text, len, &room);
  }
  if (ferror(f)) cord_die("CORD_from_file: the file cannot be read");
  fclose(f);
  return cord_of_chars(text, len);
}

/* --- lazy --- */

/* What keeps a mapping: it lies in collected memory, and goes with the last cord that has a part of the file. */
struct cord_mapping {
  void *text;
  size_t len;
};

static void GC_CALLBACK file_unmap(void *mapping_, void *unused) {
  const struct cord_mapping *mapping = mapping_;
  (void)unused;
  munmap(mapping->text, mapping->len);
}

/* NULL when it cannot be mapped. */
static CORD file_map(FILE *f, size_t len) {
  struct cord_mapping *mapping = (void *)cord_new_chars(sizeof *mapping);
  *mapping = (struct cord_mapping){mmap(NULL, len, PROT_READ, MAP_PRIVATE, fileno(f), 0), len};
  if (mapping->text == MAP_FAILED) return NULL;
  GC_register_finalizer_no_order(mapping, file_unmap, NULL, NULL, NULL);
  return cord_of_text(mapping->text, len, mapping);
}

/* The length of what can be mapped; 0 for anything else, and for an empty file, which may be one that tells wrongly. */
static size_t file_len(FILE *f) {
  struct stat st;
  fflush(f);
  return fstat(fileno(f), &st) == 0 && S_ISREG(st.st_mode) ? (size_t)st.st_size : 0;
}

CORD CORD_from_file_lazy(FILE *f) {
  size_t len = file_len(f);
  CORD x = len ? file_map(f, len) : NULL;
  if (!x) {
    rewind(f);
    return CORD_from_file_eager(f);
  }
  fclose(f); /* the mapping needs it no more */
  return x;
}

CORD CORD_from_file(FILE *f) {
  if (file_len(f) >= CORD_LAZY_FROM) return CORD_from_file_lazy(f);
  rewind(f);
  return CORD_from_file_eager(f);
}
