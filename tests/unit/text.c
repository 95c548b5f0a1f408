/* SPDX-License-Identifier: MIT
 * src/report/text.c: what a person reads. */
#include "config.h"

#include "report/reader.h"
#include "report/writer.h"

#include "tap.h"

#include <stdlib.h>
#include <string.h>

static char *draw(const char *lines, bool reachable, bool verbose) {
  char *text = NULL, *record = NULL;
  size_t size;
  FILE *out = open_memstream(&record, &size);
  fprintf(out, "gleaner-record 1\nkind leaks\npid 7\nprogram /bin/prog\n%s", lines);
  fclose(out);
  struct model m;
  model_init(&m);
  record_parse(&m, record, strlen(record));
  model_group(&m);
  out = open_memstream(&text, &size);
  text_write(out, &m, &(struct writer_options){.show_reachable = reachable, .verbose = verbose});
  fclose(out);
  free(record);
  return text;
}

static bool has(const char *text, const char *part) {
  if (strstr(text, part)) return true;
  tap_note("not found: %s", part);
  tap_note("in: %s", text);
  return false;
}

static void test_silence(void) {
  static const char nothing[] =
      "totals 0 0 0 0 5 100\nsearch 5 4096 1 0 1000000 0 500000\nleak reachable 5 100 0 10@-\nend\n";
  OK(strcmp(draw(nothing, false, false), "") == 0, "nothing lost: nothing printed");
  char *line = draw(nothing, false, true);
  OK(has(line, "no memory was lost by /bin/prog (pid 7)") && has(line, "5 blocks") && has(line, "1.500 ms"),
     "with verbose it is said what was searched");
  OK(strchr(line, '\n') == line + strlen(line) - 1, "in one line");
  line = draw(nothing, true, false);
  OK(has(line, "100 bytes in 5 blocks are still reachable, allocated at\n"),
     "what is reachable is listed on request");
}

static void test_leaks(void) {
  char *text = draw("module 0 1000 9000 1000 abcd /lib/libx.so\ntotals 2 1234567 1 1 0 0\n"
                    "leak indirect 1 1 0\nleak definite 2 1234567 1 1234@0 77@-\nend\n",
                    false, false);
  OK(has(text, "== gleaner: memory lost by /bin/prog (pid 7)\n"), "the program and its process are told");
  OK(has(text, "\n1,234,567 bytes in 2 blocks are definitely lost (each the entry of a cycle), allocated at\n"),
     "sizes are exact, and a cycle's entry is called so");
  OK(has(text, "\n1 byte in 1 block is indirectly lost, allocated at\n    (no stack is known)\n"),
     "one is not several, and a leak without a stack is listed");
  OK(has(text, "    #0   /lib/libx.so+0x234 (build id abcd)\n"),
     "an unnamed frame has module, offset and build id");
  OK(has(text, "    #1   0x77 (in no module)\n"), "or its address");
  OK(strstr(text, "1,234,567 bytes in 2") < strstr(text, "1 byte in 1"), "the largest comes first");
  const char *totals = strstr(text, "\n== definitely lost: 1,234,567 bytes in 2 blocks\n"
                                    "== indirectly lost:         1 bytes in 1 blocks\n"
                                    "== still reachable:         0 bytes in 0 blocks\n");
  OK(totals && strlen(totals) < 200, "totals come last, under each other");
}

static void test_doubts(void) {
  OK(has(draw("leak definite 1 1 0\n", false, false), "cut off"), "a truncated record says so");
  OK(has(draw("what\nleak definite 1 1 0\nend\n", false, false), "1 line of the record could not be read"),
     "so does a damaged one");
  OK(has(draw("", false, false), "cut off"), "even when it has no leak");
  OK(has(draw("totals 1 1 0 0 0 0\nsearch 1 1 3 2 0 0 0\nleak definite 1 1 0\nend\n", false, false),
         "2 threads could not be stopped"),
     "threads that could not be stopped are told");
  OK(has(draw("leak definite 1 1 0\nprogram /bin/x\\ny\033[2J\nend\n", false, false), "/bin/x?y?[2J"),
     "control characters of a name do not reach the terminal");
}

static void test_misuse(void) {
  char *text =
      draw("kind misuse\nmessage double free of 0x10\nstack freed_by 10@-\nstack allocated_by 20@-\nend\n",
           false, false);
  OK(has(text, "gleaner: double free of 0x10 in /bin/prog (pid 7)\n  freed by\n    #0   0x10 (in no module)\n"
               "  allocated by\n    #0   0x20 (in no module)\n"),
     "a misuse has its message and its stacks");
}

static void test_collect(void) {
  static const char lines[] =
      "kind collect\nran 10000000 500000 1000000 123456 1 2\ngeneration 0 5 1 60 7000 80000 90000 10000 11000 1200500\n"
      "generation 1 0 0 0 0 0 0 0 0 0\npauses 16000 3\npauses 32000 300\ntracking uffd it works\n"
      "given-up 1 a thread could not be stopped\nleak reclaimed 50 6000 0 10@-\nleak reclaimed 1 1 0 20@-\nend\n";
  char *text = draw(lines, false, false);
  OK(has(text, "== gleaner: collections of /bin/prog (pid 7)\n\n6,000 bytes in 50 blocks were reclaimed, allocated at\n"
               "    #0   0x10 (in no module)\n\n1 byte in 1 block was reclaimed, allocated at\n"),
     "a summary tells what was reclaimed, the most first");
  OK(has(text, "\n0                    5        1            60            7,000"
               "        0.080        0.010        0.011        1.200\n"),
     "then each generation in a line");
  OK(has(text, "  below      0.016          3 #\n  below      0.032        300 ##"),
     "then the pauses, none so few that it has no bar");
  OK(has(text, "== ran 10.000 ms; stood still for 5.00 % of that, collections took 10.00 %\n"), "then the shares of time");
  OK(has(text, "== write tracking: uffd, because it works\n== given up 1 time: a thread could not be stopped\n"),
     "then what was chosen, and what stood in the way");
  OK(has(draw("kind collect\nend\n", false, false), "stood still for 0.00 %"), "an empty one divides by nothing");
}

int main(void) {
  test_collect();
  test_silence();
  test_leaks();
  test_doubts();
  test_misuse();
  return tap_end();
}
