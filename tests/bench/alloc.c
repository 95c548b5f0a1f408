/* SPDX-License-Identifier: MIT
 * Allocation benchmarks: alloc NAME [SCALE]. Linked like any program; the allocator under test comes by
 * LD_PRELOAD.
 *
 * Each does a fixed amount of work, so that CPU time is the result, and prints a checksum made of what it
 * stored in its objects, which is the same under every correct allocator. It must not depend on addresses,
 * on the clock or on the order in which threads run. Compiled with -fno-builtin: the pairs must not be
 * optimised away. */
#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
  sizes_count = 4096,
  page_bytes = 4096,
  batch_objects = 10000,
  parcel_objects = 250,   /* what a producer hands over at once */
  queue_parcels = 64,
  larson_objects = 1000,
  threads_count = 2,
};

static uint16_t sizes[sizes_count];
static double scale = 1;

static uint64_t random_next(uint64_t *state) {
  uint64_t x = *state;
  x ^= x << 13;
  x ^= x >> 7;
  x ^= x << 17;
  return *state = x;
}

/* 16..1023 bytes, each doubling half as often as the one below it: half of all objects are under 32 bytes. */
static void sizes_fill(void) {
  uint64_t state = 88172645463325252u;
  for (int i = 0; i < sizes_count; i++) {
    uint64_t r = random_next(&state);
    unsigned doublings = (unsigned)__builtin_ctzll(r | 1u << 5);
    unsigned least = 16u << doublings;
    sizes[i] = (uint16_t)(least + (r >> 32) % least);
  }
}

static size_t size_of(uint64_t r) { return sizes[r % sizes_count]; }

static uint64_t scaled(double count) {
  double n = count * scale;
  return n < 1 ? 1 : (uint64_t)n;
}

static void *need(void *p) {
  if (p) return p;
  fputs("alloc: out of memory\n", stderr);
  exit(1);
}

/* The first word holds a value to be summed when the object dies. */
static uint64_t *object_new(size_t size, uint64_t value) {
  uint64_t *p = need(malloc(size));
  *p = value;
  return p;
}

static uint64_t object_end(uint64_t *p) {
  uint64_t value = *p;
  free(p);
  return value;
}

static uint64_t bench_pairs(void) {
  uint64_t sum = 0;
  for (uint64_t i = 0, n = scaled(90e6); i < n; i++) sum += object_end(object_new(size_of(i), i));
  return sum;
}

static uint64_t live_set(size_t objects, uint64_t steps, uint64_t state) {
  uint64_t **set = need(malloc(objects * sizeof *set)), sum = 0;
  for (size_t i = 0; i < objects; i++) set[i] = object_new(size_of(random_next(&state)), i);
  for (uint64_t i = 0; i < steps; i++) {
    uint64_t r = random_next(&state);
    uint64_t **slot = &set[(r >> 16) % objects];
    sum += object_end(*slot);
    *slot = object_new(size_of(r), i);
  }
  for (size_t i = 0; i < objects; i++) sum += object_end(set[i]);
  free(set);
  return sum;
}

static uint64_t bench_live_1k(void) { return live_set(1000, scaled(50e6), 1); }
static uint64_t bench_live_100k(void) { return live_set(100000, scaled(8e6), 2); }

static uint64_t batch(bool lifo) {
  static uint64_t *objects[batch_objects];
  uint64_t sum = 0;
  for (uint64_t round = 0, n = scaled(2500); round < n; round++) {
    for (int i = 0; i < batch_objects; i++) objects[i] = object_new(size_of(round * 7 + (uint64_t)i), round);
    for (int i = 0; i < batch_objects; i++) sum += object_end(objects[lifo ? batch_objects - 1 - i : i]);
  }
  return sum;
}

static uint64_t bench_fifo(void) { return batch(false); }
static uint64_t bench_lifo(void) { return batch(true); }

/* One producer and one consumer: objects born in one thread die in another. */
struct parcel {
  uint64_t *objects[parcel_objects];
};

