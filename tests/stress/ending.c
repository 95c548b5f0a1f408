/* SPDX-License-Identifier: MIT
 * Ends while other threads search for leaks (stress=1), some of which cannot be stopped: the thread that ends the process waits for
 * the search of another, is stopped by it meanwhile, and must go on to end the process with its own status. */
#include "config.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { ending_threads = 3, ending_slots = 64, ending_status = 7 };

static _Atomic int ending_ready;

/* Allocates for ever, with all signals blocked behind the library's back. */
static void *ending_churn(void *arg) {
  const uint64_t all = ~(uint64_t)0;
  void *slot[ending_slots] = {0};
  unsigned seed = (unsigned)(uintptr_t)arg;
  syscall(SYS_rt_sigprocmask, 0, &all, NULL, sizeof all);
  ending_ready++;
  for (;;) {
    int i = rand_r(&seed) % ending_slots;
    free(slot[i]);
    slot[i] = malloc((size_t)(rand_r(&seed) % 9000));
  }
  return NULL;
}

int main(void) {
  pthread_t thread;
  for (uintptr_t i = 0; i < ending_threads; i++)
    if (pthread_create(&thread, NULL, ending_churn, (void *)i) != 0) return 1;
  while (ending_ready < ending_threads) usleep(1000);
  usleep(50000);
  return ending_status;
}
