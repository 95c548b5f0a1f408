/* SPDX-License-Identifier: MIT
 * src/report/record.c: the reader of records, which must survive any input. */
#include "config.h"

#include "report/reader.h"

#include "tap.h"

#include <string.h>
#include <unistd.h>

static const char whole[] = "gleaner-record 1\n"
                            "kind leaks\n"
                            "pid 4242\n"
                            "program /opt/a b\\\\c\\nd\n"
                            "totals 3 300 2 20 1 1\n"
                            "search 6 4096 2 1 10 20 30\n"
                            "module 0 555500000000 555500010000 555500000000 0123456789abcdef /opt/a b\n"
                            "module 3 7f0000000000 7f0000100000 7f0000000000 - /lib/libx.so\n"
                            "leak definite 3 300 1 555500001234@0 7f0000000010@3\n"
                            "leak indirect 2 20 0\n"
                            "leak reachable 1 1 0 1234@- 7f0000000020@9\n"
                            "end\n";

static bool parse(struct model *model, const char *text) {
  model_init(model);
  return record_parse(model, text, strlen(text));
}

static void test_whole(void) {
  struct model m;
  OK(parse(&m, whole) && m.complete && m.bad_lines == 0, "a whole record is read without complaint");
  OK(!m.misuse && m.pid == 4242 && strcmp(m.program, "/opt/a b\\c\nd") == 0, "the program's name is unescaped");
  OK(m.totals_told && m.totals[MODEL_DEFINITE].bytes == 300 && m.totals[MODEL_REACHABLE].count == 1, "totals");
  OK(m.search.told && m.search.objects == 6 && m.search.not_stopped == 1 && m.search.classify_ns == 30,
     "the search");
  OK(m.module_count == 4 && m.modules[0].known && !m.modules[1].known && m.modules[3].known,
     "modules are kept under the index that the record gives them");
  OK(strcmp(m.modules[0].path, "/opt/a b") == 0 && strcmp(m.modules[0].build_id, "0123456789abcdef") == 0,
     "a path may have blanks");
  OK(m.modules[3].build_id == NULL, "a module may have no build id");
  OK(m.leak_count == 3 && m.leaks[0].cycle && m.leaks[0].size.count == 3 && m.leaks[0].size.bytes == 300,
     "leaks");
  OK(m.leaks[0].stack.count == 2 && model_offset(&m, &m.frames[0]) == 0x1234 && m.frames[1].module == 3,
     "frames");
  OK(m.leaks[1].stack.count == 0, "a leak without a frame is a leak");
  OK(m.leaks[2].stack.count == 2 && model_module_of(&m, &m.frames[2]) == NULL &&
         model_module_of(&m, &m.frames[3]) == NULL,
     "a frame of no module, or of one never told, keeps its address");
}

static void test_misuse(void) {
  struct model m;
  OK(parse(&m, "gleaner-record 1\nkind misuse\npid 1\nprogram x\nmessage double free of 0x10\n"
               "stack freed_by 10@-\nstack allocated_by\nend\n") &&
         m.misuse && strcmp(m.message, "double free of 0x10") == 0 && m.stack_count == 2,
     "a misuse has a message and stacks");
  OK(strcmp(m.stacks[0].title, "freed by") == 0 && m.stacks[0].stack.count == 1 && m.stacks[1].stack.count == 0,
     "and its stacks have titles");
}

static void test_damaged(void) {
  struct model m;
  OK(!parse(&m, "") && !parse(&m, "hello\n") && !parse(&m, "gleaner-record 2\n") &&
         !parse(&m, "gleaner-record 1"),
     "what does not begin as a record is none");
  OK(parse(&m, "gleaner-record 1\n") && !m.complete, "a record without an end is incomplete");
  OK(parse(&m, "gleaner-record 1\nleak definite 1 10 0 10@- 2") && m.leak_count == 0 && m.bad_lines == 1,
     "a last line without its newline is not trusted");
  OK(parse(&m, "gleaner-record 1\nfuture 7\nleak definite 1 10 0\nend\n") && m.leak_count == 1 &&
         m.bad_lines == 1,
     "an unknown line is counted and passed over");
  OK(parse(&m, "gleaner-record 1\nleak definite 2 30 0 10@- zz@1 20@-\nend\n") && m.leak_count == 1 &&
         m.leaks[0].size.bytes == 30 && m.leaks[0].stack.count == 1 && m.bad_lines == 1,
     "a leak with a damaged frame is kept with the frames before it");
  OK(parse(&m, "gleaner-record 1\nleak definite 99999999999999999999 1 0\nmodule 99999999 0 0 0 - x\n"
               "module 0 0 0 0 XYZ x\ntotals 1 2 3\npid -1\nleak lost 1 1 0\nend\n") &&
         m.bad_lines == 6 && m.leak_count == 0 && m.module_count == 0,
     "numbers that do not fit, and other nonsense, are refused");
  OK(parse(&m, "gleaner-record 1\nend\nleak definite 1 1 0\n") && m.leak_count == 0,
     "nothing is read behind the end");
}

static void test_read(void) {
  struct model m;
  int pipes[2], error;
  model_init(&m);
  if (pipe(pipes) != 0) return;
  bool written = write(pipes[1], whole, sizeof whole - 1) == (ssize_t)sizeof whole - 1;
  close(pipes[1]);
  OK(written && record_read(&m, pipes[0], &error) && m.leak_count == 3, "a record is read from a pipe");
  close(pipes[0]);
  OK(!record_read(&m, -1, &error) && error != 0, "an unreadable descriptor is told by its errno");
}

/* Changes, cuts and repeats bytes of a good record. */
static void test_fuzz(void) {
  uint64_t seed = tap_seed();
  bool good = true;
  for (int round = 0; round < 5000; round++) {
    char text[2 * sizeof whole];
    size_t length = sizeof whole - 1;
    memcpy(text, whole, length);
    for (uint64_t k = tap_random(&seed) % 8; k > 0; k--) {
      size_t at = 17 + tap_random(&seed) % (length - 17), n = tap_random(&seed) % (length - at);
      switch (tap_random(&seed) % 4) {
      case 0: text[at] = (char)tap_random(&seed); break;
      case 1: text[at] = " \n@-0\\f"[tap_random(&seed) % 7]; break;
      case 2: length = length > 40 ? length - n / 8 : length; break;
      default: memmove(text + at, text + at + n / 4, length - at - n / 4); break;
      }
    }
    struct model m;
    model_init(&m);
    if (!record_parse(&m, text, length)) continue;
    model_group(&m);
    for (size_t i = 0; i < m.leak_count; i++)
      good = good && m.leaks[i].stack.first + m.leaks[i].stack.count <= m.frame_count;
    for (size_t i = 0; i < m.frame_count; i++) model_offset(&m, &m.frames[i]);
  }
  OK(good, "5,000 damaged records are read without a crash");
}

int main(void) {
  test_whole();
  test_misuse();
  test_damaged();
  test_read();
  test_fuzz();
  return tap_end();
}
