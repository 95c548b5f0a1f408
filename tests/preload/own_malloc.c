/* SPDX-License-Identifier: MIT
 * A program that brings its own malloc, as some servers do: it wins over a preloaded one nowhere or everywhere, and the
 * program must work as it does alone. */
#include "config.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PUBLIC __attribute__((visibility("default")))

enum { own_size = 64 << 20, own_header = 16 };

static _Alignas(16) char own_heap[own_size];
static _Atomic size_t own_used;

PUBLIC void *malloc(size_t size) {
  size_t need = ((size + 15) & ~(size_t)15) + own_header, at;
  if (size > own_size || (at = atomic_fetch_add(&own_used, need)) > own_size - need) {
    errno = ENOMEM;
    return NULL;
  }
  *(size_t *)(own_heap + at) = size;
  return own_heap + at + own_header;
}

/* Aborts when it is given what it never gave. */
PUBLIC void free(void *p) {
  if (p && (uintptr_t)p - (uintptr_t)own_heap >= own_size) abort();
}

PUBLIC void *calloc(size_t count, size_t size) {
  size_t bytes;
  if (__builtin_mul_overflow(count, size, &bytes)) return NULL;
  return malloc(bytes); /* never reused: zero */
}

PUBLIC void *realloc(void *p, size_t size) {
  char *q = malloc(size);
  if (p && q) {
    size_t old = *(size_t *)((char *)p - own_header);
    memcpy(q, p, old < size ? old : size);
  }
  return q;
}

static void *own_thread(void *arg) {
  (void)arg;
  char *text = NULL;
  size_t size;
  FILE *f = open_memstream(&text, &size);
  for (unsigned i = 0; i < 1000; i++) fprintf(f, "%u ", i);
  fclose(f);
  char *copy = strdup(text);
  free(text);
  return copy;
}

int main(void) {
  pthread_t thread[4];
  size_t length = 0;
  for (unsigned i = 0; i < 4; i++) pthread_create(&thread[i], NULL, own_thread, NULL);
  for (unsigned i = 0; i < 4; i++) {
    void *text;
    pthread_join(thread[i], &text);
    length += strlen(text);
    free(text);
  }
  char *line = NULL;
  size_t size = 0;
  FILE *f = fopen("/proc/self/status", "r");
  if (f && getline(&line, &size, f) < 0) return 1;
  free(line);
  fclose(f);
  printf("%zu\n", length);
  return 7;
}
