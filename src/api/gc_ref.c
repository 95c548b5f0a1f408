/* SPDX-License-Identifier: MIT
 * Explicit reference counts, and pins. Must not know what finalizers or weak references are: they wait for an object's end (gc/watch.h),
 * and are told of it (gc/settle.h).
 *
 * The word beside the slot (heap/counts.h) holds the references beyond the first. The last one is given back under the watch lock where anybody
 * waits for the object, so that a weak reference either still counts up, or finds it dying. */
#include "config.h"

#include "api/alloc.h"
#include "api/gc_errands.h"
#include "gc/settle.h"
#include "gc/watch.h"
#include "gc_ext.h"
#include "os/memory.h"

#include <errno.h>

#define PUBLIC __attribute__((visibility("default"), noinline))
#define SLOW __attribute__((noinline))

enum {
  ref_deep = 50, /* finalizers inside finalizers by giving back what they held; deeper ones wait for the first */
};

/* --- counting up --- */

static inline bool ref_find(void *p, struct block **block, uint32_t *slot) {
  *block = region_find((uintptr_t)p);
  if (unlikely(!*block)) return false;
  *slot = block_slot(*block, (uintptr_t)p);
  return block_slot_address(*block, *slot) == (uintptr_t)p && state_is_live(((volatile uint8_t *)(*block)->state)[*slot]);
}

static SLOW void *ref_slow(void *p) {
  struct site_start start;
  SITE_CALLER(&start);
  struct block *block;
  uint32_t slot;
  if (!ref_find(p, &block, &slot)) {
    misuse_pointer(MISUSE_REF, p, &start);
    errno = EINVAL;
    return NULL;
  }
  _Atomic uint32_t *count = counts_make(block, slot);
  if (!count) {
    errno = ENOMEM;
    return NULL;
  }
  uint32_t old = atomic_fetch_add(count, 1);
  if ((old & COUNT_MOST) < COUNT_BOUND && !(old & COUNT_DYING)) return p;
  atomic_fetch_sub(count, 1);
  misuse_object(MISUSE_REF, p, old & COUNT_DYING ? "its last reference was given back" : "it has as many references as can be counted", &start);
  errno = old & COUNT_DYING ? EINVAL : EOVERFLOW;
  return NULL;
}

PUBLIC void *GC_ref(void *p) {
  struct block *block;
  uint32_t slot;
  if (unlikely(!ref_find(p, &block, &slot))) return ref_slow(p);
  _Atomic uint32_t *count = counts_find(block, slot);
  uint32_t old = count ? atomic_load_explicit(count, memory_order_relaxed) : COUNT_DYING;
  if (unlikely((old & COUNT_MOST) >= COUNT_BOUND || old & COUNT_DYING)) return ref_slow(p);
  atomic_fetch_add_explicit(count, 1, memory_order_relaxed);
  return p;
}

PUBLIC size_t GC_refcount(const void *p) {
  struct block *block;
  uint32_t slot;
  if (!ref_find((void *)(uintptr_t)p, &block, &slot)) return 0;
  _Atomic uint32_t *count = counts_find(block, slot);
  return (count ? atomic_load_explicit(count, memory_order_acquire) & COUNT_MOST : 0) + 1;
}

/* --- giving back --- */

/* Takes one of several references. False: it is the last. */
static inline bool ref_drop(_Atomic uint32_t *count, size_t *left) {
  uint32_t old = atomic_load_explicit(count, memory_order_relaxed);
  do
    if ((old & COUNT_MOST) == 0) return false;
  while (!atomic_compare_exchange_weak_explicit(count, &old, old - 1, memory_order_release, memory_order_relaxed));
  *left = old & COUNT_MOST;
  return true;
}

/* Finalizers that this thread is inside of, and frames of the first and the last one. */
static THREAD_LOCAL struct ref_runs {
  unsigned depth;
  uintptr_t first, last;
} ref_runs;

