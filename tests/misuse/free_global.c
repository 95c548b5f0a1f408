/* SPDX-License-Identifier: MIT
 * free of a global variable. */
#include "misuse.h"

static _Alignas(16) char global[64];

int main(void) {
  do_free(global);
  return survived();
}
