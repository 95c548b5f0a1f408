/* SPDX-License-Identifier: MIT
 * Marking while the program runs: that it ends as it should, however it is cut short, and that whatever the program does to its
 * memory meanwhile does no harm. The program's part of the bargain (written pages are looked into again) is not tested here. */
#include "config.h"

#include "gc/concurrent.h"

#include "gc/workers.h"
#include "gc_help.h"
#include "graph.h"
#include "heap/units.h"
#include "os/spawn.h"
#include "tap.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* As a full collection has it, once before and once after the marks were inverted. */
static uint8_t unmarked;
static struct mark_colour colour(void) {
  return (struct mark_colour){STATE_OWNED | STATE_FROZEN | STATE_MARK, STATE_LIVE | unmarked, STATE_MARK};
}

static const struct mark_options options = {.no_scouts = true, .later = true, .markers = 3};

static size_t tasks(void) {
  DIR *folder = opendir("/proc/self/task");
  size_t count = 0;
  while (readdir(folder)) count++;
  closedir(folder);
  return count - 2;
}

static void set_old(const struct graph *graph) {
  for (size_t i = 0; i < graph->count; i++) *help_state(~graph->node[i]) = STATE_LIVE | STATE_AGE_2 | unmarked;
}

static void tell_roots(const struct graph *graph) {
  for (size_t i = 0; i < graph->count; i += 100) {
    uintptr_t word = ~graph->node[i];
    mark_range((uintptr_t)&word, (uintptr_t)(&word + 1));
  }
}

/* The first stop. */
static int begin(const struct graph *graph, unsigned markers) {
  heap_lock();
  if (mark_begin(&options) != 0) abort();
  mark_use(colour());
  tell_roots(graph);
  int error = concurrent_begin(markers);
  heap_unlock();
  return error;
}

/* The second. */
static void end(const struct graph *graph) {
  heap_lock();
  if (concurrent_join() != 0) abort();
  tell_roots(graph);
  mark_all();
  mark_end();
  heap_unlock();
}

/* What is marked of what is old. */
static struct graph_sum sum(void) {
  const uint8_t mask = STATE_LIVE | STATE_AGE_2 | STATE_MARK;
  return graph_unmark(mask, (uint8_t)(STATE_LIVE | STATE_AGE_2 | (unmarked ^ STATE_MARK)));
}

static struct graph_sum mark_alone(const struct graph *graph) {
  struct mark_options alone = {.no_scouts = true};
  heap_lock();
  if (mark_begin(&alone) != 0) abort();
  mark_use(colour());
  tell_roots(graph);
  mark_all();
  mark_end();
  heap_unlock();
  return sum();
}

static bool is_same(struct graph_sum a, struct graph_sum b) { return a.count == b.count && a.print == b.print; }

static void test_result(struct graph *graph, uint64_t *seed) {
  enum { rounds = 30 };
  bool good = true, ended = true, gone = true;
  for (int round = 0; round < rounds && good; round++) {
    unmarked = round % 2 ? STATE_MARK : 0;
    graph_link(graph, 0.5 + 0.4 * (round % 5), seed);
    set_old(graph);
    struct graph_sum want = mark_alone(graph);
    if (begin(graph, (unsigned)round % 4) != 0) abort();
    if (round % 3 == 0) os_thread_sleep(tap_random(seed) % 4000000);
    if (round % 3 == 1) concurrent_wait(0);
    ended = ended && (round % 3 != 1 || concurrent_progress() == CONCURRENT_MARKED);
    end(graph);
    gone = gone && tasks() == 1 && concurrent_progress() == CONCURRENT_IDLE;
    struct graph_sum found = sum();
    good = is_same(found, want);
    if (!good) tap_note("round %d: %zu marked, %zu expected", round, found.count, want.count);
  }
  OK(good, "what is marked meanwhile and afterwards is what is marked at once");
  OK(ended, "it says when it is done");
  OK(gone, "no thread is left at the end");
}

static void test_cut_short(struct graph *graph, uint64_t *seed) {
  bool good = true, gone = true;
  for (int round = 0; round < 12; round++) {
    unmarked = round % 2 ? STATE_MARK : 0;
    set_old(graph);
    struct graph_sum want = mark_alone(graph);
    begin(graph, 2);
    os_thread_sleep(tap_random(seed) % 3000000);
    concurrent_cut_short();
    gone = gone && tasks() == 1 && concurrent_progress() == CONCURRENT_MARKED;
    end(graph);
    good = good && is_same(sum(), want);
  }
  OK(gone, "cut short, its threads are gone at once");
  OK(good, "and the rest is marked at the end");
}

