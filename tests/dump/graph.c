/* SPDX-License-Identifier: MIT
 * A heap of known shape, whose addresses are printed, and a program that notices whether it was disturbed.
 *
 * graph exit      ends
 * graph poll      waits in poll until its input ends, then tells what it saw
 * graph threads   the same, while eight threads allocate and free
 * graph undumpable, filtered    as poll, but nobody may look, or after a filter of system calls is in force */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Where nothing is preloaded, a poll ends when a thread is stopped. */
#ifdef GRAPH_LINKED
#define GRAPH_SEES_SIGNALS 1
#include "gc.h"
#define graph_alloc(size) GC_malloc(size)
#define graph_free(p) GC_free(p)
#else
#define GRAPH_SEES_SIGNALS 0
#define graph_alloc(size) malloc(size)
#define graph_free(p) free(p)
#endif

enum { graph_threads = 8, graph_slots = 64 };

struct node {
  struct node *left, *right;
  uintptr_t hidden[4];
};

/* The names that gleaner why is to tell. */
static struct node *volatile graph_chain, *volatile graph_diamond, *volatile graph_tree, *volatile graph_cycle;
static struct node *volatile graph_table[16];
static _Thread_local struct node *volatile graph_own;

static struct node *graph_node(const char *name) {
  struct node *node = graph_alloc(sizeof *node);
  memset(node, 0, sizeof *node);
  printf("%s %p\n", name, (void *)node);
  return node;
}

static void graph_make(void) {
  graph_chain = graph_node("chain1");
  graph_chain->right = graph_node("chain2");
  graph_chain->right->left = graph_node("chain3");
  graph_diamond = graph_node("diamond_top");
  graph_diamond->left = graph_node("diamond_left");
  graph_diamond->right = graph_node("diamond_right");
  graph_diamond->left->left = graph_diamond->right->left = graph_node("diamond_bottom");
  graph_tree = graph_node("tree_top");
  graph_tree->left = graph_node("tree_left");
  graph_tree->right = graph_node("tree_right");
  graph_tree->left->left = graph_node("tree_leaf1");
  graph_tree->left->right = graph_node("tree_leaf2");
  graph_tree->right->left = graph_node("tree_leaf3");
  graph_cycle = graph_node("cycle1");
  graph_cycle->left = graph_node("cycle2");
  graph_cycle->left->left = graph_node("cycle3");
  graph_cycle->left->left->left = graph_cycle;
  graph_table[5] = graph_node("table");
  graph_own = graph_node("own1");
  graph_own->left = graph_node("own2");
}

/* --- what a disturbed program would see --- */

static _Atomic int graph_children;
static void graph_child(int number) { (void)number, atomic_fetch_add(&graph_children, 1); }

static int graph_descriptors(void) {
  DIR *directory = opendir("/proc/self/fd");
  int count = 0;
  for (struct dirent *entry; directory && (entry = readdir(directory));) count += atoi(entry->d_name) < 512; /* ours are high */
  if (directory) closedir(directory);
  return count;
}

static _Atomic int graph_stop;
static _Atomic long graph_bad;

/* Every object holds its own address in disguise. */
static void *graph_work(void *arg) {
  uint64_t random = (uintptr_t)arg + 1;
  struct node *kept[graph_slots] = {0};
  while (!atomic_load(&graph_stop)) {
    random = random * 6364136223846793005u + 1442695040888963407u;
    struct node **slot = &kept[random >> 33 & (graph_slots - 1)];
    if (*slot && (*slot)->hidden[0] != ~(uintptr_t)*slot) atomic_fetch_add(&graph_bad, 1);
    if (*slot) graph_free(*slot);
    size_t more = (random >> 45 & 1023) * (random >> 60 == 0 ? 100 : 1);
    *slot = graph_alloc(sizeof **slot + more);
    (*slot)->hidden[0] = ~(uintptr_t)*slot;
  }
  for (int i = 0; i < graph_slots; i++)
    if (kept[i]) graph_free(kept[i]);
  return NULL;
}

static int graph_before; /* descriptors, before anybody asks for a dump: who answers opens one for a moment */

static void graph_wait(void) {
  struct pollfd input = {STDIN_FILENO, POLLIN, 0};
  int got, error;
  do {
    got = poll(&input, 1, 300000);
    error = errno;
  } while (GRAPH_SEES_SIGNALS && got < 0 && error == EINTR);
  printf("poll %d %s\n", got, got < 0 ? strerror(error) : "");
  error = 0;
  if (waitpid(-1, NULL, WNOHANG) < 0) error = errno;
  printf("wait %s\n", error == ECHILD ? "no child" : "a child");
  printf("SIGCHLD %d\n", atomic_load(&graph_children));
  printf("descriptors %+d\n", graph_descriptors() - graph_before);
}

static void graph_run(void) {
  pthread_t thread[graph_threads];
  for (uintptr_t i = 0; i < graph_threads; i++) pthread_create(&thread[i], NULL, graph_work, (void *)i);
  graph_wait();
  atomic_store(&graph_stop, 1);
  for (int i = 0; i < graph_threads; i++) pthread_join(thread[i], NULL);
  printf("bad %ld\n", atomic_load(&graph_bad));
}

/* What calls have left on the stack would be found in the frames of later ones. */
__attribute__((noinline)) static void graph_wipe(void) {
  volatile char frame[65536];
  for (size_t i = 0; i < sizeof frame; i++) frame[i] = 0;
}

/* No register of the callers ever holds the object. */
__attribute__((noinline)) static void graph_hold(struct node *volatile *held) {
  *held = graph_node("held1");
  (*held)->left = graph_node("held2");
}

/* Its frame holds the only pointer. */
__attribute__((noinline)) static void graph_holder(const char *how) {
  struct node *volatile held;
  graph_hold(&held);
  graph_before = graph_descriptors();
  printf("ready\n");
  fflush(stdout);
  graph_wipe();
  if (strcmp(how, "poll") == 0) graph_wait();
  if (strcmp(how, "threads") == 0) graph_run();
  if (strcmp(how, "undumpable") == 0 || strcmp(how, "filtered") == 0) graph_wait();
  if (strcmp(how, "exit") == 0) exit(7);
  held = NULL;
}

/* Nothing is forbidden, but who knows. */
static void graph_filter(void) {
  struct sock_filter all = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  struct sock_fprog program = {1, &all};
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IOFBF, 1 << 16);
  signal(SIGCHLD, graph_child);
  if (argc > 1 && strcmp(argv[1], "undumpable") == 0) prctl(PR_SET_DUMPABLE, 0);
  if (argc > 1 && strcmp(argv[1], "filtered") == 0) graph_filter();
  graph_make();
  graph_holder(argc > 1 ? argv[1] : "exit");
  return 7;
}
