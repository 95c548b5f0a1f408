/* SPDX-License-Identifier: MIT
 * Finalizers. Must not know who runs them, or when.
 *
 * The search is linear: each unreachable object is marked at most once, and each finalizer is looked at a fixed number of times. Whether an
 * object leads to itself is seen by marking through one after the other.
 *
 * Of a cycle that search shows one object, its head. What else will never be due shows in the next collection, which marks through the heads
 * first: if all of them are reached again, whatever else is reached by then leads nowhere better. When nothing at all is due, that is known at once. */
#include "config.h"

#include "gc/finalize.h"

#include "gc/garbage.h"
#include "gc/mark.h"
#include "os/memory.h"

enum { FINALIZE_OBJECT, FINALIZE_FUNCTION, FINALIZE_DATA, FINALIZE_FLAGS }; /* words of the errand */

enum {
  FINALIZE_ORDER = 3, /* enum finalize_order */
  FINALIZE_SUPPRESSED = 4,
  FINALIZE_HEAD = 8,    /* the last collection that looked found it to lead to itself */
  FINALIZE_LISTED = 16, /* it has been on the list of garbage */
};

struct finalizer {
  struct watch watch;
  struct errand errand; /* next: also in the lists of a collection, and of the spare ones */
};

_Atomic int finalize_java = 1;
_Atomic bool finalize_awaited;

static struct errand *finalize_spare;
static bool finalize_heads, finalize_unreachable; /* there has been one: otherwise nobody looks for them */

static struct finalizer *finalize_of(struct errand *errand) {
  return (struct finalizer *)((char *)errand - offsetof(struct finalizer, errand));
}

static uintptr_t *finalize_flags(struct finalizer *f) { return &f->errand.word[FINALIZE_FLAGS]; }
static enum finalize_order finalize_order_of(struct finalizer *f) { return *finalize_flags(f) & FINALIZE_ORDER; }

/* Most often nobody waits for it, which the word beside the slot tells without a look into the table. */
static struct finalizer *finalize_find(uintptr_t object, enum watch_kind kind) {
  const struct block *block = region_find(object);
  _Atomic uint32_t *count = block ? counts_find(block, block_slot(block, object)) : NULL;
  if (!count || !(atomic_load(count) & COUNT_LISTED)) return NULL;
  for (struct watch *watch = watch_first(object); watch; watch = watch_after(watch))
    if (watch->kind == kind) return (struct finalizer *)watch;
  return NULL;
}

static _Atomic uint32_t *finalize_count(struct finalizer *f) {
  struct block *block = region_find(f->watch.object);
  return counts_find(block, block_slot(block, f->watch.object));
}

/* --- registering --- */

static void finalize_run(struct errand *errand);

static void finalize_recycle(struct finalizer *f) {
  f->errand.next = finalize_spare;
  finalize_spare = &f->errand;
}

static struct finalizer *finalize_make(uintptr_t object) {
  struct finalizer *f = finalize_spare ? finalize_of(finalize_spare) : os_arena_alloc(sizeof *f, _Alignof(struct finalizer));
  if (!f) return NULL;
  if (finalize_spare) finalize_spare = finalize_spare->next;
  if (watch_add(&f->watch, WATCH_FINALIZER, object)) return f;
  finalize_recycle(f);
  return NULL;
}

static void finalize_remove(struct finalizer *f) {
  if (*finalize_flags(f) & FINALIZE_LISTED) garbage_drop(f->watch.object);
  watch_remove(&f->watch);
  finalize_recycle(f);
}

static struct finalize_call finalize_call_of(struct finalizer *f) {
  if (!f) return (struct finalize_call){0};
  return (struct finalize_call){(finalize_function *)f->errand.word[FINALIZE_FUNCTION], (void *)f->errand.word[FINALIZE_DATA], finalize_order_of(f)};
}

static void finalize_activate(struct finalizer *f) {
  watch_turn(&f->watch, WATCH_FINALIZER);
  atomic_fetch_and(finalize_count(f), ~(uint32_t)COUNT_FINALIZED);
}

static void finalize_fill(struct finalizer *f, const struct finalize_call *call) {
  f->errand.kind = ERRAND_FINALIZER;
  f->errand.run = finalize_run;
  f->errand.word[FINALIZE_OBJECT] = f->watch.object;
  f->errand.word[FINALIZE_FUNCTION] = (uintptr_t)call->function;
  f->errand.word[FINALIZE_DATA] = (uintptr_t)call->data;
  *finalize_flags(f) = call->order;
  if (call->order == FINALIZE_UNREACHABLE) finalize_unreachable = true;
}

