/* SPDX-License-Identifier: MIT
 * When finalizers and callbacks of weak references are run, and by whom. Must not know who chose them.
 *
 * A finalizer may leave by longjmp or an exception, of which nobody tells us; and whoever waits for finalizers must not wait for that one. So each
 * thread that runs some has a slot, which names a frame on its stack with a number in it that is never used again: the slot counts as long as the
 * number is still there. It may stay there for a while after a longjmp: what is run by itself waits that long in this thread, what is asked for does not. */
#include "config.h"

#include "api/gc_errands.h"

#include "api/collector.h"
#include "gc.h"
#include "gc/finalize.h"
#include "gc/watch.h"
#include "gc/world.h"
#include "gc_ext.h"
#include "os/maps.h"
#include "os/threads.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#define PUBLIC __attribute__((visibility("default"), noinline))

/* libgc's variables, which old programs set. */
__attribute__((visibility("default"))) int GC_finalize_on_demand;
__attribute__((visibility("default"))) GC_finalizer_notifier_proc GC_finalizer_notifier;

static _Atomic unsigned errands_at_once; /* finalizers that one call runs at most; 0: all */

/* --- who is running some --- */

enum {
  errands_slots_most = 256, /* threads that run some at the same time, and the depth of one in the other, together */
  errands_deepest = 16,     /* in one thread */
  errands_near = 8 << 20,   /* bytes: the same stack */
};

struct errands_frame {
  _Atomic uint64_t number;
};

static struct errands_slot {
  _Atomic uint64_t number; /* 0: nobody's */
  _Atomic uintptr_t frame; /* struct errands_frame, on the stack */
  _Atomic uintptr_t hidden; /* the complement of the object whose finalizer is being run, or 0; see gc_errands_lend for its last bit */
  _Atomic uintptr_t thread;
  _Atomic int tid;
} errands_slots[errands_slots_most];

static _Atomic unsigned errands_slots_used; /* ever: [0, used) */
static _Atomic uint64_t errands_number = 1;
static _Atomic uint32_t errands_left; /* counts the ends of runs, for who waits for them */
static THREAD_LOCAL bool errands_ran; /* this thread may have a slot */

static bool errands_is_mine(const struct errands_slot *slot) { return atomic_load(&slot->thread) == os_thread_pointer(); }

/* Whether the slot's run is over, though nobody said so. here: a frame of this thread. */
static bool errands_is_stale(struct errands_slot *slot, uintptr_t here) {
  uintptr_t frame = atomic_load(&slot->frame);
  uint64_t number = 0;
  if (errands_is_mine(slot) && here - frame - 1 < errands_near) return true;
  if (errands_is_mine(slot) ? slot->tid != os_thread_id() : !os_thread_exists(slot->tid)) return true;
  return os_maps_peek(frame, &number, sizeof number) < sizeof number || number != atomic_load(&slot->number);
}

/* Counts those that are not over; frees the slots of others. */
static unsigned errands_count(bool mine, uintptr_t here) {
  unsigned count = 0, used = atomic_load(&errands_slots_used);
  for (unsigned i = 0; i < used; i++) {
    struct errands_slot *slot = &errands_slots[i];
    uint64_t number = atomic_load(&slot->number);
    if (number == 0 || number == UINT64_MAX || errands_is_mine(slot) != mine) continue;
    if (errands_is_stale(slot, here)) atomic_compare_exchange_strong(&slot->number, &number, 0);
    else count++;
  }
  return count;
}

/* How deep this thread is in finalizers. */
static __attribute__((noinline)) unsigned errands_depth(void) {
  unsigned depth = errands_ran ? errands_count(true, (uintptr_t)__builtin_frame_address(0)) : 0;
  errands_ran = depth > 0;
  return depth;
}

static bool errands_are_run_elsewhere(void) { return errands_count(false, (uintptr_t)__builtin_frame_address(0)) > 0; }

