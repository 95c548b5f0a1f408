/* SPDX-License-Identifier: MIT
 * Several markers: the same as one marks, whatever the stacks hold, and whatever the kernel refuses. */
#include "config.h"

#include "gc/workers.h"

#include "gc_help.h"
#include "graph.h"
#include "os/spawn.h"
#include "tap.h"

#include <dirent.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct mark_colour plain = {STATE_LIVE | STATE_MARK, STATE_LIVE, STATE_MARK};
static const struct mark_colour aged = {STATE_LIVE | STATE_MARK | STATE_AGE_1, STATE_LIVE | STATE_AGE_1, STATE_MARK};

/* Roots: every hundredth node, one word at a time. */
static unsigned mark_graph(const struct graph *graph, const struct mark_options *options, struct mark_colour colour) {
  heap_lock();
  if (mark_begin(options) != 0) abort();
  mark_use(colour);
  for (size_t i = 0; i < graph->count; i += 100) {
    uintptr_t word = ~graph->node[i];
    mark_range((uintptr_t)&word, (uintptr_t)(&word + 1));
  }
  for (size_t i = 50; i < graph->count; i += 1000) { /* not taken itself; and taken */
    mark_contents(region_find(~graph->node[i]), block_slot(region_find(~graph->node[i]), ~graph->node[i]));
    if (i + 1 < graph->count) mark_slot(region_find(~graph->node[i + 1]), block_slot(region_find(~graph->node[i + 1]), ~graph->node[i + 1]));
  }
  mark_all();
  unsigned markers = mark_count();
  mark_end();
  heap_unlock();
  return markers;
}

static bool is_same(struct graph_sum a, struct graph_sum b) { return a.count == b.count && a.print == b.print; }

static size_t entries(const char *path) {
  DIR *folder = opendir(path);
  size_t count = 0;
  while (readdir(folder)) count++;
  closedir(folder);
  return count;
}

static void test_random(void) {
  enum { nodes = 60000, rounds = 24 };
  uint64_t seed = tap_seed();
  struct graph graph = graph_make(nodes, &seed);
  size_t tasks = entries("/proc/self/task"), descriptors = entries("/proc/self/fd");
  bool good = true, gone = true;
  unsigned most = 0;
  for (int round = 0; round < rounds && good; round++) {
    graph_link(&graph, 0.3 + (double)(round % 6) * 0.4, &seed);
    struct mark_options options = {.no_scouts = true};
    mark_graph(&graph, &options, plain);
    struct graph_sum want = graph_unmark(STATE_LIVE | STATE_MARK, STATE_LIVE | STATE_MARK);
    options.markers = 2 + (unsigned)tap_random(&seed) % 5;
    options.most_pending = round % 4 == 1 ? 20 : 0;
    options.unaligned = round % 8 == 6;
    options.later = round % 3 == 1;
    unsigned markers = mark_graph(&graph, &options, plain);
    struct graph_sum found = graph_unmark(STATE_LIVE | STATE_MARK, STATE_LIVE | STATE_MARK);
    good = options.unaligned ? found.count >= want.count : is_same(found, want);
    gone = gone && entries("/proc/self/task") == tasks;
    if (markers > most) most = markers;
    if (!good) tap_note("round %d, %u markers: %zu marked, %zu by one", round, markers, found.count, want.count);
  }
  OK(good, "%d random graphs are marked as by one marker, also with stacks for 20 objects", rounds);
  OK(most > 2, "by up to %u markers", most);
  OK(gone, "whose threads are gone when the search ends");
  OK(entries("/proc/self/fd") == descriptors, "and left no descriptor behind");
  graph_free(&graph);
}

/* The program runs: here another thread that frees and hands out meanwhile. */
static _Atomic bool running;
static void *mutate(void *arg) {
  uint8_t *state = arg;
  while (running) {
    *state = STATE_LIVE;
    *state = STATE_FREE;
  }
  return NULL;
}

