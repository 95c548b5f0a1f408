/* SPDX-License-Identifier: MIT
 * free of a small number. */
#include "misuse.h"

int main(void) {
  do_free((void *)0x1230);
  return survived();
}
