/* SPDX-License-Identifier: MIT
 * free of a variable on the stack. */
#include "misuse.h"

int main(void) {
  char local[64];
  char *volatile p = local;
  do_free(p + (-(uintptr_t)p & 15));
  return survived();
}
