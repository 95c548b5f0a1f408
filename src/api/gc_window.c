/* SPDX-License-Identifier: MIT
 * The public names that show the heap: single objects, all of them, and what leads where. */
#include "config.h"

#include "api/alloc.h"
#include "api/collector.h"

#include "gc/window.h"
#include "gc_ext.h"
#include "heap/counts.h"

#include <errno.h>

#define PUBLIC __attribute__((visibility("default"), noinline))

/* --- one object --- */

/* The state of the live object that begins there; 0: there is none. */
static uint8_t gc_window_state(const void *object, struct block **block, uint32_t *slot) {
  if (!alloc_find(object, block, slot)) return 0;
  return ((volatile uint8_t *)(*block)->state)[*slot];
}

PUBLIC int GC_is_tracked(const void *object) {
  struct block *block;
  uint32_t slot;
  return collector_is_armed && gc_window_state(object, &block, &slot) && sweep_policies[block->kind] != SWEEP_NEVER;
}

PUBLIC int GC_is_finalized(const void *object) {
  struct block *block;
  uint32_t slot;
  _Atomic uint32_t *count = gc_window_state(object, &block, &slot) ? counts_find(block, slot) : NULL;
  return count && atomic_load(count) & COUNT_FINALIZED;
}

PUBLIC int GC_is_frozen(const void *object) {
  struct block *block;
  uint32_t slot;
  return birth_options.mode != MODE_LEAKS && gc_window_state(object, &block, &slot) & STATE_FROZEN;
}

PUBLIC int GC_get_generation(const void *object) {
  struct block *block;
  uint32_t slot;
  uint8_t state = gc_window_state(object, &block, &slot);
  if (!state) {
    errno = EINVAL;
    return -1;
  }
  if (birth_options.mode == MODE_LEAKS) return 0; /* a search has another meaning for these bits */
  return state & STATE_AGE_2 ? 2 : state & STATE_AGE_1 ? 1 : 0;
}

/* --- lists of objects --- */

struct gc_window {
  int (*look)(struct gc_window *window);
  struct window_list list;
  unsigned age;
  void *const *objects; /* of which is asked, and a copy for each try */
  struct window_targets targets;
  int error;
};

static void gc_window_look(void *arg) {
  struct gc_window *window = arg;
  window->error = window->look(window);
}

static void *gc_window_alloc(size_t size, enum kind kind, const struct site_start *start) {
  return alloc(&(struct alloc_request){.size = size, .align = 1, .kind = kind, .zero = true}, start);
}

static int gc_window_try(struct gc_window *window) {
  for (size_t i = 0; i < window->targets.count; i++) window->targets.at[i].lo = (uintptr_t)window->objects[i];
  window->list.count = 0;
  int error = collector_look(gc_window_look, window);
  return error ? error : window->error;
}

/* The list is an object of its own, so that what is in it lives. It is made while the program runs, for a guess of how many there will be. */
static void **gc_window_take(struct gc_window *window, size_t guess, size_t *count, const struct site_start *start) {
  int saved = errno, error = collector_arm();
  while (!error) {
    void **list = gc_window_alloc((guess + 1) * sizeof *list, KIND_COLLECTED, start);
    if (!list) return NULL;
    window->list.at = (uintptr_t *)list;
    window->list.most = guess;
    error = gc_window_try(window);
    if (!error && window->list.count <= guess) {
      if (count) *count = window->list.count;
      errno = saved;
      return list;
    }
    alloc_free(list, MISUSE_FREE, start);
    guess = window->list.count + window->list.count / 8 + 64;
  }
  errno = error;
  return NULL;
}

static int gc_window_objects(struct gc_window *window) {
  window_objects(window->age, &window->list);
  return 0;
}

PUBLIC void **GC_get_objects(int generation, size_t *count) {
  struct site_start start;
  SITE_CALLER(&start);
  struct gc_window window = {.look = gc_window_objects, .age = generation < 0 ? window_any_age : (unsigned)generation};
  if (generation >= -1 && generation < collect_generations) return gc_window_take(&window, 0, count, &start);
  errno = EINVAL;
  return NULL;
}

/* The same, of given objects. */
static void **gc_window_take_of(struct gc_window *window, void *const *objects, size_t n, size_t *count, const struct site_start *start) {
  enum { few = 16, guess = 250 };
  struct window_range range[few], *more = NULL;
  if (n > few && (n > PTRDIFF_MAX / sizeof *more || !(more = gc_window_alloc(n * sizeof *more, KIND_POINTER_FREE, start)))) {
    errno = ENOMEM;
    return NULL;
  }
  window->objects = objects;
  window->targets = (struct window_targets){more ? more : range, n};
  void **list = gc_window_take(window, guess, count, start);
  if (more) alloc_free(more, MISUSE_FREE, start);
  return list;
}

static int gc_window_referrers(struct gc_window *window) {
  window_sort(&window->targets);
  return window_referrers(&window->targets, birth_options.unaligned, &window->list);
}

PUBLIC void **GC_get_referrers(void *const *objects, size_t n, size_t *count) {
  struct site_start start;
  SITE_CALLER(&start);
  struct gc_window window = {.look = gc_window_referrers};
  return gc_window_take_of(&window, objects, n, count, &start);
}

static int gc_window_referents(struct gc_window *window) {
  int error = 0;
  for (size_t i = 0; i < window->targets.count && !error; i++)
    error = window_referents(window->targets.at[i].lo, birth_options.unaligned, &window->list);
  return error;
}

PUBLIC void **GC_get_referents(void *const *objects, size_t n, size_t *count) {
  struct site_start start;
  SITE_CALLER(&start);
  struct gc_window window = {.look = gc_window_referents};
  return gc_window_take_of(&window, objects, n, count, &start);
}
