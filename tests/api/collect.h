/* SPDX-License-Identifier: MIT
 * For the tests of gc.h and gc_ext.h: objects that are lost, or held where the test says, and how many of them are still
 * there. The collector is conservative: a stale word may keep an object or two, so "lost" means nearly all. */
#ifndef COLLECT_H
#define COLLECT_H

#include "gc_ext.h"
#include "tap.h"
#include "wipe.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { crowd_size = 200, crowd_nearly = crowd_size * 9 / 10 };

/* Addresses in disguise, so that this is no root. */
struct crowd {
  uintptr_t hidden[crowd_size];
};

static inline void *crowd_get(const struct crowd *crowd, int i) { return (void *)~crowd->hidden[i]; }

/* keep[i], if there is one, gets the address of each object that make makes. */
__attribute__((noinline, unused)) static void crowd_make(struct crowd *crowd, void *(*make)(size_t), size_t size, void **keep) {
  for (int i = 0; i < crowd_size; i++) {
    void *p = make(size);
    if (p && size) memset(p, 0, size < 64 ? size : 64);
    crowd->hidden[i] = ~(uintptr_t)p;
    if (keep) keep[i] = p;
  }
}

static inline int crowd_alive(const struct crowd *crowd) {
  int alive = 0;
  for (int i = 0; i < crowd_size; i++) alive += GC_base(crowd_get(crowd, i)) == crowd_get(crowd, i);
  return alive;
}

static inline void crowd_collect(int generation) {
  wipe();
  GC_collect(generation, NULL);
}

/* Nearly all have been reclaimed; nothing was allocated since. */
static inline bool crowd_lost(const struct crowd *crowd) {
  int alive = crowd_alive(crowd);
  if (alive > crowd_size - crowd_nearly) tap_note("%d of %d are still there", alive, crowd_size);
  return alive <= crowd_size - crowd_nearly;
}

static inline bool crowd_kept(const struct crowd *crowd) {
  int alive = crowd_alive(crowd);
  if (alive != crowd_size) tap_note("only %d of %d are still there", alive, crowd_size);
  return alive == crowd_size;
}

/* Under the preloaded library the one heap serves malloc as well. */
static inline bool heap_serves_malloc(void) {
  void *(*volatile allocate)(size_t) = malloc;
  void *p = allocate(10);
  bool serves = GC_is_heap_ptr(p);
  free(p);
  return serves;
}

#endif