/* How many there are. here: a frame; who lies below it was left, by longjmp or an exception, and who lies between the first and the last then
 * is not known: they count as left. */
static unsigned ref_depth(uintptr_t here) {
  if (ref_runs.depth > 0 && ref_runs.last <= here) ref_runs = (struct ref_runs){ref_runs.first > here, ref_runs.first, ref_runs.first};
  return ref_runs.depth;
}

/* After its finalizer: the reference that was lent to it is given back. Whoever has taken another one has revived the object. */
static void ref_finalized(void *p, const struct site_start *start) {
  struct block *block;
  uint32_t slot;
  size_t left;
  if (!ref_find(p, &block, &slot)) return; /* it freed the object itself, */
  _Atomic uint32_t *count = counts_find(block, slot);
  if (!count || !(atomic_fetch_and(count, ~(uint32_t)COUNT_LENT) & COUNT_LENT)) return; /* and another is in its place */
  if (ref_drop(count, &left)) return;
  watch_lock();
  bool last = (atomic_load(count) & (COUNT_MOST | COUNT_DYING)) == 0;
  if (last) settle_freed((uintptr_t)p);
  if (last) atomic_fetch_or(count, COUNT_DYING);
  bool pinned = atomic_load(count) & COUNT_PINNED;
  watch_unlock();
  if (last && !pinned) alloc_free(p, MISUSE_UNREF, start);
}

void gc_ref_finalized(void *object) {
  struct site_start start;
  SITE_CALLER(&start);
  watch_lock(); /* who lends it may not have said so yet */
  watch_unlock();
  ref_finalized(object, &start);
}

static void ref_run(struct errand *errand, void *p, const struct site_start *start) {
  struct ref_runs before = ref_runs;
  uintptr_t here = (uintptr_t)__builtin_frame_address(0);
  ref_runs = (struct ref_runs){before.depth + 1, before.depth ? before.first : here, here};
  errand->run(errand);
  ref_runs = before;
  ref_finalized(p, start);
}

/* What waits since finalizers were too deep in each other. */
static void ref_run_waiting(const struct site_start *start) {
  struct errand *errand;
  while (errand_count(ERRAND_UNREF)) {
    watch_lock();
    errand = errand_take(ERRAND_UNREF);
    watch_unlock();
    if (!errand) return;
    ref_run(errand, (void *)errand->word[0], start);
  }
}

/* Nobody else has a reference; but a weak one may count up until it is dying. */
static void ref_last(void *p, const struct site_start *start) {
  struct block *block;
  uint32_t slot;
  size_t left;
  alloc_find(p, &block, &slot);
  _Atomic uint32_t *count = counts_find(block, slot);
  bool deep = ref_depth((uintptr_t)__builtin_frame_address(0)) >= ref_deep;
  watch_lock();
  if (ref_drop(count, &left)) {
    watch_unlock();
    return;
  }
  if (atomic_load(count) & COUNT_DYING) {
    watch_unlock();
    misuse_object(MISUSE_UNREF, p, "its last reference was given back before", start);
    return;
  }
  if (gc_errands_lend((uintptr_t)p)) {
    atomic_fetch_or(count, COUNT_LENT);
    watch_unlock();
    return;
  }
  struct errand *errand = settle_dying((uintptr_t)p);
  if (errand) atomic_fetch_or(count, COUNT_LENT);
  if (!errand) {
    settle_freed((uintptr_t)p);
    atomic_fetch_or(count, COUNT_DYING);
  } else if (deep) {
    errand->kind = ERRAND_UNREF;
    errand_push(errand);
  }
  bool wait = atomic_load(count) & COUNT_PINNED;
  watch_unlock();
  if (!errand && !wait) alloc_free(p, MISUSE_UNREF, start);
  if (!errand || deep) return;
  ref_run(errand, p, start);
  ref_run_waiting(start);
}