struct queue {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  unsigned head, tail; /* head - tail parcels wait, at most queue_parcels */
  struct parcel parcels[queue_parcels];
  uint64_t rounds, sum;
};

static void *queue_produce(void *argument) {
  struct queue *q = argument;
  for (uint64_t round = 0; round < q->rounds; round++) {
    pthread_mutex_lock(&q->lock);
    while (q->head - q->tail == queue_parcels) pthread_cond_wait(&q->changed, &q->lock);
    struct parcel *parcel = &q->parcels[q->head % queue_parcels];
    pthread_mutex_unlock(&q->lock);
    for (int i = 0; i < parcel_objects; i++)
      parcel->objects[i] = object_new(size_of(round * 13 + (uint64_t)i), round);
    pthread_mutex_lock(&q->lock);
    q->head++;
    pthread_cond_signal(&q->changed);
    pthread_mutex_unlock(&q->lock);
  }
  return NULL;
}

static void *queue_consume(void *argument) {
  struct queue *q = argument;
  for (uint64_t round = 0; round < q->rounds; round++) {
    pthread_mutex_lock(&q->lock);
    while (q->head == q->tail) pthread_cond_wait(&q->changed, &q->lock);
    struct parcel *parcel = &q->parcels[q->tail % queue_parcels];
    pthread_mutex_unlock(&q->lock);
    for (int i = 0; i < parcel_objects; i++) q->sum += object_end(parcel->objects[i]);
    pthread_mutex_lock(&q->lock);
    q->tail++;
    pthread_cond_signal(&q->changed);
    pthread_mutex_unlock(&q->lock);
  }
  return NULL;
}

static pthread_t thread_start(void *(*body)(void *), void *argument) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, body, argument) == 0) return thread;
  fputs("alloc: no thread\n", stderr);
  exit(1);
}

static uint64_t bench_producer(void) {
  static struct queue q = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
  q.rounds = scaled(20000);
  pthread_t producer = thread_start(queue_produce, &q), consumer = thread_start(queue_consume, &q);
  pthread_join(producer, NULL);
  pthread_join(consumer, NULL);
  return q.sum;
}

/* After Larson and Krishnan: a thread replaces random objects of a set, then leaves the set to a successor
 * and exits. The successor joins its predecessor, so that at most threads_count + 1 sets of stacks exist at
 * a time. */
struct chain {
  uint64_t *objects[larson_objects];
  uint64_t state, sum, generations;
  pthread_t predecessor;
  bool has_predecessor;
  sem_t done;
};

static void *larson_live(void *argument) {
  struct chain *chain = argument;
  if (chain->has_predecessor) pthread_join(chain->predecessor, NULL);
  for (int i = 0; i < 50000; i++) {
    uint64_t r = random_next(&chain->state);
    uint64_t **slot = &chain->objects[(r >> 16) % larson_objects];
    chain->sum += object_end(*slot);
    *slot = object_new(size_of(r), (uint64_t)i);
  }
  chain->predecessor = pthread_self();
  chain->has_predecessor = true;
  if (--chain->generations) thread_start(larson_live, chain);
  else sem_post(&chain->done);
  return NULL;
}

static uint64_t bench_larson(void) {
  static struct chain chains[threads_count];
  uint64_t sum = 0;
  for (unsigned c = 0; c < threads_count; c++) {
    struct chain *chain = &chains[c];
    chain->state = 99 + c;
    chain->generations = scaled(400);
    for (int i = 0; i < larson_objects; i++)
      chain->objects[i] = object_new(size_of(random_next(&chain->state)), 1);
    sem_init(&chain->done, 0, 0);
  }
  for (unsigned c = 0; c < threads_count; c++) thread_start(larson_live, &chains[c]);
  for (unsigned c = 0; c < threads_count; c++) {
    while (sem_wait(&chains[c].done) != 0) continue;
    pthread_join(chains[c].predecessor, NULL);
    for (int i = 0; i < larson_objects; i++) sum += object_end(chains[c].objects[i]);
    sum += chains[c].sum;
  }
  return sum;
}