bool finalize_set(uintptr_t object, const struct finalize_call *call, struct finalize_call *old) {
  struct finalizer *f = finalize_find(object, WATCH_FINALIZER);
  struct finalize_call before = finalize_call_of(f);
  if (!call->function) {
    if (f) finalize_remove(f);
  } else {
    uintptr_t listed = f ? *finalize_flags(f) & FINALIZE_LISTED : 0;
    if (!f) f = finalize_find(object, WATCH_DONE);
    if (!f) f = finalize_make(object);
    if (!f) return false;
    finalize_activate(f);
    finalize_fill(f, call);
    *finalize_flags(f) |= listed;
  }
  *old = before;
  return true;
}

bool finalize_suppress(uintptr_t object) {
  struct finalizer *f = finalize_find(object, WATCH_FINALIZER);
  if (!f) f = finalize_find(object, WATCH_QUEUED);
  if (f) *finalize_flags(f) |= FINALIZE_SUPPRESSED;
  return f;
}

bool finalize_restore(uintptr_t object) {
  struct finalizer *f = finalize_find(object, WATCH_FINALIZER);
  if (!f) f = finalize_find(object, WATCH_QUEUED);
  if (!f && (f = finalize_find(object, WATCH_DONE))) finalize_activate(f);
  if (f) *finalize_flags(f) &= ~(uintptr_t)FINALIZE_SUPPRESSED;
  return f;
}

/* The object is freed. An errand that waits is left to whoever takes it, and does nothing. */
void finalize_drop(struct watch *watch) {
  struct finalizer *f = (struct finalizer *)watch;
  if (watch->kind != WATCH_QUEUED) {
    finalize_remove(f);
    return;
  }
  watch_remove(watch);
  f->errand.word[FINALIZE_OBJECT] = f->errand.word[FINALIZE_DATA] = 0;
}

/* --- from the table to the queue, and running --- */

static struct errand *finalize_queue(struct finalizer *f) {
  if (*finalize_flags(f) & FINALIZE_LISTED) garbage_drop(f->watch.object);
  *finalize_flags(f) &= FINALIZE_ORDER;
  watch_turn(&f->watch, WATCH_QUEUED);
  atomic_fetch_or(finalize_count(f), COUNT_FINALIZED);
  return &f->errand;
}

/* It waits in the queue, to the middle of which there is no way: there an empty one is left, and another has its place. */
static struct finalizer *finalize_unqueue(uintptr_t object) {
  struct finalizer *queued = finalize_find(object, WATCH_QUEUED), *f;
  if (!queued || *finalize_flags(queued) & FINALIZE_SUPPRESSED || !(f = finalize_make(object))) return NULL;
  struct finalize_call call = finalize_call_of(queued);
  finalize_fill(f, &call);
  finalize_drop(&queued->watch);
  return f;
}

struct errand *finalize_take(uintptr_t object) {
  struct finalizer *f = finalize_find(object, WATCH_FINALIZER);
  if (!f) f = finalize_unqueue(object);
  return f && !(*finalize_flags(f) & FINALIZE_SUPPRESSED) ? finalize_queue(f) : NULL;
}

/* What it was told to be done is known to this frame alone when it is done: it may leave by longjmp, and may register anew. */
static void finalize_run(struct errand *errand) {
  struct finalizer *f = finalize_of(errand);
  watch_lock();
  uintptr_t object = errand->word[FINALIZE_OBJECT];
  struct finalize_call call = finalize_call_of(f);
  bool suppressed = *finalize_flags(f) & FINALIZE_SUPPRESSED;
  if (object) watch_turn(&f->watch, suppressed ? WATCH_FINALIZER : WATCH_DONE);
  else finalize_recycle(f);
  watch_unlock();
  if (object && !suppressed) call.function((void *)object, call.data);
  __asm__ volatile("" ::"g"(object), "g"(call.data) : "memory");
}

/* --- lists of finalizers --- */

struct finalize_list {
  struct errand *first;
};

static void finalize_push(struct finalize_list *list, struct finalizer *f) {
  f->errand.next = list->first;
  list->first = &f->errand;
}

typedef bool finalize_test(struct finalizer *f);

