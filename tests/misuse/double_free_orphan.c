/* SPDX-License-Identifier: MIT
 * A block freed twice whose thread is gone. */
#include "misuse.h"

#include <pthread.h>

static void *allocate(void *unused) {
  (void)unused;
  return do_malloc(100);
}

int main(void) {
  pthread_t thread;
  void *p;
  pthread_create(&thread, NULL, allocate, NULL);
  pthread_join(thread, &p);
  do_free(p);
  do_free(p);
  return survived();
}
