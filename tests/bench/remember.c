/* SPDX-License-Identifier: MIT
 * What a minor collection's look at the old objects costs, by itself: remember [WAY [MEGABYTES [WRITES [ROUNDS]]]].
 *
 * A cold heap of 64-byte objects, each with a pointer to its neighbour and one to anywhere; between collections WRITES of them
 * are written to, at random, a few with pointers to new objects, of which 4 MiB are made and soon die. Prints what
 * mark_begin, remember_scan and remember_promoted take, in milliseconds of this thread's own time. */
#include "config.h"

#include "gc/mark.h"
#include "gc/remember.h"
#include "heap/cache.h"
#include "heap/heap.h"
#include "heap/sweep.h"
#include "os/memory.h"
#include "os/threads.h"

#include <stdio.h>
#include <stdlib.h>

enum { size = 64, young = (4 << 20) / size };

static struct cache *cache;
static uintptr_t **object;
static size_t count;
static uint64_t state = 88172645463325252u;

static size_t pick(size_t n) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state % n;
}

static uintptr_t *make(void) {
  struct bin *bin = &cache->bins[KIND_COLLECTED][size_class_of(size)];
  void *p;
  while (!(p = cache_take(bin)))
    if (!cache_refill(cache, bin)) abort();
  return p;
}

static void each_block(void (*visit)(struct block *block)) {
  struct block *block;
  for (size_t unit = 0; (block = region_next(&unit)) != NULL; unit += block->units) visit(block);
}

static void age(struct block *block) {
  for (uint32_t i = 0; i < block->nslots; i++)
    if (block->state[i] == STATE_LIVE) block->state[i] = STATE_LIVE | STATE_AGE_2;
  cache_forget_young(block);
  region.ages[(block->start - region.base) >> block_unit_shift] = block->young ? REGION_AGE_0 : 0;
}

static void sweep(struct block *block) {
  bool gone;
  size_t at = (block->start - region.base) >> block_unit_shift;
  if (region.ages[at]) region.ages[at] = sweep_minor(block, sweep_groups(block, 1), 1, &(struct sweep_counts){0}, &gone);
}

static void colour(struct block *block) {
  if (block->young) sweep_colour_new(block, false);
}

static void build(size_t bytes) {
  count = bytes / size;
  object = os_memory_map(count * sizeof *object);
  for (size_t i = 0; i < count; i++) {
    object[i] = make();
    object[i][0] = i ? (uintptr_t)object[i - 1] : 0;
    object[i][1] = (uintptr_t)object[pick(i + 1)];
    for (int k = 2; k < 8; k++) object[i][k] = (uintptr_t)i;
  }
  each_block(age);
}

static void run(size_t writes) {
  for (size_t i = 0; i < young; i++) {
    uintptr_t *p = make();
    for (int k = 0; k < 8; k++) p[k] = 0;
    if (writes && i % (young / writes + 1) == 0) object[pick(count)][2] = (uintptr_t)p;
  }
  for (size_t i = 0; i < writes; i++) object[pick(count)][3] = i;
}

static double ms(uint64_t since) { return (double)(os_thread_clock() - since) / 1e6; }

int main(int argc, char **argv) {
  static const char *const names[] = {"auto", "uffd", "soft-dirty", "scan"};
  enum track_way way = argc > 1 ? (enum track_way)atoi(argv[1]) : TRACK_AUTO;
  size_t bytes = (argc > 2 ? (size_t)atoi(argv[2]) : 100) << 20, writes = argc > 3 ? (size_t)atoi(argv[3]) : 10;
  int rounds = argc > 4 ? atoi(argv[4]) : 100;
  const char *why;
  os_memory_init();
  if (heap_init(false) != 0 || !(cache = cache_acquire())) return 1;
  build(bytes);
  remember_init(way);
  double best = 1e9, worst = 0;
  for (int round = 0; round < rounds; round++) {
    struct remember_counts counts = {0};
    struct mark_options options = {.no_scouts = true};
    uint64_t at = os_thread_clock();
    run(writes);
    double ran = ms(at);
    heap_lock();
    at = os_thread_clock();
    if (mark_begin(&options) != 0) return 1;
    double began = ms(at);
    each_block(colour);
    mark_use((struct mark_colour){STATE_OWNED | STATE_FROZEN | STATE_MARK | STATE_AGE_2, STATE_LIVE | sweep_colour, STATE_MARK});
    at = os_thread_clock();
    remember_scan(1, &counts);
    double scanned = ms(at);
    at = os_thread_clock();
    mark_all();
    double marked = ms(at);
    each_block(sweep);
    at = os_thread_clock();
    remember_promoted(1);
    double promoted = ms(at);
    mark_end();
    heap_unlock();
    if (round >= rounds / 2 && scanned < best) best = scanned;
    if (round >= rounds / 2 && scanned > worst) worst = scanned;
    if (round < 8 || round % (rounds / 20 + 1) == 0)
      printf("%4d: program %7.3f begin %6.3f scan %8.3f mark %6.3f promote %6.3f  pages scanned %7zu skipped %7zu faults %5lu\n",
             round, ran, began, scanned, marked, promoted, counts.pages_scanned, counts.pages_skipped, (unsigned long)counts.faults);
  }
  way = remember_way(&why);
  printf("%s (%s), %zu MiB, %zu writes: second half: scan %.3f to %.3f ms\n", names[way], why, bytes >> 20, writes, best,
         worst);
  return 0;
}
