/* SPDX-License-Identifier: MIT
 * src/report/suppress.c: LeakSanitizer's patterns. */
#include "config.h"

#include "report/suppress.h"

#include "tap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char said[4096];
static int lines;

static void complain(const char *line) {
  lines++;
  snprintf(said + strlen(said), sizeof said - strlen(said), "%s\n", line);
}

static void test_match(void) {
  OK(suppress_match("make", "remake_it") && !suppress_match("make", "mak"), "a pattern is found anywhere");
  OK(suppress_match("^make", "make_it") && !suppress_match("^make", "remake"), "^ ties it to the beginning");
  OK(suppress_match("it$", "make_it") && !suppress_match("it$", "it_is") && suppress_match("it$", "it_it"),
     "$ ties it to the end");
  OK(suppress_match("^it$", "it") && !suppress_match("^it$", "itit"), "both together are the whole name");
  OK(suppress_match("a*c", "xxabbbcxx") && suppress_match("^a*c$", "ac") && !suppress_match("a*c", "ab"),
     "* is anything");
  OK(suppress_match("^a*b*c$", "aXbYbZc") && !suppress_match("^a*b*c$", "aXcYb"), "several stars");
  OK(suppress_match("*", "") && suppress_match("", "x") && suppress_match("^*$", "anything"),
     "a star alone is everything");
  OK(suppress_match("a.c", "a.c") && !suppress_match("a.c", "abc"), "a dot is a dot");
  char text[4001];
  memset(text, 'a', 4000);
  text[4000] = '\0';
  OK(!suppress_match("^*a*a*a*a*a*a*a*a*b$", text), "many stars against a long name do not explode");
}

static struct suppressions read_text(const char *text, bool *good) {
  char name[] = "/tmp/gleaner-suppress-XXXXXX";
  struct suppressions s = {0};
  int fd = mkstemp(name);
  said[0] = '\0';
  lines = 0;
  *good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
  close(fd);
  *good = suppress_read(&s, name, complain) && *good;
  unlink(name);
  return s;
}

static void test_read(void) {
  bool good;
  struct suppressions s =
      read_text("# comment\n\n  leak:one \nleak:^two$\r\nrace:three\nleak:\nleak:end", &good);
  OK(good && s.count == 3 && strcmp(s.patterns[0], "one") == 0 && strcmp(s.patterns[1], "^two$") == 0 &&
         strcmp(s.patterns[2], "end") == 0,
     "comments, empty lines and blanks around a line are passed over");
  OK(lines == 2 && strstr(said, "line 5: 'race:three'") && strstr(said, "line 6: 'leak:'"),
     "bad lines are named with their numbers");
  OK(!suppress_read(&s, "/nonexistent/suppressions", complain), "a missing file is told");
}

static void test_apply(void) {
  struct model m;
  struct symbol inlined_into = {.function = "outer"},
                inner = {.function = "inner", .file = "/src/in.c", .line = 1, .caller = &inlined_into};
  model_init(&m);
  *model_module_at(&m, 0) = (struct model_module){.known = true, .path = "/lib/libold.so"};
  for (int i = 0; i < 4; i++) {
    model_add_frame(&m, 0x10 + (uint64_t)i, i == 1 ? 0 : -1);
    *model_add_leak(&m) = (struct model_leak){.kind = i == 3   ? MODEL_REACHABLE
                                                      : i == 2 ? MODEL_INDIRECT
                                                               : MODEL_DEFINITE,
                                              .size = {1, 10u << i},
                                              .stack = {(size_t)i, 1}};
  }
  m.frames[0].symbol = m.frames[2].symbol = m.frames[3].symbol = &inner;
  model_group(&m);
  OK(m.totals[MODEL_DEFINITE].bytes == 30, "(before)");
  bool good;
  struct suppressions s = read_text("leak:libold\nleak:^outer$\n", &good);
  suppress_apply(&s, &m);
  OK(m.totals[MODEL_DEFINITE].count == 0 && m.totals[MODEL_INDIRECT].count == 0 && m.suppressed.count == 3 &&
         m.suppressed.bytes == 70,
     "module names and the functions around inlined ones are matched, and sizes move to what is suppressed");
  OK(m.totals[MODEL_REACHABLE].bytes == 80 && !model_has_lost(&m), "what is reachable stays");
}

int main(void) {
  test_match();
  test_read();
  test_apply();
  return tap_end();
}
