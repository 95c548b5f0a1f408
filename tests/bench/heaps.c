/* SPDX-License-Identifier: MIT
 * Throughput of collectors: heaps trees DEPTH | gcbench DEPTH | threads N MILLIONS | churn MIB ROUNDS |
 * graph MILLIONS ordered|shuffled|random ROUNDS.
 *
 * Each does a fixed amount of work and tells what it cost; a checksum that must be the same everywhere comes
 * first. trees can also do with malloc and free. */
#include "collected.h"

#include <pthread.h>
#include <stdbool.h>

/* --- trees: many short-lived binary trees of each depth while one long-lived tree stands. --- */

struct tree {
  struct tree *left, *right;
};

static struct tree *tree_make(int depth) {
  struct tree *tree = need(take(sizeof *tree));
  tree->left = depth > 0 ? tree_make(depth - 1) : NULL;
  tree->right = depth > 0 ? tree_make(depth - 1) : NULL;
  return tree;
}

static long tree_count(const struct tree *tree) {
  return tree->left ? 1 + tree_count(tree->left) + tree_count(tree->right) : 1;
}

static void tree_drop(struct tree *tree) {
  if (collected) return;
  if (tree->left) tree_drop(tree->left);
  if (tree->right) tree_drop(tree->right);
  free(tree);
}

static long tree_short_life(int depth) {
  struct tree *tree = tree_make(depth);
  long count = tree_count(tree);
  tree_drop(tree);
  return count;
}

static void bench_trees(int most) {
  enum { least = 4 };
  long sum = tree_short_life(most + 1);
  struct tree *lasting = tree_make(most);
  for (int depth = least; depth <= most; depth += 2)
    for (long i = 1l << (most - depth + least); i > 0; i--) sum += tree_short_life(depth);
  printf("check %ld\n", sum + tree_count(lasting));
}

/* --- gcbench: the shape of the benchmark that is known by this name (Ellis, Kovac, Boehm): trees built from
 * the leaves and from the root, a long-lived tree, and a large array without pointers. --- */

struct twig {
  struct twig *left, *right;
  int i, j;
};

static struct twig *twig_new(struct twig *left, struct twig *right) {
  struct twig *twig = need(take(sizeof *twig));
  *twig = (struct twig){left, right, 1, 2};
  return twig;
}

static struct twig *twig_from_leaves(int depth) {
  if (depth <= 0) return twig_new(NULL, NULL);
  struct twig *left = twig_from_leaves(depth - 1);
  return twig_new(left, twig_from_leaves(depth - 1));
}

static void twig_from_root(struct twig *twig, int depth) {
  if (depth <= 0) return;
  twig->left = twig_new(NULL, NULL);
  twig->right = twig_new(NULL, NULL);
  twig_from_root(twig->left, depth - 1);
  twig_from_root(twig->right, depth - 1);
}

static long twig_sum(const struct twig *twig) {
  return twig ? twig->i + twig_sum(twig->left) + twig_sum(twig->right) : 0;
}

static void bench_gcbench(int lasting_depth) {
  enum { array_length = 500000 };
  long sum = twig_sum(twig_from_leaves(lasting_depth + 2));
  struct twig *lasting = twig_new(NULL, NULL);
  twig_from_root(lasting, lasting_depth);
  double *array = need(take_plain(array_length * sizeof *array));
  for (int i = 0; i < array_length; i++) array[i] = 1.0 / (i + 1);
  for (int depth = 4; depth <= lasting_depth; depth += 2)
    for (long i = (8l << lasting_depth) / (2l << depth); i > 0; i--) {
      struct twig *top = twig_new(NULL, NULL);
      twig_from_root(top, depth);
      struct twig *bottom = twig_from_leaves(depth);
      sum += top->left->i + bottom->left->j;
    }
  printf("check %ld\n", sum + twig_sum(lasting) + (long)(array[array_length - 1] * array_length));
}

#ifndef BENCH_MALLOC

/* --- threads: each allocates as fast as it can and keeps the last few; objects each second. --- */

enum { threads_most = 64, window_objects = 512 };

static pthread_barrier_t threads_start;
static long threads_objects;
static volatile uint64_t threads_sum;

static void *thread_run(void *argument) {
  uint64_t *window[window_objects] = {0}, state = 88172645463325252u + (uintptr_t)argument, sum = 0;
  pthread_barrier_wait(&threads_start);
  for (long i = 0; i < threads_objects; i++) {
    uint64_t r = random_next(&state), **slot = &window[r % window_objects];
    if (*slot) sum += **slot;
    *slot = need(take(16 + (r >> 32) % 8 * 16));
    **slot = (uint64_t)i;
  }
  __atomic_add_fetch(&threads_sum, sum, __ATOMIC_RELAXED);
  return NULL;
}

static void bench_threads(int count, double millions) {
  pthread_t threads[threads_most];
  if (count > threads_most) exit(2);
  threads_objects = (long)(millions * 1e6);
  pthread_barrier_init(&threads_start, NULL, (unsigned)count + 1);
  for (int i = 0; i < count; i++) {
    if (pthread_create(&threads[i], NULL, thread_run, (void *)(uintptr_t)i) != 0) exit(1);
  }
  pthread_barrier_wait(&threads_start);
  double from = now_wall(), cpu = now_cpu();
  for (int i = 0; i < count; i++) pthread_join(threads[i], NULL);
  double seconds = now_wall() - from, used = now_cpu() - cpu;
  printf("check %llu\n", (unsigned long long)threads_sum);
  tell("rate", (double)count * (double)threads_objects / seconds);
  tell("rate_by_cpu", (double)count * (double)threads_objects / used * count); /* had each a processor of its own */
}