static void test_running(void) {
  enum { nodes = 20000, rounds = 8 };
  uint64_t seed = tap_seed();
  struct graph graph = graph_make(nodes, &seed);
  bool good = true, new_left = true;
  uintptr_t new = help_alloc(64, KIND_SCANNED), other = help_alloc(64, KIND_SCANNED);
  help_free(other);
  for (int round = 0; round < rounds; round++) {
    graph_link(&graph, 1.5, &seed);
    help_link(graph.node[0], 1, new);
    for (size_t i = 0; i < graph.count; i++) *help_state(~graph.node[i]) = STATE_LIVE | STATE_AGE_1;
    struct mark_options options = {.no_scouts = true};
    mark_graph(&graph, &options, aged);
    struct graph_sum want = graph_unmark(STATE_LIVE | STATE_MARK, STATE_LIVE | STATE_MARK);
    pthread_t thread;
    running = true;
    pthread_create(&thread, NULL, mutate, help_state(~other));
    options.running = true;
    options.markers = 1 + (unsigned)round % 4;
    struct mark_colour any = {STATE_LIVE | STATE_MARK, STATE_LIVE, STATE_MARK}; /* takes what is new, if it may */
    mark_graph(&graph, &options, any);
    running = false;
    pthread_join(thread, NULL);
    new_left = new_left && *help_state(~new) == STATE_LIVE;
    good = good && is_same(graph_unmark(STATE_LIVE | STATE_MARK, STATE_LIVE | STATE_MARK), want);
  }
  OK(good, "with the program running, the same is marked");
  OK(new_left, "but what is new is left alone");
  help_free(new);
  for (size_t i = 0; i < graph.count; i++) *help_state(~graph.node[i]) = STATE_LIVE;
  graph_free(&graph);
}

/* One array that all hangs on, and one list: what can be split, and what cannot. */
static void test_shapes(void) {
  enum { many = 400000 };
  struct mark_options options = {.markers = 4, .no_scouts = true};
  uintptr_t wide = help_alloc(many * sizeof(uintptr_t), KIND_SCANNED);
  struct graph graph = {1, &wide, NULL};
  uintptr_t *node = malloc(many * sizeof *node);
  for (size_t i = 0; i < many; i++) help_link(wide, i, node[i] = help_alloc(32, KIND_SCANNED));
  mark_graph(&graph, &options, plain);
  OK(graph_unmark(STATE_LIVE | STATE_MARK, STATE_LIVE | STATE_MARK).count == many + 1, "an array of %d is marked", many);
  for (size_t i = 0; i < many; i++) help_link(wide, i, ~(uintptr_t)0);
  for (size_t i = 0; i + 1 < many; i++) help_link(node[i], 1, node[i + 1]);
  help_link(wide, many / 2, node[0]);
  mark_graph(&graph, &options, plain);
  OK(graph_unmark(STATE_LIVE | STATE_MARK, STATE_LIVE | STATE_MARK).count == many + 1, "and a list of as many");
  for (size_t i = 0; i < many; i++) help_free(node[i]);
  help_free(wide);
  free(node);
}

/* In a child, after it has given up the right to make threads. Returns how many markers there were, or 0 when the result was
 * another. */
static int mark_without(void (*refuse)(void), const struct graph *graph, struct graph_sum want) {
  pid_t child = fork();
  if (child == 0) {
    refuse();
    struct mark_options options = {.markers = 4, .no_scouts = true};
    unsigned markers = mark_graph(graph, &options, plain);
    _exit(is_same(graph_unmark(STATE_LIVE | STATE_MARK, STATE_LIVE | STATE_MARK), want) ? (int)markers : 0);
  }
  int status;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 0;
}

static void refuse_nothing(void) {}

static void refuse_by_limit(void) {
  struct rlimit none = {1, 1};
  setrlimit(RLIMIT_NPROC, &none);
  if (getuid() == 0 && syscall(SYS_setresuid, 65534, 65534, 65534) != 0) _exit(0);
}

static void refuse_by_filter(void) {
  struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  struct sock_fprog program = {1, &allow};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) _exit(1);
}

static void test_refused(void) {
  uint64_t seed = tap_seed();
  struct graph graph = graph_make(60000, &seed);
  graph_link(&graph, 2, &seed);
  struct mark_options options = {.no_scouts = true};
  mark_graph(&graph, &options, plain);
  struct graph_sum want = graph_unmark(STATE_LIVE | STATE_MARK, STATE_LIVE | STATE_MARK);
  int markers = mark_without(refuse_nothing, &graph, want);
  OK(markers > 1, "a fork child has several markers as well (%d)", markers);
  OK(mark_without(refuse_by_limit, &graph, want) == 1, "where threads are refused, one marker does all");
  OK(mark_without(refuse_by_filter, &graph, want) == 1, "nor are they asked for under a filter that came later");
  graph_free(&graph);
}

int main(void) {
  help_init();
  os_spawn_init();
  OK(workers_best(0) == 1 && workers_best(31 << 20) == 1, "a small heap deserves one marker");
  OK(workers_best((size_t)64 << 30) >= 1, "a large one as many as there are processors: %u", workers_best((size_t)64 << 30));
  test_random();
  test_running();
  test_shapes();
  test_refused();
  return tap_end();
}