/* NULL: there are too many. */
static struct errands_slot *errands_enter(struct errands_frame *frame) {
  uint64_t number = atomic_fetch_add(&errands_number, 1);
  atomic_store(&frame->number, number);
  for (unsigned i = 0; i < errands_slots_most; i++) {
    struct errands_slot *slot = &errands_slots[i];
    uint64_t nobody = 0;
    if (!atomic_compare_exchange_strong(&slot->number, &nobody, UINT64_MAX)) continue;
    unsigned used = atomic_load(&errands_slots_used);
    slot->frame = (uintptr_t)frame;
    slot->hidden = 0;
    slot->thread = os_thread_pointer();
    slot->tid = os_thread_id();
    atomic_store(&slot->number, number);
    while (used <= i && !atomic_compare_exchange_weak(&errands_slots_used, &used, i + 1)) continue;
    errands_ran = true;
    return slot;
  }
  return NULL;
}

static void errands_leave(struct errands_slot *slot, struct errands_frame *frame) {
  uint64_t number = atomic_load(&frame->number);
  atomic_compare_exchange_strong(&slot->number, &number, 0);
  atomic_store(&frame->number, 0);
  atomic_fetch_add(&errands_left, 1);
  os_futex_wake(&errands_left);
}

/* Objects are aligned, so their complement ends with a 1, until the last reference is lent. */
static bool errands_is_lent(uintptr_t hidden) { return hidden && !(hidden & 1); }

bool gc_errands_lend(uintptr_t object) {
  uintptr_t here = (uintptr_t)__builtin_frame_address(0);
  unsigned used = atomic_load(&errands_slots_used);
  for (unsigned i = 0; i < used; i++) {
    struct errands_slot *slot = &errands_slots[i];
    uintptr_t hidden = ~object;
    uint64_t number = atomic_load(&slot->number);
    if (atomic_load(&slot->hidden) != hidden || number == 0 || number == UINT64_MAX || errands_is_stale(slot, here)) continue;
    if (atomic_compare_exchange_strong(&slot->hidden, &hidden, hidden - 1)) return true;
  }
  return false;
}

/* --- running them --- */

/* Takes one and runs it. Its words are held by this frame from before the lock is given up. */
static __attribute__((noinline)) bool errands_run_one(enum errand_kind kind, struct errands_slot *slot) {
  uintptr_t held[errand_words] = {0};
  if (errand_count(kind) == 0) return false;
  watch_lock();
  struct errand *errand = errand_take(kind);
  for (unsigned i = 0; errand && i < errand_words; i++) held[i] = errand->word[i];
  __asm__ volatile("" ::"r"(held) : "memory");
  if (kind == ERRAND_FINALIZER && held[0]) slot->hidden = ~held[0];
  watch_unlock();
  if (errand) errand->run(errand);
  if (errands_is_lent(atomic_exchange(&slot->hidden, 0))) gc_ref_finalized((void *)held[0]);
  __asm__ volatile("" ::"r"(held) : "memory");
  return errand;
}

/* Callbacks come before finalizers. Returns how many finalizers were run; what they leave behind by longjmp is in the queue, or is done. */
static unsigned errands_run(bool finalizers) {
  struct errands_frame frame;
  struct errands_slot *slot = errands_enter(&frame);
  unsigned ran = 0, most = atomic_load(&errands_at_once);
  if (!slot) return 0;
  for (;;) {
    if (errands_run_one(ERRAND_CALLBACK, slot)) continue;
    if (!finalizers || (most && ran >= most) || !errands_run_one(ERRAND_FINALIZER, slot)) break;
    ran++;
  }
  errands_leave(slot, &frame);
  return ran;
}

/* Not in a vfork child, nor in a callback of a collection; nor where a fork has torn the queue. */
static bool errands_may(void) { return !collector_is_inside() && birth_is_mine() && !watch_is_torn(); }

/* --- a thread that runs them --- */

enum { ERRANDS_NO_THREAD, ERRANDS_STARTING, ERRANDS_THREAD, ERRANDS_STOPPING };

static _Atomic int errands_state;
static pthread_t errands_thread;

static void errands_thread_ended(void *arg) {
  (void)arg;
  int running = ERRANDS_THREAD;
  if (atomic_compare_exchange_strong(&errands_state, &running, ERRANDS_NO_THREAD)) pthread_detach(pthread_self());
}

