/* SPDX-License-Identifier: MIT
 * free of the address just past a large block. */
#include "misuse.h"

int main(void) {
  char *p = do_malloc(10 << 20);
  do_free(p + malloc_usable_size(p));
  do_free(p);
  return survived();
}
