/* SPDX-License-Identifier: MIT
 * How long a collector stops a program: pauses MIB ordered|shuffled MILLIONS.
 *
 * MIB of live nodes stand in trees of 1023 nodes, laid out in the order of their addresses or at random over
 * the whole heap. First collections are asked for. Then MILLIONS of objects are allocated; most die at once,
 * one in eight is a node of a tree that will replace one of the standing trees. Pauses are told twice:
 *  - by the collector itself, of full and of minor collections; libgc does not tell them apart: all are called full;
 *  - from outside, as gaps between two allocations, whatever the allocator did in between.
 * Both in time that passed, and in processor time of the allocating thread (for outside ones to 0.1 ms), which
 * other programs on the machine do not lengthen. */
#include "collected.h"

#ifdef BENCH_OURS
#include <gc_ext.h>
#endif

#include <stdbool.h>

enum { tree_nodes = 1023, window_objects = 256, spans_most = 1 << 20, cpu_every = 1024 };
static const double gap_least = 100e-6;

/* A sample of durations. */
struct spans {
  double *wall, *cpu;
  size_t count;
};

static void spans_init(struct spans *spans) {
  spans->wall = hidden_take(spans_most * sizeof(double));
  spans->cpu = hidden_take(spans_most * sizeof(double));
}

static void spans_add(struct spans *spans, double wall, double cpu) {
  if (spans->count == spans_most) return;
  spans->wall[spans->count] = wall;
  spans->cpu[spans->count++] = cpu;
}

static int double_compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void spans_tell_sorted(const char *what, const char *clock, double *values, size_t count) {
  char name[64];
  const struct { const char *name; double part; } ranks[] = {{"p50", .5}, {"p99", .99}, {"max", 1}};
  if (count == 0) return;
  qsort(values, count, sizeof *values, double_compare);
  for (int i = 0; i < 3; i++) {
    snprintf(name, sizeof name, "%s_%s_%s", what, clock, ranks[i].name);
    tell(name, values[(size_t)(ranks[i].part * (double)(count - 1) + 0.5)]);
  }
}

static void spans_tell(const char *what, struct spans *spans) {
  char name[64];
  double total = 0;
  for (size_t i = 0; i < spans->count; i++) total += spans->wall[i];
  snprintf(name, sizeof name, "%s_count", what);
  tell(name, (double)spans->count);
  snprintf(name, sizeof name, "%s_total", what);
  tell(name, total);
  spans_tell_sorted(what, "wall", spans->wall, spans->count);
  spans_tell_sorted(what, "cpu", spans->cpu, spans->count);
  spans->count = 0;
}

/* --- pauses as the collector tells them: of full collections, and of those of younger generations --- */

static struct spans full, minor;
static double stop_cpu;

#ifdef BENCH_OURS
/* libgc's events of stopping come only while no code of the program runs, which Gleaner does not call with. */
static void on_collection(const struct GC_event *event, void *arg) {
  (void)arg;
  if (event->phase == GC_PHASE_START) {
    stop_cpu = now_cpu();
  } else if (event->phase == GC_PHASE_STOP) {
    double pause = (double)event->collection.pause * 1e-9, cpu = now_cpu() - stop_cpu;
    spans_add(event->collection.generation == 2 ? &full : &minor, pause, cpu < pause ? cpu : pause);
  }
}

static void watch_collections(void) { GC_add_callback(on_collection, NULL); }
#else
static double stop_wall;

/* Called by the thread that collects. */
static void on_event(GC_EventType event) {
  if (event == GC_EVENT_PRE_STOP_WORLD) {
    stop_wall = now_wall();
    stop_cpu = now_cpu();
  } else if (event == GC_EVENT_POST_START_WORLD) {
    double wall = now_wall();
    spans_add(&full, wall - stop_wall, now_cpu() - stop_cpu);
  }
}

static void watch_collections(void) { GC_set_on_collection_event(on_event); }
#endif

/* --- pauses as the program feels them --- */

static struct spans gaps;
static double gap_from, cpu_then, cpu_then_wall;

static void gap_begin(void) {
  cpu_then = clock_seconds(CLOCK_THREAD_CPUTIME_ID);
  cpu_then_wall = gap_from = now_wall();
}

/* Processor time in this gap: all since it was last asked for, less what passed before the gap. */
static void gap_add(double wall) {
  double cpu = clock_seconds(CLOCK_THREAD_CPUTIME_ID) - cpu_then - (gap_from - cpu_then_wall);
  spans_add(&gaps, wall, cpu < 0 ? 0 : cpu > wall ? wall : cpu);
  gap_begin();
}