/* A finalizer may end it by pthread_exit: so none is run before it is known that there is a thread. */
static void *errands_main(void *arg) {
  pthread_cleanup_push(errands_thread_ended, NULL);
  while (atomic_load(&errands_state) == ERRANDS_STARTING) os_thread_sleep(100 * 1000);
  while (atomic_load(&errands_state) == ERRANDS_THREAD) {
    uint32_t pushes = errand_pushes();
    if (gc_errands_wait()) errands_run(true);
    else errand_wait(pushes);
  }
  pthread_cleanup_pop(0);
  return arg;
}

/* Signals are for the program's own threads, but for ours and the C library's. */
static int errands_create(void) {
  sigset_t none, before;
  sigfillset(&none);
  if (world_signal) sigdelset(&none, world_signal);
  pthread_sigmask(SIG_SETMASK, &none, &before);
  int error = pthread_create(&errands_thread, NULL, errands_main, NULL);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return error;
}

PUBLIC int GC_start_finalizer_thread(void) {
  int state = ERRANDS_NO_THREAD, error = collector_arm();
  while (!error && !atomic_compare_exchange_strong(&errands_state, &state, ERRANDS_STARTING)) {
    if (state == ERRANDS_THREAD) return 0;
    os_thread_sleep(100 * 1000);
    state = ERRANDS_NO_THREAD;
  }
  if (!error) {
    error = errands_create();
    atomic_store(&errands_state, error ? ERRANDS_NO_THREAD : ERRANDS_THREAD);
  }
  if (!error) return 0;
  errno = error;
  return -1;
}

PUBLIC int GC_stop_finalizer_thread(void) {
  int state = atomic_load(&errands_state), running = ERRANDS_THREAD;
  if ((state == ERRANDS_THREAD || state == ERRANDS_STOPPING) && pthread_equal(errands_thread, pthread_self())) {
    errno = EDEADLK;
    return -1;
  }
  if (!atomic_compare_exchange_strong(&errands_state, &running, ERRANDS_STOPPING)) {
    while (atomic_load(&errands_state) == ERRANDS_STOPPING) os_thread_sleep(100 * 1000); /* another one is at it */
    return 0;
  }
  errand_wake();
  pthread_join(errands_thread, NULL);
  atomic_store(&errands_state, ERRANDS_NO_THREAD);
  return 0;
}

static bool errands_have_thread(void) { return atomic_load(&errands_state) == ERRANDS_THREAD; }

/* --- when --- */

/* Once after each collection. */
static void errands_notify(void) {
  static _Atomic GC_word last;
  GC_finalizer_notifier_proc notifier = GC_finalizer_notifier;
  GC_word now = GC_get_gc_no(), before = atomic_load(&last);
  if (notifier && errand_count(ERRAND_FINALIZER) && now != before && atomic_compare_exchange_strong(&last, &before, now)) notifier();
}

void gc_errands_run_slow(bool asked) {
  int saved = errno;
  if (errands_have_thread() || !errands_may() || errands_depth() > 0) return;
  if (asked || !watch_is_locked()) { /* an allocation does not wait: there will be others */
    bool on_demand = GC_finalize_on_demand;
    if (!on_demand || errand_count(ERRAND_CALLBACK)) errands_run(!on_demand);
    if (on_demand) errands_notify();
  }
  errno = saved;
}

PUBLIC int GC_should_invoke_finalizers(void) { return gc_errands_wait(); }

PUBLIC int GC_invoke_finalizers(void) {
  int saved = errno;
  if (!gc_errands_wait() || !errands_may() || errands_depth() >= errands_deepest) return 0;
  unsigned ran = errands_run(true);
  errno = saved;
  return ran < INT_MAX ? (int)ran : INT_MAX;
}

PUBLIC void GC_finalize_all(void) {
  int saved = errno;
  size_t taken;
  if (!errands_may() || errands_depth() >= errands_deepest) return;
  do {
    watch_lock();
    taken = finalize_take_all();
    watch_unlock();
    while (gc_errands_wait() && errands_run(true) > 0) continue;
  } while (taken > 0);
  errno = saved;
}

/* --- waiting --- */

static bool errands_are_done(void) {
  return !gc_errands_wait() && errand_count(ERRAND_AWAITED) == 0 && !errands_are_run_elsewhere();
}

