/* SPDX-License-Identifier: MIT
 * Who is asked before memory is used again. */
#include "config.h"

#include "gc/disclaim.h"

#include "gc/errand.h"
#include "gc/mark.h"
#include "os/memory.h"

enum { DISCLAIM_OBJECT, DISCLAIM_FUNCTION, DISCLAIM_DATA, DISCLAIM_IN_ORDER }; /* words of the errand */

struct disclaimer {
  struct watch watch; /* WATCH_DISCLAIM; WATCH_ASKED from when it is dead until its owner was asked */
  struct errand errand; /* next: also among those that are chosen, and the spare ones */
};

static struct {
  struct errand *spare, *chosen;
} disclaim;

static struct disclaimer *disclaim_of(struct errand *errand) {
  return (struct disclaimer *)((char *)errand - offsetof(struct disclaimer, errand));
}

static void disclaim_recycle(struct disclaimer *d) {
  d->errand.next = disclaim.spare;
  disclaim.spare = &d->errand;
}

static struct disclaimer *disclaim_new(void) {
  struct disclaimer *d = disclaim.spare ? disclaim_of(disclaim.spare) : os_arena_alloc(sizeof *d, _Alignof(struct disclaimer));
  if (disclaim.spare) disclaim.spare = disclaim.spare->next;
  return d;
}

static void disclaim_run(struct errand *errand);

bool disclaim_add(uintptr_t object, disclaim_function *function, void *data, bool in_order) {
  struct disclaimer *d = disclaim_new();
  if (!d) return false;
  d->errand = (struct errand){.kind = ERRAND_CALLBACK, .run = disclaim_run,
                              .word = {object, (uintptr_t)function, (uintptr_t)data, in_order}};
  if (watch_add(&d->watch, WATCH_DISCLAIM, object)) return true;
  disclaim_recycle(d);
  return false;
}

void disclaim_move(uintptr_t from, uintptr_t to) {
  struct watch *watch = watch_first(from);
  while (watch && watch->kind != WATCH_DISCLAIM) watch = watch_after(watch);
  struct disclaimer *d = (struct disclaimer *)watch;
  if (!d) return;
  watch_remove(&d->watch);
  d->errand.word[DISCLAIM_OBJECT] = to;
  if (!watch_add(&d->watch, WATCH_DISCLAIM, to)) disclaim_recycle(d);
}

/* --- asking --- */

/* The object, and what it is asked with, are held by this frame; it may be freed meanwhile. */
static void disclaim_run(struct errand *errand) {
  struct disclaimer *d = disclaim_of(errand);
  watch_lock();
  void *object = (void *)errand->word[DISCLAIM_OBJECT], *data = (void *)errand->word[DISCLAIM_DATA];
  disclaim_function *function = (disclaim_function *)errand->word[DISCLAIM_FUNCTION];
  watch_unlock();
  bool not_yet = object && function(object, data);
  watch_lock();
  if (not_yet && errand->word[DISCLAIM_OBJECT]) {
    watch_turn(&d->watch, WATCH_DISCLAIM);
  } else {
    if (errand->word[DISCLAIM_OBJECT]) watch_remove(&d->watch);
    disclaim_recycle(d);
  }
  watch_unlock();
  __asm__ volatile("" ::"g"(object), "g"(data) : "memory");
}

void disclaim_drop(struct watch *watch) {
  struct disclaimer *d = (struct disclaimer *)watch;
  bool asked = watch->kind == WATCH_ASKED;
  watch_remove(watch);
  d->errand.word[DISCLAIM_OBJECT] = d->errand.word[DISCLAIM_DATA] = 0;
  if (!asked) disclaim_recycle(d); /* else whoever has the errand does that */
}

/* --- in a collection --- */

struct disclaim_root {
  void (*root)(uintptr_t lo, uintptr_t hi, void *arg);
  void *arg;
};

static void disclaim_root_one(struct watch *watch, void *arg) {
  const struct disclaim_root *told = arg;
  uintptr_t *word = ((struct disclaimer *)watch)->errand.word;
  if (word[DISCLAIM_DATA] - region.base < region.span)
    told->root((uintptr_t)&word[DISCLAIM_DATA], (uintptr_t)(&word[DISCLAIM_DATA] + 1), told->arg);
}

/* Also what was taken from the queue, and is being asked about. */
static void disclaim_root_asked(struct watch *watch, void *arg) {
  watch_mark(watch->object);
  disclaim_root_one(watch, arg);
}

void disclaim_roots(unsigned generation, void (*root)(uintptr_t lo, uintptr_t hi, void *arg), void *arg) {
  struct disclaim_root told = {root, arg};
  watch_each(WATCH_DISCLAIM, generation, disclaim_root_one, &told);
  watch_each(WATCH_ASKED, generation, disclaim_root_asked, &told);
}

struct disclaim_search {
  unsigned generation;
  struct errand *lost;
};

static void disclaim_gather(struct watch *watch, void *arg) {
  struct disclaim_search *search = arg;
  struct disclaimer *d = (struct disclaimer *)watch;
  if (watch_lives(watch->object, search->generation)) return;
  d->errand.next = search->lost;
  search->lost = &d->errand;
}

/* First what those lead to that are to be asked before it: who is reached so has to wait. */
bool disclaim_mark(unsigned generation) {
  struct disclaim_search search = {generation, NULL};
  disclaim.chosen = NULL;
  watch_each(WATCH_DISCLAIM, generation, disclaim_gather, &search);
  if (likely(!search.lost)) return false;
  for (struct errand *errand = search.lost; errand; errand = errand->next)
    if (errand->word[DISCLAIM_IN_ORDER]) watch_mark_contents(errand->word[DISCLAIM_OBJECT]);
  mark_all();
  for (struct errand *errand = search.lost, *next; errand; errand = next) {
    next = errand->next;
    if (watch_lives(errand->word[DISCLAIM_OBJECT], generation)) continue;
    errand->next = disclaim.chosen;
    disclaim.chosen = errand;
  }
  for (struct errand *errand = disclaim.chosen; errand; errand = errand->next) watch_mark(errand->word[DISCLAIM_OBJECT]);
  mark_all();
  return true;
}

void disclaim_commit(void) {
  for (struct errand *errand = disclaim.chosen, *next; errand; errand = next) {
    next = errand->next;
    watch_turn(&disclaim_of(errand)->watch, WATCH_ASKED);
    errand_push(errand);
  }
  disclaim.chosen = NULL;
}

void disclaim_forget(void) { disclaim.chosen = NULL; }
