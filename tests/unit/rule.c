/* SPDX-License-Identifier: MIT
 * Tests of src/site/rule.c and probe.c: the rules of frames whose unwind information is written by hand
 * here. */
#include "config.h"

#include "site/modules.h"
#include "site/rule.h"
#include "tap.h"

#include <dlfcn.h>
#include <malloc.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* Each label is a "return address": rules are learned for the code before it. */
#define FRAME(name, directives)                                                                                \
  extern char name##_start[], name[];                                                                          \
  __asm__(".text\n" #name "_start: .cfi_startproc\n nop\n" directives "\n nop\n nop\n" #name                   \
          ": nop\n .cfi_endproc\n")

FRAME(plain, ".cfi_def_cfa_offset 48");
FRAME(plain_rbp, ".cfi_def_cfa_offset 48\n .cfi_offset 6, -32");
FRAME(large, ".cfi_def_cfa_offset 200008\n .cfi_offset 6, -16");
FRAME(huge, ".cfi_def_cfa_offset 1000000008\n .cfi_offset 6, -16");
FRAME(pointer, ".cfi_def_cfa 6, 16\n .cfi_offset 6, -16");
FRAME(pointer_odd, ".cfi_def_cfa 6, 3000\n .cfi_offset 6, -600");
FRAME(far_rbp, ".cfi_def_cfa_offset 4096\n .cfi_offset 6, -2000");
FRAME(saves_all, ".cfi_def_cfa_offset 64\n .cfi_offset 3, -56\n .cfi_offset 6, -48\n .cfi_offset 12, -40\n"
                 ".cfi_offset 13, -32\n .cfi_offset 14, -24\n .cfi_offset 15, -16");
/* CFA: *(rbp - 8); rbp saved at rbp. */
FRAME(aligned, ".cfi_escape 0x0f, 3, 0x76, 0x78, 0x06\n .cfi_escape 0x10, 6, 2, 0x76, 0");
/* CFA: *(rsp + 160) + 8 */
FRAME(from_stack, ".cfi_escape 0x0f, 6, 0x77, 0xa0, 0x01, 0x06, 0x23, 8");
FRAME(by_rbx, ".cfi_def_cfa 3, 32\n .cfi_offset 3, -24");
FRAME(by_rax, ".cfi_def_cfa 0, 32");
FRAME(was_by_rax,
      ".cfi_def_cfa_register 0\n nop\n .cfi_remember_state\n .cfi_def_cfa 7, 16\n nop\n .cfi_restore_state\n"
      "nop\n .cfi_def_cfa 7, 24");
FRAME(outermost, ".cfi_undefined 16");
FRAME(lost_rbp, ".cfi_def_cfa_offset 32\n .cfi_undefined 6");
FRAME(broken, ".cfi_escape 0x0f, 1, 0xff");   /* an operation that no one knows: libunwind aborts */
FRAME(bad_register, ".cfi_escape 0x05, 200, 1, 2"); /* libunwind complains on standard error */
extern char naked[];
__asm__(".text\n naked_start: nop\n nop\n naked: nop\n");
/* Two rows: an interrupted address is of the row that begins there, a return address of the row before. */
extern char rows_second[];
__asm__(".text\n .cfi_startproc\n .cfi_def_cfa_offset 16\n nop\n nop\n rows_second: .cfi_def_cfa_offset 80\n "
        "nop\n nop\n .cfi_endproc\n");

static const size_t reach = 8 << 20;

static rule_word word_of(const char *pc) { return rule_learn((uintptr_t)pc, false, modules_epoch(), reach); }

static bool is_word(const char *pc, enum rule_kind kind, int32_t offset, int fp) {
  rule_word word = word_of(pc);
  return rule_word_kind(word) == kind && rule_word_offset(word) == offset && rule_word_fp(word) == fp;
}

static bool at(struct rule_place place, enum rule_base base, int32_t offset) {
  return place.base == base && place.offset == offset;
}

static void test_plain(void) {
  OK(is_word(plain, RULE_BY_SP, 48, 0), "a frame of constant size");
  OK(is_word(plain_rbp, RULE_BY_SP, 48, -4), "which saves rbp");
  OK(is_word(large, RULE_BY_SP, 200008, -2), "a large one");
  OK(is_word(huge, RULE_BY_SP, 1000000008, -2), "one of a gigabyte");
  OK(is_word(pointer, RULE_BY_FP, 16, -2), "a frame with a frame pointer");
  OK(is_word(pointer_odd, RULE_BY_FP, 3000, -75), "at an unusual place");
  struct rule rule;
  rule_learn_full((uintptr_t)saves_all, false, reach, &rule);
  OK(at(rule.saved[RULE_RBX], RULE_CFA, -56) && at(rule.saved[RULE_RBP], RULE_CFA, -48) &&
         at(rule.saved[RULE_R12], RULE_CFA, -40) && at(rule.saved[RULE_R15], RULE_CFA, -16),
     "all saved registers are known in the full rule");
  OK(rule.start == (uintptr_t)saves_all_start, "and where the procedure begins");
  rule_learn_full((uintptr_t)plain, false, reach, &rule);
  OK(at(rule.saved[RULE_R12], RULE_SAME, 0) && at(rule.ra, RULE_CFA, -8), "what is not saved is unchanged");
}

