/* SPDX-License-Identifier: MIT
 * What a program may do while markers run beside it: meanwhile alone|protect|number|replace|descriptors|resize|fork|clone. It keeps a graph that takes a while to
 * mark, loses memory all the time, and says on its standard output whether all went as it does without us. */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { nodes = 150000, times = 400, page = 4096 };

struct node {
  struct node *left, *right;
  uint64_t value[5];
};
static struct node **graph; /* in memory that is a root as well, but small beside it */

static uint64_t seed = 88172645463325252u;
static uint64_t next(void) {
  seed ^= seed << 13;
  seed ^= seed >> 7;
  return seed ^= seed << 17;
}

static struct node *root;

/* A tree, at random places; addresses are not kept. */
static void grow(size_t count) {
  graph = mmap(NULL, count * sizeof *graph, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  for (size_t i = 0; i < count; i++) {
    graph[i] = malloc(sizeof *graph[i]);
    memset(graph[i], 0, sizeof *graph[i]);
    graph[i]->value[0] = i;
  }
  for (size_t i = 0; i < count; i++) {
    if (2 * i + 1 < count) graph[i]->left = graph[2 * i + 1];
    if (2 * i + 2 < count) graph[i]->right = graph[2 * i + 2];
  }
  root = graph[0];
  munmap(graph, count * sizeof *graph);
}

static uint64_t sum(const struct node *n) { return n ? n->value[0] + sum(n->left) + sum(n->right) : 0; }

static void lose(void) {
  char *lost = malloc(20000);
  memset(lost, 1, 20000);
  for (int i = 0; i < 100; i++) *(volatile char *)malloc(64) = 1;
  struct node *again = malloc(sizeof *again); /* takes the place of the root, which is lost */
  *again = *root;
  root = again;
}

static int bad;

/* Refused with EINVAL where there is a second thread. */
static void alone(void) {
  for (int i = 0; i < times; i++) {
    lose();
    int flags = CLONE_THREAD | CLONE_SIGHAND;
    bad += (i % 2 ? unshare(flags) : (int)syscall(SYS_unshare, flags)) != 0;
  }
}

enum { pieces = 64, piece_pages = 16 };
static char *piece[pieces];

static char *some_page(void) {
  for (int i = 0; i < pieces && !piece[i]; i++) memset(piece[i] = aligned_alloc(page, piece_pages * page), i, piece_pages * page);
  return piece[next() % pieces] + next() % piece_pages * page;
}

/* Unreadable for a while, by calls that are not mprotect. */
static void number(void) {
  for (int i = 0; i < times; i++) {
    char *at = some_page();
    lose();
    if (i % 2) bad += syscall(SYS_mprotect, at, (size_t)page, PROT_NONE) != 0;
    else bad += pkey_mprotect(at, page, PROT_NONE, -1) != 0;
    lose();
    bad += syscall(SYS_mprotect, at, (size_t)page, PROT_READ | PROT_WRITE) != 0;
  }
}

/* Something else is there, or nothing, for a while. */
static void replace(void) {
  enum { anonymous = MAP_PRIVATE | MAP_ANONYMOUS };
  char *away = mmap(NULL, page, PROT_NONE, anonymous, -1, 0);
  for (int i = 0; i < times; i++) {
    char *at = some_page();
    lose();
    if (i % 3 == 0) bad += mmap(at, page, PROT_NONE, anonymous | MAP_FIXED, -1, 0) != at;
    else if (i % 3 == 1) bad += munmap(at, page) != 0;
    else bad += mremap(at, page, page, MREMAP_MAYMOVE | MREMAP_FIXED, away) != away;
    lose();
    if (i % 3 == 2) bad += mremap(away, page, page, MREMAP_MAYMOVE | MREMAP_FIXED, at) != at;
    else bad += mmap(at, page, PROT_READ | PROT_WRITE, anonymous | MAP_FIXED, -1, 0) != at;
  }
}

/* The lowest free descriptor is the next one, and what lies above is nobody's but the program's. Large objects, mostly never touched, and
 * one with a page that is not readable are what markers ask the kernel about. */
static void descriptors(void) {
  enum { large = 1 << 20, many = 200 };
  char **last = NULL, **unreadable = aligned_alloc(page, 4 * page);
  for (int i = 0; i < many; i++) {
    char **object = malloc(large);
    object[1000] = (char *)last;
    last = object;
  }
  unreadable[0] = (char *)last;
  mprotect((char *)unreadable + page, page, PROT_NONE);
  root->value[4] = (uint64_t)unreadable;
  for (int i = 0; i < 100 * times; i++) {
    if (i % 100 == 0) lose();
    close(0);
    int fd = open("/dev/null", O_RDONLY);
    bad += fd != 0;
    if (fd > 0) close(fd);
    if (fd != 0) dup2(2, 0);
  }
}

/* Pages of objects that are reachable are made unreadable for a while. */
static void protect(void) {
  enum { many = 64, size = 16 * page };
  char *object[many];
  for (int i = 0; i < many; i++) memset(object[i] = aligned_alloc(page, size), i, size);
  for (int i = 0; i < times; i++) {
    lose();
    char *at = object[next() % many] + next() % 16 * page;
    int protection = next() % 3 ? PROT_NONE : PROT_READ;
    bad += mprotect(at, page, protection) != 0;
    if (next() % 2) lose();
    if (next() % 4) bad += mprotect(at, page, PROT_READ | PROT_WRITE) != 0;
  }
  for (int i = 0; i < many; i++) {
    mprotect(object[i], size, PROT_READ | PROT_WRITE);
    for (int k = 0; k < size; k++) bad += object[i][k] != i;
    free(object[i]);
  }
}

/* Large objects that grow, shrink, move and go; each with a node that only it leads to. */
static void resize(void) {
  enum { many = 24 };
  struct node **object[many] = {0};
  for (int i = 0; i < times; i++) {
    if (i % 8 == 0) lose();
    int k = (int)(next() % many);
    if (next() % 4 == 0) {
      if (object[k]) bad += object[k][0]->value[1] != (uint64_t)k;
      free(object[k]);
      object[k] = NULL;
    }
    bool new = !object[k];
    size_t words = 5000 + next() % 200000;
    object[k] = realloc(object[k], words * sizeof *object[k]);
    if (new) (object[k][0] = calloc(1, sizeof *object[k][0]))->value[1] = (uint64_t)k;
    bad += object[k][0]->value[1] != (uint64_t)k;
    object[k][words - 1] = object[k][0];
  }
}

static void child(void) {
  for (int i = 0; i < 60; i++) lose();
  _exit(bad ? 1 : sum(root) == (uint64_t)nodes * (nodes - 1) / 2 ? 0 : 2);
}

static void forks(void) {
  for (int i = 0; i < times / 20; i++) {
    int status;
    for (int k = 0; k < 10; k++) lose();
    pid_t pid = fork();
    if (pid == 0) child();
    bad += waitpid(pid, &status, 0) != pid || status != 0;
  }
}

/* Of this the C library is not told, so neither are we. */
static void clones(void) {
  for (int i = 0; i < times / 10; i++) {
    int status;
    for (int k = 0; k < 10; k++) lose();
    char *at = some_page();
    pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
    if (pid == 0) {
      alarm(60);
      int error = i % 2 ? unshare(CLONE_FS) : mprotect(at, page, PROT_NONE);
      _exit(error ? 1 : 0);
    }
    bad += waitpid(pid, &status, 0) != pid || status != 0;
  }
}

int main(int argc, char **argv) {
  const char *what = argc > 1 ? argv[1] : "";
  grow(nodes);
  if (strcmp(what, "alone") == 0) alone();
  else if (strcmp(what, "protect") == 0) protect();
  else if (strcmp(what, "number") == 0) number();
  else if (strcmp(what, "replace") == 0) replace();
  else if (strcmp(what, "descriptors") == 0) descriptors();
  else if (strcmp(what, "resize") == 0) resize();
  else if (strcmp(what, "fork") == 0) forks();
  else if (strcmp(what, "clone") == 0) clones();
  else return 2;
  printf("%s: %d went wrong; sum %s\n", what, bad, sum(root) == (uint64_t)nodes * (nodes - 1) / 2 ? "right" : "wrong");
  return 0;
}
