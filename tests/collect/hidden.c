/* SPDX-License-Identifier: MIT
 * A program that hides a pointer from the collector: it keeps only the complement, and later uses it all the same.
 * hidden free|realloc|read|lead; says "survived" when it went on. */
#include "leaking.h"

#include <dlfcn.h>

enum { hidden_size = 300, hidden_other_size = 3000 };

static uintptr_t hidden_cell;

APART static void scrub(void) {
  volatile char dead[32 * 1024];
  for (size_t i = 0; i < sizeof dead; i += 8) *(volatile uint64_t *)&dead[i] = 0;
}

APART static void hidden_make(void) {
  unsigned char *p = malloc(hidden_size);
  if (!p) abort();
  memset(p, 0x5a, hidden_size);
  hidden_cell = ~(uintptr_t)p;
}

APART static void hidden_lose(void) {
  struct node *n = node_new(1, hidden_other_size);
  __asm__ volatile("" : : "r"(n) : "memory");
}

/* Until it was looked for in vain twice. What is allocated meanwhile is of another size, and does not take its place. */
APART static void hidden_wait(void) {
  long (*collect)(int generation, void *facts) = (long (*)(int, void *))dlsym(RTLD_DEFAULT, "GC_collect");
  scrub();
  for (int i = 0; i < 3 && collect; i++) collect(2, NULL);
  for (int i = 0; i < 100000 && !collect; i++) hidden_lose();
}

APART static void hidden_free(void) {
  free((void *)~hidden_cell);
  puts("survived");
}

APART static void hidden_realloc(void) {
  void *p = realloc((void *)~hidden_cell, 2000);
  __asm__ volatile("" : : "r"(p) : "memory");
  puts("survived");
}

/* What is spared once leads to others: one of GC_malloc's, that is given up at first sight; and one that was found unreachable before. */
static uintptr_t hidden_later;

static void *named(const char *name) { return dlsym(RTLD_DEFAULT, name); }

APART static void hidden_link(void) {
  void *(*collected)(size_t) = (void *(*)(size_t))named("GC_malloc");
  void **p = (void **)~hidden_cell;
  p[0] = collected(64);
  p[1] = (void *)~hidden_later;
}

APART static void hidden_make_later(void) { hidden_later = ~(uintptr_t)memset(malloc(500), 1, 500); }

APART static void hidden_collect(void) {
  long (*collect)(int generation, void *facts) = (long (*)(int, void *))named("GC_collect");
  scrub();
  if (collect(2, NULL) < 0) puts("nothing was collected");
}

APART static void hidden_tell(void) {
  void *(*base)(void *) = (void *(*)(void *))named("GC_base");
  void **p = (void **)~hidden_cell;
  bool here = base(p), first = here && base(p[0]), second = here && base(p[1]);
  printf("itself %d, collected %d, suspect %d\n", here, first, second);
}

APART static void hidden_lead(void) {
  hidden_make_later();
  hidden_collect();
  hidden_make();
  hidden_link();
  hidden_collect();
  hidden_tell();
}

/* What lies there now. */
APART static void hidden_read(void) {
  const unsigned char *p = (const unsigned char *)~hidden_cell;
  printf("%02x %02x\n", p[0], p[hidden_size - 1]);
}

int main(int argc, char **argv) {
  if (argc != 2) return 70;
  if (strcmp(argv[1], "lead") == 0) {
    hidden_lead();
    return 0;
  }
  hidden_make();
  hidden_wait();
  if (strcmp(argv[1], "free") == 0) hidden_free();
  else if (strcmp(argv[1], "realloc") == 0) hidden_realloc();
  else hidden_read();
  return 0;
}
