/* SPDX-License-Identifier: MIT
 * The ways to end: by no memory, with a function for it and without, and by broken rules. The argument says which. */
#include "cords.h"

static void no_memory(void) {
  puts("no memory");
  exit(3);
}

int main(int argc, char **argv) {
  const char *how = argc > 1 ? argv[1] : "";
  CORD huge = CORD_chars('x', SIZE_MAX / 2);
  CORD_pos p;
  GC_INIT();
  if (!strcmp(how, "told")) CORD_oom_fn = no_memory;
  if (!strcmp(how, "told") || !strcmp(how, "untold")) CORD_to_char_star(huge);
  if (!strcmp(how, "length")) CORD_catn(3, huge, huge, huge);
  if (!strcmp(how, "fetch")) CORD_fetch("abc", 3);
  CORD_set_pos(p, "abc", 3);
  if (!strcmp(how, "position")) CORD_pos_fetch(p);
  if (!strcmp(how, "dump")) {
    CORD_dump(CORD_EMPTY);
    CORD_dump(CORD_catn(4, CORD_nul(2), "a \"string\" that is long enough to be a leaf of its own",
                        CORD_substr(letters(0, 1000), 5, 900), CORD_chars('y', 50)));
    return 0;
  }
  return 1;
}
