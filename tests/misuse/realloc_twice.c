/* SPDX-License-Identifier: MIT
 * A block given to realloc(p, 0), which frees it, and then freed. */
#include "misuse.h"

int main(void) {
  char *p = do_malloc(40);
  if (do_realloc(p, 0)) return 77;
  do_free(p);
  return survived();
}
