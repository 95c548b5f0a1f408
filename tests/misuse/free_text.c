/* SPDX-License-Identifier: MIT
 * free of a string literal. */
#include "misuse.h"

int main(void) {
  do_free((void *)(uintptr_t)"a literal of sixteen bytes and more");
  return survived();
}
