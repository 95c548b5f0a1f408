/* SPDX-License-Identifier: MIT
 * Who is told of collections: the program's callbacks, then the log and the statistics. */
#include "config.h"

#include "api/gc_events.h"
#include "api/gc_memory.h"

#include "api/report_out.h"
#include "base/print.h"
#include "gc/roots.h"
#include "gc_ext.h"
#include "os/call.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PUBLIC __attribute__((visibility("default"), noinline))

static _Atomic uint64_t gc_events_start;
/* The last full collection, whose sweep is told of later. */
static _Atomic uint64_t gc_events_full_number, gc_events_full_heap;
static _Atomic bool gc_events_warned, gc_events_ended, gc_events_forked;

uint64_t gc_events_started(void) { return atomic_load(&gc_events_start); }

bool gc_events_is_forked(void) { return atomic_load(&gc_events_forked); }

/* After birth's, so that the options are read. */
__attribute__((constructor(102))) static void gc_events_constructor(void) {
  int saved = errno;
  atomic_store(&gc_events_start, os_clock());
  bool tells = birth_options.stats || birth_options.gc_log || (birth_options.mode == MODE_COLLECT && birth_options.verbose);
  if (tells || birth_records()) report_out_init();
  gc_log_init();
  gc_reclaimed_init();
  if (birth_options.stats) {
    at_quick_exit(gc_events_exit);
    if (birth_options.report_at_signal && birth_options.mode != MODE_LEAKS) report_out_at_signal(gc_events_exit);
  }
  errno = saved;
}

/* --- what is told --- */

const char *gc_events_reason(enum collect_reason reason) {
  static const char *const reasons[] = {"asked", "young", "old", "grown", "memory", "stress"};
  return reasons[reason];
}

const char *gc_events_error(int error) {
  switch (error) {
  case 0: return "nothing stood in the way";
  case EAGAIN: return "a thread could not be stopped";
  case ENOENT:
  case EACCES:
  case EPERM: return "/proc cannot be read, so that roots would be missed";
  case ECANCELED: return "the program had it broken off";
  case ENOMEM: return "there is no memory to work with";
  }
  const char *text = strerrordesc_np(error);
  return text ? text : "an unknown error";
}

void gc_events_describe(const struct collection *facts, struct GC_collection *out) {
  *out = (struct GC_collection){
      .number = facts->number,
      .generation = (int)facts->generation,
      .error = facts->error,
      .reason = gc_events_reason(facts->reason),
      .concurrent = facts->concurrent,
      .threads = facts->threads,
      .markers = facts->markers,
      .collected = facts->swept.objects,
      .collected_bytes = facts->swept.bytes,
      .live_before = facts->heap_before,
      .live_after = facts->heap_after,
      .pages_scanned = facts->pages_scanned,
      .pages_skipped = facts->pages_skipped,
      .duration = facts->first_pause_ns + facts->pause_ns + (facts->concurrent ? facts->mark_ns : 0),
      .pause = facts->pause_ns > facts->first_pause_ns ? facts->pause_ns : facts->first_pause_ns,
      .stop = facts->stop_ns,
      .roots = facts->roots_ns,
      .old = facts->old_ns,
      .mark = facts->mark_ns,
      .weak = facts->weak_ns,
      .sweep = facts->sweep_ns,
      .uncollectable = facts->uncollectable,
  };
}

/* --- callbacks of gc_ext.h --- */

struct gc_callback {
  void (*function)(const struct GC_event *event, void *arg); /* NULL: removed while some thread was calling */
  void *arg;
};

enum { callbacks_size = 4096, callbacks_most = callbacks_size / sizeof(struct gc_callback) };

/* In a mapping that is like the program's own, so that what the args point to is kept. */
static struct gc_callback *_Atomic gc_callbacks;
static _Atomic unsigned gc_callbacks_count;
static unsigned gc_callbacks_calling; /* threads that go through the list: then nothing is moved */
static struct lock gc_callbacks_lock = LOCK_INIT(LOCK_EVENTS);