PUBLIC int GC_wait_for_finalizers(uint64_t timeout) {
  enum { slice = 10 * 1000 * 1000 };
  uint64_t began = os_clock();
  int saved = errno;
  if (errands_depth() > 0 || !errands_may()) {
    errno = EDEADLK;
    return -1;
  }
  for (;;) {
    uint32_t left = atomic_load(&errands_left);
    if (!errands_have_thread() && !GC_finalize_on_demand && gc_errands_wait()) errands_run(true);
    if (errands_are_done()) break;
    uint64_t passed = os_clock() - began;
    if (timeout && passed >= timeout) {
      errno = ETIMEDOUT;
      return -1;
    }
    os_futex_wait(&errands_left, left, timeout && timeout - passed < slice ? timeout - passed : slice);
  }
  errno = saved;
  return 0;
}

/* --- settings --- */

PUBLIC void GC_set_finalize_on_demand(int on) { GC_finalize_on_demand = on; }
PUBLIC int GC_get_finalize_on_demand(void) { return GC_finalize_on_demand; }
PUBLIC void GC_set_finalizer_notifier(GC_finalizer_notifier_proc notifier) { GC_finalizer_notifier = notifier; }
PUBLIC GC_finalizer_notifier_proc GC_get_finalizer_notifier(void) { return GC_finalizer_notifier; }
PUBLIC void GC_set_interrupt_finalizers(unsigned most) { atomic_store(&errands_at_once, most); }
PUBLIC unsigned GC_get_interrupt_finalizers(void) { return atomic_load(&errands_at_once); }

/* --- who awaits them --- */

static _Atomic GC_await_finalize_proc errands_await;

PUBLIC void GC_set_await_finalize_proc(GC_await_finalize_proc function) {
  atomic_store(&errands_await, function);
  finalize_awaited = function != NULL;
}

PUBLIC GC_await_finalize_proc GC_get_await_finalize_proc(void) { return atomic_load(&errands_await); }

static struct errand *errands_first_awaited(uintptr_t *object) {
  watch_lock();
  struct errand *errand = errand_first(ERRAND_AWAITED);
  *object = errand ? errand->word[0] : 0;
  watch_unlock();
  return errand;
}

static void errands_awaited_told(const struct errand *errand) {
  watch_lock();
  if (errand_first(ERRAND_AWAITED) == errand) {
    struct errand *told = errand_take(ERRAND_AWAITED);
    told->kind = ERRAND_FINALIZER;
    errand_push(told);
  }
  watch_unlock();
}

/* One whose function is left by longjmp is told of again next time. */
void gc_errands_tell_awaited(void) {
  GC_await_finalize_proc function = atomic_load(&errands_await);
  uintptr_t object;
  for (struct errand *errand; errand_count(ERRAND_AWAITED) && (errand = errands_first_awaited(&object));) {
    if (function && object) gc_events_call(function, (void *)object);
    errands_awaited_told(errand);
  }
}

/* --- the end of the process, and its children --- */

static _Atomic bool errands_at_exit, errands_exit_known;

/* Those that are registered then; what they register is not run. */
static void errands_exit(void) {
  if (!atomic_load(&errands_at_exit) || !errands_may()) return;
  watch_lock();
  finalize_take_all();
  watch_unlock();
  while (gc_errands_wait() && errands_run(true) > 0) continue;
}

static void errands_know_exit(bool wanted) {
  bool known = false;
  atomic_store(&errands_at_exit, wanted);
  if (wanted && atomic_compare_exchange_strong(&errands_exit_known, &known, true)) atexit(errands_exit);
}

PUBLIC void GC_set_finalize_at_exit(int on) { errands_know_exit(on); }
PUBLIC int GC_get_finalize_at_exit(void) { return atomic_load(&errands_at_exit); }

__attribute__((constructor(102))) static void errands_constructor(void) {
  if (birth_options.finalize_at_exit) errands_know_exit(true);
}

/* Of the threads only this one is left, with another id; whatever it is inside of goes on. */
void gc_errands_fork_child(void) {
  for (unsigned i = 0; i < errands_slots_most; i++) {
    struct errands_slot *slot = &errands_slots[i];
    if (errands_is_mine(slot)) slot->tid = os_thread_id();
    else atomic_store(&slot->number, 0);
  }
  atomic_store(&errands_state, ERRANDS_NO_THREAD);
}
