/* SPDX-License-Identifier: MIT
 * A large block freed twice. */
#include "misuse.h"

int main(void) {
  char *p = do_malloc(10 << 20);
  do_free(p);
  do_free(p);
  return survived();
}
