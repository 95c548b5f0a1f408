/* SPDX-License-Identifier: MIT
 * GC_why and GC_dump_heap by their public names. */
#include "gc_ext.h"
#include "tap.h"
#include "wipe.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static long self(void) { return syscall(SYS_gettid); }

struct node {
  struct node *next, *other;
  uintptr_t more[4];
};

static struct node *volatile chain;
static _Thread_local struct node *volatile own;
static uintptr_t hidden_stack, hidden_garbage, hidden_local;

static struct node *node_make(struct node *next) {
  struct node *node = GC_malloc(sizeof *node);
  node->next = next;
  return node;
}

struct path {
  int count;
  struct GC_why_step step[16];
};

static void path_step(const struct GC_why_step *step, void *arg) {
  struct path *path = arg;
  if (path->count < 16) path->step[path->count] = *step;
  path->count++;
}

static long path_find(const void *object, struct path *path) {
  path->count = 0;
  return GC_why(object, path_step, path);
}

static void globals(void) {
  struct path path;
  struct node *c = node_make(NULL), *b = node_make(NULL), *a = node_make(b);
  b->other = c;
  chain = a;
  a = NULL; /* volatile chain alone counts: what this stack holds comes after other roots */
  long length = path_find(c, &path);
  OK(length == 3 && path.count == 3, "three steps lead from a global to the end of a chain: %ld", length);
  OK(path.step[0].root == GC_ROOT_GLOBAL && path.step[0].from == (const void *)&chain && path.step[0].thread == 0,
     "the first is from the global, by its address");
  OK(path.step[0].object == chain && path.step[1].object == b && path.step[2].object == c, "to each object in turn");
  OK(path.step[1].from == (const void *)&chain->next && path.step[2].from == (const void *)&b->other, "each from the word that leads on");
  OK(path.step[2].index == 2 && path.step[2].size >= sizeof(struct node), "with its number and its size");
  OK(path_find((char *)c + 20, &path) == 3, "an address inside of an object finds it");
  struct node *shorter = node_make(c);
  own = shorter;
  length = path_find(c, &path);
  OK(length == 2 && path.step[0].root == GC_ROOT_TLS && path.step[0].thread == self() && path.step[0].from == (const void *)&own,
     "a shorter way, from a thread-local variable, is told instead");
  own = NULL;
}

__attribute__((noinline)) static void hide(void) {
  hidden_local = ~(uintptr_t)node_make(NULL);
  hidden_garbage = ~(uintptr_t)node_make(NULL);
}

static void stacks(void) {
  struct path path;
  hide();
  struct node *volatile held = (struct node *)~hidden_local;
  long length = path_find((void *)~hidden_local, &path);
  OK(length == 1 && (path.step[0].root == GC_ROOT_STACK || path.step[0].root == GC_ROOT_REGISTERS) &&
         path.step[0].thread == self(),
     "what only this thread's stack holds is told so");
  (void)held;
}

static int pipe_of_thread[2];
__attribute__((noinline)) static void *thread_run(void *arg) {
  struct node *volatile mine = node_make(NULL);
  char c;
  (void)arg;
  hidden_stack = ~(uintptr_t)mine;
  if (write(pipe_of_thread[1], "", 1) < 0 || usleep(0) < 0) return NULL;
  while (hidden_stack) usleep(1000);
  c = (char)(uintptr_t)mine->next;
  return (void *)(uintptr_t)c;
}

static void other_threads(void) {
  struct path path;
  pthread_t thread;
  char c;
  if (pipe(pipe_of_thread) != 0 || pthread_create(&thread, NULL, thread_run, NULL) != 0 || read(pipe_of_thread[0], &c, 1) != 1) return;
  long length = path_find((void *)~hidden_stack, &path);
  OK(length == 1 && path.step[0].root == GC_ROOT_STACK && path.step[0].thread != self(), "so is another thread's");
  hidden_stack = 0;
  pthread_join(thread, NULL);
}

/* Under the preloaded library the one heap serves malloc as well. */
static bool heap_serves_malloc(void) {
  void *p = malloc(10);
  bool serves = GC_is_heap_ptr(p);
  free(p);
  return serves;
}

