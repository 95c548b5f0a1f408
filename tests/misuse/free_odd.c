/* SPDX-License-Identifier: MIT
 * free of an odd address in a block. */
#include "misuse.h"

int main(void) {
  char *p = do_malloc(40);
  do_free(p + 1);
  do_free(p);
  return survived();
}
