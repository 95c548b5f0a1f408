/* SPDX-License-Identifier: MIT
 * A block freed twice, with many frees and allocations of its size in between that did not take its place. */
#include "misuse.h"

int main(void) {
  enum { count = 1000 };
  static char *p[count], *q[10];
  for (unsigned i = 0; i < count; i++) p[i] = do_malloc(64);
  for (unsigned i = 1; i < count; i += 2) do_free(p[i]);
  for (unsigned i = 0; i < 10; i++) q[i] = do_malloc(64);
  for (unsigned i = 1; i < count; i += 2) {
    unsigned k = 0;
    while (k < 10 && q[k] != p[i]) k++;
    if (k < 10) continue; /* its place was taken: to free it would be no double free */
    do_free(p[i]);
    return survived();
  }
  return 77;
  return survived();
}
