/* SPDX-License-Identifier: MIT
 * See tap.h. */
#include "tap.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static int tap_run, tap_failed;

bool tap_ok(bool good, const char *file, int line, const char *text, const char *sentence, ...) {
  char name[512];
  va_list args;
  va_start(args, sentence);
  vsnprintf(name, sizeof name, sentence, args);
  va_end(args);
  printf("%sok %d - %s\n", good ? "" : "not ", ++tap_run, name);
  if (!good) {
    tap_failed++;
    printf("#   %s does not hold (%s:%d)\n", text, file, line);
  }
  fflush(stdout);
  return good;
}

void tap_skip(const char *sentence, const char *reason) {
  printf("ok %d - %s # SKIP %s\n", ++tap_run, sentence, reason);
  fflush(stdout);
}

void tap_note(const char *format, ...) {
  va_list args;
  va_start(args, format);
  printf("# ");
  vprintf(format, args);
  printf("\n");
  va_end(args);
  fflush(stdout);
}

int tap_end(void) {
  printf("1..%d\n", tap_run);
  fflush(stdout);
  return tap_failed != 0;
}

uint64_t tap_seed(void) {
  const char *given = getenv("GLEANER_SEED");
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  uint64_t seed = given ? strtoull(given, NULL, 0) : (uint64_t)now.tv_nsec * 2654435761u ^ (uint64_t)now.tv_sec;
  tap_note("seed: GLEANER_SEED=%llu", (unsigned long long)seed);
  return seed;
}

uint64_t tap_random(uint64_t *state) {
  uint64_t x = (*state += 0x9e3779b97f4a7c15u);
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}