static void test_forget(struct graph *graph, uint64_t *seed) {
  bool good = true, new = true;
  uintptr_t later = help_alloc(64, KIND_SCANNED), word = ~later;
  for (int round = 0; round < 20; round++) {
    unmarked = round % 2 ? STATE_MARK : 0;
    set_old(graph);
    begin(graph, 2);
    os_thread_sleep(tap_random(seed) % 3000000);
    heap_lock();
    if (round % 3 == 0) {
      concurrent_join();
      mark_range((uintptr_t)&word, (uintptr_t)(&word + 1));
      mark_all();
    }
    concurrent_forget();
    heap_unlock();
    good = good && sum().count == 0 && tasks() == 1;
    new = new && *help_state(~later) == STATE_LIVE;
  }
  OK(good, "given up, it leaves no mark behind");
  OK(new, "and what is new is new again");
  word = 0;
  help_free(later);
}

/* The program allocates, frees and resizes what nothing of the graph leads to, or what it leads to by chance. */
static void test_heap_changes(struct graph *graph, uint64_t *seed) {
  enum { many = 3000, rounds = 12 };
  uintptr_t *other = malloc(many * sizeof *other);
  struct graph_sum want;
  bool good = true, new_left = true;
  unmarked = 0;
  for (int round = 0; round < rounds; round++) {
    set_old(graph);
    for (int i = 0; i < many; i++) other[i] = help_alloc(i % 8 == 0 ? 40000 + tap_random(seed) % 400000 : 200 + (size_t)i * 10, KIND_SCANNED);
    for (int i = 0; i < many; i++) help_link(other[i], 0, other[tap_random(seed) % many]);
    want = mark_alone(graph);
    begin(graph, 2);
    for (int i = 0; i < many; i++) {
      struct block *block = region_find(~other[i]);
      if (!block->slot_size && i % 3 == 0) {
        void *moved = large_resize(block, tap_random(seed) % 2 ? 33000 : 900000);
        *(uintptr_t *)moved = 0;
        other[i] = ~(uintptr_t)moved;
      } else if (i % 5) {
        help_free(other[i]);
        other[i] = help_alloc(i % 7 == 0 ? 70000 : 3000, KIND_SCANNED);
        help_link(other[i], 0, graph->node[(size_t)i % graph->count]);
        new_left = new_left && (*help_state(~other[i]) == STATE_LIVE);
      }
      if (i % 500 == 0) heap_purge(true);
    }
    if (round % 2) concurrent_wait(0);
    end(graph);
    good = good && is_same(sum(), want) && heap_verify(help_cache);
    for (int i = 0; i < many; i++) help_free(other[i]);
  }
  OK(good, "blocks that come, go, grow and shrink meanwhile do no harm");
  OK(new_left, "and what is new stays as it is");
  free(other);
}

/* Memory freed meanwhile is given back when all is over, and what was made meanwhile at once. */
static void test_room(struct graph *graph) {
  enum { size = 1 << 20, many = 2000 };
  unmarked = 0;
  set_old(graph);
  uintptr_t before = help_alloc(size, KIND_SCANNED);
  struct block *block = region_find(~before);
  begin(graph, 1);
  size_t used = atomic_load(&region.used);
  help_free(before);
  OK(region_find(~before) == block && *block->state == STATE_FREE, "a block that was there stays in its place when it is freed");
  for (int i = 0; i < many; i++) help_free(help_alloc(size, KIND_SCANNED));
  OK(atomic_load(&region.used) - used < 64 * size / block_unit, "one that was not is used again at once");
  end(graph);
  sum();
  OK(region_find(~before) != block || *block->state != STATE_FREE, "in the end it is given up");
}