/* After each allocation. Two calls of the vDSO's clock for thousands of objects a millisecond. */
static inline void gap_look(long i) {
  double now = now_wall(), wall = now - gap_from;
  if (wall >= gap_least) gap_add(wall);
  else if (i % cpu_every == 0) gap_begin();
  else gap_from = now;
}

/* --- the heap --- */

static struct node *volatile *trees;
static size_t trees_count;

static struct node *tree_link(struct node **nodes) {
  for (size_t i = 0; 2 * i + 2 < tree_nodes; i++) {
    nodes[i]->link[0] = nodes[2 * i + 1];
    nodes[i]->link[1] = nodes[2 * i + 2];
  }
  return nodes[0];
}

static void heap_build(double mib, bool shuffled) {
  uint64_t state = 88172645463325252u;
  trees_count = (size_t)(mib * (1 << 20)) / (tree_nodes * sizeof(struct node)) + 1;
  size_t count = trees_count * tree_nodes, bytes = count * sizeof(struct node *);
  struct node **nodes = hidden_take(bytes);
  trees = need(take(trees_count * sizeof *trees));
  GC_disable();
  for (size_t i = 0; i < count; i++) nodes[i] = node_new(1);
  if (shuffled) nodes_shuffle(nodes, count, &state);
  for (size_t i = 0; i < trees_count; i++) trees[i] = tree_link(nodes + i * tree_nodes);
  munmap(nodes, bytes);
  GC_enable();
}

static uint64_t *volatile window[window_objects]; /* what was allocated last lives */

/* The nodes of the next tree stand in an object that the collector sees, as a program's would. */
static void heap_churn(long total, bool shuffled) {
  uint64_t state = 2463534242u;
  struct node **next = need(take(tree_nodes * sizeof *next));
  size_t made = 0;
  gap_begin();
  for (long i = 0; i < total; i++) {
    uint64_t r = random_next(&state);
    if (r % 8 == 0) {
      next[made++] = node_new(1);
      if (made == tree_nodes) {
        if (shuffled) nodes_shuffle(next, tree_nodes, &state);
        trees[(r >> 8) % trees_count] = tree_link(next);
        memset(next, 0, tree_nodes * sizeof *next);
        made = 0;
      }
    } else {
      uint64_t *object = need(take(16 + (r >> 40) % 13 * 8));
      *object = r;
      window[(r >> 8) % window_objects] = object;
    }
    gap_look(i);
  }
}

static uint64_t tree_sum(const struct node *node) {
  return node ? node->number + tree_sum(node->link[0]) + tree_sum(node->link[1]) : 0;
}

int main(int argc, char **argv) {
  enum { asked_count = 3 };
  if (argc != 4) return fputs("usage: pauses MIB ordered|shuffled MILLIONS\n", stderr), 2;
  double mib = atof(argv[1]);
  bool shuffled = strcmp(argv[2], "shuffled") == 0;
  GC_INIT();
  have_markers();
  spans_init(&full);
  spans_init(&minor);
  spans_init(&gaps);
  watch_collections();

  double cpu = now_cpu();
  heap_build(mib, shuffled);
  tell("build_cpu", now_cpu() - cpu);
  struct spans asked = {0};
  spans_init(&asked);
  for (int i = 0; i < asked_count; i++) {
    double from = now_wall();
    cpu = now_cpu();
    GC_gcollect();
    spans_add(&asked, now_wall() - from, now_cpu() - cpu);
  }
  tell("asked_first", asked.wall[0]);
  spans_tell("asked", &asked);
  spans_tell("asked_stop", &full);

  long total = (long)(atof(argv[3]) * 1e6), faults = faults_so_far();
  double wall = now_wall();
  cpu = now_cpu();
  heap_churn(total, shuffled);
  double used = now_cpu() - cpu;
  wall = now_wall() - wall;
  spans_tell("full", &full);
  spans_tell("minor", &minor);
  spans_tell("gap", &gaps);
  tell("churn_wall", wall);
  tell("churn_cpu", used);
  tell("churn_faults", (double)(faults_so_far() - faults));
  tell("peak_mib", status_kib("VmHWM:") / 1024);
  uint64_t sum = 0;
  for (size_t i = 0; i < trees_count; i++) sum += tree_sum(trees[i]);
  tell("missing", (double)trees_count * tree_nodes - (double)sum); /* 0, or live memory was reclaimed */
  return 0;
}
