/* SPDX-License-Identifier: MIT
 * A double free in a program that leaks as well: both are told. */
#include "misuse.h"

int main(void) {
  static void *volatile keep;
  for (unsigned i = 0; i < 10; i++) keep = do_malloc(1000);
  do_free(keep);
  do_free(keep);
  return survived();
}
