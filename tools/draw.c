/* SPDX-License-Identifier: MIT
 * Draws a record: read, group, name, suppress, write. */
#include "config.h"

#include "command.h"

#include "report/reader.h"
#include "report/suppress.h"
#include "report/symbols.h"
#include "report/writer.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void draw_complain(const char *line) { command_say("%s", line); }

/* FILE with each %p replaced by the process id of the record. */
static char *draw_file_name(const char *pattern, long pid) {
  char *name = NULL;
  size_t size = 0;
  FILE *out = open_memstream(&name, &size);
  if (!out) return NULL;
  for (; *pattern; pattern++) {
    if (pattern[0] == '%' && pattern[1] == 'p') fprintf(out, "%ld", pid), pattern++;
    else fputc(*pattern, out);
  }
  return fclose(out) == 0 ? name : NULL;
}

static bool draw_write(const struct options *options, const struct model *model) {
  struct writer_options how = {.show_reachable = options->show_reachable, .verbose = options->verbose};
  char *name = options->report ? draw_file_name(options->report, model->pid) : NULL;
  FILE *out = name ? fopen(name, "we") : stdout;
  if (!out) {
    command_say("cannot write %s: %s", name, strerror(errno));
    return false;
  }
  if (options->format == FORMAT_JSON) json_write(out, model, &how);
  else text_write(out, model, &how);
  bool good = !ferror(out);
  if ((name ? fclose(out) : fflush(out)) != 0) good = false;
  if (!good && errno == EPIPE) good = true; /* the reader has seen enough */
  if (!good) command_say("cannot write the report: %s", strerror(errno));
  free(name);
  return good;
}

int draw(const struct options *options, int fd, const char *from) {
  struct model model;
  struct suppressions suppressions = {0};
  int error;
  signal(SIGPIPE, SIG_IGN); /* whoever waits for the command must not take the report's reader for a failure */
  model_init(&model);
  if (!record_read(&model, fd, &error)) {
    command_say("%s: %s", from, error ? strerror(error) : "is no record of a gleaner run");
    return status_failed;
  }
  model_group(&model);
  symbols_name(&model);
  model_group(&model);
  if (options->suppressions && !suppress_read(&suppressions, options->suppressions, draw_complain))
    command_say("%s: %s; nothing is suppressed", options->suppressions, strerror(errno));
  suppress_apply(&suppressions, &model);
  if (!draw_write(options, &model)) return status_failed;
  return !model.misuse && !model.collected && model_has_lost(&model) ? options->error_exitcode : status_good;
}
