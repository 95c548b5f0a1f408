/* SPDX-License-Identifier: MIT
 * The list of toggle references. */
#include "config.h"

#include "gc/toggle.h"

#include "os/memory.h"

struct toggle {
  struct watch watch;
  struct toggle *next; /* also of the spare ones */
  enum toggle_state state;
};

static struct toggle *toggles, *toggle_spare;

bool toggle_add(uintptr_t object, enum toggle_state state) {
  struct toggle *toggle = toggle_spare ? toggle_spare : os_arena_alloc(sizeof *toggle, _Alignof(struct toggle));
  if (!toggle) return false;
  if (toggle_spare) toggle_spare = toggle_spare->next;
  bool added = watch_add(&toggle->watch, WATCH_TOGGLE, object);
  struct toggle **list = added ? &toggles : &toggle_spare;
  toggle->state = state;
  toggle->next = *list;
  *list = toggle;
  return added;
}

struct toggle *toggle_next(const struct toggle *toggle) { return toggle ? toggle->next : toggles; }
uintptr_t toggle_object(const struct toggle *toggle) { return toggle->state == TOGGLE_DROP ? 0 : toggle->watch.object; }

void toggle_set(struct toggle *toggle, enum toggle_state state) {
  if (toggle->state == TOGGLE_DROP) return;
  if (state == TOGGLE_DROP) watch_remove(&toggle->watch);
  toggle->state = state;
}

void toggle_tidy(void) {
  for (struct toggle **link = &toggles; *link;) {
    struct toggle *toggle = *link;
    if (toggle->state != TOGGLE_DROP) {
      link = &toggle->next;
      continue;
    }
    *link = toggle->next;
    toggle->next = toggle_spare;
    toggle_spare = toggle;
  }
}

bool toggle_is_strong(const struct watch *watch) { return ((const struct toggle *)watch)->state == TOGGLE_STRONG; }

static void toggle_mark(struct watch *watch, void *arg) {
  (void)arg;
  if (toggle_is_strong(watch)) watch_mark(watch->object);
}

void toggle_roots(unsigned generation) { watch_each(WATCH_TOGGLE, generation, toggle_mark, NULL); }

void toggle_drop(struct watch *watch) { toggle_set((struct toggle *)watch, TOGGLE_DROP); }

static void toggle_end(struct watch *watch, void *arg) {
  if (!watch_lives(watch->object, *(const unsigned *)arg)) toggle_drop(watch);
}

void toggle_commit(unsigned generation) { watch_each(WATCH_TOGGLE, generation, toggle_end, &generation); }
