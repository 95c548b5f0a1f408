/* SPDX-License-Identifier: MIT
 * A client of libgc whose large arrays of pointers grow, and move, while another thread collects all the time: what only an array
 * knows that is on its way stays. */
#include "gc.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { moved_rounds = 100, moved_length = 512 << 10, moved_step = 64, moved_behind = 300 * 1000 };

static atomic_bool moved_done;

static void *moved_collect(void *arg) {
  while (!atomic_load(&moved_done)) GC_gcollect();
  return arg;
}

static void moved_fill(uintptr_t **array, uintptr_t from, uintptr_t to) {
  for (uintptr_t i = from; i < to; i += moved_step) {
    array[i] = GC_malloc(2 * sizeof **array);
    array[i][0] = i;
    array[i][1] = ~i;
  }
}

static unsigned moved_count_lost(uintptr_t **array, uintptr_t length) {
  unsigned lost = 0;
  for (uintptr_t i = 0; i < length; i += moved_step) lost += !array[i] || array[i][0] != i || array[i][1] != ~i;
  return lost;
}

/* Something lies behind the array, so that it cannot grow where it is. */
static unsigned moved_round(void) {
  uintptr_t length = moved_length, longer = length + length / 4;
  uintptr_t **array = GC_malloc(length * sizeof *array);
  void *volatile behind = GC_malloc(moved_behind);
  moved_fill(array, 0, length);
  array = GC_realloc(array, longer * sizeof *array);
  behind = NULL;
  (void)behind;
  moved_fill(array, length, longer); /* takes what was freed, if any was */
  unsigned lost = moved_count_lost(array, longer);
  GC_free(array);
  return lost;
}

int main(void) {
  pthread_t thread;
  unsigned lost = 0;
  GC_init();
  if (pthread_create(&thread, NULL, moved_collect, NULL)) return 1;
  for (int i = 0; i < moved_rounds; i++) lost += moved_round();
  atomic_store(&moved_done, true);
  pthread_join(thread, NULL);
  printf("%u lost\n", lost);
  return 0;
}
