/* SPDX-License-Identifier: MIT
 * The marker: what counts as a pointer, and that nothing reachable is missed, whatever the stack holds. */
#include "config.h"

#include "gc/mark.h"

#include "gc_help.h"
#include "tap.h"

#include <sys/mman.h>

static const struct mark_colour colour = {STATE_LIVE | STATE_MARK, STATE_LIVE, STATE_MARK};

static size_t unmark(void) {
  size_t marked = 0;
  struct block *block;
  for (size_t unit = 0; (block = region_next(&unit)) != NULL; unit += block->units)
    for (uint32_t slot = 0; slot < block->nslots; slot++) {
      marked += block->state[slot] & STATE_MARK ? 1 : 0;
      if (block->state[slot] & ~(STATE_LIVE | STATE_MARK)) return ~(size_t)0; /* something was left behind */
      block->state[slot] &= (uint8_t)~STATE_MARK;
    }
  return marked;
}

/* How many objects one word leads to. */
static size_t reach_with(uintptr_t word, const struct mark_options *options) {
  heap_lock();
  if (mark_begin(options) != 0) abort();
  mark_use(colour);
  mark_range((uintptr_t)&word, (uintptr_t)(&word + 1));
  mark_end();
  heap_unlock();
  return unmark();
}

static size_t reach(uintptr_t word) {
  struct mark_options options = {0};
  return reach_with(word, &options);
}

static void test_words(void) {
  uintptr_t a = help_alloc(48, KIND_SCANNED), b = help_alloc(48, KIND_SCANNED), c = help_alloc(48, KIND_POINTER_FREE);
  OK(reach(~a) == 1, "a pointer to its start marks an object");
  OK(reach(~a + 47) == 1, "so does one to its last byte");
  OK(reach(~a + 48) <= 1 && *help_state(~a) == STATE_LIVE, "one past the end belongs to the next slot");
  OK(reach(0) == 0 && reach(~(uintptr_t)0) == 0 && reach(region.base - 1) == 0, "other bits are harmless");
  OK(reach(region.base + region.span) == 0 && reach(region.base + region.span - 1) == 0,
     "and so are the ends of the region");
  size_t none = 0;
  for (uintptr_t tail = region.base; tail < region.base + block_unit; tail += 16) none += reach(tail) > 1;
  OK(none == 0, "no address of the first block marks two objects");
  help_link(a, 5, b);
  OK(reach(~a) == 2, "the last word of an object is looked at");
  help_link(c, 0, a);
  OK(reach(~c) == 1, "a pointer-free object is marked but not looked into");
  help_free(b);
  OK(reach(~a) == 1, "a free slot is not marked");
  help_free(a);
  help_free(c);
}

static void test_unaligned(void) {
  struct mark_options options = {.unaligned = true};
  uintptr_t a = help_alloc(64, KIND_SCANNED), b = help_alloc(64, KIND_SCANNED);
  uintptr_t big = help_alloc(1 << 17, KIND_SCANNED), target = ~b;
  memcpy((char *)~a + 3, &target, sizeof target);
  OK(reach(~a) == 1, "a pointer at an odd place is no pointer");
  OK(reach_with(~a, &options) == 2, "unless the option says so");
  memcpy((char *)~big + 4096 - 5, &target, sizeof target);
  OK(reach_with(~big, &options) == 2, "also across the pieces in which a large object is looked at");
  help_free(a);
  help_free(b);
  help_free(big);
}

static void test_large(void) {
  size_t size = (size_t)64 << 20;
  uintptr_t big = help_alloc(size, KIND_SCANNED), a = help_alloc(32, KIND_SCANNED), b = help_alloc(32, KIND_SCANNED);
  struct block *block = region_find(~big);
  OK(reach(~big + size - 1) == 1, "a pointer to the last byte of a large object marks it");
  OK(reach(block->start + block->size) == 0, "one past its end does not");
  help_link(big, size / 16, a);
  help_link(big, size / 8 - 1, b);
  OK(reach(~big) == 3, "a large object is looked at to its end, through pages never touched");
  char *page = (char *)((~big + size / 2) & ~(uintptr_t)4095);
  mprotect(page, 4096, PROT_NONE);
  OK(reach(~big) == 3, "a page of it that nobody may read is read all the same");
  mprotect(page, 4096, PROT_READ | PROT_WRITE);
  uintptr_t small = help_alloc(20000, KIND_SCANNED);
  help_link(small, 20000 / 8 - 1, a);
  char *lo = (char *)(~small & ~(uintptr_t)4095), *hi = lo + 24 * 1024;
  mprotect(lo, (size_t)(hi - lo), PROT_NONE);
  OK(reach(~small) == 2, "and so is a small object on such pages");
  mprotect(lo, (size_t)(hi - lo), PROT_READ | PROT_WRITE);
  help_free(big);
  help_free(small);
  help_free(a);
  help_free(b);
}

