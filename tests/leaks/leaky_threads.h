/* SPDX-License-Identifier: MIT
 * What the programs with threads share: starting threads, and waiting for them to run, to sleep or to be gone. */
#ifndef LEAKY_THREADS_H
#define LEAKY_THREADS_H

#include "leaky.h"

#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <sys/stat.h>

#define UNUSED __attribute__((unused))

enum { size = 64 };

static _Atomic int ready UNUSED;

UNUSED static void wait_ready(int count) {
  while (ready < count) sched_yield();
}

/* Waits until the kernel has no other thread of this process. */
UNUSED static void wait_alone(void) {
  struct stat status;
  while (stat("/proc/self/task", &status) == 0 && status.st_nlink > 3) sched_yield();
}

APART UNUSED _Noreturn static void sleep_forever(void) {
  ready++;
  for (;;) pause();
}

APART UNUSED static pthread_t start(void *(*function)(void *), void *arg) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, function, arg)) abort();
  return thread;
}

APART UNUSED static void start_detached(void *(*function)(void *), void *arg) {
  pthread_detach(start(function, arg));
}

APART UNUSED static void *block_or_null(void) {
  void *p = make(size);
  return scenario_drop ? NULL : p;
}

UNUSED static void *sleeper(void *arg) {
  (void)arg;
  scrub();
  sleep_forever();
}

/* A thread that leaves nothing of its own behind; libc makes buffers for it. */
UNUSED static void *clean(void *arg) {
  free(arg);
  if (dlopen("/no/such/module", RTLD_NOW) || !dlerror()) abort();
  char *p = strerror(123456);
  KEEP(p);
  return NULL;
}

#endif
