/* SPDX-License-Identifier: MIT
 * Old objects' pointers to young ones: a random graph that is written to, aged, freed and moved, against a search of its own.
 * In each minor collection exactly what the roots and the old objects lead to is marked, in each way of tracking that this kernel
 * has. */
#include "config.h"

#include "gc/remember.h"

#include "gc/mark.h"
#include "gc_help.h"
#include "heap/sweep.h"
#include "tap.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { most = 30000, edges = 3, groups = 40 };

/* An object, as the program should see it. */
struct node {
  uintptr_t object;  /* hidden; 0: there is none */
  size_t words;
  enum kind kind;
  unsigned age;
  bool frozen, root, reached;
  size_t place[edges]; /* where each pointer is */
  int to[edges];       /* -1: none */
};
static struct node node[most];
static int stack[most];
static uint64_t seed;
static struct remember_counts counts, total;
static bool unaligned;

static size_t pick(size_t n) { return tap_random(&seed) % n; }

static bool is_scanned(const struct node *n) { return kind_is_scanned(n->kind); }
static bool is_kept(const struct node *n) { return sweep_policies[n->kind] == SWEEP_NEVER; }

/* --- the program --- */

static void make(int i) {
  static const size_t sizes[] = {16, 32, 48, 64, 80, 100, 200, 500, 1000, 3000, 5000, 20000, 40000, 300000};
  static const enum kind kinds[] = {KIND_COLLECTED, KIND_COLLECTED, KIND_COLLECTED, KIND_POINTER_FREE, KIND_UNCOLLECTABLE};
  struct node *n = &node[i];
  size_t common = pick(100), size = sizes[common < 90 ? pick(8) : common < 99 ? 8 + pick(4) : 12 + pick(2)];
  *n = (struct node){.kind = kinds[pick(5)], .words = size / 8};
  n->object = help_alloc(size, n->kind);
  for (int e = 0; e < edges; e++) {
    size_t word = (size_t)e < n->words ? (pick(2) ? (size_t)e : n->words - 1 - (size_t)e) : 0;
    n->to[e] = -1;
    n->place[e] = unaligned ? pick(n->words * 8 - 7) : word * 8;
  }
}

/* The pointers that lie there are overwritten. */
static void store(struct node *n, size_t place, uintptr_t word) {
  for (int e = 0; e < edges; e++)
    if (n->to[e] >= 0 && n->place[e] < place + 8 && place < n->place[e] + 8) {
      n->to[e] = -1;
      memset((char *)~n->object + n->place[e], 0, 8);
    }
  memcpy((char *)~n->object + place, &word, sizeof word);
}

static void link_to(int from, int e, int to) {
  struct node *n = &node[from];
  if (!n->object || !is_scanned(n) || n->place[e] + 8 > n->words * 8) return;
  bool points = to >= 0 && node[to].object;
  store(n, n->place[e], points ? ~node[to].object + pick(node[to].words * 8) : 0);
  n->to[e] = points ? to : -1;
}

/* A program that frees something has no pointer to it any more. */
static void unlink_all(int to) {
  for (int i = 0; i < most; i++)
    for (int e = 0; e < edges; e++)
      if (node[i].object && node[i].to[e] == to) link_to(i, e, -1);
}

static void drop(int i) {
  unlink_all(i);
  help_free(node[i].object);
  node[i].object = 0;
}

static void grow(int i) {
  struct node *n = &node[i];
  struct block *block = region_find(~n->object);
  if (block->slot_size) return;
  size_t size = n->words * 8, more = size > 2000000 ? 300000 : size * 3;
  uintptr_t new = ~(uintptr_t)large_resize(block, more);
  if (new == ~(uintptr_t)0) abort();
  bool moved = new != n->object;
  n->object = new;
  n->words = more / 8;
  size_t same = size < more ? size : more; /* what lies behind it is anything */
  memset((char *)~new + same, 0, region_find(~new)->size - same);
  if (moved) { /* what realloc gives is new */
    n->age = 0;
    n->frozen = false;
  }
  for (int e = 0; e < edges; e++)
    if (n->place[e] + 8 > more) n->to[e] = -1;
  for (int from = 0; from < most; from++) /* also where it stands: pointers may be beyond its new end */
    for (int e = 0; e < edges; e++)
      if (node[from].object && node[from].to[e] == i) link_to(from, e, i);
}

