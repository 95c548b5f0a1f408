/* SPDX-License-Identifier: MIT
 * A program that leaks: leaky list|tree|cycle|large|threads|blocks MIB LIVE_MIB.
 *
 * LIVE_MIB of blocks stay in use, and MIB are leaked in that shape, next to as much again that is freed as it should
 * be. It tells its resident memory in KiB sixteen times on the way (rss_1 to rss_16), when it is a sixteenth, two
 * sixteenths, ... done, and a checksum of what is in use. Linked like any program: a collector comes by LD_PRELOAD. */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { steps = 16, piece_bytes = 64 << 10, large_bytes = 1 << 20, live_bytes = 256 };

struct link {
  struct link *next, *other;
  char payload[48];
};

static void *need(void *p) {
  if (!p) exit(1);
  return p;
}

static struct link *link_new(struct link *next, struct link *other) {
  struct link *link = need(malloc(sizeof *link));
  memset(link, 1, sizeof *link);
  link->next = next;
  link->other = other;
  return link;
}

static struct link *leak_tree(int depth) {
  return depth == 0 ? NULL : link_new(leak_tree(depth - 1), leak_tree(depth - 1));
}

static struct link *leak_list(int length) {
  struct link *list = NULL;
  while (length-- > 0) list = link_new(list, NULL);
  return list;
}

static void *leak_in_thread(void *argument) {
  struct link **result = argument;
  *result = leak_list(piece_bytes / (int)sizeof(struct link));
  return NULL;
}

/* Each leaks about piece_bytes. What a call leaves on the dead stack is overwritten by the next. */
static __attribute__((noinline)) void leak_piece(const char *shape) {
  int length = piece_bytes / (int)sizeof(struct link);
  if (strcmp(shape, "list") == 0) {
    leak_list(length);
  } else if (strcmp(shape, "tree") == 0) {
    leak_tree(10);
  } else if (strcmp(shape, "cycle") == 0) {
    struct link *last = link_new(NULL, NULL), *first = last;
    for (int i = 1; i < length; i++) first = link_new(first, last);
    last->next = first;
  } else if (strcmp(shape, "threads") == 0) {
    pthread_t thread;
    struct link *result;
    if (pthread_create(&thread, NULL, leak_in_thread, &result) != 0) exit(1);
    pthread_join(thread, NULL);
  } else {
    memset(need(malloc(piece_bytes)), 1, piece_bytes);
  }
}

static __attribute__((noinline)) void leak_large(void) { memset(need(malloc(large_bytes)), 1, large_bytes); }

static __attribute__((noinline)) void use_and_free(void) {
  struct link *list = leak_list(piece_bytes / (int)sizeof(struct link));
  while (list) {
    struct link *next = list->next;
    free(list);
    list = next;
  }
}

static long resident_kib(void) {
  long size, resident = 0;
  FILE *file = fopen("/proc/self/statm", "re");
  if (!file || fscanf(file, "%ld %ld", &size, &resident) != 2) exit(1);
  fclose(file);
  return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

int main(int argc, char **argv) {
  if (argc != 4) return fputs("usage: leaky list|tree|cycle|large|threads|blocks MIB LIVE_MIB\n", stderr), 2;
  int large = strcmp(argv[1], "large") == 0;
  long pieces = (long)(atof(argv[2]) * (1 << 20)) / (large ? large_bytes : piece_bytes) / steps;
  size_t live = (size_t)(atof(argv[3]) * (1 << 20)) / live_bytes;
  unsigned char **blocks = need(malloc((live + 1) * sizeof *blocks));
  for (size_t i = 0; i < live; i++) memset(blocks[i] = need(malloc(live_bytes)), (int)i, live_bytes);
  for (int step = 1; step <= steps; step++) {
    for (long i = 0; i < pieces; i++) {
      if (large) leak_large();
      else leak_piece(argv[1]);
      use_and_free();
    }
    printf("rss_%d %ld\n", step, resident_kib());
  }
  unsigned long sum = 0;
  for (size_t i = 0; i < live; i++) sum += blocks[i][i % live_bytes];
  printf("check %lu\n", sum);
  return 0;
}