static void kept(void) {
  struct path path;
  void **hold = GC_malloc_uncollectable(64);
  uintptr_t hidden = ~(uintptr_t)hold;
  *hold = node_make(NULL);
  uintptr_t inside = ~(uintptr_t)*hold;
  hold = NULL;
  wipe();
  long length = path_find((void *)~inside, &path);
  OK(length >= 1 && path.step[length - 1].object == (void *)~inside, "what an uncollectable object holds is reached");
  GC_free((void *)~hidden);
  if (!heap_serves_malloc()) {
    void **far = malloc(4096);
    uintptr_t object;
    GC_add_roots(far, far + 512);
    far[100] = node_make(NULL);
    object = ~(uintptr_t)far[100];
    wipe();
    length = path_find((void *)~object, &path);
    OK(length == 1 && (path.step[0].root == GC_ROOT_DECLARED || path.step[0].root == GC_ROOT_STACK), "what was declared a root is told so");
    GC_remove_roots(far, far + 512);
    free(far);
  }
}

/* --- what nothing leads to but this library --- */

static GC_ToggleRefStatus GC_CALLBACK stay_strong(void *object) {
  (void)object;
  return GC_TOGGLE_REF_STRONG;
}

static uintptr_t hidden_pinned, hidden_toggled, hidden_value;
static struct GC_weak_map *map;

__attribute__((noinline)) static void hand_over(void) {
  struct node *pinned = node_make(NULL), *toggled = node_make(NULL), *value = node_make(NULL);
  GC_pin(pinned);
  GC_set_toggleref_func(stay_strong);
  GC_toggleref_add(toggled, 1);
  map = GC_weak_map_new();
  GC_weak_map_set(map, chain, value);
  hidden_pinned = ~(uintptr_t)pinned, hidden_toggled = ~(uintptr_t)toggled, hidden_value = ~(uintptr_t)value;
}

static bool is_kept(uintptr_t hidden) {
  struct path path;
  return path_find((void *)~hidden, &path) == 1 && path.step[0].root == GC_ROOT_KEPT;
}

static void handed_over(void) {
  hand_over();
  wipe();
  OK(is_kept(hidden_pinned), "what is pinned is told so");
  OK(is_kept(hidden_value), "so is a value of a weak map");
  OK((GC_collect(0, NULL) == -1 && errno == ENOTSUP) || is_kept(hidden_toggled), "and what a strong toggle reference holds");
  GC_unpin((void *)~hidden_pinned);
  map = NULL;
}

static void errors(void) {
  struct path path;
  int local = 0;
  errno = 0;
  OK(path_find(&local, &path) == -1 && errno == EINVAL && path.count == 0, "what is no object is EINVAL");
  errno = 0;
  OK(GC_why(NULL, path_step, &path) == -1 && errno == EINVAL, "nor is NULL one");
  errno = 123;
  OK(GC_why(chain, NULL, NULL) == 1 && errno == 123, "without a callback the length is told, and errno kept");
}

/* --- dumps --- */

static _Atomic int children;
static void child_ended(int number) { (void)number, children++; }

static void dumps(void) {
  char path[] = "/tmp/gleaner-heap.XXXXXX", head[16] = "";
  struct stat file;
  int fd = mkstemp(path), before = dup(0);
  close(before);
  signal(SIGCHLD, child_ended);
  errno = 123;
  OK(GC_dump_heap(path) == 0 && errno == 123, "a dump is written, and errno kept");
  OK(read(fd, head, 15) == 15 && strcmp(head, "gleaner-dump 1\n") == 0, "it begins as it should");
  OK(fstat(fd, &file) == 0 && file.st_size > 200, "and goes on");
  OK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD && children == 0, "there is no child, and none was heard of");
  int after = dup(0);
  OK(after == before, "no descriptor is left");
  close(after);
  errno = 0;
  OK(GC_dump_heap("/nowhere/dump") == -1 && errno == ENOENT, "where no file can be made, errno tells why");
  errno = 0;
  OK(GC_dump_heap(NULL) == -1 && errno == EINVAL, "NULL is EINVAL");
  errno = 0;
  OK(access("/dev/full", W_OK) != 0 || (GC_dump_heap("/dev/full") == -1 && errno == ENOSPC), "a full disk is told");
  pid_t child = fork();
  if (child == 0) _exit(GC_dump_heap(path) == 0 ? 0 : 1);
  int status = -1;
  OK(waitpid(child, &status, 0) == child && status == 0, "a fork child may write one as well");
  unlink(path);
  close(fd);
}

int main(void) {
  GC_init();
  globals();
  stacks();
  other_threads();
  kept();
  handed_over();
  errors();
  dumps();
  chain = NULL;
  return tap_end();
}
