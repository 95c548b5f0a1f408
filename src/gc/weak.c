/* SPDX-License-Identifier: MIT
 * Weak references. Must not know what finalizers do.
 *
 * Why weak_get needs no lock. References are cleared, for a death that the collector found, with the world stopped alone. So between two
 * instructions of the reader there is either no stop, or a whole one:
 *
 *   load hidden     a stop that clears before this load: it reads 0.
 *   reveal          a stop before the pointer is in a register: nothing holds the target yet. If it was cleared, the second load differs.
 *   load again      a stop from the reveal on: the register is a root, so the target was reached, and not cleared.
 *
 * A target that has died and another one at its address, which the same handle was aimed at meanwhile, look alike: but then the pointer that is
 * held is one to the second, from before the second load on. Marking while the program runs changes nothing: it is the second stop that
 * decides what is dead and clears, after it has looked at all registers and at what was written once more; a thread's pointer that
 * was revealed since the first stop is in one of these.
 *
 * Whether a handle's callback is called depends on the handle when the target's end is noted: a handle that is garbage itself tells nobody, though a
 * finalizer may bring it back. */
#include "config.h"

#include "gc/weak.h"

#include "gc/errand.h"
#include "os/memory.h"
#include "os/threads.h"

#include <errno.h>

struct weak {
  struct watch holder; /* the handle */
  struct watch target; /* while aimed */
  struct errand errand;
  struct weak *next;   /* among those that end now, or that are not in use */
  uint64_t order;      /* in which they were aimed */
  uint32_t due;        /* calls that are to come: one errand at most waits */
  uint8_t kind;
  bool aimed, told, queued;
  bool gone;           /* the handle was freed; only the errand is left */
};

static struct {
  struct weak *spare, *ended;
  uint64_t order;
} weaks;

static struct weak *weak_of_target(struct watch *watch) { return (struct weak *)((char *)watch - offsetof(struct weak, target)); }
static struct weak *weak_of_errand(struct errand *errand) { return (struct weak *)((char *)errand - offsetof(struct weak, errand)); }
static struct weak_handle *weak_handle_of(const struct weak *weak) { return (struct weak_handle *)weak->holder.object; }

/* --- entries --- */

static void weak_recycle(struct weak *weak) {
  weak->next = weaks.spare;
  weaks.spare = weak;
}

bool weak_open(struct weak_handle *handle, enum watch_kind kind) {
  struct weak *weak = weaks.spare;
  if (weak) weaks.spare = weak->next;
  else weak = os_arena_alloc(sizeof *weak, _Alignof(struct weak));
  if (!weak) return false;
  *weak = (struct weak){.kind = (uint8_t)kind};
  if (watch_add(&weak->holder, WATCH_HANDLE, (uintptr_t)handle)) {
    handle->weak = weak;
    return true;
  }
  weak_recycle(weak);
  return false;
}

static void weak_turn_away(struct weak *weak) {
  if (weak->aimed) watch_remove(&weak->target);
  weak->aimed = false;
}

static void weak_unqueue(struct weak_queue *queue, struct weak_handle *handle) {
  struct weak_handle *next = handle->next, *before = handle->before;
  *(before ? &before->next : &queue->first) = next;
  *(next ? &next->before : &queue->last) = before;
}

/* The handle is at its end. A queue that it is in was freed with it, unless it was taken out. */
static void weak_drop(struct weak *weak) {
  weak_turn_away(weak);
  watch_remove(&weak->holder);
  weak->gone = true;
  if (!weak->due) weak_recycle(weak);
}

int weak_aim(struct weak_handle *handle, uintptr_t target) {
  struct weak *weak = handle->weak;
  uintptr_t object = watch_object(target);
  weak_turn_away(weak);
  atomic_store(&handle->hidden, 0);
  if (!object) return target ? EINVAL : 0;
  if (!watch_add(&weak->target, (enum watch_kind)weak->kind, object)) return ENOMEM;
  weak->aimed = true;
  weak->order = ++weaks.order;
  atomic_store(&handle->hidden, ~target);
  return 0;
}

/* --- queues --- */

static void weak_queue_put(struct weak_queue *queue, struct weak_handle *handle) {
  if (handle->weak->queued) return;
  handle->weak->queued = true;
  handle->next = NULL;
  handle->before = queue->first ? queue->last : NULL;
  if (queue->first) queue->last->next = handle;
  else queue->first = handle;
  queue->last = handle;
  atomic_fetch_add(&queue->rung, 1);
  os_futex_wake(&queue->rung);
}

struct weak_handle *weak_queue_take(struct weak_queue *queue) {
  struct weak_handle *handle = queue->first;
  if (!handle) return NULL;
  queue->first = handle->next;
  if (queue->first) queue->first->before = NULL;
  else queue->last = NULL;
  handle->next = NULL;
  handle->weak->queued = false;
  return handle;
}

