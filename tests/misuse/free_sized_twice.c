/* SPDX-License-Identifier: MIT
 * free_sized of a block that was freed. */
#include "misuse.h"

#include <dlfcn.h>

int main(void) {
  void (*free_sized)(void *, size_t) = (void (*)(void *, size_t))dlsym(RTLD_DEFAULT, "free_sized");
  char *p = do_malloc(40);
  if (!free_sized) return 77;
  free_sized(p, 40);
  free_sized(p, 40);
  return survived();
}
