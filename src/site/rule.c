/* SPDX-License-Identifier: MIT
 * Learning frame rules from what the probe shows, and the table of them. Must not know the program's stacks. */
#include "config.h"

#include "site/rule.h"

#include "base/bits.h"
#include "base/lock.h"
#include "os/memory.h"
#include "site/modules.h"
#include "site/probe.h"

#include <string.h>

enum { rule_table_least = 1024 };

static struct lock rule_lock = LOCK_INIT(LOCK_UNWIND);
_Atomic(struct rule_table *) rule_current;
static size_t rule_table_used; /* entries that are not empty */

/* ---- reading a rule from what came out ---- */

static unsigned rule_base_of(unsigned number) {
  for (unsigned i = 0; i < rule_saved; i++)
    if (probe_numbers[i] == number) return i;
  return number == UNW_X86_64_RSP ? RULE_SP : RULE_OTHER;
}

/* Which register an address in the probe belongs to, and how far it is from it. */
static struct rule_place rule_place_of(const struct probe_run *run, uintptr_t address) {
  struct rule_place place = {0, RULE_LOST};
  unsigned number = probe_registers;
  if (address >= probe.base + probe.size / 2 - (1 << 16) && address < probe.base + probe.size)
    number = UNW_X86_64_RSP;
  else if (address >= probe.base + probe.size / 4 && address < probe.base + probe.size / 2)
    number = UNW_X86_64_RBP;
  for (unsigned i = 0; i < probe_registers && number == probe_registers; i++)
    if (address - run->in[i] + probe_other_span / 2 < probe_other_span) number = i;
  if (number == probe_registers) return place;
  place.base = (uint8_t)rule_base_of(number);
  place.offset = (int32_t)(address - run->in[number]);
  return place;
}

/* The word that a value was read from; 0 when it is no cell. */
static uintptr_t rule_origin(uintptr_t value) {
  uintptr_t offset = value - probe.zone;
  if (offset % probe_cell != 0 || offset / probe_cell >= probe_pages * probe_page_words) return 0;
  return (uintptr_t)probe_word(offset / probe_cell);
}

static struct rule_place rule_value_place(const struct probe_run *run, uintptr_t value) {
  uintptr_t address = rule_origin(value);
  if (!address) return (struct rule_place){0, RULE_LOST};
  if (bits_align_down(address, probe_page) == bits_align_down(run->sp - 8, probe_page))
    return (struct rule_place){(int32_t)(address - run->sp), RULE_CFA};
  return rule_place_of(run, address);
}

/* The form of the CFA. True when the words below it have cells, so that what was read there can be told. */
static bool rule_read_cfa(const struct probe_run *run, struct rule *rule) {
  uintptr_t offset = run->sp - probe.zone + probe_cell / 2, address = run->sp;
  rule->deref = offset / probe_cell < probe_pages * probe_page_words;
  if (rule->deref) {
    address = (uintptr_t)probe_word(offset / probe_cell);
    rule->cfa_add = (int32_t)(offset % probe_cell) - probe_cell / 2;
  }
  struct rule_place place = rule_place_of(run, address);
  rule->cfa_base = place.base;
  rule->cfa_offset = place.offset;
  for (int i = 0; i < probe_pages; i++)
    if (run->sp - 8 - probe.page[i] < probe_page) return true;
  return false;
}

