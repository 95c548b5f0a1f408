/* SPDX-License-Identifier: MIT
 * The order in which those who wait for the end of objects are told. */
#include "config.h"

#include "gc/settle.h"

#include "gc/disclaim.h"
#include "gc/ephemeron.h"
#include "gc/errand.h"
#include "gc/finalize.h"
#include "gc/garbage.h"
#include "gc/links.h"
#include "gc/mark.h"
#include "gc/toggle.h"
#include "gc/watch.h"
#include "gc/weak.h"

static void settle_mark_pin(struct watch *watch, void *arg) {
  (void)arg;
  watch_mark(watch->object);
}

void settle_roots(unsigned generation, settle_root *root, void *arg) {
  watch_each(WATCH_PIN, generation, settle_mark_pin, NULL);
  errand_each(root, arg);
  finalize_roots(generation, root, arg);
  garbage_roots(root, arg);
  toggle_roots(generation);
  disclaim_roots(generation, root, arg);
}

struct settle_telling {
  settle_root *root;
  void *arg;
};

static void settle_tell_word(uintptr_t word, const struct settle_telling *telling) {
  telling->root((uintptr_t)&word, (uintptr_t)(&word + 1), telling->arg);
}

static void settle_tell_object(struct watch *watch, void *arg) { settle_tell_word(watch->object, arg); }
static void settle_tell_value(struct watch *watch, void *arg) { settle_tell_word(ephemeron_value((struct ephemeron *)watch), arg); }
static void settle_tell_toggle(struct watch *watch, void *arg) {
  if (toggle_is_strong(watch)) settle_tell_word(watch->object, arg);
}

void settle_kept(settle_root *root, void *arg) {
  enum { all = 2 };
  struct settle_telling telling = {root, arg};
  watch_each(WATCH_PIN, all, settle_tell_object, &telling);
  watch_each(WATCH_TOGGLE, all, settle_tell_toggle, &telling);
  watch_each(WATCH_KEY, all, settle_tell_value, &telling);
  errand_each(root, arg);
  finalize_roots(all, root, arg);
  garbage_roots(root, arg);
}

void settle_mark(unsigned generation) {
  garbage_begin();
  mark_all();
  ephemeron_mark(generation);
  while (finalize_mark_done(generation)) ephemeron_mark_again(generation);
  weak_note(WATCH_WEAK, generation);
  links_note(WATCH_LINK, generation);
  finalize_mark(generation);
  do ephemeron_mark_again(generation);
  while (finalize_mark_done(generation));
  if (garbage_mark(generation)) ephemeron_mark_again(generation);
  if (disclaim_mark(generation))
    do ephemeron_mark_again(generation);
    while (finalize_mark_done(generation));
  weak_note(WATCH_LONG, generation);
  links_note(WATCH_LONG_LINK, generation);
}

void settle_commit(unsigned generation) {
  weak_commit(generation);
  links_commit(generation);
  ephemeron_commit(generation);
  finalize_commit(generation);
  toggle_commit(generation);
  disclaim_commit();
}

void settle_forget(unsigned generation) {
  (void)generation;
  weak_forget();
  links_forget();
  ephemeron_forget();
  finalize_forget();
  garbage_forget();
  disclaim_forget();
}

void settle_ages(unsigned generation) { watch_note_ages(generation); }

struct errand *settle_dying(uintptr_t object) {
  weak_freed(object, false);
  links_freed(object, false);
  return finalize_take(object);
}

static void settle_drop(struct watch *watch) {
  switch (watch->kind) {
  case WATCH_PIN: break;
  case WATCH_FINALIZER:
  case WATCH_QUEUED:
  case WATCH_DONE: finalize_drop(watch); break;
  case WATCH_TOGGLE: toggle_drop(watch); break;
  case WATCH_DISCLAIM:
  case WATCH_ASKED: disclaim_drop(watch); break;
  default: watch_remove(watch);
  }
}

void settle_freed(uintptr_t object) {
  weak_freed(object, true);
  links_freed(object, true);
  ephemeron_freed(object);
  for (struct watch *watch = watch_first(object), *next; watch; watch = next) {
    next = watch_after(watch);
    settle_drop(watch);
  }
}