/* Moves those that pass the test from one list to another; both keep their order. */
static void finalize_move(struct finalize_list *from, struct finalize_list *to, finalize_test *test) {
  struct errand **link = &from->first, **end = &to->first;
  while (*end) end = &(*end)->next;
  while (*link) {
    struct errand *errand = *link;
    if (!test(finalize_of(errand))) {
      link = &errand->next;
      continue;
    }
    *link = errand->next;
    errand->next = NULL;
    *end = errand;
    end = &errand->next;
  }
}

#define FINALIZE_EACH(f, list)                                                                                                        \
  for (struct errand *errand_ = (list)->first, *next_; errand_ && (next_ = errand_->next, true); errand_ = next_)                     \
    for (struct finalizer *f = finalize_of(errand_); f; f = NULL)

static void finalize_gather_one(struct watch *watch, void *arg) {
  struct finalizer *f = (struct finalizer *)watch;
  if (!(*finalize_flags(f) & FINALIZE_SUPPRESSED)) finalize_push(arg, f);
}

size_t finalize_take_all(void) {
  struct finalize_list all = {NULL};
  size_t count = 0;
  watch_each(WATCH_FINALIZER, 2, finalize_gather_one, &all);
  FINALIZE_EACH(f, &all) {
    errand_push(finalize_queue(f));
    count++;
  }
  return count;
}

/* --- roots --- */

struct finalize_root {
  void (*root)(uintptr_t lo, uintptr_t hi, void *arg);
  void *arg;
};

static void finalize_root_word(struct finalizer *f, unsigned word, const struct finalize_root *root) {
  uintptr_t at = (uintptr_t)&f->errand.word[word];
  if (f->errand.word[word] - region.base < region.span) root->root(at, at + sizeof(uintptr_t), root->arg);
}

static void finalize_root_data(struct watch *watch, void *arg) {
  finalize_root_word((struct finalizer *)watch, FINALIZE_DATA, arg);
}

/* Also what was taken from the queue, and has not begun to run. */
static void finalize_root_queued(struct watch *watch, void *arg) {
  finalize_root_word((struct finalizer *)watch, FINALIZE_OBJECT, arg);
  finalize_root_word((struct finalizer *)watch, FINALIZE_DATA, arg);
}

void finalize_roots(unsigned generation, void (*root)(uintptr_t lo, uintptr_t hi, void *arg), void *arg) {
  struct finalize_root told = {root, arg};
  watch_each(WATCH_FINALIZER, generation, finalize_root_data, &told);
  watch_each(WATCH_QUEUED, generation, finalize_root_queued, &told);
}

/* --- the search --- */

static struct {
  unsigned generation;
  struct finalize_list ready, suppressed; /* chosen, until the end of the collection is known */
} finalize;

static bool finalize_lives(struct finalizer *f) { return watch_lives(f->watch.object, finalize.generation); }
static bool finalize_is_lost(struct finalizer *f) { return !finalize_lives(f); }
static bool finalize_is_head(struct finalizer *f) { return *finalize_flags(f) & FINALIZE_HEAD; }

/* An address inside of an object that is alive so far, or none that could die. */
static bool finalize_is_reached(uintptr_t address) {
  const struct block *block = region_find(address);
  uint32_t slot = block && block_contains(block, address) ? block_slot(block, address) : 0;
  if (!block || !block_contains(block, address) || !state_is_live(block->state[slot])) return true;
  return watch_lives(block_slot_address(block, slot), finalize.generation);
}

static void finalize_mark_done_one(struct watch *watch, void *arg) {
  struct finalizer *f = (struct finalizer *)watch;
  uintptr_t *data = &f->errand.word[FINALIZE_DATA];
  if (finalize_is_reached(*data) || finalize_is_lost(f)) return;
  mark_range((uintptr_t)data, (uintptr_t)(data + 1));
  mark_all();
  if (finalize_is_reached(*data)) *(bool *)arg = true;
}

bool finalize_mark_done(unsigned generation) {
  bool any = false, more = true;
  finalize.generation = generation;
  while (more) {
    more = false;
    watch_each(WATCH_DONE, generation, finalize_mark_done_one, &more);
    any = any || more;
  }
  return any;
}

/* All but words that lead back into it. */
static void finalize_mark_others(uintptr_t object) {
  const struct block *block = region_find(object);
  size_t size = block_slot_bytes(block);
  uintptr_t end = object + size, from = object;
  if (!kind_is_scanned(block->kind)) return;
  if (!mark_may_read(object, end)) {
    watch_mark_contents(object);
    return;
  }
  for (uintptr_t at = object; at < end; at += sizeof(uintptr_t)) {
    if (*(const volatile uintptr_t *)at - object >= size) continue;
    mark_data(from, at);
    from = at + sizeof(uintptr_t);
  }
  mark_data(from, end);
}

