/* SPDX-License-Identifier: MIT */
#include "misuse.h"

long GC_collect(int generation, void *collection) __attribute__((weak));

static volatile uintptr_t hidden[64];

static __attribute__((noinline)) void hide(void) {
  for (int i = 0; i < 64; i++) hidden[i] = ~(uintptr_t)do_malloc(1000);
}

/* Where the calls above had their frames. */
static __attribute__((noinline)) int wipe(void) {
  volatile char frame[8192];
  memset((void *)frame, 0, sizeof frame);
  return frame[17];
}

int main(void) {
  if (!GC_collect) return 77;
  hide();
  wipe();
  for (int i = 0; i < 3; i++) GC_collect(2, NULL);
  do_free((void *)~hidden[7]);
  return survived();
}
