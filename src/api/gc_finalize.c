/* SPDX-License-Identifier: MIT
 * The public names of finalizers, and of toggle references. Must not know when finalizers are run. */
#include "config.h"

#include "api/alloc.h"
#include "api/collector.h"
#include "gc.h"
#include "gc/finalize.h"
#include "gc/toggle.h"
#include "gc_ext.h"

#include <errno.h>

#define PUBLIC __attribute__((visibility("default"), noinline))

/* libgc's variable, which old programs set. */
__attribute__((visibility("default"))) int GC_java_finalization = 1;

/* Likewise: then what is unreachable is told, and has no finalizers. */
__attribute__((visibility("default"))) int GC_find_leak;

/* --- registering --- */

/* False, and nothing is done: no live object begins there, or what is found unreachable is a leak to be told. Where nothing is collected they are
 * still due with the last reference. */
static bool finalize_may(void *object) {
  struct block *block;
  uint32_t slot;
  int error = object && !GC_find_leak ? collector_arm() : EINVAL;
  return (!error || error == ENOTSUP) && alloc_find(object, &block, &slot);
}

static void finalize_register(void *object, GC_finalization_proc function, void *data, enum finalize_order order,
                              GC_finalization_proc *old_function, void **old_data) {
  struct finalize_call call = {function, data, order}, old = {0};
  int saved = errno;
  bool done = true;
  if (finalize_may(object)) {
    watch_lock();
    finalize_java = GC_java_finalization;
    done = finalize_set((uintptr_t)object, &call, &old);
    if (collector_wishes.per_finalizer && done && function) pace_count((ptrdiff_t)collector_wishes.per_finalizer);
    watch_unlock();
  }
  keep_alive(object);
  keep_alive(data);
  errno = done ? saved : ENOMEM;
  if (done && old_function) *old_function = old.function;
  if (done && old_data) *old_data = old.data;
}

#define FINALIZE_REGISTER(name, order)                                                                                        \
  PUBLIC void GC_##name(void *object, GC_finalization_proc function, void *data, GC_finalization_proc *old_function,         \
                        void **old_data) {                                                                                    \
    finalize_register(object, function, data, order, old_function, old_data);                                                 \
  }

FINALIZE_REGISTER(register_finalizer, FINALIZE_ORDERED)
FINALIZE_REGISTER(register_finalizer_ignore_self, FINALIZE_IGNORE_SELF)
FINALIZE_REGISTER(register_finalizer_no_order, FINALIZE_NO_ORDER)
FINALIZE_REGISTER(register_finalizer_unreachable, FINALIZE_UNREACHABLE)

static int finalize_change(void *object, bool (*change)(uintptr_t object)) {
  bool changed = false;
  if (finalize_may(object)) {
    watch_lock();
    changed = change((uintptr_t)object);
    watch_unlock();
  }
  keep_alive(object);
  if (changed) return 0;
  errno = ENOENT;
  return -1;
}

PUBLIC int GC_suppress_finalizer(void *object) { return finalize_change(object, finalize_suppress); }
PUBLIC int GC_reregister_finalizer(void *object) { return finalize_change(object, finalize_restore); }

/* --- settings --- */

PUBLIC void GC_set_java_finalization(int on) { finalize_java = GC_java_finalization = on; }
PUBLIC int GC_get_java_finalization(void) { return GC_java_finalization; }

/* --- toggle references --- */

static _Atomic GC_toggleref_func finalize_toggle;

PUBLIC void GC_set_toggleref_func(GC_toggleref_func function) { atomic_store(&finalize_toggle, function); }
PUBLIC GC_toggleref_func GC_get_toggleref_func(void) { return atomic_load(&finalize_toggle); }

PUBLIC int GC_toggleref_add(void *object, int is_strong) {
  bool added = true;
  if (atomic_load(&finalize_toggle) && finalize_may(object)) {
    watch_lock();
    added = toggle_add((uintptr_t)object, is_strong ? TOGGLE_STRONG : TOGGLE_WEAK);
    watch_unlock();
  }
  keep_alive(object);
  return added ? GC_SUCCESS : GC_NO_MEMORY;
}

struct finalize_question {
  GC_toggleref_func function;
  void *object;
  GC_ToggleRefStatus answer;
};

static void finalize_ask_one(void *arg) {
  struct finalize_question *question = arg;
  question->answer = question->function(question->object);
}

/* Before a collection, the program running. The object is held by this frame, and the lock is not. */
void gc_finalize_ask(void) {
  struct finalize_question question = {.function = atomic_load(&finalize_toggle)};
  if (!question.function || watch_count(WATCH_TOGGLE) == 0) return;
  watch_lock();
  toggle_tidy();
  for (struct toggle *toggle = toggle_next(NULL); toggle; toggle = toggle_next(toggle)) {
    question.object = (void *)toggle_object(toggle);
    if (!question.object) continue;
    __asm__ volatile("" ::"r"(&question) : "memory");
    watch_unlock();
    gc_events_call(finalize_ask_one, &question);
    watch_lock();
    if (toggle_object(toggle) == (uintptr_t)question.object) toggle_set(toggle, (enum toggle_state)question.answer);
  }
  watch_unlock();
}
