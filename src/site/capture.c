/* SPDX-License-Identifier: MIT
 * Capturing a stack: the memo first, else a walk by rules, which the memo then keeps. Must not know modules, nor how
 * rules are learned.
 *
 *   site_capture -> memo_find                   tens of nanoseconds
 *                -> capture_walk -> rule_find   a few nanoseconds a frame
 *                                -> rule_learn  once for each return address
 *                -> capture_slow                frames that need other registers than sp and rbp: rare
 *
 * Every word is read only inside the bounds of the stack it is on. */
#include "config.h"

#include "site/site.h"

#include "base/options.h"
#include "os/maps.h"
#include "os/memory.h"
#include "os/threads.h"
#include "site/depot.h"
#include "site/memo.h"
#include "site/modules.h"
#include "site/rule.h"

#include <string.h>

enum {
  capture_ranges = 4,
  capture_own_frames = 32,        /* of ours, at most, between a walk's beginning and the program */
  capture_depth_max = 1 << 20,    /* of a search for a caller */
  capture_stack_usual = 8 << 20,  /* bytes of a stack */
  capture_stack_alone = 120 << 20 /* the kernel maps nothing that near below the top of the first stack */
};

/* A readable range with a stack in it. */
struct capture_range {
  uintptr_t lo, hi;
  bool steady; /* the thread's own stack: it stays as it is */
};

struct site_thread {
  struct site_thread *next; /* in the list of unused ones */
  struct capture_range ranges[capture_ranges];
  uintptr_t pc[options_max_frames];
  struct memo memo;
};

static unsigned capture_max_frames = options_max_frames;
static THREAD_LOCAL struct site_thread *capture_self;
static THREAD_LOCAL bool capture_busy; /* captures do not nest */
static THREAD_LOCAL bool capture_left; /* the thread is at its end: it borrows for each capture */

/* Unused ones: a pointer, and 16 bits that change with each change so that a compare-and-swap sees it. */
static _Atomic uint64_t capture_unused;

void site_init(unsigned max_frames) {
  if (max_frames < 1) max_frames = 1;
  capture_max_frames = max_frames < options_max_frames ? max_frames : options_max_frames;
}

/* ---- a thread's memory ---- */

static void capture_give_back(struct site_thread *thread) {
  uint64_t top = atomic_load(&capture_unused);
  do thread->next = (struct site_thread *)(uintptr_t)(top & (UINT64_MAX >> 16));
  while (!atomic_compare_exchange_weak(&capture_unused, &top,
                                       (uintptr_t)thread | ((top & (UINT64_MAX << 48)) + ((uint64_t)1 << 48))));
}

static struct site_thread *capture_take(void) {
  uint64_t top = atomic_load(&capture_unused);
  for (;;) {
    struct site_thread *thread = (struct site_thread *)(uintptr_t)(top & (UINT64_MAX >> 16));
    if (!thread) return os_memory_map((sizeof *thread + os_page_size - 1) & -os_page_size);
    uint64_t rest = (uintptr_t)thread->next | ((top & (UINT64_MAX << 48)) + ((uint64_t)1 << 48));
    if (!atomic_compare_exchange_weak(&capture_unused, &top, rest)) continue;
    memset(thread->ranges, 0, sizeof thread->ranges); /* they were another thread's */
    return thread;
  }
}

void site_thread_exit(void) {
  struct site_thread *thread = capture_self;
  capture_self = NULL;
  capture_left = true;
  if (thread && !capture_busy) capture_give_back(thread);
}

/* ---- where stacks are ---- */

extern void *__libc_stack_end; /* of ld.so: the first stack pointer of the process */

static bool capture_in(const struct capture_range *range, uintptr_t address) {
  return address - range->lo < range->hi - range->lo;
}

/* Without /proc: what must be there. */
static void capture_guess(uintptr_t sp, struct capture_range *range) {
  uintptr_t first = (uintptr_t)__libc_stack_end, tcb = os_thread_pointer();
  range->lo = sp & -os_page_size;
  range->hi = range->lo + os_page_size;
  range->steady = true;
  if (sp < first && first - sp < capture_stack_usual) range->hi = first;
  else if (sp < tcb && tcb - sp < capture_stack_usual) range->hi = tcb;
}

