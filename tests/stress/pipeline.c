/* SPDX-License-Identifier: MIT
 * Producers and consumers: every block is freed by another thread than its maker, in batches, with threads that come and
 * go. What the process holds must not grow with the number of blocks that passed through. */
#include "config.h"

#include "tap.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { pipe_depth = 1000, pipe_batches = 64, pipe_batch = 100 };

struct batch {
  struct batch *next;
  unsigned char *block[pipe_batch];
  unsigned size[pipe_batch];
};

static pthread_mutex_t pipe_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t pipe_changed = PTHREAD_COND_INITIALIZER;
static struct batch *pipe_first;
static unsigned pipe_length, pipe_producers, pipe_bad;

static void pipe_put(struct batch *batch) {
  pthread_mutex_lock(&pipe_lock);
  while (pipe_length >= pipe_batches) pthread_cond_wait(&pipe_changed, &pipe_lock);
  batch->next = pipe_first;
  pipe_first = batch;
  pipe_length++;
  pthread_cond_broadcast(&pipe_changed);
  pthread_mutex_unlock(&pipe_lock);
}

/* NULL when all producers are gone and nothing is left. */
static struct batch *pipe_get(void) {
  pthread_mutex_lock(&pipe_lock);
  while (!pipe_first && pipe_producers) pthread_cond_wait(&pipe_changed, &pipe_lock);
  struct batch *batch = pipe_first;
  if (batch) {
    pipe_first = batch->next;
    pipe_length--;
    pthread_cond_broadcast(&pipe_changed);
  }
  pthread_mutex_unlock(&pipe_lock);
  return batch;
}

static void *pipe_produce(void *arg) {
  uint64_t random = (uintptr_t)arg;
  for (unsigned i = 0; i < pipe_depth; i++) {
    struct batch *batch = malloc(sizeof *batch);
    for (unsigned k = 0; k < pipe_batch; k++) {
      batch->size[k] = (unsigned)(tap_random(&random) % 600) + 1;
      batch->block[k] = memset(malloc(batch->size[k]), (int)k, batch->size[k]);
    }
    pipe_put(batch);
  }
  pthread_mutex_lock(&pipe_lock);
  pipe_producers--;
  pthread_cond_broadcast(&pipe_changed);
  pthread_mutex_unlock(&pipe_lock);
  return NULL;
}

static void *pipe_consume(void *arg) {
  struct batch *batch;
  uintptr_t bad = 0;
  (void)arg;
  while ((batch = pipe_get())) {
    for (unsigned k = 0; k < pipe_batch; k++) {
      bad += batch->block[k][0] != k || batch->block[k][batch->size[k] - 1] != k;
      free(batch->block[k]);
    }
    free(batch);
  }
  return (void *)bad;
}

static size_t pipe_resident(void) {
  unsigned long total = 0, pages = 0;
  FILE *f = fopen("/proc/self/statm", "r");
  if (f && fscanf(f, "%lu %lu", &total, &pages) != 2) pages = 0;
  if (f) fclose(f);
  return pages * 4096;
}

static void pipe_round(unsigned producers, unsigned consumers) {
  pthread_t thread[16];
  unsigned n = 0;
  pipe_producers = producers;
  for (unsigned i = 0; i < producers; i++) pthread_create(&thread[n++], NULL, pipe_produce, (void *)(uintptr_t)i);
  for (unsigned i = 0; i < consumers; i++) pthread_create(&thread[n++], NULL, pipe_consume, NULL);
  while (n > 0) {
    void *bad;
    pthread_join(thread[--n], &bad);
    pipe_bad += (unsigned)(uintptr_t)bad;
  }
}

int main(void) {
  pipe_round(1, 1);
  size_t before = pipe_resident();
  pipe_round(2, 1);
  pipe_round(1, 3);
  pipe_round(3, 3);
  OK(pipe_bad == 0, "blocks pass from producers to consumers intact");
  size_t after = pipe_resident();
  OK(after < before + (64 << 20), "and their memory is used again: %zu MiB grew to %zu", before >> 20, after >> 20);
  return tap_end();
}
