/* SPDX-License-Identifier: MIT
 * The public names of weak references, of reference queues, and of libgc's links. Must not know how their ends are found (gc/weak.c, gc/links.c). */
#include "config.h"

#include "api/alloc.h"
#include "api/collector.h"
#include "gc.h"
#include "gc/links.h"
#include "gc/weak.h"
#include "gc_ext.h"
#include "os/threads.h"

#include <errno.h>

#define PUBLIC __attribute__((visibility("default"), noinline))

/* --- weak references --- */

/* For objects that the program gets from us and that its own lead to. */
static void *weak_alloc(size_t size, const struct site_start *start) {
  collector_arm(); /* refused in mode=leaks, where nothing dies but by the program's hand */
  return alloc(&(struct alloc_request){.size = size, .align = 1, .kind = KIND_COLLECTED, .zero = true}, start);
}

static int weak_begin(struct weak_handle *handle, enum watch_kind kind, void *target) {
  watch_lock();
  int error = weak_open(handle, kind) ? weak_aim(handle, (uintptr_t)target) : ENOMEM;
  watch_unlock();
  keep_alive(target);
  return error;
}

static void *weak_make(void *target, int kind, struct weak_handle with, const struct site_start *start) {
  static const enum watch_kind kinds[] = {[GC_WEAK_SHORT] = WATCH_WEAK, [GC_WEAK_LONG] = WATCH_LONG};
  if (kind != GC_WEAK_SHORT && kind != GC_WEAK_LONG) {
    errno = EINVAL;
    return NULL;
  }
  struct weak_handle *handle = weak_alloc(sizeof *handle, start);
  if (!handle) return NULL;
  *handle = with;
  int error = weak_begin(handle, kinds[kind], target);
  if (!error) return handle;
  alloc_free(handle, MISUSE_FREE, start);
  errno = error;
  return NULL;
}

typedef void weak_callback(struct weak_handle *handle, void *arg);

PUBLIC struct GC_weak *GC_weak_new(void *target, int kind, GC_weak_proc callback, void *arg) {
  struct site_start start;
  SITE_CALLER(&start);
  struct weak_handle with = {.callback = (weak_callback *)callback, .arg = arg};
  return weak_make(target, kind, with, &start);
}

PUBLIC struct GC_weak *GC_weak_new_queued(void *target, int kind, struct GC_ref_queue *queue, void *arg) {
  struct site_start start;
  SITE_CALLER(&start);
  struct weak_handle with = {.queue = (struct weak_queue *)queue, .arg = arg};
  return weak_make(target, kind, with, &start);
}

PUBLIC void *GC_weak_get(const struct GC_weak *weak) { return weak_get((const struct weak_handle *)weak); }

PUBLIC void *GC_weak_arg(const struct GC_weak *weak) { return ((const struct weak_handle *)weak)->arg; }

/* Under the watch lock, so that the last reference is not given back meanwhile, or has been. */
static int weak_count_up(void *target) {
  const struct block *block = region_find((uintptr_t)target);
  _Atomic uint32_t *count = counts_find(block, block_slot(block, (uintptr_t)target));
  uint32_t old = atomic_load(count);
  do {
    if (old & COUNT_DYING) return EINVAL;
    if ((old & COUNT_MOST) >= COUNT_BOUND) return EOVERFLOW;
  } while (!atomic_compare_exchange_weak(count, &old, old + 1));
  return 0;
}

PUBLIC void *GC_weak_get_ref(const struct GC_weak *weak) {
  watch_lock();
  void *target = weak_get((const struct weak_handle *)weak);
  int error = target ? weak_count_up(target) : 0;
  watch_unlock();
  if (!error) return target;
  if (error == EOVERFLOW) errno = error;
  return NULL;
}

PUBLIC int GC_weak_set(struct GC_weak *weak, void *target) {
  watch_lock();
  int error = weak_aim((struct weak_handle *)weak, (uintptr_t)target);
  watch_unlock();
  keep_alive(target);
  if (!error) return 0;
  errno = error;
  return -1;
}

PUBLIC void GC_weak_clear(struct GC_weak *weak) { GC_weak_set(weak, NULL); }