/* A handler that interrupted the holder may allocate, and so come here. */
static uint64_t gc_callbacks_acquire(void) {
  uint64_t all = ~(uint64_t)0, before = 0;
  os_call(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before, sizeof all);
  lock_acquire(&gc_callbacks_lock);
  return before;
}

static void gc_callbacks_release(uint64_t before) {
  lock_release(&gc_callbacks_lock);
  os_call(SYS_rt_sigprocmask, SIG_SETMASK, &before, NULL, sizeof before);
}

static void gc_callbacks_compact(void) {
  unsigned kept = 0, count = atomic_load(&gc_callbacks_count);
  if (gc_callbacks_calling) return;
  for (unsigned i = 0; i < count; i++)
    if (gc_callbacks[i].function) gc_callbacks[kept++] = gc_callbacks[i];
  for (unsigned i = kept; i < count; i++) gc_callbacks[i] = (struct gc_callback){NULL, NULL};
  atomic_store(&gc_callbacks_count, kept);
}

/* Their args are roots also where roots are declared. What a missed root holds would be reclaimed: without it nothing is. */
static bool gc_callbacks_make(void) {
  struct gc_callback *none = NULL;
  if (atomic_load(&gc_callbacks)) return true;
  long page = os_call(SYS_mmap, NULL, callbacks_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page < 0 && page > -4096) return false;
  if (!atomic_compare_exchange_strong(&gc_callbacks, &none, (struct gc_callback *)page)) os_call(SYS_munmap, page, callbacks_size);
  else if (roots_keep((uintptr_t)page, (uintptr_t)page + callbacks_size) != 0) collector_forbid();
  return true;
}

PUBLIC int GC_add_callback(void (*function)(const struct GC_event *event, void *arg), void *arg) {
  if (!function || !gc_callbacks_make()) {
    errno = function ? ENOMEM : EINVAL;
    return -1;
  }
  uint64_t mask = gc_callbacks_acquire();
  unsigned count = atomic_load(&gc_callbacks_count);
  bool room = count < callbacks_most;
  if (room) {
    gc_callbacks[count] = (struct gc_callback){function, arg};
    atomic_store(&gc_callbacks_count, count + 1);
  }
  gc_callbacks_release(mask);
  if (room) return 0;
  errno = ENOMEM;
  return -1;
}

PUBLIC int GC_remove_callback(void (*function)(const struct GC_event *event, void *arg), void *arg) {
  uint64_t mask = gc_callbacks_acquire();
  unsigned i = 0, count = atomic_load(&gc_callbacks_count);
  while (i < count && (gc_callbacks[i].function != function || gc_callbacks[i].arg != arg)) i++;
  bool found = i < count && function;
  if (found) {
    gc_callbacks[i] = (struct gc_callback){NULL, NULL};
    gc_callbacks_compact();
  }
  gc_callbacks_release(mask);
  if (found) return 0;
  errno = ENOENT;
  return -1;
}

/* Where a callback was called, which may be left by a longjmp, an exception or the end of the thread; and how often this thread has
 * entered the list. */
static THREAD_LOCAL uintptr_t gc_events_frame;
static THREAD_LOCAL unsigned gc_callbacks_mine;

/* A callback may lie on another stack by now, or be interrupted on one: then this may be wrong. */
bool gc_events_are_left(void) { return gc_events_frame && (uintptr_t)__builtin_frame_address(0) > gc_events_frame; }

static struct gc_callback gc_callbacks_get(unsigned i) {
  uint64_t mask = gc_callbacks_acquire();
  struct gc_callback callback = gc_callbacks[i];
  gc_callbacks_release(mask);
  return callback;
}

