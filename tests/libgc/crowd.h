/* SPDX-License-Identifier: MIT
 * For the tests of libgc's names: objects that nothing leads to but what the test says. The collector is conservative, and a stale word may keep an
 * object or two: lost means nearly all. */
#ifndef LIBGC_CROWD_H
#define LIBGC_CROWD_H

#include "../api/collect.h"

static struct crowd lost_crowd;

__attribute__((noinline, unused)) static void lost_make(void) {
  crowd_make(&lost_crowd, GC_malloc, 48, NULL);
  wipe();
}

__attribute__((unused)) static bool lost_is_gone(void) { return crowd_alive(&lost_crowd) <= crowd_size - crowd_nearly; }

/* So many bytes of garbage. */
__attribute__((noinline, unused)) static void litter(size_t bytes) {
  static void *(*volatile gc_malloc)(size_t) = GC_malloc;
  for (size_t i = 0; i < bytes / 1024; i++) gc_malloc(1000);
  wipe();
}

/* A list that stays, of so many bytes. */
__attribute__((noinline, unused)) static void *hoard(size_t bytes) {
  void **list = NULL;
  for (size_t i = 0; i < bytes / 1024; i++) {
    void **one = GC_malloc(1000);
    *one = list;
    list = one;
  }
  return list;
}

#endif
