/* SPDX-License-Identifier: MIT
 * Preloaded after LeakSanitizer: allocates once before main. A preloaded LeakSanitizer starts at the first
 * malloc, and crashes perl, sqlite3 and git, which call another function of its first. With this it can be
 * measured on them. */
#include <stdlib.h>

__attribute__((constructor)) static void first(void) {
  void *volatile p = malloc(1);
  free(p);
}