/* 1000 live arrays; one in 64 has some thousands of bytes. What is not zero spoils the sum. */
static uint64_t bench_calloc(void) {
  static uint64_t *set[1000];
  uint64_t state = 3, sum = 0;
  for (uint64_t i = 0, n = scaled(15e6); i < n; i++) {
    uint64_t r = random_next(&state);
    uint64_t **slot = &set[(r >> 16) % 1000];
    size_t size = (r >> 48) % 64 ? size_of(r) : 2048 + (r >> 32) % 16384;
    if (*slot) sum += object_end(*slot);
    *slot = need(calloc(1, size));
    sum += (*slot)[0] + (*slot)[size / 8 - 1];
    **slot = i;
    (*slot)[size / 8 - 1] = i;
  }
  for (int i = 0; i < 1000; i++) free(set[i]);
  return sum;
}

/* Buffers that grow as vectors and strings do: 64 at a time by half their size to 256 KiB, then one in even
 * steps. */
static uint64_t bench_realloc(void) {
  uint64_t sum = 0;
  for (uint64_t round = 0, n = scaled(25); round < n; round++) {
    uint8_t *buffers[64] = {NULL};
    size_t size = 0;
    for (size_t next = 16; next <= 256 << 10; size = next, next += next / 2)
      for (int i = 0; i < 64; i++) {
        buffers[i] = need(realloc(buffers[i], next));
        memset(buffers[i] + size, (int)round + i, next - size);
      }
    for (int i = 0; i < 64; i++) {
      sum += buffers[i][0] + buffers[i][size / 2] + buffers[i][size - 1];
      free(buffers[i]);
    }
  }
  uint8_t *one = NULL;
  size_t limit = scaled(64 << 20);
  for (size_t size = 0, step = 8192; size < limit; size += step) {
    one = need(realloc(one, size + step));
    memset(one + size, 1, step);
    sum += one[size / 2];
  }
  free(one);
  return sum;
}

/* Blocks of 64 KiB to 4 MiB, small ones more often, 16 live at a time, each page written. */
static uint64_t bench_large(void) {
  static uint8_t *set[16];
  uint64_t state = 4, sum = 0;
  for (uint64_t i = 0, n = scaled(2000); i < n; i++) {
    uint64_t r = random_next(&state);
    size_t size = (size_t)(64 << 10) << (r % 6);
    size += (r >> 32) % size;
    uint8_t **slot = &set[(r >> 16) % 16];
    if (*slot) sum += **slot;
    free(*slot);
    *slot = need(malloc(size));
    for (size_t at = 0; at < size; at += page_bytes) (*slot)[at] = (uint8_t)i;
  }
  for (int i = 0; i < 16; i++) free(set[i]);
  return sum;
}

static const struct bench {
  const char *name;
  uint64_t (*run)(void);
} benches[] = {
    {"pairs", bench_pairs},       {"live-1k", bench_live_1k}, {"live-100k", bench_live_100k},
    {"batch-fifo", bench_fifo},   {"batch-lifo", bench_lifo}, {"producer", bench_producer},
    {"larson", bench_larson},     {"calloc", bench_calloc},   {"realloc", bench_realloc},
    {"large", bench_large},
};

int main(int argc, char **argv) {
  size_t count = sizeof benches / sizeof benches[0];
  if (argc > 2) scale = atof(argv[2]);
  sizes_fill();
  for (size_t i = 0; i < count; i++)
    if (argc > 1 && strcmp(argv[1], benches[i].name) == 0) {
      printf("%llu\n", (unsigned long long)benches[i].run());
      return 0;
    }
  fputs("usage: alloc NAME [SCALE]\nnames:", stderr);
  for (size_t i = 0; i < count; i++) fprintf(stderr, " %s", benches[i].name);
  fputs("\n", stderr);
  return 2;
}
