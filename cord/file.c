/* SPDX-License-Identifier: MIT
 * Files as cords. All are read at once: nothing would tell when what is mapped is not needed any more. */
#include "config.h"

#include "node.h"

#include <string.h>
#include <sys/stat.h>

static const size_t CORD_FILE_GUESS = 4096;

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

CORD CORD_from_file_lazy(FILE *f) {
  rewind(f);
  return CORD_from_file_eager(f);
}

CORD CORD_from_file(FILE *f) { return CORD_from_file_lazy(f); }
