/* SPDX-License-Identifier: MIT
 * The parts of the gleaner command. It stands outside of the programs it looks at: it may use all of libc,
 * and links nothing of the core but the lowest layer. */
#ifndef GLEANER_COMMAND_H
#define GLEANER_COMMAND_H

#include "base/options.h"

enum {
  status_good = 0,
  status_failed = 1,         /* a report could not be read or written */
  status_usage = 2,          /* a bad command line, or a program into which nothing can be preloaded */
  status_not_runnable = 126, /* as in a shell */
  status_not_found = 127,
};

/* One line on standard error: "gleaner: " and the text. */
void command_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A file name that means the same after the program has changed its directory. "" or NULL stay as they are. */
char *command_absolute(const char *path);

/* Runs argv[0] under the preloaded library with the options; returns only when it cannot, with the exit
 * status. */
int launch(struct options *options, char **argv);

/* Draws the record on fd (from is its name, for messages). With options->report the report goes to that file,
 * else to standard output. Returns options->error_exitcode when memory was lost that no suppression covers, 0
 * when not, and status_failed when the record could not be read or the report not be written. */
int draw(const struct options *options, int fd, const char *from);

/* gleaner dump PID: writes to file; NULL: gleaner.PID.dump; "-": standard output. */
int dump_pid(const char *pid, const char *file);

/* gleaner why, gleaner top: what follows the command's name. */
int heap_why(char **argv);
int heap_top(char **argv);

#endif
