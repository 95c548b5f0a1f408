/* SPDX-License-Identifier: MIT
 * GC_DEBUG_REPLACEMENT, without GC_DEBUG: what GC_MALLOC and GC_REALLOC make are debug objects, which all else takes for what they are. */
#define GC_DEBUG_REPLACEMENT
#include "gc.h"
#include "gc_mark.h"

#include "says.h"

static void smash(void) {
  char *volatile p = GC_MALLOC(10);
  p[10] = 1;
  GC_FREE(p);
}

int main(void) {
  GC_INIT();
  char *p = GC_MALLOC(10);
  OK((char *)GC_base(p) + GC_get_debug_header_size() == p && GC_size(p) == 10, "GC_MALLOC makes debug objects");
  strcpy(p, "some text");
  p = GC_REALLOC(p, 100);
  OK(GC_size(p) == 100 && strcmp(p, "some text") == 0, "GC_REALLOC resizes them");
  p = GC_realloc(p, 1000);
  OK(GC_size(p) == 1000 && strcmp(p, "some text") == 0, "and so does the function without debug");
  OK(GC_realloc(p, 0) == NULL, "which frees them, too");
  long *number = GC_NEW(long);
  OK(GC_size(number) == sizeof *number && *number == 0, "GC_NEW makes them");
  char *plain = GC_MALLOC_ATOMIC(50);
  OK(GC_base(plain) == plain, "GC_MALLOC_ATOMIC does not");
  hear(smash);
  OK(said_it("GC_free: smashed: ") && said_it("(?:0, sz=10, NORMAL)"), "GC_FREE tells what is smashed");
  return tap_end();
}