/* --- churn: a large heap that lasts, and short-lived objects; one in sixteen takes the place of a lasting one. --- */

static size_t churn_size(uint64_t r) { return 16 + (r >> 40) % 13 * 8; } /* 16 to 112, 64 on the average */

static void bench_churn(double mib, double rounds) {
  size_t count = (size_t)(mib * (1 << 20)) / (64 + sizeof(void *)), live = count * sizeof(void *);
  uint64_t state = 88172645463325252u, sum = 0;
  uint64_t **table = need(take(count * sizeof *table));
  uint16_t *sizes = hidden_take(count * sizeof *sizes);
  memset(table, 0, count * sizeof *table);
  for (size_t i = 0; i < count; i++) {
    sizes[i] = (uint16_t)churn_size(random_next(&state));
    live += sizes[i];
    table[i] = need(take(sizes[i]));
    *table[i] = i;
  }
  double cpu = now_cpu();
  long total = (long)(rounds * (double)count);
  for (long i = 0; i < total; i++) {
    uint64_t r = random_next(&state);
    uint64_t *object = need(take(churn_size(r)));
    *object = r & 1;
    sum += *object;
    if (r >> 60) continue;
    size_t place = (r >> 8) % count;
    live += churn_size(r) - sizes[place];
    sizes[place] = (uint16_t)churn_size(r);
    table[place] = object;
  }
  double used = now_cpu() - cpu;
  for (size_t i = 0; i < count; i++) sum += *table[i];
  printf("check %llu\n", (unsigned long long)sum);
  tell("ns_by_object", used * 1e9 / (double)total);
  tell("live_mib", (double)live / (1 << 20));
  tell("peak_over_live", status_kib("VmHWM:") * 1024 / (double)live);
}

/* --- graph: how long it takes to mark so many nodes of 64 bytes. --- */

static struct node *volatile graph_root;

/* Heap layout over the order given, so that all is reachable; random: the other two links lead anywhere. */
static void graph_make(size_t count, bool shuffled, bool random) {
  uint64_t state = 88172645463325252u;
  struct node **nodes = hidden_take(count * sizeof *nodes);
  GC_disable();
  for (size_t i = 0; i < count; i++) nodes[i] = node_new(i);
  if (shuffled) nodes_shuffle(nodes, count, &state);
  for (size_t i = 0; i < count; i++) {
    if (2 * i + 1 < count) nodes[i]->link[0] = nodes[2 * i + 1];
    if (2 * i + 2 < count) nodes[i]->link[1] = nodes[2 * i + 2];
    for (int k = 2; random && k < 4; k++) nodes[i]->link[k] = nodes[random_next(&state) % count];
  }
  graph_root = nodes[0];
  munmap(nodes, count * sizeof *nodes);
  GC_enable();
}

static void bench_graph(double millions, const char *order, int rounds) {
  size_t count = (size_t)(millions * 1e6);
  double from = now_cpu(), best = 1e9, best_cpu = 1e9;
  graph_make(count, strcmp(order, "ordered") != 0, strcmp(order, "random") == 0);
  tell("build_cpu", now_cpu() - from);
  tell("build_faults", (double)faults_so_far());
  for (int i = 0; i < rounds; i++) {
    double wall = now_wall(), cpu = now_cpu();
    GC_gcollect();
    wall = now_wall() - wall;
    cpu = now_cpu() - cpu;
    tell("collect_wall", wall);
    tell("collect_cpu", cpu);
    if (wall < best) best = wall;
    if (cpu < best_cpu) best_cpu = cpu;
  }
  tell("best_wall", best);
  tell("best_cpu", best_cpu);
  tell("all_faults", (double)faults_so_far());
  uint64_t sum = 0, next = 0;
  for (struct node *node = graph_root; node; next++) sum += node->number, node = node->link[next & 1];
  printf("path %llu\n", (unsigned long long)sum);
}
#endif

int main(int argc, char **argv) {
  const char *what = argc > 2 ? argv[1] : "";
  GC_INIT();
  have_markers();
  if (strcmp(what, "trees") == 0) bench_trees(atoi(argv[2]));
  else if (strcmp(what, "gcbench") == 0) bench_gcbench(atoi(argv[2]));
#ifndef BENCH_MALLOC
  else if (strcmp(what, "threads") == 0 && argc == 4) bench_threads(atoi(argv[2]), atof(argv[3]));
  else if (strcmp(what, "churn") == 0 && argc == 4) bench_churn(atof(argv[2]), atof(argv[3]));
  else if (strcmp(what, "graph") == 0 && argc == 5) bench_graph(atof(argv[2]), argv[3], atoi(argv[4]));
#endif
  else return fputs("usage: heaps trees|gcbench|threads|churn|graph ...\n", stderr), 2;
  return 0;
}
