/* SPDX-License-Identifier: MIT
 * src/report/json.c: what a program reads. The members are a promise. */
#include "config.h"

#include "report/reader.h"
#include "report/writer.h"

#include "tap.h"

#include <stdlib.h>
#include <string.h>

static char *draw_model(const struct model *m, bool reachable) {
  char *text = NULL;
  size_t size;
  FILE *out = open_memstream(&text, &size);
  json_write(out, m, &(struct writer_options){.show_reachable = reachable});
  fclose(out);
  return text;
}

static char *draw(const char *lines, bool reachable) {
  char *record = NULL;
  size_t size;
  FILE *out = open_memstream(&record, &size);
  fprintf(out, "gleaner-record 1\nkind leaks\npid 7\n%s", lines);
  fclose(out);
  struct model m;
  model_init(&m);
  record_parse(&m, record, strlen(record));
  model_group(&m);
  free(record);
  return draw_model(&m, reachable);
}

static bool has(const char *text, const char *part) {
  if (strstr(text, part)) return true;
  tap_note("not found: %s", part);
  tap_note("in: %s", text);
  return false;
}

/* Does Python agree that it is JSON? (Checked when the machine has one.) */
static bool valid(const char *text) {
  FILE *python =
      popen("command -v python3 >/dev/null || exec cat >/dev/null; python3 -m json.tool >/dev/null", "w");
  fputs(text, python);
  return pclose(python) == 0;
}

static void test_members(void) {
  char *text =
      draw("program /bin/prog\nmodule 0 1000 9000 1000 abcd /lib/libx.so\ntotals 2 20 1 1 3 30\n"
           "leak definite 2 20 1 1234@0 77@-\nleak indirect 1 1 0\nleak reachable 3 30 0 1500@0\nend\n",
           false);
  OK(has(text, "{\"version\":1,\"pid\":7,\"program\":\"/bin/prog\","), "version, pid and program");
  OK(has(text, "\"totals\":{\"definite\":{\"count\":2,\"bytes\":20},\"indirect\":{\"count\":1,\"bytes\":1},"
               "\"reachable\":{\"count\":3,\"bytes\":30}}"),
     "totals of all three kinds");
  OK(has(text, "{\"kind\":\"definite\",\"count\":2,\"bytes\":20,\"cycle\":true,\"frames\":["), "a leak");
  OK(has(text, "{\"address\":\"0x1234\",\"module\":\"/lib/libx.so\",\"build_id\":\"abcd\",\"offset\":\"0x234\","
               "\"function\":null,\"file\":null,\"line\":null,\"inlined\":false}"),
     "a frame of which only the module is known");
  OK(has(text, "{\"address\":\"0x77\",\"module\":null,\"build_id\":null,\"offset\":null,"),
     "a frame of no module");
  OK(has(text, "\"kind\":\"indirect\",\"count\":1,\"bytes\":1,\"cycle\":false,\"frames\":[]}"),
     "a leak without frames");
  OK(!strstr(text, "\"kind\":\"reachable\""), "what is reachable is not listed");
  OK(text[strlen(text) - 1] == '\n' && valid(text), "it is JSON, and ends with a newline");
  OK(has(draw("leak reachable 3 30 0\nend\n", true), "\"kind\":\"reachable\""), "unless it is asked for");
  text = draw("end\n", false);
  OK(has(text, "\"leaks\":[]}\n") && valid(text), "nothing lost has the same members");
  OK(has(draw("", false), "\"complete\":false"), "a truncated record says so");
}

static void test_symbols(void) {
  struct symbol outer = {.function = "outer(int)", .file = "/s/a.cc", .line = 9};
  struct symbol inner = {.function = "inner<\"x\">", .file = "/s/a.h", .line = 3, .caller = &outer};
  struct model m;
  model_init(&m);
  model_add_frame(&m, 0x10, -1);
  m.frames[0].symbol = &inner;
  *model_add_leak(&m) = (struct model_leak){.size = {1, 1}, .stack = {0, 1}};
  model_group(&m);
  char *text = draw_model(&m, false);
  OK(has(text, "\"function\":\"inner<\\\"x\\\">\",\"file\":\"/s/a.h\",\"line\":3,\"inlined\":true},{") &&
         has(text, "\"function\":\"outer(int)\",\"file\":\"/s/a.cc\",\"line\":9,\"inlined\":false}]"),
     "an inlined call is a frame before its caller's");
  OK(valid(text), "quotes in names are escaped");
}

static void test_strings(void) {
  OK(has(draw("program a\"b\\\\c\\n\td\033\nend\n", false), "\"program\":\"a\\\"b\\\\c\\n\\u0009d\\u001b\""),
     "escapes");
  OK(has(draw("program \xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\nend\n", false),
         "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"),
     "UTF-8 stays");
  OK(has(draw("program a\xff\xc3(\xed\xa0\x80\xc0\xaf\xf5z\xe2\x82\nend\n", false),
         "\"program\":\"a\\ufffd\\ufffd(\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\\ufffdz\\ufffd\\ufffd\""),
     "what is no UTF-8 is replaced");
}

static void test_misuse(void) {
  char *text = draw("kind misuse\nmessage double free\nstack freed_by 10@-\nend\n", false);
  OK(has(text, "\"misuse\":{\"message\":\"double free\",\"stacks\":[{\"title\":\"freed by\",\"frames\":[{") &&
         valid(text),
     "a misuse is a member of its own");
}

static void test_collect(void) {
  char *text = draw("kind collect\nran 9000 800 900 4096 1 2\ngeneration 1 5 1 60 700 80 90 10 11 12\npauses 2048 3\n"
                    "pauses 4096 2\ntracking scan a \"why\"\ngiven-up 1 b\nleak reclaimed 60 700 0 10@-\nend\n",
                    false);
  OK(has(text, "\"collect\":{\"elapsed_ns\":9000,\"stopped_ns\":800,\"collecting_ns\":900,\"heap_most\":4096,\"concurrent\":1,"
               "\"markers\":2,\"write_tracking\":\"scan\",\"write_tracking_why\":\"a \\\"why\\\"\"") &&
         has(text, "{\"collections\":5,\"given_up\":1,\"objects\":60,\"bytes\":700,\"time_ns\":80,\"stopped_ns\":90,"
                   "\"pause_50_ns\":10,\"pause_99_ns\":11,\"pause_max_ns\":12}") &&
         has(text, "\"pauses\":[{\"below_ns\":2048,\"count\":3},{\"below_ns\":4096,\"count\":2}]") &&
         has(text, "\"given_up\":[{\"count\":1,\"why\":\"b\"}]"),
     "a summary of collections is a member of its own");
  OK(has(text, "{\"kind\":\"reclaimed\",\"count\":60,\"bytes\":700,") && valid(text), "what was reclaimed is listed");
  OK(valid(draw("kind collect\nend\n", false)), "an empty one is JSON, too");
}

int main(void) {
  test_collect();
  test_members();
  test_symbols();
  test_strings();
  test_misuse();
  return tap_end();
}
