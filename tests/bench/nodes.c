/* SPDX-License-Identifier: MIT
 * A program with much live memory: nodes MIB list|tree ordered|shuffled exit|_exit. It allocates nodes of 64
 * bytes, links all of them from one global, in the order of their addresses or at random, and ends.
 *
 * It prints the CPU time in microseconds that the process has used when all is built: what the process uses
 * beyond that is its end, the leak report and the kernel's freeing of the memory. Ended by _exit, no leak
 * checker searches. The nodes' addresses are listed in a mapping that is gone by then, so that nobody finds
 * the nodes through it. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

struct node {
  struct node *left, *right;
  uint64_t payload[6];
};

static struct node *volatile root;

static uint64_t random_next(uint64_t *state) {
  uint64_t x = *state;
  x ^= x << 13;
  x ^= x >> 7;
  x ^= x << 17;
  return *state = x;
}

static void nodes_make(struct node **nodes, size_t count) {
  for (size_t i = 0; i < count; i++) {
    nodes[i] = malloc(sizeof *nodes[i]);
    if (!nodes[i]) exit(1);
    memset(nodes[i], 0, sizeof *nodes[i]);
    nodes[i]->payload[0] = i;
  }
}

static void nodes_shuffle(struct node **nodes, size_t count) {
  uint64_t state = 88172645463325252u;
  for (size_t i = count - 1; i > 0; i--) {
    size_t j = random_next(&state) % (i + 1);
    struct node *other = nodes[j];
    nodes[j] = nodes[i];
    nodes[i] = other;
  }
}

/* A list, or a binary tree in the layout of a heap: node i has the children 2i + 1 and 2i + 2. */
static void nodes_link(struct node **nodes, size_t count, bool tree) {
  for (size_t i = 0; i < count; i++) {
    size_t left = tree ? 2 * i + 1 : i + 1, right = 2 * i + 2;
    if (left < count) nodes[i]->left = nodes[left];
    if (tree && right < count) nodes[i]->right = nodes[right];
  }
  root = nodes[0];
}

int main(int argc, char **argv) {
  if (argc != 5) {
    fputs("usage: nodes MIB list|tree ordered|shuffled exit|_exit\n", stderr);
    return 2;
  }
  size_t count = (size_t)(atof(argv[1]) * (1 << 20)) / sizeof(struct node) + 1;
  size_t bytes = count * sizeof(struct node *);
  struct node **nodes = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (nodes == MAP_FAILED) return 1;
  nodes_make(nodes, count);
  if (strcmp(argv[3], "shuffled") == 0) nodes_shuffle(nodes, count);
  nodes_link(nodes, count, strcmp(argv[2], "tree") == 0);
  munmap(nodes, bytes);

  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  printf("%lld\n", (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000ll + usage.ru_utime.tv_usec +
                       usage.ru_stime.tv_usec);
  fflush(stdout);
  if (strcmp(argv[4], "_exit") == 0) _exit(0);
  return 0;
}
