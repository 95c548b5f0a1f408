/* SPDX-License-Identifier: MIT
 * realloc of a pointer into the middle of a block. */
#include "misuse.h"

int main(void) {
  char *p = do_malloc(400), *q = do_realloc(p + 16, 800);
  if (q) puts("a block");
  do_free(p);
  return survived();
}