/* Steps again, so that the CFA lies in the middle of a page with cells. */
static bool rule_read_far(struct probe_run *run, uintptr_t address, const struct rule *rule) {
  uintptr_t cfa = run->sp;
  if (rule->cfa_base == RULE_LOST || rule->cfa_base == RULE_OTHER) return false;
  unsigned number = rule->cfa_base == RULE_SP ? UNW_X86_64_RSP : probe_numbers[rule->cfa_base];
  if (!rule->deref) {
    uintptr_t middle = probe.page[number == UNW_X86_64_RBP ? PROBE_FP : PROBE_SP] + probe_page / 2;
    run->in[number] = middle - (uintptr_t)(intptr_t)rule->cfa_offset;
    return probe_run(run, address) && run->sp == middle && cfa;
  }
  uint64_t *word = (uint64_t *)(run->in[number] + (uintptr_t)(intptr_t)rule->cfa_offset), kept = *word;
  uintptr_t middle = probe.page[PROBE_CFA] + probe_page / 2;
  *word = middle - (uintptr_t)(intptr_t)rule->cfa_add;
  bool good = probe_run(run, address);
  *word = kept;
  return good && run->sp == middle;
}

static void rule_read_values(const struct probe_run *run, struct rule *rule) {
  rule->signal = run->signal;
  rule->start = run->start;
  rule->ra = rule_value_place(run, run->pc);
  for (unsigned i = 0; i < rule_saved; i++) {
    rule->saved[i] = rule_value_place(run, run->saved[i]);
    if (run->saved[i] == run->in[probe_numbers[i]]) rule->saved[i] = (struct rule_place){0, RULE_SAME};
  }
}

static bool rule_is_plain(const struct rule *rule) {
  struct rule_place fp = rule->saved[RULE_RBP];
  if (rule->deref || rule->signal || rule->ra.base != RULE_CFA || rule->ra.offset != -8) return false;
  if (fp.base == RULE_SAME) return true;
  return fp.base == RULE_CFA && fp.offset % 8 == 0 && fp.offset < 0 && fp.offset >= -1024;
}

/* sp and rbp suffice to step over the frame. */
static bool rule_is_fixed(const struct rule *rule) {
  const uint8_t bases[] = {rule->cfa_base, rule->ra.base, rule->saved[RULE_RBP].base};
  for (size_t i = 0; i < sizeof bases; i++)
    if (bases[i] < RULE_CFA && bases[i] != RULE_SP && bases[i] != RULE_RBP) return false;
  return true;
}

static void rule_set_kind(const struct probe_run *run, struct rule *rule) {
  if (run->pc == 0 || run->pc == run->at) rule->kind = RULE_END;
  else if (rule->ra.base == RULE_LOST || rule->ra.base == RULE_OTHER || rule->cfa_base == RULE_LOST)
    rule->kind = RULE_NONE;
  else if (rule_is_plain(rule) && rule->cfa_base == RULE_SP) rule->kind = RULE_BY_SP;
  else if (rule_is_plain(rule) && rule->cfa_base == RULE_RBP) rule->kind = RULE_BY_FP;
  else rule->kind = rule_is_fixed(rule) ? RULE_LONG : RULE_UNFIXED;
}

static void rule_read(uintptr_t address, bool second, struct rule *rule) {
  struct probe_run run;
  memset(rule, 0, sizeof *rule);
  rule->kind = RULE_NONE;
  probe_place_registers(&run, second);
  if (!probe_run(&run, address)) return;
  if (!rule_read_cfa(&run, rule) && !rule_read_far(&run, address, rule)) return;
  rule_read_values(&run, rule);
  rule_set_kind(&run, rule);
}

static void rule_learn_locked(uintptr_t pc, bool exact, size_t reach, struct rule *rule) {
  CHECK(lock_is_held(&rule_lock));
  uintptr_t address = exact ? pc : pc - 1;
  memset(rule, 0, sizeof *rule);
  rule->kind = RULE_NONE;
  if (!probe_make() || (reach > probe.size / 4 && probe.size < (size_t)4 << 30) || !probe_show(address)) return;
  rule_read(address, false, rule);
  if (rule->kind != RULE_LONG && rule->kind != RULE_UNFIXED) return;
  struct rule again; /* rare forms: what two layouts agree on is so */
  rule_read(address, true, &again);
  if (memcmp(rule, &again, sizeof again) != 0) rule->kind = RULE_NONE;
}

/* ---- the table ---- */

static const uint64_t rule_busy = UINT64_MAX;

