/* SPDX-License-Identifier: MIT
 * Where reports go, and who draws them: the standard error that the program began with, or a file; the gleaner command. */
#ifndef GLEANER_REPORT_OUT_H
#define GLEANER_REPORT_OUT_H

#include "base/base.h"

/* From the constructor, where something may be told later. */
void report_out_init(void);

/* The standard error that the program began with, or what it is now. */
int report_out_stderr(void);

/* Puts pattern into path with each %p replaced by the process id. */
void report_out_name(char *path, size_t size, const char *pattern);

/* The report's destination: what the option report says, or standard error; this also where the file cannot be written, which is
 * said. *close_it: it is the caller's to close. */
int report_out_open(bool *close_it);

/* Runs the gleaner command over a record that was written to the memory file. 0, or a negative errno value, or the
 * command's exit status. */
int report_out_draw(int record, int out);
const char *report_out_tool(void); /* its file name */

/* Has tell called when a signal is about to end the program, which it then does. */
void report_out_at_signal(void (*tell)(void));

/* A descriptor like fd so high that no program stumbles over it, closed by exec; -1 when there is none. */
int report_out_high(int fd);

#endif
