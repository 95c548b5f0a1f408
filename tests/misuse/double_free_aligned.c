/* SPDX-License-Identifier: MIT
 * A block of memalign freed twice. */
#include "misuse.h"

int main(void) {
  void *p = memalign(256, 300);
  do_free(p);
  do_free(p);
  return survived();
}