static void mutate(int written, int made) {
  for (int k = 0; k < made; k++) {
    int i = (int)pick(most);
    if (!node[i].object) make(i);
    else if (pick(40) == 0) drop(i);
    if (node[i].object) link_to((int)pick(most), (int)pick(edges), i);
  }
  for (int k = 0; k < written; k++) link_to((int)pick(most), (int)pick(edges), pick(8) ? (int)pick(most) : -1);
  int large = (int)pick(most);
  for (int k = 0; k < most; k++, large = (large + 1) % most)
    if (node[large].object && node[large].words * 8 > 100000) {
      grow(large);
      break;
    }
}

/* --- the search --- */

static void reach(int from) {
  int top = 0;
  if (node[from].reached) return;
  node[from].reached = true;
  stack[top++] = from;
  while (top) {
    const struct node *n = &node[stack[--top]];
    for (int e = 0; e < edges && is_scanned(n); e++) {
      if (n->to[e] < 0 || node[n->to[e]].reached) continue;
      node[n->to[e]].reached = true;
      stack[top++] = n->to[e];
    }
  }
}

static bool is_older(const struct node *n, unsigned generation) {
  return n->age > generation || n->frozen || (is_kept(n) && n->age > 0);
}

/* What roots and old ones lead to; those that are older themselves are in any case. */
static void search(unsigned generation) {
  for (int i = 0; i < most; i++) node[i].reached = false;
  for (int i = 0; i < most; i++)
    if (node[i].object && (node[i].root || is_older(&node[i], generation) || is_kept(&node[i]) || node[i].frozen)) reach(i);
}

/* --- a collection --- */

static void each_block(void (*visit)(struct block *block, unsigned generation), unsigned generation) {
  struct block *block;
  for (size_t unit = 0, units; (block = region_next(&unit)) != NULL; unit += units) {
    units = block->units;
    visit(block, generation);
  }
}

static void colour_new(struct block *block, unsigned generation) { sweep_colour_new(block, generation == 2); }

static void mark_kept(struct block *block, unsigned generation) {
  (void)generation;
  for (uint32_t slot = 0; slot < block->nslots; slot++) {
    if (!state_is_live(block->state[slot])) continue;
    if (block->state[slot] & STATE_FROZEN) {
      if (generation == 2) mark_contents(block, slot);
    } else if (sweep_policies[block->kind] == SWEEP_NEVER) {
      mark_slot(block, slot);
    }
  }
}

static void mark_roots(unsigned generation) {
  for (int i = 0; i < most; i++) {
    uintptr_t word = ~node[i].object;
    if (node[i].object && node[i].root) mark_range((uintptr_t)&word, (uintptr_t)(&word + 1));
  }
  each_block(mark_kept, generation);
}

static void sweep_block(struct block *block, unsigned generation) {
  bool gone;
  size_t at = (block->start - region.base) >> block_unit_shift;
  uint8_t keep = generation == 0 ? region.ages[at] & REGION_AGE_1 : 0;
  uint8_t ages = sweep_minor(block, sweep_groups(block, generation), generation, &(struct sweep_counts){0}, &gone);
  if (gone) block_unmake(block);
  else for (uint32_t i = 0; i < block->units; i++) region.ages[at + i] = ages | keep;
}

static void forget_ages(struct block *block, unsigned generation) {
  (void)generation;
  size_t at = (block->start - region.base) >> block_unit_shift;
  for (uint32_t i = 0; i < block->units; i++) region.ages[at + i] = block->young ? REGION_AGE_0 : 0;
}

