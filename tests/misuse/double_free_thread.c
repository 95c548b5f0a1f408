/* SPDX-License-Identifier: MIT
 * A block freed by another thread, then by the one that allocated it. */
#include "misuse.h"

#include <pthread.h>

static void *free_it(void *p) {
  do_free(p);
  return NULL;
}

int main(void) {
  pthread_t thread;
  char *p = do_malloc(40);
  pthread_create(&thread, NULL, free_it, p);
  pthread_join(thread, NULL);
  do_free(p);
  return survived();
}