/* --- the end of a target --- */

static void weak_push(struct weak *weak, struct weak_handle *handle);

/* The callback may aim the handle anew, free it, leave for good. */
static void weak_run(struct errand *errand) {
  struct weak *weak = weak_of_errand(errand);
  struct weak_handle *handle = (struct weak_handle *)errand->word[0];
  void (*callback)(struct weak_handle *, void *) = NULL;
  void *arg = (void *)errand->word[1];
  watch_lock();
  weak->due--;
  if (!weak->gone) callback = handle->callback;
  if (weak->gone && !weak->due) weak_recycle(weak);
  else if (weak->due) weak_push(weak, handle);
  watch_unlock();
  if (callback) callback(handle, arg);
}

static void weak_push(struct weak *weak, struct weak_handle *handle) {
  weak->errand = (struct errand){.kind = ERRAND_CALLBACK, .run = weak_run, .word = {(uintptr_t)handle, (uintptr_t)handle->arg}};
  errand_push(&weak->errand);
}

static void weak_end(struct weak *weak) {
  struct weak_handle *handle = weak_handle_of(weak);
  atomic_store(&handle->hidden, 0);
  weak_turn_away(weak);
  if (!weak->told) return;
  if (handle->queue) weak_queue_put(handle->queue, handle);
  if (handle->callback && weak->due++ == 0) weak_push(weak, handle);
}

static void weak_note_end(struct weak *weak, bool told) {
  weak->told = told;
  weak->next = weaks.ended;
  weaks.ended = weak;
}

/* Two lists, each with the newest first, into one. */
static struct weak *weak_merge(struct weak *a, struct weak *b) {
  struct weak *first = NULL, **at = &first;
  while (a && b) {
    struct weak **from = a->order > b->order ? &a : &b, *next = *from;
    *from = next->next;
    *at = next;
    at = &next->next;
  }
  *at = a ? a : b;
  return first;
}

/* The newest first, as Python has it: by parts[i], a sorted list of 2^i. */
static struct weak *weak_sort(struct weak *list) {
  struct weak *parts[48] = {0}, *sorted = NULL;
  for (struct weak *next; list; list = next) {
    unsigned i = 0;
    next = list->next;
    list->next = NULL;
    for (; parts[i]; i++) {
      list = weak_merge(parts[i], list);
      parts[i] = NULL;
    }
    parts[i] = list;
  }
  for (unsigned i = 0; i < 48; i++) sorted = weak_merge(parts[i], sorted);
  return sorted;
}

static struct weak *weak_take_ended(void) {
  struct weak *ended = weaks.ended;
  weaks.ended = NULL;
  return weak_sort(ended);
}

/* --- with the world stopped --- */

static void weak_note_one(struct watch *watch, void *arg) {
  unsigned generation = *(const unsigned *)arg;
  struct weak *weak = weak_of_target(watch);
  if (watch_lives(watch->object, generation)) return;
  weak_note_end(weak, watch_lives(weak->holder.object, generation));
}

void weak_note(enum watch_kind kind, unsigned generation) { watch_each(kind, generation, weak_note_one, &generation); }

static void weak_commit_handle(struct watch *watch, void *arg) {
  if (!watch_lives(watch->object, *(const unsigned *)arg)) weak_drop((struct weak *)watch);
}

/* A handle that is dead is let go, whether its target is or not. */
void weak_commit(unsigned generation) {
  for (struct weak *weak = weak_take_ended(), *next; weak; weak = next) {
    next = weak->next;
    if (watch_lives(weak->holder.object, generation)) weak_end(weak);
  }
  watch_each(WATCH_HANDLE, generation, weak_commit_handle, &generation);
}

void weak_forget(void) { weaks.ended = NULL; }

/* --- with the program running --- */

static void weak_freed_handle(uintptr_t object) {
  for (struct watch *watch = watch_first(object); watch; watch = watch_after(watch)) {
    if (watch->kind != WATCH_HANDLE) continue;
    struct weak_handle *handle = (struct weak_handle *)object;
    struct weak *weak = (struct weak *)watch;
    if (weak->queued) weak_unqueue(handle->queue, handle);
    weak_drop(weak);
    return;
  }
}

void weak_freed(uintptr_t object, bool all) {
  for (struct watch *watch = watch_first(object); watch; watch = watch_after(watch))
    if (watch->kind == WATCH_WEAK || (all && watch->kind == WATCH_LONG))
      weak_note_end(weak_of_target(watch), !all || weak_of_target(watch)->holder.object != object);
  for (struct weak *weak = weak_take_ended(), *next; weak; weak = next) {
    next = weak->next;
    weak_end(weak);
  }
  if (all) weak_freed_handle(object);
}
