/* SPDX-License-Identifier: MIT
 * The walk. Every word is read only inside the bounds of the stack it is on, or where a walk that began the
 * same way read it. */
#include "config.h"

#include "site/walk.h"

#include "site/depot.h"
#include "site/frame.h"
#include "site/modules.h"
#include "site/rule.h"

#include <string.h>

enum {
  walk_own_frames = 32, /* of ours, at most, between capture_slow and the program */
  walk_tries = 3,
};

enum { WALK_FP_KNOWN = 0, WALK_FP_START = 1 };

struct walk {
  struct walk_memory *memory;
  struct range range;
  uintptr_t pc, sp, fp, fp_from; /* as in walk_frame */
  uint32_t epoch;
  unsigned count, most; /* fresh frames; frames wanted */
  unsigned fp_since;    /* the first fresh frame that had this fp */
  unsigned next;        /* kept frame that may be met */
  unsigned joined;      /* kept frame that was met, from which all is as it was; walk_frames: none */
  bool exact, fp_new, fp_used, looked, whole;
};

/* ---- the frame pointer ---- */

/* fp decides what comes: it belongs to what is remembered. */
static inline void walk_use_fp(struct walk *walk) {
  for (unsigned i = walk->fp_since; i < walk->count; i++) walk->memory->fresh[i].needs_fp = true;
  if (walk->fp_from == WALK_FP_KNOWN) return;
  if (walk->fp_from == WALK_FP_START) walk->fp_used = true;
  else memo_read(&walk->memory->memo, walk->fp_from, walk->fp);
  walk->fp_from = WALK_FP_KNOWN;
}

static inline void walk_load_fp(struct walk *walk, uintptr_t address) {
  bool good = address % 8 == 0 && range_holds(&walk->range, address);
  walk->fp = good ? *(const uintptr_t *)address : 0;
  walk->fp_from = good ? address : WALK_FP_KNOWN;
  walk->fp_since = walk->count;
  walk->fp_new = true;
}

/* ---- one frame by its rule ---- */

/* The stack may have been found smaller than it is now. */
static __attribute__((noinline)) bool walk_look(struct walk *walk, uintptr_t cfa) {
  if (walk->range.steady || walk->looked) return false;
  walk->looked = true;
  walk->range = range_look(walk->memory->ranges, walk->sp);
  return cfa - 8 < walk->range.hi;
}

/* A CFA is above sp, and the word below it can be read. */
static inline bool walk_reaches(struct walk *walk, uintptr_t cfa) {
  if (unlikely(cfa <= walk->sp || cfa % 8 != 0)) return false;
  return likely(cfa - 8 < walk->range.hi) || walk_look(walk, cfa);
}

static bool walk_peek(struct walk *walk, uintptr_t address, uintptr_t *word) {
  if (address % 8 != 0 || !range_holds(&walk->range, address)) return false;
  *word = *(const uintptr_t *)address;
  memo_read(&walk->memory->memo, address, *word);
  return true;
}

static uintptr_t walk_address(struct walk *walk, struct rule_place place, uintptr_t cfa) {
  if (place.base == RULE_RBP) walk_use_fp(walk);
  uintptr_t base = place.base == RULE_CFA ? cfa : place.base == RULE_SP ? walk->sp : walk->fp;
  return base + (uintptr_t)(intptr_t)place.offset;
}

static inline bool walk_short(struct walk *walk, rule_word word, uintptr_t base) {
  uintptr_t cfa = base + (uintptr_t)(intptr_t)rule_word_offset(word);
  if (!walk_reaches(walk, cfa)) return false;
  walk->pc = *(const uintptr_t *)(cfa - 8);
  memo_read(&walk->memory->memo, cfa - 8, walk->pc);
  if (rule_word_fp(word)) walk_load_fp(walk, cfa + (uintptr_t)(intptr_t)rule_word_fp(word) * 8);
  walk->sp = cfa;
  walk->exact = false;
  return true;
}

/* A frame whose rule needs more than a word: over-aligned, or a signal's. What lies at its CFA may be on
 * another stack than what lies at its registers. */
