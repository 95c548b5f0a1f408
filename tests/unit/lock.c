/* SPDX-License-Identifier: MIT
 * src/base/lock.c. */
#include "config.h"

#include "base/lock.h"

#include "tap.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static struct lock lock = LOCK_INIT(LOCK_HEAP);
static long counter;

enum { rounds = 20000, threads = 4 };

static void *add(void *arg) {
  for (int i = 0; i < rounds; i++) {
    lock_acquire(&lock);
    counter++;
    lock_release(&lock);
  }
  return arg;
}

/* In a child: does the run end by SIGABRT? */
static bool aborts(void (*run)(void)) {
  pid_t child = fork();
  if (child == 0) {
    close(STDERR_FILENO);
    run();
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void wrong_order(void) {
  static struct lock inner = LOCK_INIT(LOCK_ARENA), outer = LOCK_INIT(LOCK_WORLD);
  lock_acquire(&inner);
  lock_acquire(&outer);
}

static void not_held(void) {
  static struct lock idle = LOCK_INIT(LOCK_HEAP);
  lock_release(&idle);
}

int main(void) {
  errno = 77;
  lock_acquire(&lock);
  OK(lock_is_held(&lock) && !lock_try(&lock), "a held lock cannot be had");
  lock_release(&lock);
  OK(!lock_is_held(&lock) && lock_try(&lock), "a released lock can");
  lock_release(&lock);

  pthread_t ids[threads];
  for (int i = 0; i < threads; i++) pthread_create(&ids[i], NULL, add, NULL);
  for (int i = 0; i < threads; i++) pthread_join(ids[i], NULL);
  OK(counter == (long)rounds * threads, "no increment of %d threads under the lock is lost", threads);
  OK(!lock_is_held(&lock), "it is free after all of them");
  OK(errno == 77, "errno is kept");

  lock_acquire(&lock);
  lock_reset(&lock);
  OK(!lock_is_held(&lock), "a reset lock is free, as a fork child needs it");

  if (checks_enabled) {
    OK(aborts(wrong_order), "taking locks against their order is caught");
    OK(aborts(not_held), "releasing a free lock is caught");
  } else {
    OK(!aborts(wrong_order), "without --enable-checks the order costs nothing");
  }
  return tap_end();
}
