/* SPDX-License-Identifier: MIT
 * Frame rules: how to find a frame's caller, learned from libunwind once for each return address.
 *
 *   stack grows down          CFA = sp + offset                       most functions
 *   | caller's frame  |       CFA = fp + offset                       a frame pointer: alloca, -O0
 *   |-----------------| <-CFA CFA = *(reg + offset) + add             over-aligned frames, signal frames
 *   | return address  | CFA - 8
 *   | saved rbp       | where the rule says
 *   | ...             | <-sp
 *
 * libunwind never sees the program's stack. It is stepped once over a probe (probe.h): registers that point
 * into memory of ours, whose words each have a value of their own. The registers that come out say exactly
 * which word, relative to which register, each was read from. So a rule is exact by construction, and
 * walking by rules reads nothing that the walker has not checked.
 *
 * Rules are found without a lock and learned under one (LOCK_UNWIND). A new epoch of modules.h makes all
 * unknown. */
#ifndef GLEANER_RULE_H
#define GLEANER_RULE_H

#include "site/site.h"

enum { rule_saved = 6 }; /* as in site_registers: rbx rbp r12 r13 r14 r15 */

/* What a place is relative to. */
enum rule_base {
  RULE_RBX,
  RULE_RBP,
  RULE_R12,
  RULE_R13,
  RULE_R14,
  RULE_R15,
  RULE_SP,
  RULE_OTHER, /* a register that does not outlive calls */
  RULE_CFA,
  RULE_SAME, /* unchanged */
  RULE_LOST, /* undefined, or nothing that these forms can say */
};

/* A word of memory: at base + offset. */
struct rule_place {
  int32_t offset;
  uint8_t base; /* enum rule_base */
};

enum rule_kind {
  RULE_UNKNOWN, /* not learned yet */
  RULE_NONE,    /* no unwind information: the chain ends here */
  RULE_END,     /* the outermost frame */
  RULE_BY_SP,   /* CFA = sp + offset, the return address just below, rbp saved near it or unchanged */
  RULE_BY_FP,   /* the same from rbp */
  RULE_LONG,    /* a struct rule says the rest; sp and rbp suffice */
  RULE_UNFIXED, /* a struct rule as well, but it takes other registers */
};

/* Any frame in full. */
struct rule {
  uint8_t kind;
  bool signal; /* the frame of a signal: what it returns to was interrupted, not called */
  bool deref;  /* cfa is the word at cfa_base + cfa_offset, plus cfa_add */
  uint8_t cfa_base;
  int32_t cfa_offset, cfa_add;
  struct rule_place ra, saved[rule_saved];
  uintptr_t start; /* where the procedure begins */
};

/* A frame in a word:  | CFA offset : 32 | - : 16 | rbp : 8 | kind : 8 |, rbp saved at CFA + 8 * rbp, 0:
 * unchanged. RULE_LONG holds a pointer to a struct rule above its kind. */
typedef uint64_t rule_word;

static inline enum rule_kind rule_word_kind(rule_word word) { return (enum rule_kind)(word & 7); }
static inline int32_t rule_word_offset(rule_word word) { return (int32_t)(word >> 32); }
static inline int rule_word_fp(rule_word word) { return (int8_t)(word >> 8); }
static inline const struct rule *rule_word_long(rule_word word) {
  return (const struct rule *)(word & ~(rule_word)7);
}

/* An entry is valid if its key is read before and after the value. */
struct rule_entry {
  _Atomic uint64_t key;
  _Atomic rule_word word;
};

struct rule_table {
  uint64_t mask;
  uint64_t era; /* the epoch's upper bits: keys hold the lower 16 */
  _Alignas(64) struct rule_entry entries[];
};

extern _Atomic(struct rule_table *) rule_current;

/* A key of the table: an address below 2^47, whether it was interrupted there, and the epoch. */
static inline uint64_t rule_key(uintptr_t pc, bool exact, uint32_t epoch) {
  return pc | (uint64_t)exact << 47 | (uint64_t)epoch << 48;
}

/* The i-th place at which the entry of a key may be: first in the cache line of its 64 bytes of code, since
 * what is called from one function is often called in turn; then where its hash says. */
static inline struct rule_entry *rule_slot(struct rule_table *table, uint64_t key, uint64_t i) {
  uint64_t place = i < 4 ? (key >> 6) * 4 + i : ((key * 0x9e3779b97f4a7c15u) >> 32) + i;
  return &table->entries[place & table->mask];
}

/* RULE_UNKNOWN when it has to be learned. A few nanoseconds. */
static inline rule_word rule_find(uintptr_t pc, bool exact, uint32_t epoch) {
  struct rule_table *table = atomic_load_explicit(&rule_current, memory_order_acquire);
  uint64_t key = rule_key(pc, exact, epoch);
  if (unlikely(!table || table->era != epoch >> 16)) return RULE_UNKNOWN;
  for (uint64_t i = 0;; i++) {
    struct rule_entry *entry = rule_slot(table, key, i);
    uint64_t found = atomic_load_explicit(&entry->key, memory_order_acquire);
    if (found == key) {
      rule_word word = atomic_load_explicit(&entry->word, memory_order_acquire);
      return atomic_load_explicit(&entry->key, memory_order_relaxed) == key ? word : RULE_UNKNOWN;
    }
    if (found == 0) return RULE_UNKNOWN;
  }
}

/* Learns the rule of a return address (exact: of an address at which the code was interrupted) and keeps it.
 * reach is how far the stack extends above sp: no frame is larger. Takes LOCK_UNWIND. RULE_NONE when it
 * cannot be learned. */
rule_word rule_learn(uintptr_t pc, bool exact, uint32_t epoch, size_t reach);

/* The same in full, and not kept. */
void rule_learn_full(uintptr_t pc, bool exact, size_t reach, struct rule *out);

void rule_fork_child(void);
void rule_limit_span(void); /* takes LOCK_UNWIND */

#endif
