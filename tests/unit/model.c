/* SPDX-License-Identifier: MIT
 * src/report/model.c: grouping and order. */
#include "config.h"

#include "report/model.h"

#include "tap.h"

#include <stdarg.h>
#include <string.h>

static struct model_module *add_module(struct model *m, size_t index, const char *path, const char *id,
                                       uint64_t bias) {
  struct model_module *module = model_module_at(m, index);
  *module = (struct model_module){
      .known = true, .path = path, .build_id = id, .bias = bias, .lo = bias, .hi = bias + 0x10000};
  return module;
}

/* Frames as pairs of an address and a module; the list ends with address 0. */
static void add_leak(struct model *m, enum model_kind kind, bool cycle, uint64_t count, uint64_t bytes, ...) {
  struct model_stack stack = {.first = m->frame_count};
  va_list frames;
  va_start(frames, bytes);
  for (unsigned long address; (address = va_arg(frames, unsigned long)) != 0;) {
    model_add_frame(m, address, va_arg(frames, int));
    stack.count++;
  }
  va_end(frames);
  *model_add_leak(m) =
      (struct model_leak){.kind = kind, .cycle = cycle, .size = {count, bytes}, .stack = stack};
}

static void test_groups(void) {
  struct model m;
  model_init(&m);
  add_module(&m, 0, "/bin/a", "aa", 0x1000);
  add_module(&m, 1, "/lib/p", "bb", 0x100000);
  add_module(&m, 2, "/lib/p", "bb", 0x900000); /* the same file, loaded again */
  add_module(&m, 3, "/lib/p", "cc", 0x900000); /* another file of that name */
  add_leak(&m, MODEL_DEFINITE, false, 1, 10, 0x1010ul, 0, 0x100020ul, 1, 0ul);
  add_leak(&m, MODEL_DEFINITE, false, 2, 20, 0x1010ul, 0, 0x900020ul, 2, 0ul);
  add_leak(&m, MODEL_DEFINITE, false, 4, 40, 0x1010ul, 0, 0x900020ul, 3, 0ul);
  add_leak(&m, MODEL_DEFINITE, true, 8, 80, 0x1010ul, 0, 0x100020ul, 1, 0ul);
  add_leak(&m, MODEL_INDIRECT, false, 16, 160, 0x1010ul, 0, 0x100020ul, 1, 0ul);
  add_leak(&m, MODEL_DEFINITE, false, 32, 320, 0x1010ul, 0, 0ul);
  add_leak(&m, MODEL_DEFINITE, false, 64, 640, 0ul);
  add_leak(&m, MODEL_DEFINITE, false, 64, 640, 0ul);
  model_group(&m);
  OK(m.leak_count == 6, "leaks of one kind, cycle flag and stack become one (%zu)", m.leak_count);
  OK(m.leaks[0].size.count == 128 && m.leaks[0].size.bytes == 1280, "those without a stack, too");
  size_t merged = 0, other = 0;
  for (size_t i = 0; i < m.leak_count; i++) {
    merged += m.leaks[i].size.count == 3 && m.leaks[i].size.bytes == 30;
    other += m.leaks[i].size.count == 4;
  }
  OK(merged == 1, "a library that was loaded twice is one file");
  OK(other == 1, "a file of another build is another");
  OK(m.totals[MODEL_DEFINITE].count == 175 && m.totals[MODEL_INDIRECT].bytes == 160,
     "totals that were not told are added up");
}

static void test_order(void) {
  struct model m;
  model_init(&m);
  add_leak(&m, MODEL_REACHABLE, false, 1, 999999, 0x1ul, -1, 0ul);
  add_leak(&m, MODEL_INDIRECT, false, 1, 5000, 0x2ul, -1, 0ul);
  add_leak(&m, MODEL_DEFINITE, false, 1, 100, 0x3ul, -1, 0ul);
  add_leak(&m, MODEL_DEFINITE, false, 2, 100, 0x4ul, -1, 0ul);
  add_leak(&m, MODEL_DEFINITE, false, 1, 101, 0x6ul, -1, 0ul);
  add_leak(&m, MODEL_DEFINITE, false, 1, 101, 0x5ul, -1, 0ul);
  model_group(&m);
  static const uint64_t expected[] = {5, 6, 4, 3, 2, 1};
  bool good = m.leak_count == 6;
  for (size_t i = 0; i < 6 && good; i++) good = m.frames[m.leaks[i].stack.first].address == expected[i];
  OK(good,
     "definite before indirect before reachable; the most bytes first, then the most blocks, then by stack");
}

static void test_lost(void) {
  struct model m;
  model_init(&m);
  OK(!model_has_lost(&m), "an empty model lost nothing");
  add_leak(&m, MODEL_REACHABLE, false, 1, 1, 0ul);
  model_group(&m);
  OK(!model_has_lost(&m), "what is reachable is not lost");
  add_leak(&m, MODEL_INDIRECT, false, 1, 0, 0ul);
  OK(model_has_lost(&m), "a block of 0 bytes can be");
  m.leaks[1].suppressed = true;
  OK(!model_has_lost(&m), "what is suppressed does not count");
}

static void test_thousand(void) {
  struct model m;
  model_init(&m);
  for (int i = 0; i < 1000; i++) add_leak(&m, MODEL_DEFINITE, false, 1, 8, 0x10ul, -1, 0x20ul, -1, 0ul);
  model_group(&m);
  OK(m.leak_count == 1 && m.leaks[0].size.count == 1000 && m.leaks[0].size.bytes == 8000,
     "1000 leaks of one stack are one with 1000 blocks");
}

int main(void) {
  test_groups();
  test_order();
  test_lost();
  test_thousand();
  return tap_end();
}