static void test_long(void) {
  const struct rule *rule = rule_word_long(word_of(far_rbp));
  OK(rule_word_kind(word_of(far_rbp)) == RULE_LONG && at(rule->saved[RULE_RBP], RULE_CFA, -2000) &&
         rule->cfa_base == RULE_SP && rule->cfa_offset == 4096 && !rule->deref,
     "rbp saved far below the CFA");
  rule = rule_word_long(word_of(aligned));
  OK(rule_word_kind(word_of(aligned)) == RULE_LONG && rule->deref && rule->cfa_base == RULE_RBP &&
         rule->cfa_offset == -8 && rule->cfa_add == 0 && at(rule->ra, RULE_CFA, -8) &&
         at(rule->saved[RULE_RBP], RULE_RBP, 0),
     "an over-aligned frame: its CFA lies in memory");
  rule = rule_word_long(word_of(from_stack));
  OK(rule_word_kind(word_of(from_stack)) == RULE_LONG && rule->deref && rule->cfa_base == RULE_SP &&
         rule->cfa_offset == 160 && rule->cfa_add == 8 && at(rule->ra, RULE_CFA, -8),
     "a frame whose CFA lies on the stack, less a constant");
  rule = rule_word_long(word_of(lost_rbp));
  OK(rule_word_kind(word_of(lost_rbp)) == RULE_LONG && rule->saved[RULE_RBP].base == RULE_LOST,
     "rbp undefined");
}

static void test_unfixed(void) {
  struct rule rule;
  OK(rule_word_kind(word_of(by_rbx)) == RULE_UNFIXED, "a frame found by another register is not fixed");
  rule_learn_full((uintptr_t)by_rbx, false, reach, &rule);
  OK(rule.cfa_base == RULE_RBX && rule.cfa_offset == 32 && at(rule.saved[RULE_RBX], RULE_CFA, -24),
     "but known to a walk with all registers");
}

static void test_ends(void) {
  OK(rule_word_kind(word_of(outermost)) == RULE_END, "the outermost frame");
  OK(rule_word_kind(word_of(naked)) == RULE_NONE, "code without unwind information has no rule");
  int local;
  OK(rule_word_kind(word_of((char *)&local)) == RULE_NONE, "nor has what is no code");
  OK(rule_word_kind(word_of((char *)1)) == RULE_NONE && rule_word_kind(word_of((char *)-1)) == RULE_NONE,
     "nor an impossible address");
  OK(rule_word_kind(word_of(by_rax)) == RULE_NONE, "nor has a frame by a register that calls do not keep");
  OK(is_word(was_by_rax, RULE_BY_SP, 24, 0), "unless it was so only in its prologue");
}

static void test_rows(void) {
  rule_word word = rule_learn((uintptr_t)rows_second, true, modules_epoch(), reach);
  OK(rule_word_offset(word) == 80, "an interrupted address belongs to the row that begins there");
  OK(is_word(rows_second, RULE_BY_SP, 16, 0), "a return address to the row of its call");
}

/* Standard error is a pipe; what was written into it is counted. */
static void test_broken(void) {
  int ends[2], kept = dup(2);
  if (pipe(ends) != 0) return;
  dup2(ends[1], 2);
  bool none = rule_word_kind(word_of(broken)) == RULE_NONE &&
              rule_word_kind(word_of(bad_register)) == RULE_NONE;
  dup2(kept, 2);
  close(ends[1]);
  char byte;
  OK(none, "broken unwind information has no rule, and ends nothing else");
  OK(read(ends[0], &byte, 1) == 0, "and nothing is said on standard error");
  close(ends[0]);
  close(kept);
  OK(is_word(plain, RULE_BY_SP, 48, 0), "learning goes on after it");
}

static void test_table(void) {
  uintptr_t code = (uintptr_t)dlsym(RTLD_DEFAULT, "qsort");
  enum { many = 9000 };
  static rule_word words[many];
  unsigned same = 0, unknown_before = 0;
  uint32_t epoch = modules_epoch();
  size_t heap = mallinfo2().uordblks;
  for (unsigned i = 0; i < many; i++) unknown_before += rule_find(code + i * 5, false, epoch) == RULE_UNKNOWN;
  for (unsigned i = 0; i < many; i++) words[i] = rule_learn(code + i * 5, false, epoch, reach);
  for (unsigned i = 0; i < many; i++) same += words[i] && rule_find(code + i * 5, false, epoch) == words[i];
  OK(unknown_before == many, "what was not learned is unknown");
  OK(same == many, "what was learned is found, while the table grows (%u of %d)", same, many);
  OK(rule_find(code, true, epoch) == RULE_UNKNOWN, "an interrupted address is another key");
  OK(rule_find(code, false, epoch + 1) == RULE_UNKNOWN, "a new epoch knows nothing");
  OK(rule_find(code, false, epoch + 65536) == RULE_UNKNOWN, "however far away");
  OK(mallinfo2().uordblks == heap, "nothing was allocated from malloc");
}

/* In a process that may not have much address space. Before the probe is made here. */
static void test_limit(void) {
  pid_t child = fork();
  if (child == 0) {
    struct rlimit limit = {(rlim_t)300 << 20, (rlim_t)300 << 20};
    setrlimit(RLIMIT_AS, &limit);
    _exit(is_word(plain, RULE_BY_SP, 48, 0) && rule_word_kind(word_of(aligned)) == RULE_LONG ? 0 : 1);
  }
  int status;
  waitpid(child, &status, 0);
  OK(status == 0, "rules are learned in little address space");
}

int main(void) {
  test_limit();
  test_plain();
  test_long();
  test_unfixed();
  test_ends();
  test_rows();
  test_broken();
  test_table();
  return tap_end();
}