static void test_shapes(void) {
  enum { many = 200000 };
  uintptr_t *node = malloc(many * sizeof *node);
  for (size_t i = 0; i < many; i++) node[i] = help_alloc(32, KIND_SCANNED);
  for (size_t i = 0; i + 1 < many; i++) help_link(node[i], 0, node[i + 1]);
  OK(reach(~node[0]) == many, "a list of %d is followed to its end", many);
  struct mark_options tiny = {.most_pending = 4};
  for (size_t i = 0; i < many; i++) {
    help_link(node[i], 0, 2 * i + 1 < many ? node[2 * i + 1] : ~(uintptr_t)0);
    help_link(node[i], 1, 2 * i + 2 < many ? node[2 * i + 2] : ~(uintptr_t)0);
  }
  OK(reach(~node[0]) == many, "so is a tree");
  OK(reach_with(~node[0], &tiny) == many, "also with a stack for 4 objects");
  uintptr_t wide = help_alloc(many * sizeof(uintptr_t), KIND_SCANNED);
  for (size_t i = 0; i < many; i++) {
    help_link(node[i], 0, ~(uintptr_t)0);
    help_link(node[i], 1, node[i]);
    help_link(wide, i, node[i]);
  }
  OK(reach(~wide) == many + 1, "and an array of pointers");
  OK(reach_with(~wide, &tiny) == many + 1, "also with a stack for 4 objects");
  for (size_t i = 0; i < many; i++) help_free(node[i]);
  help_free(wide);
  free(node);
}

static void test_mangled(void) {
  struct mark_options options = {0};
  uintptr_t a = help_alloc(32, KIND_SCANNED);
  uint64_t guard, words[3] = {0, 0, 12345};
  __asm__("mov %%fs:0x30, %0" : "=r"(guard));
  words[1] = ((~a) ^ guard) << 17 | ((~a) ^ guard) >> 47;
  heap_lock();
  mark_begin(&options);
  mark_use(colour);
  mark_range((uintptr_t)words, (uintptr_t)(words + 3));
  OK(*help_state(~a) == STATE_LIVE, "a pointer mangled by setjmp looks like none");
  mark_mangled((uintptr_t)words, (uintptr_t)(words + 3));
  OK(*help_state(~a) == (STATE_LIVE | STATE_MARK), "and is found when asked for");
  mark_end();
  heap_unlock();
  unmark();
  help_free(a);
}

/* Random graphs against a search of their own. */
static void test_random(void) {
  enum { nodes = 300, edges = 3, rounds = 200 };
  static const size_t sizes[] = {32, 48, 100, 500, 3000, 40000};
  uint64_t seed = tap_seed();
  uintptr_t node[nodes];
  for (int i = 0; i < nodes; i++) node[i] = help_alloc(sizes[tap_random(&seed) % 6], KIND_SCANNED);
  bool good = true;
  for (int round = 0; round < rounds && good; round++) {
    int to[nodes][edges], todo[nodes], n = 1, done = 0;
    bool seen[nodes] = {false};
    for (int i = 0; i < nodes; i++)
      for (int e = 0; e < edges; e++) {
        to[i][e] = tap_random(&seed) % 5 < 2 ? (int)(tap_random(&seed) % nodes) : -1;
        help_link(node[i], (size_t)e, to[i][e] < 0 ? ~(uintptr_t)0 : node[to[i][e]] - tap_random(&seed) % 32);
      }
    todo[0] = 0;
    seen[0] = true;
    for (; done < n; done++)
      for (int e = 0; e < edges; e++) {
        int next = to[todo[done]][e];
        if (next < 0 || seen[next]) continue;
        seen[next] = true;
        todo[n++] = next;
      }
    struct mark_options options = {.most_pending = round % 2 ? 3 : 0, .unaligned = round % 7 == 0};
    good = reach_with(~node[0], &options) == (size_t)n;
    options.scouts_after = 1;
    good = good && reach_with(~node[0], &options) == (size_t)n;
  }
  OK(good, "%d random graphs are marked exactly", rounds);
}

