/* SPDX-License-Identifier: MIT
 * A block freed after realloc moved it away. */
#include "misuse.h"

int main(void) {
  char *p = do_malloc(40), *q = do_realloc(p, 100000);
  do_free(p);
  do_free(q);
  return survived();
}
