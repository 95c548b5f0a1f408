/* SPDX-License-Identifier: MIT
 * The C library's own users of malloc: whatever it allocates for us is freed by us, and the other way round. */
#include "config.h"

#include "tap.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <glob.h>
#include <iconv.h>
#include <locale.h>
#include <obstack.h>
#include <regex.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>
#include <wordexp.h>

#define obstack_chunk_alloc malloc
#define obstack_chunk_free free

static void test_stdio(void) {
  char *line = NULL, *text = NULL, *printed = NULL;
  size_t line_size = 0, text_size = 0, total = 0;
  FILE *f = open_memstream(&text, &text_size);
  for (unsigned i = 0; i < 5000; i++) fprintf(f, "%*u\n", (int)(i % 300 + 1), i);
  fclose(f);
  f = fmemopen(text, text_size, "r");
  while (getline(&line, &line_size, f) > 0) total += strlen(line);
  fclose(f);
  OK(total == text_size, "open_memstream, fmemopen and getline agree");
  OK(asprintf(&printed, "%s-%s", line, "x") > 0, "asprintf prints");
  free(line), free(text), free(printed);
  f = tmpfile();
  static char buffer[1 << 16];
  setvbuf(f, NULL, _IOFBF, 1 << 16);
  fwrite(buffer, 1, sizeof buffer, f);
  rewind(f);
  OK(fread(buffer, 1, sizeof buffer, f) == sizeof buffer, "a stream with a large buffer reads what it wrote");
  fclose(f);
}

static int users_compare(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void test_directories(void) {
  struct dirent **names = NULL;
  int n = scandir("/etc", &names, NULL, alphasort);
  OK(n > 2, "scandir lists");
  for (int i = 0; i < n; i++) free(names[i]);
  free(names);
  glob_t found;
  OK(glob("/e*", 0, NULL, &found) == 0 && found.gl_pathc >= 1, "glob finds");
  globfree(&found);
  char *path = realpath("/usr/../etc", NULL), *here = getcwd(NULL, 0);
  OK(path && strcmp(path, "/etc") == 0 && here, "realpath and getcwd allocate their results");
  free(path), free(here);
}

static void test_text(void) {
  regex_t regex;
  regmatch_t match[3];
  bool good = regcomp(&regex, "^([a-z]+)([0-9]{2,40})$", REG_EXTENDED) == 0;
  good = good && regexec(&regex, "abc1234", 3, match, 0) == 0 && match[2].rm_so == 3;
  regfree(&regex);
  OK(good, "regcomp compiles and regexec matches");
  wordexp_t words;
  OK(wordexp("a ${HOME:-x} 'b c'", &words, WRDE_NOCMD) == 0 && words.we_wordc == 3, "wordexp splits");
  wordfree(&words);
  iconv_t cd = iconv_open("UTF-16LE", "ISO-8859-1");
  if (cd == (iconv_t)-1) {
    tap_skip("iconv loads a module and converts", "no such conversion here");
  } else {
    char in[] = "abc", out[16], *from = in, *to = out;
    size_t left = 3, room = sizeof out;
    OK(iconv(cd, &from, &left, &to, &room) == 0 && room == 10, "iconv loads a module and converts");
    iconv_close(cd);
  }
  locale_t locale = newlocale(LC_ALL_MASK, "C.UTF-8", (locale_t)0);
  OK(setlocale(LC_ALL, "C.UTF-8") || !locale, "setlocale sets what newlocale knows");
  wchar_t wide[32];
  OK(swprintf(wide, 32, L"%500s", "x") < 0 && swprintf(wide, 32, L"%5.2f", 1.5) == 5, "wide printing needs work space");
  if (locale) freelocale(locale);
}

static void test_structures(void) {
  enum { count = 20000 };
  static char *keys[count];
  bool good = true;
  for (unsigned i = 0; i < count; i++) good = good && asprintf(&keys[i], "%u", i * 7919 % count) > 0;
  qsort(keys, count, sizeof keys[0], users_compare);
  for (unsigned i = 1; i < count; i++) good = good && strcmp(keys[i - 1], keys[i]) < 0;
  OK(good, "qsort sorts 20000 strings");
  void *tree = NULL;
  for (unsigned i = 0; i < count; i++)
    good = good && tsearch(keys[i], &tree, (int (*)(const void *, const void *))strcmp);
  for (unsigned i = 0; i < count; i++)
    good = good && tdelete(keys[i], &tree, (int (*)(const void *, const void *))strcmp);
  OK(good && !tree, "tsearch and tdelete build a tree and take it down");
  for (unsigned i = 0; i < count; i++) free(keys[i]);
  struct obstack stack;
  obstack_init(&stack);
  char *first = obstack_copy0(&stack, "first", 5);
  for (unsigned i = 0; i < 1000; i++) obstack_blank(&stack, (int)(i * 10)), obstack_finish(&stack);
  OK(strcmp(first, "first") == 0, "an obstack grows by chunks");
  obstack_free(&stack, NULL);
}

static void test_environment(void) {
  bool good = true;
  char name[32], value[3000];
  memset(value, 'v', sizeof value);
  value[sizeof value - 1] = '\0';
  for (unsigned i = 0; i < 300; i++) {
    snprintf(name, sizeof name, "GLEANER_TEST_%u", i);
    good = good && setenv(name, value + i, 1) == 0;
  }
  for (unsigned i = 0; i < 300; i++) {
    snprintf(name, sizeof name, "GLEANER_TEST_%u", i);
    const char *got = getenv(name);
    good = good && got && strlen(got) == sizeof value - 1 - i && unsetenv(name) == 0;
  }
  OK(good, "setenv stores and unsetenv forgets");
  OK(putenv(strdup("GLEANER_TEST=put")) == 0 && strcmp(getenv("GLEANER_TEST"), "put") == 0, "putenv takes a block");
}

static void test_loader(void) {
  bool good = true;
  for (unsigned i = 0; i < 30; i++) {
    good = good && !dlopen("/nonexistent/library.so", RTLD_NOW) && strstr(dlerror(), "nonexistent");
    void *handle = dlopen("libm.so.6", RTLD_LAZY);
    good = good && handle && dlsym(handle, "cos") && !dlsym(handle, "no_such_function") && dlerror();
    good = good && dlclose(handle) == 0;
  }
  OK(good, "dlopen, dlsym, dlerror and dlclose go on for long");
}

int main(void) {
  test_stdio();
  test_directories();
  test_text();
  test_structures();
  test_environment();
  test_loader();
  return tap_end();
}