static void finalize_mark_through(struct finalizer *f) {
  enum finalize_order order = finalize_order_of(f);
  if (order == FINALIZE_IGNORE_SELF) finalize_mark_others(f->watch.object);
  else if (order != FINALIZE_NO_ORDER) watch_mark_contents(f->watch.object);
}

static bool finalize_list_stuck(struct finalizer *f) {
  if (!finalize_lives(f)) return false;
  bool first = finalize_is_head(f) && !(*finalize_flags(f) & FINALIZE_LISTED);
  if (garbage_add_stuck(f->watch.object, first)) *finalize_flags(f) |= FINALIZE_LISTED;
  return true;
}

/* What the last collection's heads lead to, if it still does. */
static void finalize_mark_heads(struct finalize_list *lost) {
  bool any = false, all = true;
  struct finalize_list stuck = {NULL};
  if (!finalize_heads) return;
  FINALIZE_EACH(f, lost) {
    if (!finalize_is_head(f)) continue;
    finalize_mark_through(f);
    any = true;
  }
  if (!any) return;
  mark_all();
  FINALIZE_EACH(f, lost) if (finalize_is_head(f)) all = all && finalize_lives(f);
  if (all) {
    finalize_move(lost, &stuck, finalize_list_stuck);
    return;
  }
  FINALIZE_EACH(f, lost) *finalize_flags(f) &= ~(uintptr_t)FINALIZE_HEAD;
}

static void finalize_mark_in_order(struct finalize_list *lost) {
  FINALIZE_EACH(f, lost) {
    if (finalize_lives(f)) continue;
    finalize_mark_through(f);
    mark_all();
    if (!finalize_lives(f)) continue;
    *finalize_flags(f) |= FINALIZE_HEAD;
    finalize_heads = true;
  }
}

/* Not due after all: another that is due leads to it. */
static bool finalize_is_held_back(struct finalizer *f) {
  return finalize_order_of(f) == FINALIZE_UNREACHABLE && finalize_lives(f);
}

/* First what they lead to, so that it shows whether one leads to the other. */
static void finalize_hold_back(void) {
  struct finalize_list later = {NULL};
  FINALIZE_EACH(f, &finalize.ready) watch_mark_contents(f->watch.object);
  mark_all();
  finalize_move(&finalize.ready, &later, finalize_is_held_back);
}

static void finalize_mark_ready(void) {
  if (finalize_unreachable && finalize_java) finalize_hold_back();
  FINALIZE_EACH(f, &finalize.ready) watch_mark(f->watch.object);
  mark_all();
}

static void finalize_gather_lost(struct watch *watch, void *arg) {
  struct finalizer *f = (struct finalizer *)watch;
  if (finalize_lives(f)) return;
  finalize_push(*finalize_flags(f) & FINALIZE_SUPPRESSED ? &finalize.suppressed : arg, f);
}

void finalize_mark(unsigned generation) {
  struct finalize_list lost = {NULL};
  finalize.generation = generation;
  finalize.ready = finalize.suppressed = (struct finalize_list){NULL};
  watch_each(WATCH_FINALIZER, generation, finalize_gather_lost, &lost);
  if (!lost.first) return;
  finalize_mark_heads(&lost);
  finalize_mark_in_order(&lost);
  finalize_move(&lost, &finalize.ready, finalize_is_lost);
  if (finalize.ready.first) finalize_mark_ready();
  else FINALIZE_EACH(f, &lost) finalize_list_stuck(f);
}

/* --- the end of the collection --- */

static void finalize_reap(struct watch *watch, void *arg) {
  (void)arg;
  if (finalize_is_lost((struct finalizer *)watch)) finalize_remove((struct finalizer *)watch);
}

void finalize_commit(unsigned generation) {
  bool awaited = finalize_awaited;
  FINALIZE_EACH(f, &finalize.ready) {
    struct errand *errand = finalize_queue(f);
    errand->kind = awaited ? ERRAND_AWAITED : ERRAND_FINALIZER;
    errand_push(errand);
  }
  FINALIZE_EACH(f, &finalize.suppressed) finalize_reap(&f->watch, NULL);
  watch_each(WATCH_DONE, generation, finalize_reap, NULL);
  finalize_forget();
}

void finalize_forget(void) { finalize.ready = finalize.suppressed = (struct finalize_list){NULL}; }
