/* SPDX-License-Identifier: MIT
 * Capturing: each thread's memory for it, and the layer's public face. Must not know how stacks are walked.
 *
 *   site_capture -> memo_find                    tens of nanoseconds
 *                -> walk_capture -> rule_find    a few nanoseconds a frame
 *                                -> rule_learn   once for each return address
 *                                -> depot_push   for the frames that the last stack had not */
#include "config.h"

#include "site/site.h"

#include "os/memory.h"
#include "site/depot.h"
#include "site/frame.h"
#include "site/modules.h"
#include "site/walk.h"

#include <string.h>

enum { capture_depth_max = 1 << 20 /* of a search for a caller */ };

struct capture_thread {
  struct capture_thread *next; /* in the list of unused ones */
  struct walk_memory walk;
};

static unsigned capture_max_frames = walk_frames;
static THREAD_LOCAL struct capture_thread *capture_self;
static THREAD_LOCAL bool capture_busy; /* captures do not nest */
static THREAD_LOCAL bool capture_left; /* the thread is at its end: it borrows for each capture */

/* Unused ones: a pointer, and 16 bits that change with each change so that a compare-and-swap sees it. */
static _Atomic uint64_t capture_unused;

void site_init(unsigned max_frames) {
  if (max_frames < 1) max_frames = 1;
  capture_max_frames = max_frames < walk_frames ? max_frames : walk_frames;
}

/* ---- a thread's memory ---- */

static struct capture_thread *capture_pointer(uint64_t top) {
  return (struct capture_thread *)(uintptr_t)(top & (UINT64_MAX >> 16));
}

static uint64_t capture_top(const struct capture_thread *thread, uint64_t last) {
  return (uintptr_t)thread | ((last & (UINT64_MAX << 48)) + ((uint64_t)1 << 48));
}

static void capture_give_back(struct capture_thread *thread) {
  uint64_t top = atomic_load(&capture_unused);
  do thread->next = capture_pointer(top);
  while (!atomic_compare_exchange_weak(&capture_unused, &top, capture_top(thread, top)));
}

static struct capture_thread *capture_new(void) {
  struct capture_thread *thread = os_memory_map((sizeof *thread + os_page_size - 1) & -os_page_size);
  if (thread) os_arena_populate(thread, offsetof(struct capture_thread, walk.memo.ring));
  return thread;
}

static struct capture_thread *capture_take(void) {
  uint64_t top = atomic_load(&capture_unused);
  struct capture_thread *thread;
  do {
    thread = capture_pointer(top);
    if (!thread) return capture_new();
  } while (!atomic_compare_exchange_weak(&capture_unused, &top, capture_top(thread->next, top)));
  memset(thread->walk.ranges, 0, sizeof thread->walk.ranges); /* they were another thread's */
  thread->walk.kept_count = 0;
  return thread;
}

void site_thread_exit(void) {
  struct capture_thread *thread = capture_self;
  capture_self = NULL;
  capture_left = true;
  if (thread && !capture_busy) capture_give_back(thread);
}

/* ---- capture ---- */

/* The first capture of a thread, and those after its end. */
static __attribute__((noinline)) uint32_t capture_first(const struct site_start *start) {
  struct capture_thread *thread = capture_take();
  if (!thread) return 0;
  if (!capture_left) capture_self = thread;
  uint32_t id = walk_capture(&thread->walk, start, capture_max_frames);
  if (capture_left) capture_give_back(thread);
  return id;
}

/* Keeps other accesses from moving over a change of capture_busy, which signal handlers see. */
static inline void capture_mark(bool busy) {
  atomic_signal_fence(memory_order_seq_cst);
  capture_busy = busy;
  atomic_signal_fence(memory_order_seq_cst);
}

uint32_t site_capture(const struct site_start *start) {
  if (unlikely(capture_busy)) return 0;
  capture_mark(true);
  struct capture_thread *thread = capture_self;
  uint32_t id;
  if (unlikely(!thread)) {
    id = capture_first(start);
  } else {
    id = memo_find(&thread->walk.memo, start, modules_epoch());
    if (unlikely(!id)) id = walk_capture(&thread->walk, start, capture_max_frames);
  }
  capture_mark(false);
  return id;
}

const struct site_stack *site_stack(uint32_t id) { return depot_stack(id); }
uint32_t site_count(void) { return depot_count(); }

void site_fork_child(void) {
  rule_fork_child();
  depot_fork_child();
  modules_fork_child();
}

void site_limit_span(void) { rule_limit_span(); }

bool site_caller_of(const uintptr_t *functions, unsigned count, struct site_registers *out) {
  struct range ranges[range_cached] = {{0, 0, false}};
  struct frame frame;
  bool found = false;
  if (capture_busy) return false;
  capture_mark(true);
  site_here(&frame.at);
  frame_begin(&frame, ranges);
  for (int depth = 0; depth < capture_depth_max && frame_step(&frame); depth++)
    for (unsigned i = 0; i < count; i++)
      if (frame.rule.start == functions[i]) {
        *out = frame.at;
        found = true;
      }
  capture_mark(false);
  return found;
}