static SLOW size_t unref_slow(void *p) {
  struct site_start start;
  SITE_CALLER(&start);
  struct block *block;
  uint32_t slot;
  if (!p) return 0;
  if (!ref_find(p, &block, &slot)) {
    misuse_pointer(MISUSE_UNREF, p, &start);
    return 0;
  }
  _Atomic uint32_t *count = counts_find(block, slot);
  if (!count || atomic_load(count) == 0) alloc_free(p, MISUSE_UNREF, &start);
  else ref_last(p, &start);
  keep_alive(p);
  return 0;
}

PUBLIC size_t GC_unref(void *p) {
  struct block *block;
  uint32_t slot;
  size_t left;
  if (unlikely(!ref_find(p, &block, &slot))) return unref_slow(p);
  _Atomic uint32_t *count = counts_find(block, slot);
  if (likely(count) && likely(ref_drop(count, &left))) return left;
  return unref_slow(p);
}

/* --- pins --- */

struct pin_entry {
  struct watch watch;
  size_t count;
  struct pin_entry *next; /* not in use */
};

static struct pin_entry *pin_spare; /* under the watch lock */

static struct pin_entry *pin_find(uintptr_t object) {
  for (struct watch *watch = watch_first(object); watch; watch = watch_after(watch))
    if (watch->kind == WATCH_PIN) return (struct pin_entry *)watch;
  return NULL;
}

static struct pin_entry *pin_make(uintptr_t object) {
  struct pin_entry *pin = pin_spare;
  if (pin) pin_spare = pin->next;
  else pin = os_arena_alloc(sizeof *pin, _Alignof(struct pin_entry));
  if (!pin) return NULL;
  pin->count = 0;
  if (watch_add(&pin->watch, WATCH_PIN, object)) return pin;
  pin->next = pin_spare;
  pin_spare = pin;
  return NULL;
}

static int pin_up(uintptr_t object, _Atomic uint32_t *count) {
  int error = 0;
  watch_lock();
  struct pin_entry *pin = pin_find(object);
  if (!pin && atomic_load(count) & COUNT_DYING) error = EINVAL;
  else if (!pin && !(pin = pin_make(object))) error = ENOMEM;
  if (!error) {
    pin->count++;
    atomic_fetch_or(count, COUNT_PINNED);
  }
  watch_unlock();
  return error;
}

PUBLIC int GC_pin(void *p) {
  struct site_start start;
  SITE_CALLER(&start);
  struct block *block;
  uint32_t slot;
  int error = EINVAL;
  if (ref_find(p, &block, &slot)) {
    _Atomic uint32_t *count = counts_make(block, slot);
    error = count ? pin_up((uintptr_t)p, count) : ENOMEM;
    keep_alive(p);
  }
  if (!error) return 0;
  if (error == EINVAL) misuse_pointer(MISUSE_PIN, p, &start);
  errno = error;
  return -1;
}

/* The last pin of an object that was freed, or whose references were all given back, meanwhile. */
static bool pin_down(struct pin_entry *pin, _Atomic uint32_t *count) {
  if (--pin->count > 0) return false;
  watch_remove(&pin->watch);
  pin->next = pin_spare;
  pin_spare = pin;
  return atomic_fetch_and(count, ~COUNT_PINNED) & COUNT_DYING;
}

PUBLIC int GC_unpin(void *p) {
  struct site_start start;
  SITE_CALLER(&start);
  struct block *block;
  uint32_t slot;
  bool found = ref_find(p, &block, &slot), ends = false;
  if (!found) {
    misuse_pointer(MISUSE_UNPIN, p, &start);
    errno = EINVAL;
    return -1;
  }
  watch_lock();
  struct pin_entry *pin = pin_find((uintptr_t)p);
  if (pin) ends = pin_down(pin, counts_find(block, slot));
  watch_unlock();
  if (ends) alloc_free(p, MISUSE_UNPIN, &start);
  if (pin) return 0;
  misuse_object(MISUSE_UNPIN, p, "it is not pinned", &start);
  errno = EINVAL;
  return -1;
}
