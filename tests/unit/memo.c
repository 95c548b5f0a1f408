/* SPDX-License-Identifier: MIT
 * Tests of src/site/memo.h: what is remembered is exact. */
#include "config.h"

#include "site/memo.h"
#include "tap.h"

#include <stdlib.h>
#include <string.h>

static struct memo memo;

/* A stack of words, of which a walk reads some. */
static uint64_t stack[4096];

static struct site_start start_at(unsigned word, uintptr_t pc, uintptr_t fp) {
  return (struct site_start){pc, (uintptr_t)&stack[word], fp};
}

/* Records a walk that reads count words, each step words above the last. */
static void record(const struct site_start *start, unsigned count, unsigned step, bool fp_used, uint32_t id,
                   uint32_t epoch) {
  memo_begin(&memo, start);
  const uint64_t *word = (const uint64_t *)start->sp;
  for (unsigned i = 0; i < count; i++, word += step) memo_read(&memo, (uintptr_t)word, *word);
  memo_keep(&memo, start, fp_used, id, epoch);
}

static void test_one(void) {
  for (size_t i = 0; i < 4096; i++) stack[i] = 0x1000 + i;
  struct site_start start = start_at(10, 0x400000, 7);
  OK(memo_find(&memo, &start, 0) == 0, "nothing is remembered at first");
  record(&start, 20, 3, false, 42, 5);
  OK(memo_find(&memo, &start, 5) == 42, "a walk is found again");
  OK(memo_find(&memo, &start, 6) == 0, "but not in another epoch");
  start.fp = 8;
  OK(memo_find(&memo, &start, 5) == 42, "fp does not count where the walk did not use it");
  start.pc++;
  OK(memo_find(&memo, &start, 5) == 0, "another return address is another walk");
  start.pc--;
  bool forgot = true;
  for (unsigned i = 0; i < 20; i++) {
    stack[10 + 3 * i] ^= 1;
    forgot &= memo_find(&memo, &start, 5) == 0;
    stack[10 + 3 * i] ^= 1;
  }
  OK(forgot, "each word that the walk read counts");
  stack[11] = 0;
  OK(memo_find(&memo, &start, 5) == 42, "no other word does");
  stack[10] |= (uint64_t)1 << 50;
  OK(memo_find(&memo, &start, 5) == 0, "all 64 bits of a word count");
  stack[10] &= ~((uint64_t)1 << 50);

  record(&start, 5, 1, true, 43, 5);
  OK(memo_find(&memo, &start, 5) == 43, "a newer walk from the same start comes before an older");
  stack[12] = 1;
  OK(memo_find(&memo, &start, 5) == 42, "which is not forgotten");
  start.sp += 8;
  record(&start, 5, 1, true, 44, 5);
  OK(memo_find(&memo, &start, 5) == 44, "fp is compared");
  start.fp = 9;
  OK(memo_find(&memo, &start, 5) == 0, "fp counts where the walk used it");
}

static void test_refused(void) {
  struct site_start start = start_at(100, 0x500000, 0);
  stack[100] = (uint64_t)1 << 47;
  record(&start, 1, 1, false, 50, 0);
  OK(memo_find(&memo, &start, 0) == 0, "a word too large to be kept makes the walk not be remembered");
  memo_begin(&memo, &start);
  memo_read(&memo, start.sp + ((uintptr_t)1 << 30), 1);
  memo_keep(&memo, &start, false, 51, 0);
  OK(memo_find(&memo, &start, 0) == 0, "nor is one that reads far away");
  memo_begin(&memo, &start);
  memo_drop(&memo);
  memo_keep(&memo, &start, false, 52, 0);
  OK(memo_find(&memo, &start, 0) == 0, "nor one that was dropped");
  memo_begin(&memo, &start);
  for (unsigned i = 0; i <= memo_words_max; i++) memo_read(&memo, (uintptr_t)&stack[200 + i], stack[200 + i]);
  memo_keep(&memo, &start, false, 53, 0);
  OK(memo_find(&memo, &start, 0) == 0, "nor one that reads too much");
}

/* Against a model: an answer is the id that was last kept for that start and those words. */
static void test_random(void) {
  enum { starts = 5000 };
  static uint32_t id[starts];
  static uint8_t count[starts];
  uint64_t seed = tap_seed();
  unsigned hits = 0, wrong = 0;
  uint32_t next = 100;
  memset(&memo, 0, sizeof memo);
  for (size_t i = 0; i < 4096; i++) stack[i] = 0x1000 + i;
  for (int round = 0; round < 300000; round++) {
    unsigned n = (unsigned)(tap_random(&seed) % starts);
    if (tap_random(&seed) % 3) n %= 300; /* some are asked for often */
    struct site_start start = start_at(n % 3000, 0x400000 + n, 0);
    uint32_t found = memo_find(&memo, &start, 1);
    hits += found != 0;
    wrong += found != 0 && found != id[n];
    if (found) continue;
    id[n] = next++;
    count[n] = (uint8_t)(1 + tap_random(&seed) % 60);
    if (tap_random(&seed) % 50 == 0) { /* a long walk that comes to nothing */
      memo_begin(&memo, &start);
      for (unsigned i = 0; i < 900; i++) memo_read(&memo, (uintptr_t)&stack[i], tap_random(&seed) >> 20);
      memo_drop(&memo);
      id[n] = 0;
      continue;
    }
    record(&start, count[n], 1, false, id[n], 1);
  }
  OK(wrong == 0 && hits > 100000, "however the ring turns, an answer is right (%u of 300000 found)", hits);
}

int main(void) {
  test_one();
  test_refused();
  test_random();
  return tap_end();
}
