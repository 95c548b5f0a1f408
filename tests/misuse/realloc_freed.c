/* SPDX-License-Identifier: MIT
 * realloc of a block that was freed. */
#include "misuse.h"

int main(void) {
  char *p = do_malloc(40);
  do_free(p);
  p = do_realloc(p, 80);
  if (p) puts("a block");
  return survived();
}
