/* SPDX-License-Identifier: MIT
 * The leak search: classification, against an oracle too, and that it leaves no trace. */
#include "config.h"

#include "gc/leaks.h"

#include "gc_help.h"
#include "tap.h"

enum { most_told = 4096 };

static struct told {
  size_t count[leak_kinds], bytes[leak_kinds];
  size_t cycles, listed;
  struct leak list[most_told];
  int error;
} told;

static void tell(const struct leak *leak, void *arg) {
  (void)arg;
  told.count[leak->kind]++;
  told.bytes[leak->kind] += leak->size;
  told.cycles += leak->cycle;
  if (leak->kind != LEAK_REACHABLE && told.listed < most_told) told.list[told.listed++] = *leak;
}

static struct leaks_summary summary;

/* Searches with the stack live from main's frame on. Addresses are hidden afterwards, for the next search. */
static uintptr_t live_from;
static __attribute__((noinline)) void search_with(struct leaks_request *request) {
  memset(&told, 0, sizeof told);
  request->self = (struct world_thread){.tid = os_thread_id(), .sp = live_from, .tcb = os_thread_pointer()};
  told.error = leaks_search(request, tell, NULL, &summary);
  for (size_t i = 0; i < told.listed; i++) told.list[i].address = ~told.list[i].address;
}

static void search(void) {
  struct leaks_request request = {.want_reachable = false};
  search_with(&request);
}

static const struct leak *found(uintptr_t hidden) {
  for (size_t i = 0; i < told.listed; i++)
    if (told.list[i].address == hidden) return &told.list[i];
  return NULL;
}

static bool states_are_plain(void) {
  struct block *block;
  for (size_t unit = 0; (block = region_next(&unit)) != NULL; unit += block->units)
    for (uint32_t slot = 0; slot < block->nslots; slot++)
      if (block->state[slot] & ~STATE_LIVE) return false;
  return true;
}

static void *volatile global;

static __attribute__((noinline)) void set_global(uintptr_t hidden, size_t offset) { global = (char *)~hidden + offset; }

static void test_simple(void) {
  search();
  OK(told.error == 0 && told.listed == 0, "an empty heap has no leaks");
  uintptr_t a = help_alloc(33, KIND_SCANNED), b = help_alloc(100, KIND_SCANNED), c = help_alloc(5000, KIND_SCANNED);
  help_link(a, 0, b);
  help_link(b, 1, c);
  search();
  OK(told.count[LEAK_DEFINITE] == 1 && found(a) && found(a)->kind == LEAK_DEFINITE, "the head of a lost list is definite");
  OK(told.count[LEAK_INDIRECT] == 2, "the rest of it is indirect");
  OK(told.bytes[LEAK_DEFINITE] == 33 && told.bytes[LEAK_INDIRECT] == 5100, "bytes are as requested");
  OK(told.cycles == 0, "there is no cycle");
  OK(states_are_plain(), "afterwards every slot is live or free");
  set_global(b, 99);
  search();
  OK(told.listed == 1 && found(a), "an interior pointer in a global keeps an object and what it leads to");
  struct leaks_request request = {.want_reachable = true};
  search_with(&request);
  OK(told.count[LEAK_REACHABLE] == 2 && told.bytes[LEAK_REACHABLE] == 5100, "the reachable are told on request");
  OK(summary.objects == 3 && summary.threads == 1 && summary.root_bytes > 0, "the summary counts");
  global = NULL;
  help_free(a);
  search();
  OK(told.listed == 2 && found(b)->kind == LEAK_DEFINITE, "what only a freed object pointed to is definite");
  help_free(b);
  help_free(c);
  uintptr_t empty = help_alloc(0, KIND_SCANNED);
  search();
  OK(told.listed == 1 && found(empty)->size == 0, "an object of size 0 is told with size 0");
  help_free(empty);
}

static void test_cycles(void) {
  uintptr_t n[6];
  for (int i = 0; i < 6; i++) n[i] = help_alloc(64, KIND_SCANNED);
  for (int i = 0; i < 3; i++) help_link(n[i], 0, n[(i + 1) % 3]);
  for (int i = 3; i < 6; i++) help_link(n[i], 0, n[3 + (i - 2) % 3]);
  search();
  OK(told.count[LEAK_DEFINITE] == 2 && told.cycles == 2 && told.count[LEAK_INDIRECT] == 4, "two cycles have an entry each");
  help_link(n[1], 1, n[4]);
  search();
  OK(told.count[LEAK_DEFINITE] == 1 && told.cycles == 1, "of two cycles, one leading to the other, one entry is shown");
  OK(found(n[4])->kind == LEAK_INDIRECT && found(n[3])->kind == LEAK_INDIRECT, "and it is of the first");
  help_link(n[1], 1, ~(uintptr_t)0);
  help_link(n[4], 1, n[1]);
  search();
  OK(told.count[LEAK_DEFINITE] == 1 && found(n[0])->kind == LEAK_INDIRECT, "also with addresses the other way round");
  uintptr_t out = help_alloc(64, KIND_SCANNED);
  help_link(out, 0, n[5]);
  help_link(n[4], 1, ~(uintptr_t)0);
  help_link(n[2], 1, n[5]);
  search();
  OK(found(out)->kind == LEAK_DEFINITE && !found(out)->cycle && told.cycles == 1, "an object that leads into a cycle is in none");
  help_link(out, 0, out);
  help_link(out, 1, ~(uintptr_t)0);
  search();
  OK(found(out)->kind == LEAK_DEFINITE && found(out)->cycle, "an object that points to itself is a cycle");
  for (int i = 0; i < 6; i++) help_free(n[i]);
  help_free(out);
}

