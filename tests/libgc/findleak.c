/* SPDX-License-Identifier: MIT
 * A program that forgets to free: what it leaks, and what not, is told by findleak.sh. Each line allocates one sort; what it prints names
 * these lines. */
#define GC_REQUIRE_WCSDUP
#include "leak_detector.h"

#include "../api/wipe.h"

#include <stdio.h>

enum { many = 200 };

static void *held[many];

#define NOTE(what) printf("%s %d\n", what, __LINE__)

__attribute__((noinline)) static void leak(void) {
  NOTE("leaked"); for (int i = 0; i < many; i++) memset(malloc(40), 1, 40);
  NOTE("cleared"); for (int i = 0; i < many; i++) if (*(char *)calloc(3, 10)) abort();
  NOTE("text"); for (int i = 0; i < many; i++) if (*strdup("text") != 't') abort();
  NOTE("part"); for (int i = 0; i < many; i++) if (*strndup("text", 2) != 't') abort();
  NOTE("wide"); for (int i = 0; i < many; i++) if (*wcsdup(L"text") != L't') abort();
  NOTE("moved"); for (int i = 0; i < many; i++) memset(realloc(malloc(10), 200), 1, 200);
  NOTE("plain"); for (int i = 0; i < many; i++) memset(GC_malloc(5000), 1, 10);
}

__attribute__((noinline)) static void hold(void) {
  NOTE("held"); for (int i = 0; i < many; i++) held[i] = malloc(40);
}

__attribute__((noinline)) static void give_back(void) {
  for (int i = 0; i < many; i++) free(held[i]);
  NOTE("freed"); for (int i = 0; i < many; i++) free(malloc(40));
  NOTE("uncollectable"); for (int i = 0; i < many; i++) memset(GC_MALLOC_UNCOLLECTABLE(40), 1, 40);
}

static void finalize(void *object, void *data) { (void)object, (void)data, puts("finalized"); }

__attribute__((noinline)) static void finalizers(void) {
  void *object = malloc(10);
  GC_REGISTER_FINALIZER(object, finalize, NULL, NULL, NULL);
  void *link = NULL;
  if (GC_GENERAL_REGISTER_DISAPPEARING_LINK(&link, object) == GC_UNIMPLEMENTED) puts("no links");
  if (GC_REGISTER_LONG_LINK(&link, object) == GC_UNIMPLEMENTED) puts("no long links");
  free(object);
}

__attribute__((noinline)) static void write_after(void) {
  NOTE("written");
  for (int i = 0; i < many; i++) {
    char *volatile p = malloc(64);
    free(p);
    p[30] = 1;
  }
}

int main(int argc, char **argv) {
  const char *how = argc > 1 ? argv[1] : "";
  setvbuf(stdout, NULL, _IOLBF, 0);
  if (strcmp(how, "variable") == 0) GC_find_leak = 1;
  if (strcmp(how, "call") == 0) GC_set_find_leak(1);
  GC_INIT();
  printf("on %d\n", GC_get_find_leak());
  if (strcmp(how, "after") == 0) write_after();
  hold();
  if (strcmp(how, "exit") != 0 && strcmp(how, "after") != 0) finalizers();
  if (strcmp(how, "after") != 0) leak();
  wipe();
  if (strcmp(how, "exit") != 0) CHECK_LEAKS();
  give_back();
  wipe();
  puts("ends");
  return 0;
}
