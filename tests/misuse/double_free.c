/* SPDX-License-Identifier: MIT
 * A block freed twice in a row. */
#include "misuse.h"

int main(void) {
  char *p = do_malloc(40);
  do_free(p);
  do_free(p);
  return survived();
}
