/* SPDX-License-Identifier: MIT
 * Loads the library (the argument) into a process that runs already, which fits only if it asks for little static
 * thread-local storage. The process keeps the malloc that it has. */
#include "config.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv) {
  char *before = strdup("before");
  void *handle = argc > 1 ? dlopen(argv[1], RTLD_NOW) : NULL;
  if (!handle) {
    fprintf(stderr, "%s\n", argc > 1 ? dlerror() : "usage: late LIBRARY");
    return 1;
  }
  void *(*other_malloc)(size_t) = (void *(*)(size_t))dlsym(handle, "malloc");
  void (*other_free)(void *) = (void (*)(void *))dlsym(handle, "free");
  if (!other_malloc || !other_free || other_malloc == malloc) return 2;
  for (unsigned i = 0; i < 1000; i++) {
    char *ours = malloc(i), *theirs = other_malloc(i);
    memset(theirs, 1, i);
    free(ours);
    other_free(theirs);
  }
  free(before);
  return 42;
}
