/* SPDX-License-Identifier: MIT
 * TAP for C tests: OK(condition, "a sentence with %s", ...) for each behaviour, and return tap_end() from main. The plan
 * is printed at the end. Thread safe in so far as one thread calls it. */
#ifndef TAP_H
#define TAP_H

#include <stdbool.h>
#include <stdint.h>

#define OK(condition, ...) tap_ok((condition), __FILE__, __LINE__, #condition, __VA_ARGS__)

bool tap_ok(bool good, const char *file, int line, const char *text, const char *sentence, ...)
    __attribute__((format(printf, 5, 6)));
void tap_skip(const char *sentence, const char *reason);
void tap_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
int tap_end(void);

/* The seed of a random test: GLEANER_SEED or the clock; printed as a note. */
uint64_t tap_seed(void);
uint64_t tap_random(uint64_t *state);

#endif