/* Pages come and go under the markers' eyes. A marker that touches one that nobody may read ends the test. */
static void test_protection(struct graph *graph, uint64_t *seed) {
  enum { rounds = 20, times = 300 };
  bool good = true;
  size_t paused = 0;
  for (int round = 0; round < rounds; round++) {
    unmarked = round % 2 ? STATE_MARK : 0;
    set_old(graph);
    struct graph_sum want = mark_alone(graph);
    uintptr_t page[times];
    begin(graph, 2);
    for (int i = 0; i < times; i++) {
      page[i] = ~graph->node[tap_random(seed) % graph->count] & ~(uintptr_t)4095;
      paused += concurrent_progress() == CONCURRENT_MARKING;
      unsigned number = concurrent_bar(page[i], page[i] + 4096);
      mprotect((void *)page[i], 4096, PROT_NONE);
      concurrent_barred(number);
      if (i % 2) mprotect((void *)page[i], 4096, PROT_READ | PROT_WRITE);
    }
    if (round % 2) concurrent_wait(0);
    end(graph);
    for (int i = 0; i < times; i++) mprotect((void *)page[i], 4096, PROT_READ | PROT_WRITE);
    good = good && is_same(sum(), want);
  }
  OK(good, "pages made unreadable meanwhile are marked through all the same (%zu times of %d)", paused, rounds * times);
  OK(paused > 0, "and markers were at work then");
}

/* A range that is about to become unreadable at the first stop. */
static void test_expected(struct graph *graph) {
  unmarked = 0;
  set_old(graph);
  struct graph_sum want = mark_alone(graph);
  uintptr_t lo = ~graph->node[0] & ~(uintptr_t)4095, hi = lo + 16 * 4096;
  unsigned number = concurrent_bar(lo, hi);
  begin(graph, 1);
  mprotect((void *)lo, hi - lo, PROT_NONE);
  concurrent_barred(number);
  concurrent_wait(0);
  end(graph);
  mprotect((void *)lo, hi - lo, PROT_READ | PROT_WRITE);
  OK(is_same(sum(), want), "so is what was just about to become so when it began");
}

static int in_child(void (*what)(struct graph *graph), struct graph *graph) {
  int status;
  pid_t child = fork();
  if (child == 0) {
    heap_fork_child(help_cache);
    concurrent_fork_child();
    world_fork_child();
    what(graph);
    _exit(0);
  }
  waitpid(child, &status, 0);
  return status;
}

static void child_restores(struct graph *graph) {
  if (tasks() != 1 || concurrent_progress() != CONCURRENT_IDLE) _exit(1);
  heap_lock();
  concurrent_restore();
  heap_unlock();
  struct graph_sum none = sum();
  if (none.count != 0) _exit(2);
  struct graph_sum want = mark_alone(graph);
  begin(graph, 2);
  concurrent_wait(0);
  end(graph);
  _exit(is_same(sum(), want) && heap_verify(help_cache) ? 0 : 3);
}

static void child_exits(struct graph *graph) {
  begin(graph, 2);
  exit(0);
}

static void child_ends_its_main_thread(struct graph *graph) {
  begin(graph, 2);
  syscall(SYS_exit, 0);
}

static void child_is_refused(struct graph *graph) {
  struct rlimit none = {1, 1};
  struct graph_sum want = mark_alone(graph);
  setrlimit(RLIMIT_NPROC, &none);
  if (getuid() == 0 && syscall(SYS_setresuid, 65534, 65534, 65534) != 0) _exit(1);
  if (begin(graph, 2) != EAGAIN) _exit(2);
  heap_lock();
  mark_all();
  mark_end();
  heap_unlock();
  _exit(is_same(sum(), want) ? 0 : 3);
}

static void test_processes(struct graph *graph, uint64_t *seed) {
  int bad = 0;
  for (int round = 0; round < 16 && !bad; round++) {
    unmarked = round % 2 ? STATE_MARK : 0;
    set_old(graph);
    begin(graph, 2);
    os_thread_sleep(tap_random(seed) % 3000000);
    uintptr_t large = help_alloc(100000, KIND_SCANNED);
    help_free(large);
    bad = in_child(child_restores, graph);
    end(graph);
    sum();
  }
  OK(bad == 0, "a child forked meanwhile has its marks restored, and marks by itself (status %x)", (unsigned)bad);
  OK(in_child(child_exits, graph) == 0, "a process can exit meanwhile");
  OK(in_child(child_ends_its_main_thread, graph) == 0, "and ends when its last thread does");
  OK(in_child(child_is_refused, graph) == 0, "where threads are refused, all is done at once");
}

int main(void) {
  help_init();
  os_spawn_init();
  uint64_t seed = tap_seed();
  struct graph graph = graph_make(50000, &seed);
  test_result(&graph, &seed);
  test_cut_short(&graph, &seed);
  test_forget(&graph, &seed);
  test_heap_changes(&graph, &seed);
  test_room(&graph);
  test_protection(&graph, &seed);
  test_expected(&graph);
  test_processes(&graph, &seed);
  return tap_end();
}