static bool is_right(unsigned generation) {
  bool right = true;
  for (int i = 0; i < most; i++) {
    const struct node *n = &node[i];
    if (!n->object || n->age > generation || n->frozen) continue;
    bool marked = (*help_state(~n->object) & STATE_MARK) != sweep_colour;
    if (marked == n->reached) continue;
    if (right) tap_note("an object of %zu words, kind %d, age %u is %s", n->words, n->kind, n->age, marked ? "marked" : "missed");
    right = false;
  }
  return right;
}

static void begin(unsigned generation) {
  static const uint8_t older[] = {STATE_AGE, STATE_AGE_2, 0};
  struct mark_options options = {.no_scouts = true, .unaligned = unaligned};
  while (sweep_some(64)) continue;
  heap_lock();
  if (mark_begin(&options) != 0) abort();
  each_block(colour_new, generation);
  uint8_t mask = STATE_OWNED | STATE_FROZEN | STATE_MARK | older[generation];
  mark_use((struct mark_colour){mask, STATE_LIVE | sweep_colour, STATE_MARK});
}

static void end(unsigned generation) {
  mark_all();
  search(generation);
}

/* What the sweep does, and what it should have done. */
static void finish(unsigned generation) {
  if (generation < 2) {
    each_block(sweep_block, generation);
  } else {
    each_block(forget_ages, generation);
    sweep_begin();
  }
  remember_promoted(generation);
  mark_end();
  heap_unlock();
  while (sweep_some(64)) continue;
  for (int i = 0; i < most; i++) {
    struct node *n = &node[i];
    if (!n->object || n->frozen || n->age > generation) continue;
    if (!n->reached) n->object = 0;
    else n->age = generation == 2 ? 2 : n->age + 1;
  }
  for (int i = 0; i < most; i++) /* garbage pointed to by garbage only */
    for (int e = 0; e < edges; e++)
      if (node[i].object && node[i].to[e] >= 0 && !node[node[i].to[e]].object) node[i].to[e] = -1;
}

/* A page, or part of one, of some large object. */
static char *some_page(void) {
  for (int tries = 0; tries < 100000; tries++) {
    const struct node *n = &node[pick(most)];
    if (n->object && n->words * 8 > 100000) return (char *)~n->object + (pick(2) ? 0 : 4096 * pick(n->words / 512));
  }
  return NULL;
}

static bool minor(unsigned generation) {
  char *page = pick(2) ? some_page() : NULL;
  counts = (struct remember_counts){0};
  if (page) mprotect(page, 4096, PROT_NONE); /* nobody may read it now */
  begin(generation);
  mark_roots(generation);
  remember_scan(generation, &counts);
  end(generation);
  bool right = is_right(generation);
  if (page) mprotect(page, 4096, PROT_READ | PROT_WRITE); /* before its block may be gone */
  finish(generation);
  total.pages_scanned += counts.pages_scanned;
  total.pages_skipped += counts.pages_skipped;
  total.faults += counts.faults;
  return right;
}

/* With the program running between the two stops, as if markers went on meanwhile. */
static bool full(bool concurrent) {
  begin(2);
  mark_roots(2);
  mark_all();
  if (concurrent && remember_begin_concurrent()) {
    heap_unlock();
    for (int k = 0; k < 200; k++) link_to((int)pick(most), (int)pick(edges), (int)pick(most));
    heap_lock();
    remember_scan_concurrent(&counts);
    mark_roots(2);
  }
  end(2);
  bool right = true;
  for (int i = 0; i < most; i++) { /* more may be marked: what was reachable meanwhile */
    const struct node *n = &node[i];
    if (!n->object || n->frozen || !n->reached) continue;
    if ((*help_state(~n->object) & STATE_MARK) == sweep_colour) right = false;
  }
  for (int i = 0; i < most; i++)
    if (node[i].object && (*help_state(~node[i].object) & STATE_MARK) != sweep_colour) node[i].reached = true;
  finish(2);
  return right;
}