/* Lists at random places, with branches and shortcuts, part of them out of reach, and scouts sent at once. */
static void test_scouts(void) {
  enum { nodes = 20000, rounds = 12 };
  uint64_t seed = tap_seed();
  uintptr_t *node = malloc(nodes * sizeof *node), *load = malloc(nodes * sizeof *load);
  for (int i = 0; i < nodes; i++) {
    node[i] = help_alloc(tap_random(&seed) % 2 ? 64 : 100, KIND_SCANNED);
    load[i] = help_alloc(tap_random(&seed) % 64 ? 40 : 70000, i % 2 ? KIND_SCANNED : KIND_POINTER_FREE);
  }
  bool good = true;
  for (int round = 0; round < rounds && good; round++) {
    for (int i = nodes - 1; i > 0; i--) {
      size_t k = tap_random(&seed) % (size_t)(i + 1);
      uintptr_t swap = node[i];
      node[i] = node[k];
      node[k] = swap;
    }
    int from = (int)(tap_random(&seed) % (nodes / 2));
    const uintptr_t none = ~(uintptr_t)0;
    for (int i = 0; i < nodes; i++) {
      size_t next = round % 3; /* the place of the link differs */
      for (size_t k = 0; k < 8; k++) help_link(node[i], k, none);
      help_link(node[i], next, i + 1 < nodes ? node[i + 1] : none);
      help_link(node[i], 3, round % 2 ? load[i] : none);
      help_link(node[i], 4, round % 4 == 2 && i > from ? node[i - 1] : none); /* doubly linked */
      if (tap_random(&seed) % 100 == 0 && i > from) help_link(node[i], 5, node[from + (int)(tap_random(&seed) % (nodes - from))]);
      help_link(load[i], 0, tap_random(&seed) % 50 || i % 2 == 0 || i < from ? none : node[i]);
    }
    struct mark_options options = {.scouts_after = 1, .most_pending = round == 7 ? 2 : 0};
    size_t want = (size_t)(nodes - from) * (round % 2 ? 2 : 1);
    size_t found = reach_with(~node[from], &options);
    good = found == want;
    if (!good) tap_note("round %d: %zu marked, %zu expected", round, found, want);
  }
  OK(good, "scouts change nothing in what is marked, and leave nothing behind");
  for (int i = 0; i < nodes; i++) help_free(node[i]), help_free(load[i]);
  free(node);
  free(load);
}

static void set_ages(uintptr_t hidden, uint8_t ages) {
  const struct block *block = region_find(~hidden);
  for (uint32_t i = 0; i < block->units; i++) region.ages[((block->start - region.base) >> block_unit_shift) + i] = ages;
}

