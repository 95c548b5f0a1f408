/* SPDX-License-Identifier: MIT
 * Writing a record, whose form is in report/record.h: what leaks and misuse have in common. Allocates nothing from
 * malloc. */
#ifndef GLEANER_RECORD_OUT_H
#define GLEANER_RECORD_OUT_H

#include "base/print.h"
#include "site/site.h"

struct record_out {
  struct printer printer;
  uint8_t *named; /* by module index: its line is written */
};

/* Writes kind, pid and program. False when memory is refused; else record_end must follow. */
bool record_begin(struct record_out *out, int fd, const char *kind);

/* The modules of a stack that no line names yet; before the line that has its frames. stack may be NULL in both. */
void record_modules(struct record_out *out, const struct site_stack *stack);
/* The frames, and the end of the line that the caller began. */
void record_frames(struct record_out *out, const struct site_stack *stack);

/* Ends and flushes. False when something could not be written. */
bool record_end(struct record_out *out);

#endif
