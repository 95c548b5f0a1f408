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

static void test_collect(void) {
  struct model m;
  OK(parse(&m, "gleaner-record 1\nkind collect\npid 1\nprogram x\nran 9000 800 900 4096 1 2\n"
               "generation 1 5 1 60 700 80 90 10 11 12\npauses 2048 3\npauses 4096 2\ntracking uffd it works \\\\ here\n"
               "given-up 1 a thread could not be stopped\nleak reclaimed 60 700 0 10@-\nend\n") &&
         m.collected && !m.misuse && m.bad_lines == 0 && m.complete,
     "a summary of collections is read without complaint");
  const struct model_collect *c = &m.collect;
  OK(c->elapsed_ns == 9000 && c->stopped_ns == 800 && c->collecting_ns == 900 && c->heap_most == 4096 && c->concurrent == 1 &&
         c->markers_most == 2,
     "how long it ran");
  OK(c->generation_count == 2 && c->generations[0].collections == 0 && c->generations[1].collections == 5 &&
         c->generations[1].given_up == 1 && c->generations[1].bytes == 700 && c->generations[1].pause_max_ns == 12,
     "generations, also one that no line tells of");
  OK(c->bar_count == 2 && c->bars[1].below_ns == 4096 && c->bars[1].count == 2, "the histogram of pauses");
  OK(strcmp(c->way, "uffd") == 0 && strcmp(c->why, "it works \\ here") == 0, "the way of write tracking, and why");
  OK(c->given_up_count == 1 && strcmp(c->given_up[0].why, "a thread could not be stopped") == 0, "why collections were given up");
  model_group(&m);
  OK(m.leak_count == 1 && m.leaks[0].kind == MODEL_RECLAIMED && m.totals[MODEL_RECLAIMED].bytes == 700 && !model_has_lost(&m),
     "what was reclaimed is listed, and is no leak");
  OK(parse(&m, "gleaner-record 1\nkind collect\ngeneration 8 1 1 1 1 1 1 1 1 1\ngeneration 1 2\npauses 1\nran 1\ngiven-up x\n"
               "tracking\nend\n") &&
         m.bad_lines == 6 && m.collect.generation_count == 0,
     "lines that make no sense are counted");
  char text[4096] = "gleaner-record 1\nkind collect\n";
  for (int i = 0; i < 80; i++) strcat(text, "pauses 1 1\ngiven-up 1 w\n");
  OK(parse(&m, text) && m.collect.bar_count == model_bars && m.collect.given_up_count == model_reasons,
     "more than there is room for");
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
  test_collect();
  test_damaged();
  test_read();
  test_fuzz();
  return tap_end();
}
