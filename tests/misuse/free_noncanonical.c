/* SPDX-License-Identifier: MIT
 * free of a number that is no address. */
#include "misuse.h"

int main(void) {
  do_free((void *)0x4141414141414140);
  return survived();
}
