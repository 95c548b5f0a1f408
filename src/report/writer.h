/* SPDX-License-Identifier: MIT
 * The writers: one function for each format. The model is grouped, named and suppressed by then; a writer
 * decides nothing but the form. */
#ifndef GLEANER_WRITER_H
#define GLEANER_WRITER_H

#include "report/model.h"

#include <stdio.h>

struct writer_options {
  bool show_reachable; /* list what is still reachable, too */
  bool verbose;        /* say what was searched, also when nothing was lost */
};

/* For people. Writes nothing when nothing was lost, unless it was asked for more. */
void text_write(FILE *out, const struct model *model, const struct writer_options *options);

/* One stack of a named model, a line a frame. */
void text_write_stack(FILE *out, const struct model *model, const struct model_stack *stack);

/* 1234567 as 1,234,567, in a buffer of text_number_size bytes. */
enum { text_number_size = 32 };
const char *text_number(char *buffer, uint64_t n);

/* For programs: one object, with the same members whatever was found; see gleaner(1). */
void json_write(FILE *out, const struct model *model, const struct writer_options *options);

#endif