static bool rule_stale(uint64_t key, uint32_t epoch) {
  return key == rule_busy || (uint16_t)epoch != key >> 48;
}

static bool rule_put(struct rule_table *table, uint64_t key, rule_word word, uint32_t epoch) {
  for (uint64_t i = 0;; i++) {
    struct rule_entry *entry = rule_slot(table, key, i);
    uint64_t found = atomic_load_explicit(&entry->key, memory_order_relaxed);
    if (found != 0 && !rule_stale(found, epoch)) continue;
    atomic_store_explicit(&entry->key, rule_busy, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    atomic_store_explicit(&entry->word, word, memory_order_relaxed);
    atomic_store_explicit(&entry->key, key, memory_order_release);
    return found == 0;
  }
}

/* A table with room for one more; NULL when memory is refused. Readers of an old table go on with it. */
static struct rule_table *rule_room(uint32_t epoch) {
  struct rule_table *old = atomic_load_explicit(&rule_current, memory_order_relaxed);
  if (old && old->era != epoch >> 16) old = NULL;
  if (old && rule_table_used <= old->mask / 2) return old;
  size_t size = old ? (old->mask + 1) * 2 : rule_table_least;
  struct rule_table *table = os_arena_alloc(sizeof *table + size * sizeof table->entries[0], 64);
  if (!table) return NULL;
  os_arena_populate(table, sizeof *table + size * sizeof table->entries[0]);
  table->mask = size - 1;
  table->era = epoch >> 16;
  rule_table_used = 0;
  for (uint64_t i = 0; old && i <= old->mask; i++) {
    uint64_t key = atomic_load_explicit(&old->entries[i].key, memory_order_relaxed);
    if (key != 0 && !rule_stale(key, epoch))
      rule_table_used +=
          rule_put(table, key, atomic_load_explicit(&old->entries[i].word, memory_order_relaxed), epoch);
  }
  atomic_store_explicit(&rule_current, table, memory_order_release);
  return table;
}

static rule_word rule_pack(const struct rule *rule) {
  if (rule->kind == RULE_BY_SP || rule->kind == RULE_BY_FP) {
    int fp = rule->saved[RULE_RBP].offset / 8;
    return (uint64_t)(uint32_t)rule->cfa_offset << 32 | (uint64_t)(uint8_t)fp << 8 | rule->kind;
  }
  if (rule->kind != RULE_LONG) return rule->kind;
  struct rule *kept = os_arena_alloc(sizeof *kept, 8);
  if (!kept) return RULE_NONE;
  *kept = *rule;
  return (rule_word)(uintptr_t)kept | RULE_LONG;
}

rule_word rule_learn(uintptr_t pc, bool exact, uint32_t epoch, size_t reach) {
  uint64_t key = rule_key(pc, exact, epoch);
  if (pc < 4096 || pc >> 47 != 0) return RULE_NONE;
  modules_see(pc - !exact);
  if (modules_epoch() != epoch) return RULE_NONE; /* the module at pc is another than before */
  lock_acquire(&rule_lock);
  rule_word word = rule_find(pc, exact, epoch);
  if (word == RULE_UNKNOWN) {
    struct rule rule;
    rule_learn_locked(pc, exact, reach, &rule);
    word = rule_pack(&rule);
    struct rule_table *table = rule_room(epoch);
    if (table) rule_table_used += rule_put(table, key, word, epoch);
  }
  lock_release(&rule_lock);
  return word;
}

void rule_learn_full(uintptr_t pc, bool exact, size_t reach, struct rule *out) {
  lock_acquire(&rule_lock);
  rule_learn_locked(pc, exact, reach, out);
  lock_release(&rule_lock);
}

void rule_limit_span(void) {
  lock_acquire(&rule_lock);
  probe_limit_span();
  lock_release(&rule_lock);
}

void rule_fork_child(void) {
  lock_reset(&rule_lock);
  probe_fork_child();
}
