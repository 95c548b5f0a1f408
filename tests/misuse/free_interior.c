/* SPDX-License-Identifier: MIT
 * free of a pointer into the middle of a small block. */
#include "misuse.h"

int main(void) {
  char *p = do_malloc(400);
  do_free(p + 16);
  do_free(p);
  return survived();
}
