/* SPDX-License-Identifier: MIT
 * The order in which those who wait for the end of objects are told. */
#include "config.h"

#include "gc/settle.h"

#include "gc/errand.h"
#include "gc/mark.h"
#include "gc/watch.h"

static void settle_mark_pin(struct watch *watch, void *arg) {
  (void)arg;
  watch_mark(watch->object);
}

void settle_roots(unsigned generation, settle_root *root, void *arg) {
  watch_each(WATCH_PIN, generation, settle_mark_pin, NULL);
  errand_each(root, arg);
}

void settle_mark(unsigned generation) {
  (void)generation;
  mark_all();
}

void settle_commit(unsigned generation) { (void)generation; }
void settle_forget(unsigned generation) { (void)generation; }
void settle_ages(unsigned generation) { watch_note_ages(generation); }

struct errand *settle_dying(uintptr_t object) { return (void)object, NULL; }

void settle_freed(uintptr_t object) {
  for (struct watch *watch = watch_first(object), *next; watch; watch = next) {
    next = watch_after(watch);
    if (watch->kind != WATCH_PIN) watch_remove(watch);
  }
}
