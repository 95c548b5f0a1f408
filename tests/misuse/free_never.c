/* SPDX-License-Identifier: MIT
 * free of a place in the heap that was never handed out. */
#include "misuse.h"

int main(void) {
  /* Beyond a block of a size that nothing else uses: the rest of its run is there, and free. */
  char *p = do_malloc(30000), *q = p + malloc_usable_size(p);
  do_free(q);
  do_free(p);
  return survived();
}