static struct capture_range capture_look(struct capture_range *ranges, uintptr_t sp) {
  struct os_mapping mapping;
  struct capture_range range;
  if (os_maps_find(sp, &mapping) && mapping.read) {
    range = (struct capture_range){mapping.lo, mapping.hi, false};
    uintptr_t first = (uintptr_t)__libc_stack_end;
    range.steady = capture_in(&range, os_thread_pointer());
    if (capture_in(&range, first)) {
      /* The first stack grows: what it will take is its own already. */
      range.steady = true;
      if (range.hi - range.lo < capture_stack_alone - capture_stack_usual) range.lo -= capture_stack_usual;
    }
  } else {
    capture_guess(sp, &range);
  }
  struct capture_range *place = ranges;
  while (place < ranges + capture_ranges - 1 && place->hi && !(place->lo < range.hi && range.lo < place->hi)) place++;
  memmove(ranges + 1, ranges, (size_t)((char *)place - (char *)ranges));
  ranges[0] = range;
  return range;
}

static struct capture_range capture_range_of(struct capture_range *ranges, uintptr_t sp) {
  for (int i = 0; i < capture_ranges; i++)
    if (capture_in(&ranges[i], sp)) return ranges[i];
  return capture_look(ranges, sp);
}

/* ---- frames with all registers ---- */

struct capture_frame {
  struct site_registers at;
  bool exact; /* interrupted at pc, not called from before it */
  struct capture_range *ranges, range;
  struct rule rule; /* of the frame that was left by the last step */
};

static bool capture_peek(const struct capture_frame *frame, uintptr_t address, uintptr_t *word) {
  if (address % 8 != 0 || !capture_in(&frame->range, address)) return false;
  *word = *(const uintptr_t *)address;
  return true;
}

static bool capture_address(const struct capture_frame *frame, struct rule_place place, uintptr_t cfa, uintptr_t *out) {
  uintptr_t base = cfa;
  if (place.base < rule_saved) base = frame->at.saved[place.base];
  else if (place.base == RULE_SP) base = frame->at.sp;
  else if (place.base != RULE_CFA) return false;
  *out = base + (uintptr_t)(intptr_t)place.offset;
  return true;
}

/* One frame out. False at the end of the stack. */
static bool capture_step(struct capture_frame *frame) {
  struct rule *rule = &frame->rule;
  struct site_registers caller = frame->at;
  uintptr_t cfa, ra;
  rule_learn_full(frame->at.pc, frame->exact, frame->range.hi - frame->at.sp, rule);
  if (rule->kind < RULE_BY_SP) return false;
  if (!capture_address(frame, (struct rule_place){rule->cfa_offset, rule->cfa_base}, 0, &cfa)) return false;
  if (rule->deref && !capture_peek(frame, cfa, &cfa)) return false;
  cfa += (uintptr_t)(intptr_t)rule->cfa_add;
  /* What was saved lies on the frame's own stack, but for a CFA on another, just below that. */
  struct capture_frame there = *frame;
  if (!capture_in(&frame->range, cfa - 8) && rule->deref) there.range = capture_range_of(frame->ranges, cfa - 8);
  if (!capture_address(frame, rule->ra, cfa, &ra)) return false;
  if (!capture_peek(rule->ra.base == RULE_CFA ? &there : frame, ra, &caller.pc)) return false;
  for (int i = 0; i < rule_saved; i++) {
    struct rule_place place = rule->saved[i];
    uintptr_t address;
    if (place.base == RULE_SAME) continue;
    if (!capture_address(frame, place, cfa, &address) ||
        !capture_peek(place.base == RULE_CFA ? &there : frame, address, &caller.saved[i]))
      caller.saved[i] = 0;
  }
  caller.sp = cfa;
  if ((cfa <= frame->at.sp && !rule->deref) || caller.pc == 0) return false;
  if (!capture_in(&there.range, cfa - 8)) return false;
  frame->at = caller;
  frame->exact = rule->signal;
  frame->range = there.range;
  return true;
}

static void capture_begin(struct capture_frame *frame, struct capture_range *ranges) {
  frame->exact = true;
  frame->ranges = ranges;
  frame->range = capture_range_of(ranges, frame->at.sp);
}

/* The whole stack with all registers, which our own frames still have. 0 when the start is not met. */
static __attribute__((noinline)) unsigned capture_slow(struct site_thread *thread, const struct site_start *start) {
  struct capture_frame frame;
  site_here(&frame.at);
  capture_begin(&frame, thread->ranges);
  for (int i = 0; frame.at.sp != start->sp || frame.at.pc != start->pc; i++)
    if (i == capture_own_frames || !capture_step(&frame)) return 0;
  unsigned count = 0;
  do thread->pc[count++] = frame.at.pc + frame.exact;
  while (count < capture_max_frames && capture_step(&frame));
  return count;
}

