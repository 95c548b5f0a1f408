/* SPDX-License-Identifier: MIT
 * free of a pointer into a large block, far from its start. */
#include "misuse.h"

int main(void) {
  char *p = do_malloc(10 << 20);
  do_free(p + (9 << 20));
  do_free(p);
  return survived();
}
