/* SPDX-License-Identifier: MIT
 * A module to be closed: built twice, with frames of another size at much the same addresses. CLOSING is 1
 * or 2. */
__attribute__((visibility("default"))) void closing_call(void (*function)(void *), void *arg);

void closing_call(void (*function)(void *), void *arg) {
  char room[CLOSING * 200];
  __asm__ volatile("" : : "r"(room) : "memory");
  function(arg);
  __asm__ volatile("" : : "r"(room) : "memory");
}