/* ---- the walk ---- */

enum { WALK_FP_KNOWN = 0, WALK_FP_START = 1 }; /* else: the word that fp was read from, not yet recorded */

struct walk {
  struct site_thread *thread;
  struct capture_range range;
  uintptr_t pc, sp, fp;
  uintptr_t fp_from;
  uint32_t epoch;
  unsigned count;
  bool exact, fp_used, looked;
};

/* fp decides what comes: it belongs to what is remembered. */
static inline void walk_use_fp(struct walk *walk) {
  if (walk->fp_from == WALK_FP_KNOWN) return;
  if (walk->fp_from == WALK_FP_START) walk->fp_used = true;
  else memo_read(&walk->thread->memo, walk->fp_from, walk->fp);
  walk->fp_from = WALK_FP_KNOWN;
}

static inline void walk_load_fp(struct walk *walk, uintptr_t address) {
  bool good = address % 8 == 0 && capture_in(&walk->range, address);
  walk->fp = good ? *(const uintptr_t *)address : 0;
  walk->fp_from = good ? address : WALK_FP_KNOWN;
}

/* The stack may have been found smaller than it is now. */
static __attribute__((noinline)) bool walk_look(struct walk *walk, uintptr_t cfa) {
  if (walk->range.steady || walk->looked) return false;
  walk->looked = true;
  walk->range = capture_look(walk->thread->ranges, walk->sp);
  return cfa - 8 < walk->range.hi;
}

/* A CFA is above sp, and the word below it can be read. */
static inline bool walk_reaches(struct walk *walk, uintptr_t cfa) {
  if (unlikely(cfa <= walk->sp || cfa % 8 != 0)) return false;
  return likely(cfa - 8 < walk->range.hi) || walk_look(walk, cfa);
}

static bool walk_peek(struct walk *walk, uintptr_t address, uintptr_t *word) {
  if (address % 8 != 0 || !capture_in(&walk->range, address)) return false;
  *word = *(const uintptr_t *)address;
  memo_read(&walk->thread->memo, address, *word);
  return true;
}

static uintptr_t walk_address(struct walk *walk, struct rule_place place, uintptr_t cfa) {
  if (place.base == RULE_RBP) walk_use_fp(walk);
  uintptr_t base = place.base == RULE_CFA ? cfa : place.base == RULE_SP ? walk->sp : walk->fp;
  return base + (uintptr_t)(intptr_t)place.offset;
}

/* A frame whose rule needs more than a word: over-aligned, or a signal's. What lies at its CFA may be on another stack
 * than what lies at its registers. */
static __attribute__((noinline)) bool walk_long(struct walk *walk, const struct rule *rule) {
  struct rule_place fp = rule->saved[RULE_RBP];
  uintptr_t cfa = walk_address(walk, (struct rule_place){rule->cfa_offset, rule->cfa_base}, 0);
  if (rule->deref && !walk_peek(walk, cfa, &cfa)) return false;
  cfa += (uintptr_t)(intptr_t)rule->cfa_add;
  if (!rule->deref && !walk_reaches(walk, cfa)) return false;
  struct capture_range here = walk->range, there = here;
  if (rule->deref && !capture_in(&here, cfa - 8)) there = capture_range_of(walk->thread->ranges, cfa - 8);
  if (cfa % 8 != 0 || !capture_in(&there, cfa - 8)) return false;

  uintptr_t ra = walk_address(walk, rule->ra, cfa), pc;
  uintptr_t saved = fp.base < RULE_SAME ? walk_address(walk, fp, cfa) : 0; /* before fp is another */
  walk->range = rule->ra.base == RULE_CFA ? there : here;
  if (!walk_peek(walk, ra, &pc)) return false;
  walk->range = fp.base == RULE_CFA ? there : here;
  if (fp.base != RULE_SAME) walk_load_fp(walk, saved);
  walk->range = there;
  walk->sp = cfa;
  walk->pc = pc;
  walk->exact = rule->signal;
  return true;
}

