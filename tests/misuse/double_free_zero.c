/* SPDX-License-Identifier: MIT
 * A block of size 0 freed twice. */
#include "misuse.h"

int main(void) {
  char *p = do_malloc(0);
  do_free(p);
  do_free(p);
  return survived();
}
