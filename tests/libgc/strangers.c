/* SPDX-License-Identifier: MIT
 * Threads that block all signals, as GLib's worker does, in a program that is linked with the library. One that never used the heap runs on while the
 * others stand still, and what its stack holds is found all the same; for the sake of one that did, nothing is reclaimed. */
#include "../api/collect.h"

#include <pthread.h>
#include <signal.h>
#include <time.h>

enum { cells = 400, held_each = 20 };

static void **cell; /* links: pointer-free */
static void *volatile told[held_each];
static uintptr_t hidden[held_each];
static _Atomic int ready, over;
static _Atomic bool uses_heap;

static void nap(void) { nanosleep(&(struct timespec){.tv_nsec = 1000 * 1000}, NULL); }

static void *stranger(void *arg) {
  void *volatile held[held_each];
  sigset_t all;
  sigfillset(&all);
  for (int i = 0; i < held_each; i++) held[i] = told[i];
  if (uses_heap) *(void *volatile *)GC_malloc(64) = NULL;
  pthread_sigmask(SIG_SETMASK, &all, NULL);
  ready = 1;
  while (!over) nap();
  for (int i = 0; i < held_each; i++)
    if (~hidden[i] != (uintptr_t)held[i]) arg = NULL;
  return arg;
}
static __attribute__((noinline)) void give(void) {
  for (int i = 0; i < held_each; i++) hidden[i] = ~(uintptr_t)(told[i] = GC_malloc(40));
}

static __attribute__((noinline)) void lose(void) {
  for (int i = 0; i < cells; i++) {
    cell[i] = GC_malloc(48);
    GC_general_register_disappearing_link(&cell[i], cell[i]);
  }
}

static int gone(void) {
  int count = 0;
  for (int i = 0; i < cells; i++) count += cell[i] == NULL;
  return count;
}

static int held_alive(void) {
  int count = 0;
  for (int i = 0; i < held_each; i++) count += GC_base((void *)~hidden[i]) == (void *)~hidden[i] && GC_size((void *)~hidden[i]) >= 40;
  return count;
}

static pthread_t begin(bool heap) {
  pthread_t thread;
  ready = over = 0;
  uses_heap = heap;
  give();
  OK(pthread_create(&thread, NULL, stranger, &ready) == 0, "a thread is made");
  while (!ready) nap();
  memset((void *)told, 0, sizeof told);
  lose();
  wipe();
  return thread;
}

static void end(pthread_t thread) {
  void *result = NULL;
  over = 1;
  pthread_join(thread, &result);
  OK(result == &ready, "and has kept what it held");
}

int main(void) {
  GC_INIT();
  cell = GC_malloc_atomic_uncollectable(cells * sizeof *cell);
  pthread_t thread = begin(false);
  for (int i = 0; i < 3; i++) GC_gcollect();
  OK(gone() > cells * 9 / 10, "a thread that blocks all signals and never used the heap holds up no collection: %d of %d are gone", gone(), cells);
  OK(held_alive() == held_each, "what it holds is alive");
  end(thread);

  thread = begin(true);
  for (int i = 0; i < 2; i++) GC_gcollect();
  OK(gone() == 0, "for one that has used the heap nothing is reclaimed");
  end(thread);
  for (int i = 0; i < 3; i++) GC_gcollect();
  OK(gone() > cells * 9 / 10, "until it has ended: %d of %d are gone", gone(), cells);
  return tap_end();
}
