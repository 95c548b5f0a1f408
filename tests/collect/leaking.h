/* SPDX-License-Identifier: MIT
 * What the leaking programs share: memory that is filled and checked, what is kept and what is lost, and the figures.
 *
 * A program keeps some MiB and loses many. It says on its standard output what it computed, which must be the same whoever
 * serves its memory, and appends the most memory it ever held to the file LEAKING_FIGURES. */
#ifndef LEAKING_H
#define LEAKING_H

#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if defined(__has_attribute) && __has_attribute(noipa)
#define APART __attribute__((noinline, noipa, unused))
#else
#define APART __attribute__((noinline, unused))
#endif

struct node {
  struct node *next, *other;
  uint64_t value;
  unsigned char more[]; /* filled with the low byte of value */
};

static size_t leaking_bytes __attribute__((unused)); /* to be lost */

static inline uint64_t leaking_random(uint64_t *state) {
  uint64_t x = (*state += 0x9e3779b97f4a7c15u);
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

/* size is the whole node's. */
APART static struct node *node_fill(struct node *n, uint64_t value, size_t size) {
  if (!n) abort();
  n->next = n->other = NULL;
  n->value = value;
  memset(n->more, (int)(value & 0x7f), size - sizeof *n);
  return n;
}

APART static struct node *node_new(uint64_t value, size_t size) {
  return node_fill((struct node *)malloc(size), value, size);
}

static inline bool node_intact(const struct node *n, size_t size) {
  for (size_t i = 0; i < size - sizeof *n; i++)
    if (n->more[i] != (n->value & 0x7f)) return false;
  return true;
}

/* A list of nodes 0 .. count - 1 of one size. */
APART static struct node *list_new(unsigned count, size_t size) {
  struct node *first = NULL;
  for (unsigned i = count; i-- > 0;) {
    struct node *n = node_new(i, size);
    n->next = first;
    first = n;
  }
  return first;
}

/* How many of its nodes are as they were made, one after the other. */
APART static unsigned list_intact(const struct node *n, unsigned count, size_t size) {
  unsigned i = 0;
  while (n && i < count && n->value == i && node_intact(n, size)) {
    n = n->next;
    i++;
  }
  return i;
}

/* The tree that a program keeps: 2^depth - 1 nodes. */
enum { kept_depth = 14, kept_size = 512, kept_count = (1 << kept_depth) - 1 }; /* 8 MiB */

APART static struct node *tree_new(unsigned depth, uint64_t value, size_t size) {
  if (depth == 0) return NULL;
  struct node *n = node_new(value, size);
  n->next = tree_new(depth - 1, value * 2, size);
  n->other = tree_new(depth - 1, value * 2 + 1, size);
  return n;
}

APART static unsigned tree_intact(const struct node *n, unsigned depth, uint64_t value, size_t size) {
  if (depth == 0 || !n || n->value != value || !node_intact(n, size)) return 0;
  return 1 + tree_intact(n->next, depth - 1, value * 2, size) + tree_intact(n->other, depth - 1, value * 2 + 1, size);
}

static struct node *volatile kept __attribute__((unused));

APART static void keep(void) { kept = tree_new(kept_depth, 1, kept_size); }

APART static void tell_kept(void) {
  printf("%u of %d kept\n", tree_intact(kept, kept_depth, 1, kept_size), kept_count);
}

/* Appends "NAME KiB" to the file of figures. */
APART static void tell_peak(const char *name) {
  char text[8192], line[128];
  const char *file = getenv("LEAKING_FIGURES");
  int in = open("/proc/self/status", O_RDONLY | O_CLOEXEC), out;
  ssize_t got = in < 0 ? 0 : read(in, text, sizeof text - 1);
  if (in >= 0) close(in);
  text[got > 0 ? got : 0] = '\0';
  const char *at = strstr(text, "VmHWM:");
  if (!file || !at || (out = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)) < 0) return;
  int length = snprintf(line, sizeof line, "%s %lu\n", name, strtoul(at + 6, NULL, 10));
  if (write(out, line, (size_t)length) != length) abort();
  close(out);
}

struct scenario {
  const char *name;
  void (*run)(void);
};

/* Without an argument: the names. */
#define LEAKING_MAIN(table)                                                                                  \
  int main(int argc, char **argv) {                                                                          \
    const char *mib = getenv("LEAKING_MIB");                                                                 \
    leaking_bytes = (size_t)(mib ? atoi(mib) : 160) << 20;                                                   \
    for (size_t i = 0; i < sizeof(table) / sizeof(table)[0]; i++) {                                          \
      if (argc < 2) puts((table)[i].name);                                                                   \
      if (argc < 2 || strcmp(argv[1], (table)[i].name) != 0) continue;                                       \
      keep();                                                                                                \
      (table)[i].run();                                                                                      \
      tell_kept();                                                                                           \
      tell_peak((table)[i].name);                                                                            \
      return 0;                                                                                              \
    }                                                                                                        \
    return argc < 2 ? 0 : 70;                                                                                \
  }

#endif
