/* SPDX-License-Identifier: MIT
 * realloc of a large block that was freed. */
#include "misuse.h"

int main(void) {
  char *p = do_malloc(10 << 20);
  do_free(p);
  p = do_realloc(p, 20 << 20);
  if (p) puts("a block");
  return survived();
}
