/* SPDX-License-Identifier: MIT
 * Suppressions, in LeakSanitizer's form: lines of "leak:PATTERN", comments after #. A pattern is found
 * anywhere in a function's, file's or module's name; ^ ties it to the beginning, $ to the end, * stands for
 * anything. */
#ifndef GLEANER_SUPPRESS_H
#define GLEANER_SUPPRESS_H

#include "report/model.h"

struct suppressions {
  char **patterns;
  size_t count, room;
};

bool suppress_match(const char *pattern, const char *text);

/* Reads a file. Calls complain for each bad line with one line that names it (without a newline), and goes
 * on. False when the file cannot be read; errno tells why. */
bool suppress_read(struct suppressions *suppressions, const char *path, void (*complain)(const char *line));

/* Marks the leaks that a pattern names by any frame, and moves their sizes from the totals to
 * model->suppressed. The frames must have been named. */
void suppress_apply(const struct suppressions *suppressions, struct model *model);

#endif