static __attribute__((noinline)) bool walk_long(struct walk *walk, const struct rule *rule) {
  struct rule_place fp = rule->saved[RULE_RBP];
  uintptr_t cfa = walk_address(walk, (struct rule_place){rule->cfa_offset, rule->cfa_base}, 0);
  if (rule->deref && !walk_peek(walk, cfa, &cfa)) return false;
  cfa += (uintptr_t)(intptr_t)rule->cfa_add;
  if (!rule->deref && !walk_reaches(walk, cfa)) return false;
  struct range here = walk->range, there = here;
  if (rule->deref && !range_holds(&here, cfa - 8)) there = range_of(walk->memory->ranges, cfa - 8);
  if (cfa % 8 != 0 || !range_holds(&there, cfa - 8)) return false;

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

/* ---- meeting the last walk ---- */

static inline void walk_add(struct walk *walk) {
  const struct memo *memo = &walk->memory->memo;
  walk->memory->fresh[walk->count++] = (struct walk_frame){
      .pc = walk->pc, .sp = walk->sp, .fp = walk->fp, .fp_from = walk->fp_from, .before = memo->last,
      .word = memo->count, .exact = walk->exact, .fp_new = walk->fp_new};
  walk->fp_new = false;
}

static bool walk_meets(struct walk *walk) {
  const struct walk_frame *kept = walk->memory->kept;
  while (walk->next < walk_frames && kept[walk->next].sp < walk->sp) walk->next++;
  if (walk->next == walk_frames) return false;
  kept += walk->next;
  if (kept->sp != walk->sp || kept->pc != walk->pc || kept->exact != walk->exact) return false;
  if (!walk->memory->memo.recording) return false;
  return !kept->needs_fp || (kept->fp == walk->fp && kept->fp_from == walk->fp_from);
}

/* The kept frames from next to the one before until are as they were; the one at until has changed. Until a
 * kept frame whose fp is new, this walk's own fp holds: the last walk's, which nothing needed, may have been
 * another. */
static void walk_copy(struct walk *walk, unsigned until) {
  struct walk_memory *memory = walk->memory;
  const struct walk_frame *kept = memory->kept;
  uintptr_t place = kept[walk->next].before;
  for (unsigned i = walk->next;; i++) {
    if (i > walk->next) {
      walk->fp_new = kept[i].fp_new;
      if (kept[i].fp_new) {
        /* Where nothing needed it, its word was not compared. */
        walk->fp_from = kept[i].fp_from;
        walk->fp = walk->fp_from > WALK_FP_START ? *(const uintptr_t *)walk->fp_from : kept[i].fp;
        walk->fp_since = walk->count;
      }
    }
    walk->pc = kept[i].pc;
    walk->sp = kept[i].sp;
    walk->exact = kept[i].exact;
    if (i == until || walk->count == walk->most) break;
    walk_add(walk);
    memory->fresh[walk->count - 1].needs_fp = kept[i].needs_fp;
    if (kept[i].needs_fp && walk->fp_from == WALK_FP_START) walk->fp_used = true;
    for (uint32_t w = kept[i].word; w < kept[i + 1].word; w++) {
      place = memo_place(place, memory->words[w]);
      memo_read(&memory->memo, place, memo_value(memory->words[w]));
      if (place == walk->fp_from) walk->fp_from = WALK_FP_KNOWN;
    }
  }
  walk->next = until + 1;
  if (!range_holds(&walk->range, walk->sp)) walk->range = range_of(memory->ranges, walk->sp);
}

/* At a kept frame: true when all from here is as it was. Else the walk goes on from the first frame that
 * changed. */
static bool walk_rejoin(struct walk *walk) {
  struct walk_memory *memory = walk->memory;
  const struct walk_frame *kept = &memory->kept[walk->next];
  const uint64_t *word = &memory->words[kept->word], *end = &memory->words[memo_words_max];
  for (uintptr_t place = kept->before; word < end; word++) {
    place = memo_place(place, *word);
    if (*(const uint64_t *)place != memo_value(*word)) break;
  }
  if (word == end) {
    if (kept->needs_fp) {
      for (unsigned i = walk->fp_since; i < walk->count; i++) memory->fresh[i].needs_fp = true;
      if (walk->fp_from == WALK_FP_START) walk->fp_used = true;
    }
    walk->joined = walk->next;
    return true;
  }
  unsigned changed = walk->next;
  while (changed + 1 < walk_frames && &memory->words[memory->kept[changed + 1].word] <= word) changed++;
  walk_copy(walk, changed);
  return false;
}

/* ---- the whole walk ---- */

/* From the start to the end of the stack, or to where the last walk is met, or as far as frames are wanted.
 * False when a frame needs more registers. */
static bool walk_run(struct walk *walk) {
  while (walk->pc >= 4096 && walk->pc >> memo_value_bits == 0) {
    if (walk_meets(walk) && walk_rejoin(walk)) break;
    if (walk->count == walk->most) return true;
    walk_add(walk);
    if (walk->count == walk->most) return true;
    rule_word word = rule_find(walk->pc, walk->exact, walk->epoch);
    if (unlikely(word == RULE_UNKNOWN))
      word = rule_learn(walk->pc, walk->exact, walk->epoch, walk->range.hi - walk->sp);
    bool more = false;
    switch (rule_word_kind(word)) {
    case RULE_BY_SP: more = walk_short(walk, word, walk->sp); break;
    case RULE_BY_FP: walk_use_fp(walk), more = walk_short(walk, word, walk->fp); break;
    case RULE_LONG: more = walk_long(walk, rule_word_long(word)); break;
    case RULE_UNFIXED: return false;
    default: break;
    }
    if (!more) break;
  }
  walk->whole = true;
  return true;
}

/* The stack with all registers, which our own frames still have. False when the start is not met. */
static __attribute__((noinline)) bool walk_slow(struct walk *walk, const struct site_start *start) {
  struct frame frame;
  site_here(&frame.at);
  frame_begin(&frame, walk->memory->ranges);
  for (int i = 0; frame.at.sp != start->sp || frame.at.pc != start->pc; i++)
    if (i == walk_own_frames || !frame_step(&frame)) return false;
  walk->count = 0;
  do {
    walk->pc = frame.at.pc;
    walk->exact = frame.exact;
    walk_add(walk);
  } while (walk->count < walk->most && frame_step(&frame));
  return true;
}

/* Appends the words of the frames that were joined to the record. */
static void walk_record_joined(struct walk *walk) {
  struct walk_memory *memory = walk->memory;
  struct memo *memo = &memory->memo;
  if (walk->joined == walk_frames) return;
  uint32_t first = memory->kept[walk->joined].word, count = memo_words_max - first;
  if (count == 0) return;
  if (memo->count + count > memo_words_max) return memo_drop(memo);
  uintptr_t place = memo_place(memory->kept[walk->joined].before, memory->words[first]);
  memo_read(memo, place, memo_value(memory->words[first]));
  if (!memo->recording) return;
  memcpy(&memo->record[memo_header + memo->count], &memory->words[first + 1], (count - 1) * sizeof(uint64_t));
  memo->count += count - 1; /* last is of no use any more */
}

/* Keeps the frames of this walk in place of those that it did not meet. words: of the fresh frames. */
static void walk_keep(struct walk *walk, uint32_t words) {
  struct walk_memory *memory = walk->memory;
  struct walk_frame *kept = memory->kept;
  const uint64_t *record = &memory->memo.record[memo_header];
  uint32_t end = walk->joined < walk_frames ? kept[walk->joined].word : memo_words_max;
  if (words > end || walk->count > walk->joined) {
    memory->kept_count = 0;
    return;
  }
  if (walk->joined < walk_frames && end < memo_words_max) {
    uintptr_t place = memo_place(kept[walk->joined].before, memory->words[end]);
    memory->words[end] = record[words]; /* the same word, told from another before it */
    kept[walk->joined].fp = walk->fp;
    kept[walk->joined].fp_from = walk->fp_from;
    kept[walk->joined].fp_new = walk->fp_new;
    kept[walk->joined].before = place - (uintptr_t)((int64_t)record[words] >> memo_value_bits) * 8;
  }
  memcpy(&memory->words[end - words], record, words * sizeof *record);
  unsigned top = walk->joined - walk->count;
  memcpy(&kept[top], memory->fresh, walk->count * sizeof *kept);
  for (unsigned i = top; i < walk->joined; i++) kept[i].word += end - words;
  memory->kept_count = walk_frames - top;
  memory->epoch = walk->epoch;
}

/* The id of the frames found. */
static uint32_t walk_id(struct walk *walk) {
  struct walk_frame *kept = walk->memory->kept, *fresh = walk->memory->fresh;
  uint32_t id = depot_root(walk->epoch);
  unsigned left = walk_frames - walk->joined;
  if (walk->count + left > walk->most) {
    walk->whole = false;
    for (unsigned i = walk->most - walk->count; i-- > 0;)
      id = depot_push(id, kept[walk->joined + i].pc + kept[walk->joined + i].exact);
  } else if (left > 0) {
    id = kept[walk->joined].id;
  }
  for (unsigned i = walk->count; i-- > 0;) fresh[i].id = id = depot_push(id, fresh[i].pc + fresh[i].exact);
  return id >> 31 ? 0 : id;
}

static void walk_begin(struct walk *walk, struct walk_memory *memory, const struct site_start *start,
                       unsigned most) {
  *walk = (struct walk){.memory = memory,
                        .pc = start->pc,
                        .sp = start->sp,
                        .fp = start->fp,
                        .fp_from = WALK_FP_START,
                        .epoch = modules_epoch(),
                        .most = most,
                        .joined = walk_frames,
                        .next = walk_frames,
                        .range = range_of(memory->ranges, start->sp)};
  if (memory->epoch == walk->epoch) walk->next = walk_frames - memory->kept_count;
  memo_begin(&memory->memo, start);
}

uint32_t walk_capture(struct walk_memory *memory, const struct site_start *start, unsigned max_frames) {
  struct walk walk;
  struct memo *memo = &memory->memo;
  for (int i = 0; i < walk_tries; i++) {
    walk_begin(&walk, memory, start, max_frames);
    if (!walk_run(&walk)) {
      memo_drop(memo);
      walk_slow(&walk, start);
    }
    if (modules_epoch() == walk.epoch) break;
    memo_drop(memo); /* a module was replaced meanwhile: what was walked by the old rules is walked again */
  }
  uint32_t id = walk_id(&walk), words = memo->count;
  if (memo->recording) walk_record_joined(&walk);
  if (memo->recording && id && walk.whole) walk_keep(&walk, words);
  memo_keep(memo, start, walk.fp_used, id, walk.epoch);
  return id;
}