static void gc_callbacks_enter(int change) {
  uint64_t mask = gc_callbacks_acquire();
  if (gc_callbacks_calling > 0 || change > 0) gc_callbacks_calling = (unsigned)((int)gc_callbacks_calling + change);
  gc_callbacks_compact();
  gc_callbacks_release(mask);
}

static void gc_callbacks_leave(void) {
  if (gc_callbacks_mine == 0) return; /* told already */
  gc_callbacks_mine--;
  gc_callbacks_enter(-1);
}

void gc_events_leave(void) {
  gc_events_frame = 0;
  while (gc_callbacks_mine) gc_callbacks_leave();
}

static __attribute__((noinline)) void gc_callbacks_call_each(const struct GC_event *event) {
  unsigned count = atomic_load(&gc_callbacks_count);
  for (unsigned i = 0; i < count; i++) {
    struct gc_callback callback = gc_callbacks_get(i);
    gc_events_frame = (uintptr_t)__builtin_frame_address(0);
    if (callback.function) callback.function(event, callback.arg);
    gc_events_frame = 0;
  }
}

static void gc_callbacks_call_all(const struct GC_event *event) {
  gc_callbacks_mine++;
  gc_callbacks_enter(1);
  gc_callbacks_call_each(event);
  gc_callbacks_leave();
}

static void gc_callbacks_call(enum GC_phase phase, const struct collection *facts) {
  if (atomic_load(&gc_callbacks_count) == 0) return;
  struct GC_event event = {.phase = phase};
  gc_events_describe(facts, &event.collection);
  gc_callbacks_call_all(&event);
}

static void gc_callbacks_call_low(const struct collection *facts) {
  struct GC_event event = {.phase = GC_PHASE_LOW_MEMORY};
  if (atomic_load(&gc_callbacks_count) == 0 || !gc_notify_is_low(&event.memory)) return;
  gc_events_describe(facts, &event.collection);
  gc_callbacks_call_all(&event);
}

__attribute__((noinline)) void gc_events_call(void (*function)(void *arg), void *arg) {
  gc_events_frame = (uintptr_t)__builtin_frame_address(0);
  function(arg);
  gc_events_frame = 0;
}

/* --- callbacks of gc.h --- */

static _Atomic GC_start_callback_proc gc_start_callback;
static _Atomic GC_on_collection_event_proc gc_on_event;

PUBLIC void GC_set_start_callback(GC_start_callback_proc function) { atomic_store(&gc_start_callback, function); }
PUBLIC GC_start_callback_proc GC_get_start_callback(void) { return atomic_load(&gc_start_callback); }
PUBLIC void GC_set_on_collection_event(GC_on_collection_event_proc function) { atomic_store(&gc_on_event, function); }
PUBLIC GC_on_collection_event_proc GC_get_on_collection_event(void) { return atomic_load(&gc_on_event); }

static __attribute__((noinline)) void gc_events_libgc(GC_EventType event) {
  GC_on_collection_event_proc function = atomic_load(&gc_on_event);
  gc_events_frame = (uintptr_t)__builtin_frame_address(0);
  if (function) function(event);
  gc_events_frame = 0;
}

static __attribute__((noinline)) void gc_events_start_libgc(void) {
  GC_start_callback_proc function = atomic_load(&gc_start_callback);
  gc_events_frame = (uintptr_t)__builtin_frame_address(0);
  if (function) function();
  gc_events_frame = 0;
}

/* --- which threads were stopped: noted then, and told when the program runs again --- */

enum { gc_events_threads_most = 1024 };

static _Atomic GC_on_thread_event_proc gc_on_thread;
static uintptr_t gc_events_threads[gc_events_threads_most]; /* by the thread that collects */
static unsigned gc_events_threads_count;

PUBLIC void GC_set_on_thread_event(GC_on_thread_event_proc function) { atomic_store(&gc_on_thread, function); }
PUBLIC GC_on_thread_event_proc GC_get_on_thread_event(void) { return atomic_load(&gc_on_thread); }

