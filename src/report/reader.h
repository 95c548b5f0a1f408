/* SPDX-License-Identifier: MIT
 * Reading a record into a model; the form is told in record.h. */
#ifndef GLEANER_READER_H
#define GLEANER_READER_H

#include "report/model.h"

/* Reads all of a record into an initialised model. False when it is none (its first line is not a record's).
 * What is damaged further down is skipped and counted in model->bad_lines; without the last line
 * model->complete is false. */
bool record_parse(struct model *model, const char *text, size_t length);

/* The same from a descriptor, up to its end. *error is an errno value when reading failed, else 0. */
bool record_read(struct model *model, int fd, int *error);

#endif