/* Words of old objects, against a look at each by itself. */
static void test_young(void) {
  enum { words = 512, nodes = 64, rounds = 400 };
  uint64_t seed = tap_seed();
  struct mark_options options = {.no_scouts = true};
  uintptr_t node[nodes], *old = malloc(words * sizeof *old);
  /* Large ones, so that each has units of its own; all lead to one more. */
  uintptr_t more = help_alloc(32, KIND_SCANNED);
  for (int i = 0; i < nodes; i++) help_link(node[i] = help_alloc(40000 + (size_t)i * 2000, KIND_SCANNED), 3, more);
  bool good = true, told = true;
  for (int round = 0; round < rounds && good && told; round++) {
    uint8_t ages = (uint8_t)(1 + tap_random(&seed) % 3), met = 0, age[nodes];
    bool wanted[nodes] = {false};
    size_t lo = tap_random(&seed) % words, hi = lo + tap_random(&seed) % (words - lo + 1), reached = 0;
    for (int i = 0; i < nodes; i++) set_ages(node[i], age[i] = (uint8_t)(tap_random(&seed) % 4));
    for (size_t i = 0; i < words; i++) {
      size_t to = tap_random(&seed) % nodes;
      bool link = tap_random(&seed) % 100 == 0;
      old[i] = link ? ~node[to] + tap_random(&seed) % 40000 : tap_random(&seed) % 2 ? tap_random(&seed) : region.base - 1 - i;
      if (!link || i < lo || i >= hi) continue;
      met |= age[to];
      wanted[to] |= (age[to] & ages) != 0;
    }
    heap_lock();
    mark_begin(&options);
    mark_use(colour);
    told = mark_young((uintptr_t)(old + lo), (uintptr_t)(old + hi), ages) == met;
    mark_all();
    mark_end();
    heap_unlock();
    for (int i = 0; i < nodes; i++) {
      reached += wanted[i];
      good = good && (*help_state(~node[i]) & STATE_MARK ? true : false) == wanted[i];
    }
    good = good && unmark() == reached + (reached > 0);
  }
  OK(good, "the linear scan marks what words of old objects lead to, where it is young");
  OK(told, "and tells which ages it met");
  for (int i = 0; i < nodes; i++) help_free(node[i]);
  help_free(more);
  free(old);
}

static void test_slot(void) {
  struct mark_options options = {.no_scouts = true};
  uintptr_t a = help_alloc(64, KIND_SCANNED), b = help_alloc(100000, KIND_SCANNED), c = help_alloc(64, KIND_SCANNED);
  help_link(a, 0, b);
  help_link(b, 9000, c);
  heap_lock();
  mark_begin(&options);
  mark_use(colour);
  mark_slot(region_find(~a), block_slot(region_find(~a), ~a));
  mark_slot(region_find(~b), 0);
  mark_all();
  OK(mark_is_complete(), "everything could be read");
  mark_end();
  heap_unlock();
  OK(unmark() == 3, "a slot is taken as if a word had led to it");
  help_free(a);
  help_free(b);
  help_free(c);
}

/* Between searches the heap changes, and the marker knows it. */
static void test_table(void) {
  enum { nodes = 400, rounds = 300 };
  static const size_t sizes[] = {16, 700, 9000, 30000, 40000, 66000, 300000, 2000000};
  uint64_t seed = tap_seed();
  uintptr_t node[nodes];
  for (int i = 0; i < nodes; i++) node[i] = help_alloc(sizes[tap_random(&seed) % 8], KIND_SCANNED);
  bool good = true, exact = true;
  for (int round = 0; round < rounds && good && exact; round++) {
    for (int k = 0; k < 20; k++) {
      int i = (int)(tap_random(&seed) % nodes);
      struct block *block = region_find(~node[i]);
      if (!block->slot_size && tap_random(&seed) % 2) {
        void *moved = large_resize(block, 33000 + tap_random(&seed) % 700000);
        memset(moved, 0, region_find((uintptr_t)moved)->size);
        node[i] = ~(uintptr_t)moved;
        continue;
      }
      help_free(node[i]);
      node[i] = help_alloc(sizes[tap_random(&seed) % 8], tap_random(&seed) % 3 ? KIND_SCANNED : KIND_POINTER_FREE);
    }
    size_t scanned = 0;
    for (int i = 0; i < nodes; i++) {
      help_link(node[i], 0, i + 1 < nodes ? node[i + 1] : ~(uintptr_t)0);
      help_link(node[i], 1, ~(uintptr_t)0);
    }
    while (scanned < nodes - 1 && region_find(~node[scanned])->kind == KIND_SCANNED) scanned++;
    exact = reach(~node[0]) == scanned + 1;
    if (round == rounds / 2) heap_limit_span((size_t)1 << 30);
    good = heap_verify(help_cache);
  }
  OK(exact, "what comes, goes and grows between searches is known to the next");
  OK(good, "and the table of units is the map's");
  for (int i = 0; i < nodes; i++) help_free(node[i]);
}

int main(void) {
  help_init();
  test_words();
  test_unaligned();
  test_large();
  test_shapes();
  test_mangled();
  test_random();
  test_scouts();
  test_young();
  test_slot();
  test_table();
  return tap_end();
}