static void test_kinds(void) {
  uintptr_t a = help_alloc(64, KIND_POINTER_FREE), b = help_alloc(64, KIND_SCANNED);
  help_link(a, 0, b);
  search();
  OK(told.count[LEAK_DEFINITE] == 2, "a pointer-free object leads nowhere");
  uintptr_t big = help_alloc((size_t)1 << 30, KIND_SCANNED);
  help_link(big, 1 << 26, a);
  search();
  OK(found(big)->kind == LEAK_DEFINITE && found(big)->size == (size_t)1 << 30, "a lost GiB is told as a GiB");
  OK(found(a)->kind == LEAK_INDIRECT && found(b)->kind == LEAK_DEFINITE, "and is looked into");
  help_free(a);
  help_free(b);
  help_free(big);
}

static void test_list(void) {
  enum { many = 1000000 };
  uintptr_t first = help_alloc(16, KIND_SCANNED), last = first;
  for (int i = 1; i < many; i++) {
    uintptr_t next = help_alloc(16, KIND_SCANNED);
    help_link(last, 0, next);
    last = next;
  }
  search();
  OK(told.count[LEAK_DEFINITE] == 1 && told.count[LEAK_INDIRECT] == many - 1, "a lost list of %d", many);
  set_global(first, 0);
  search();
  OK(told.listed == 0, "held, it is no leak");
  help_link(last, 0, first);
  global = NULL;
  search();
  OK(told.count[LEAK_DEFINITE] == 1 && told.cycles == 1, "lost as a ring, it has one entry");
  while (many) {
    uintptr_t next = ~*(uintptr_t *)~first;
    help_free(first);
    if (first == last) break;
    first = next;
  }
}

/* --- the oracle: reachability by transitive closure --- */

enum { nodes = 40, edges = 2 };
static bool closure[nodes][nodes];

static bool check_random(const uintptr_t *node, const bool *held) {
  size_t definite = 0, indirect = 0, cycles = 0;
  bool lost[nodes], counted[nodes] = {false}, good = true;
  for (int i = 0; i < nodes; i++) {
    lost[i] = true;
    for (int k = 0; k < nodes; k++)
      if (held[k] && (k == i || closure[k][i])) lost[i] = false;
  }
  for (int i = 0; i < nodes; i++) {
    bool source = lost[i];
    for (int k = 0; k < nodes; k++)
      if (lost[k] && closure[k][i] && !closure[i][k]) source = false;
    const struct leak *leak = found(node[i]);
    if (lost[i] != (leak != NULL)) good = false;
    if (leak && leak->kind == LEAK_DEFINITE && !source) good = false;
    if (leak && leak->cycle && !closure[i][i]) good = false;
    if (!lost[i]) continue;
    if (!source || counted[i]) {
      indirect++;
      continue;
    }
    definite++;
    cycles += closure[i][i];
    for (int k = 0; k < nodes; k++) counted[k] |= closure[i][k] && closure[k][i];
  }
  return good && told.count[LEAK_DEFINITE] == definite && told.count[LEAK_INDIRECT] == indirect && told.cycles == cycles;
}

static void test_random(void) {
  enum { rounds = 150 };
  static void *roots[nodes];
  uint64_t seed = tap_seed();
  uintptr_t node[nodes];
  bool good = true;
  for (int i = 0; i < nodes; i++) node[i] = help_alloc(16 + tap_random(&seed) % 200, KIND_SCANNED);
  for (int round = 0; round < rounds && good; round++) {
    bool held[nodes];
    int density = 1 + (int)(tap_random(&seed) % 9);
    memset(closure, 0, sizeof closure);
    for (int i = 0; i < nodes; i++) {
      held[i] = tap_random(&seed) % 16 == 0;
      roots[i] = held[i] ? (void *)~node[i] : NULL;
      for (int e = 0; e < edges; e++) {
        int to = (int)(tap_random(&seed) % 10) < density ? (int)(tap_random(&seed) % nodes) : -1;
        help_link(node[i], (size_t)e, to < 0 ? ~(uintptr_t)0 : node[to]);
        if (to >= 0) closure[i][to] = true;
      }
    }
    for (int k = 0; k < nodes; k++)
      for (int i = 0; i < nodes; i++)
        for (int j = 0; j < nodes; j++) closure[i][j] |= closure[i][k] && closure[k][j];
    search();
    __asm__ volatile("" ::"r"(roots) : "memory");
    good = check_random(node, held);
  }
  OK(good, "%d random graphs: one entry for each group that nothing else leads to", rounds);
  OK(states_are_plain(), "and no state is left behind");
}

int main(void) {
  help_init();
  live_from = (uintptr_t)__builtin_frame_address(0);
  test_simple();
  test_cycles();
  test_kinds();
  test_list();
  test_random();
  return tap_end();
}