/* From the start to the end of the stack, or as far as frames are wanted. False when a frame needs more registers. */
static bool walk_run(struct walk *walk) {
  struct memo *memo = &walk->thread->memo;
  uintptr_t *out = walk->thread->pc;
  while (walk->pc >= 4096) {
    out[walk->count++] = walk->pc + walk->exact;
    if (walk->count == capture_max_frames || walk->pc >> memo_value_bits) return true;
    rule_word word = rule_find(walk->pc, walk->exact, walk->epoch);
    if (unlikely(word == RULE_UNKNOWN))
      word = rule_learn(walk->pc, walk->exact, walk->epoch, walk->range.hi - walk->sp);
    uintptr_t base = walk->sp;
    switch (rule_word_kind(word)) {
    case RULE_BY_FP:
      walk_use_fp(walk);
      base = walk->fp; /* fall through */
    case RULE_BY_SP: {
      uintptr_t cfa = base + (uintptr_t)(intptr_t)rule_word_offset(word);
      if (!walk_reaches(walk, cfa)) return true;
      uintptr_t pc = *(const uintptr_t *)(cfa - 8);
      memo_read(memo, cfa - 8, pc);
      if (rule_word_fp(word)) walk_load_fp(walk, cfa + (uintptr_t)(intptr_t)rule_word_fp(word) * 8);
      walk->sp = cfa;
      walk->pc = pc;
      walk->exact = false;
      break;
    }
    case RULE_LONG:
      if (!walk_long(walk, rule_word_long(word))) return true;
      break;
    case RULE_UNFIXED: return false;
    default: return true;
    }
  }
  return true;
}

/* ---- capture ---- */

/* Fills thread->pc; the number of frames. When a module turns out to have been replaced meanwhile, what was walked by
 * the old rules is walked again. */
static unsigned capture_frames(struct site_thread *thread, const struct site_start *start, struct walk *walk) {
  for (int i = 0; i < 3; i++) {
    *walk = (struct walk){.thread = thread, .pc = start->pc, .sp = start->sp, .fp = start->fp,
                          .fp_from = WALK_FP_START, .epoch = modules_epoch(),
                          .range = capture_range_of(thread->ranges, start->sp)};
    memo_begin(&thread->memo, start);
    if (!walk_run(walk)) {
      memo_drop(&thread->memo);
      unsigned count = capture_slow(thread, start);
      if (count) walk->count = count;
    }
    if (modules_epoch() == walk->epoch) break;
    memo_drop(&thread->memo);
  }
  return walk->count;
}

static __attribute__((noinline)) uint32_t capture_walk(struct site_thread *thread, const struct site_start *start) {
  struct walk walk;
  unsigned count = capture_frames(thread, start, &walk);
  uint32_t id = depot_enter(thread->pc, count, walk.epoch);
  memo_keep(&thread->memo, start, walk.fp_used, id, walk.epoch);
  return id;
}

/* The first capture of a thread, and those after its end. */
static __attribute__((noinline)) uint32_t capture_first(const struct site_start *start) {
  struct site_thread *thread = capture_take();
  if (!thread) return 0;
  if (!capture_left) capture_self = thread;
  uint32_t id = capture_walk(thread, start);
  if (capture_left) capture_give_back(thread);
  return id;
}

/* Keep other accesses from moving over a change of capture_busy, which signal handlers see. */
static inline void capture_mark(bool busy) {
  atomic_signal_fence(memory_order_seq_cst);
  capture_busy = busy;
  atomic_signal_fence(memory_order_seq_cst);
}

uint32_t site_capture(const struct site_start *start) {
  if (unlikely(capture_busy)) return 0;
  capture_mark(true);
  struct site_thread *thread = capture_self;
  uint32_t id;
  if (unlikely(!thread)) {
    id = capture_first(start);
  } else {
    id = memo_find(&thread->memo, start, modules_epoch());
    if (unlikely(!id)) id = capture_walk(thread, start);
  }
  capture_mark(false);
  return id;
}

const struct site_stack *site_stack(uint32_t id) { return depot_stack(id); }
uint32_t site_count(void) { return depot_count(); }

void site_fork_child(void) {
  rule_fork_child();
  modules_fork_child();
}

bool site_caller_of(const uintptr_t *functions, unsigned count, struct site_registers *out) {
  struct capture_range ranges[capture_ranges] = {{0, 0, false}};
  struct capture_frame frame;
  bool found = false;
  if (capture_busy) return false;
  capture_mark(true);
  site_here(&frame.at);
  capture_begin(&frame, ranges);
  for (int depth = 0; depth < capture_depth_max && capture_step(&frame); depth++)
    for (unsigned i = 0; i < count; i++)
      if (frame.rule.start == functions[i]) {
        *out = frame.at;
        found = true;
      }
  capture_mark(false);
  return found;
}