static void freeze(bool to) {
  while (sweep_some(64)) continue;
  for (int i = 0; i < most; i++) {
    struct node *n = &node[i];
    if (!n->object || n->age == 0 || (to ? pick(3) != 0 : !n->frozen)) continue;
    n->frozen = to;
    n->age = 2;
    *help_state(~n->object) = to ? STATE_LIVE | STATE_AGE_2 | STATE_FROZEN : (uint8_t)(STATE_LIVE | STATE_AGE_2 | sweep_colour);
  }
}

/* --- tests --- */

static void populate(void) {
  for (int i = 0; i < most; i++)
    if (!node[i].object && pick(4)) make(i);
  for (int i = 0; i < 2 * most; i++) link_to((int)pick(most), (int)pick(edges), (int)pick(most));
  for (int i = 0; i < most; i += 100) node[i].root = true;
}

static void clear(void) {
  for (int i = 0; i < most; i++) {
    node[i].root = node[i].frozen = false;
    if (node[i].object) help_free(node[i].object);
    node[i].object = 0;
  }
}

static bool go_on(int rounds, int written, int made) {
  bool good = true;
  for (int round = 0; round < rounds && good; round++) {
    mutate(written, made);
    good = minor(round % 5 == 0);
  }
  return good;
}

/* From now on a call of a userfaultfd ends the process. */
static bool forbid(void) {
  enum { protect = (int)0xc018aa06u, enrol = (int)0xc020aa00u };
  struct sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)protect, 1, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)enrol, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {sizeof filter / sizeof filter[0], filter};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static bool child_is_right(bool filtered) {
  int status;
  pid_t pid = fork();
  if (pid == 0) {
    remember_fork_child();
    bool good = go_on(filtered ? 5 : 30, 20, 20) && (!filtered || forbid()) && go_on(filtered ? 20 : 1, 20, 20);
    _exit(good ? 0 : 1);
  }
  waitpid(pid, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void close_descriptor(void) {
  char path[64], name[64];
  for (int fd = 3; fd < 2048; fd++) {
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(path, name, sizeof name - 1);
    if (n > 0 && (name[n] = 0, strstr(name, "userfaultfd"))) close(fd);
  }
}

static void test_way(const char *name) {
  populate();
  OK(go_on(3, 100, 100), "%s: old pointers to young ones are found", name);
  OK(go_on(100, 20, 30), "also when hardly anything is written any more");
  tap_note("pages: %zu looked into, %zu skipped, %lu faults", total.pages_scanned, total.pages_skipped, total.faults);
  freeze(true);
  OK(go_on(20, 200, 30), "with frozen objects");
  OK(child_is_right(false), "in a child");
  OK(child_is_right(true), "in one that puts itself under a filter of system calls in the middle");
  OK(go_on(20, 20, 30), "in its parent");
  OK(full(false) && go_on(20, 20, 30), "after a full collection");
  OK(full(true) && go_on(20, 20, 30), "a concurrent one misses nothing that was written meanwhile, nor does what follows");
  freeze(false);
  OK(full(true) && go_on(10, 20, 30) && full(true) && go_on(10, 20, 30), "also with nothing frozen");
  bool good = true;
  for (int i = 0; i < 7 && good; i++) {
    close_descriptor();
    good = go_on(10, 20, 30);
  }
  OK(good, "with a program that closes our descriptor");
  clear();
  unaligned = true;
  populate();
  OK(go_on(3, 100, 100) && go_on(40, 20, 30), "with pointers at odd places");
  clear();
  unaligned = false;
  total = counts = (struct remember_counts){0};
}

int main(void) {
  static const char *const names[] = {"auto", "uffd", "soft-dirty", "scan"};
  static const enum track_way ways[] = {TRACK_SCAN, TRACK_SOFT_DIRTY, TRACK_UFFD};
  seed = tap_seed();
  help_init();
  for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
    const char *why;
    remember_fork_child(); /* what was chosen before is forgotten */
    remember_init(ways[i]);
    minor(0);
    enum track_way way = remember_way(&why);
    tap_note("%s: %s", names[way], why);
    if (way == ways[i]) test_way(names[way]);
    else tap_skip(names[ways[i]], why);
  }
  return tap_end();
}