/* This thread is the first. A thread's pthread_t is its thread pointer. */
static void gc_events_note_threads(const struct world_thread *threads, unsigned count) {
  gc_events_threads_count = 0;
  for (unsigned i = 1; i < count && gc_events_threads_count < gc_events_threads_most; i++)
    if (threads[i].stopped && threads[i].tcb) gc_events_threads[gc_events_threads_count++] = threads[i].tcb;
}

void (*gc_events_stopped(void))(const struct world_thread *threads, unsigned count) {
  return atomic_load(&gc_on_thread) ? gc_events_note_threads : NULL;
}

static __attribute__((noinline)) void gc_events_tell_threads(GC_EventType event) {
  GC_on_thread_event_proc function = atomic_load(&gc_on_thread);
  gc_events_frame = (uintptr_t)__builtin_frame_address(0);
  for (unsigned i = 0; function && i < gc_events_threads_count; i++) function(event, (void *)gc_events_threads[i]);
  gc_events_frame = 0;
}

/* --- the course of a collection --- */

void gc_events_before(const struct collection *facts) {
  struct collection next = *facts;
  next.number = gc_stats_number() + 1;
  gc_reclaimed_begin(next.number);
  gc_notify_before(facts);
  gc_events_start_libgc();
  gc_events_libgc(GC_EVENT_START);
  gc_callbacks_call(GC_PHASE_START, &next);
}

/* For who wants to know why nothing is reclaimed. */
static void gc_events_warn(const struct collection *facts) {
  if (!birth_options.verbose || atomic_exchange(&gc_events_warned, true)) return;
  print_fd(report_out_stderr(), "gleaner: a collection reclaimed nothing: %s; others may do so as well\n",
           gc_events_error(facts->error));
}

void gc_events_after(const struct collection *facts) {
  if (facts->error) {
    gc_events_warn(facts);
  } else if (facts->generation == collect_generations - 1) {
    atomic_store(&gc_events_full_number, facts->number);
    atomic_store(&gc_events_full_heap, facts->heap_before);
  }
  gc_reclaimed_end(facts);
  gc_stats_collection(facts);
  gc_log_collection(facts);
  gc_garbage_tell(facts);
  gc_callbacks_call(GC_PHASE_STOP, facts);
  gc_events_tell_threads(GC_EVENT_THREAD_SUSPENDED);
  gc_events_tell_threads(GC_EVENT_THREAD_UNSUSPENDED);
  gc_events_threads_count = 0;
  gc_events_libgc(GC_EVENT_END);
  gc_notify_after(facts);
  if (facts->generation < collect_generations - 1) gc_callbacks_call_low(facts);
}

void gc_events_swept(const struct sweep_counts *counts) {
  struct collection full = {
      .number = atomic_load(&gc_events_full_number),
      .generation = collect_generations - 1,
      .heap_before = atomic_load(&gc_events_full_heap),
      .swept = *counts,
  };
  full.heap_after = full.heap_before > counts->bytes ? full.heap_before - counts->bytes : 0;
  gc_stats_swept(counts);
  gc_log_swept(full.number, full.heap_after, counts);
  gc_callbacks_call(GC_PHASE_SWEPT, &full);
  gc_callbacks_call_low(&full);
}

void gc_events_exit(void) {
  bool wanted = birth_options.stats && birth_options.mode != MODE_LEAKS && birth_is_mine();
  if (wanted && !atomic_exchange(&gc_events_ended, true)) gc_summary_write();
}

/* Callbacks stay. Figures begin anew. */
void gc_events_fork_child(void) {
  lock_reset(&gc_callbacks_lock);
  atomic_store(&gc_events_start, os_clock());
  atomic_store(&gc_events_ended, false);
  atomic_store(&gc_events_forked, true);
  gc_notify_fork_child();
  gc_stats_fork_child();
  gc_reclaimed_fork_child();
  gc_log_fork_child();
}