/* Freeing the handle is enough: it is waited for. */
PUBLIC void GC_weak_free(struct GC_weak *weak) {
  struct site_start start;
  SITE_CALLER(&start);
  if (weak) alloc_free(weak, MISUSE_FREE, &start);
}

/* --- reference queues --- */

PUBLIC struct GC_ref_queue *GC_ref_queue_new(void) {
  struct site_start start;
  SITE_CALLER(&start);
  return weak_alloc(sizeof(struct weak_queue), &start);
}

PUBLIC struct GC_weak *GC_ref_queue_poll(struct GC_ref_queue *queue) {
  watch_lock();
  struct weak_handle *handle = weak_queue_take((struct weak_queue *)queue);
  watch_unlock();
  return (struct GC_weak *)handle;
}

PUBLIC struct GC_weak *GC_ref_queue_wait(struct GC_ref_queue *queue, uint64_t nanoseconds) {
  struct weak_queue *waited = (struct weak_queue *)queue;
  uint64_t begin = os_clock();
  for (;;) {
    uint32_t rung = atomic_load(&waited->rung);
    struct GC_weak *weak = GC_ref_queue_poll(queue);
    if (weak) return weak;
    uint64_t gone = os_clock() - begin;
    if (gone >= nanoseconds) break;
    os_futex_wait(&waited->rung, rung, nanoseconds == GC_FOREVER ? 0 : nanoseconds - gone);
  }
  errno = ETIMEDOUT;
  return NULL;
}

/* --- links --- */

static int link_result(enum links_result result) {
  static const int results[] = {
      [LINKS_DONE] = GC_SUCCESS, [LINKS_TWICE] = GC_DUPLICATE, [LINKS_NO_MEMORY] = GC_NO_MEMORY, [LINKS_NONE] = GC_NOT_FOUND};
  return results[result];
}

static int link_register(void **link, enum watch_kind kind, const void *object) {
  if (collector_arm() == ENOTSUP || GC_find_leak) return GC_UNIMPLEMENTED;
  watch_lock();
  enum links_result result = links_add((uintptr_t)link, kind, (uintptr_t)object);
  watch_unlock();
  keep_alive(object);
  return link_result(result);
}

static int link_unregister(void **link, enum watch_kind kind) {
  watch_lock();
  enum links_result result = links_remove((uintptr_t)link, kind);
  watch_unlock();
  return result == LINKS_DONE;
}

static int link_move(void **link, void **to, enum watch_kind kind) {
  watch_lock();
  enum links_result result = links_move((uintptr_t)link, (uintptr_t)to, kind);
  watch_unlock();
  return link_result(result);
}

PUBLIC int GC_register_disappearing_link(void **link) {
  void *object = GC_base(link);
  if (object) return link_register(link, WATCH_LINK, object);
  errno = EINVAL;
  return GC_NOT_FOUND;
}

PUBLIC int GC_general_register_disappearing_link(void **link, const void *object) {
  return link_register(link, WATCH_LINK, object);
}
PUBLIC int GC_unregister_disappearing_link(void **link) { return link_unregister(link, WATCH_LINK); }
PUBLIC int GC_move_disappearing_link(void **link, void **to) { return link_move(link, to, WATCH_LINK); }

PUBLIC int GC_register_long_link(void **link, const void *object) { return link_register(link, WATCH_LONG_LINK, object); }
PUBLIC int GC_unregister_long_link(void **link) { return link_unregister(link, WATCH_LONG_LINK); }
PUBLIC int GC_move_long_link(void **link, void **to) { return link_move(link, to, WATCH_LONG_LINK); }

/* For who cannot give a function. This thread collects nothing meanwhile. */
static THREAD_LOCAL bool link_stayed_out;

PUBLIC void GC_alloc_lock(void) {
  watch_lock();
  link_stayed_out = collector_stay_out(true);
}

PUBLIC void GC_alloc_unlock(void) {
  collector_stay_out(link_stayed_out);
  watch_unlock();
}

/* The lock under which links become zero. Should the function allocate, nothing is collected by it. */
PUBLIC void *GC_call_with_alloc_lock(GC_fn_type function, void *arg) {
  watch_lock();
  bool before = collector_stay_out(true);
  void *result = function(arg);
  collector_stay_out(before);
  keep_alive(result);
  watch_unlock();
  return result;
}
