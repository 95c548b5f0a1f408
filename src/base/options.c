/* SPDX-License-Identifier: MIT
 * The option table and its parser. */
#include "config.h"

#include "base/options.h"

#include "base/print.h"

#include <string.h>

static const char *const option_modes[] = {"malloc", "leaks", NULL};
static const char *const option_misuses[] = {"abort", "report", NULL};
static const char *const option_formats[] = {"text", "json", NULL};

#define FIELD(name) offsetof(struct options, name)

const struct option_row options_table[] = {
    {"mode", OPTION_CHOICE, FIELD(mode), option_modes, 0, 0, MODE_MALLOC, "malloc|leaks",
     "what Gleaner does besides serving memory: nothing, or a leak report at exit"},
    {"report", OPTION_TEXT, FIELD(report), NULL, 0, 0, 0, "FILE",
     "write the report to FILE, where %p stands for the process id, instead of standard error"},
    {"format", OPTION_CHOICE, FIELD(format), option_formats, 0, 0, FORMAT_TEXT, "text|json",
     "how the report is written"},
    {"error-exitcode", OPTION_NUMBER, FIELD(error_exitcode), NULL, 0, 255, 0, "N",
     "exit with status N when memory leaked; 0 keeps the program's own status"},
    {"max-frames", OPTION_NUMBER, FIELD(max_frames), NULL, 1, options_max_frames, 128, "N",
     "record at most N frames of each call stack"},
    {"show-reachable", OPTION_FLAG, FIELD(show_reachable), NULL, 0, 1, 0, NULL,
     "list the blocks that are still reachable as well"},
    {"verbose", OPTION_FLAG, FIELD(verbose), NULL, 0, 1, 0, NULL,
     "say in one line what was looked at, also when nothing leaked"},
    {"unaligned", OPTION_FLAG, FIELD(unaligned), NULL, 0, 1, 0, NULL,
     "look for pointers at every byte and not only at word boundaries; slow"},
    {"suppressions", OPTION_TEXT, FIELD(suppressions), NULL, 0, 0, 0, "FILE",
     "leave out the leaks whose stacks FILE names"},
    {"report-at-_exit", OPTION_FLAG, FIELD(report_at__exit), NULL, 0, 1, 0, NULL,
     "report when the program calls _exit, too"},
    {"report-at-signal", OPTION_FLAG, FIELD(report_at_signal), NULL, 0, 1, 0, NULL,
     "report when a fatal signal ends the program, too"},
    {"misuse", OPTION_CHOICE, FIELD(misuse), option_misuses, 0, 0, MISUSE_ABORT, "abort|report",
     "after a double or wild free is reported: abort as glibc does, or go on"},
    {"stress", OPTION_FLAG, FIELD(stress), NULL, 0, 1, 0, NULL,
     "check the whole heap, and search it for leaks, again and again; for testing Gleaner itself"},
    {"tool", OPTION_TEXT, FIELD(tool), NULL, 0, 0, 0, "FILE",
     "the gleaner command that writes the report; by default the installed one"},
};

const size_t options_count = sizeof options_table / sizeof options_table[0];

void options_init(struct options *options) {
  memset(options, 0, sizeof *options);
  for (size_t i = 0; i < options_count; i++)
    if (options_table[i].type != OPTION_TEXT)
      *(int *)((char *)options + options_table[i].offset) = options_table[i].initial;
}

static const struct option_row *option_find(const char *name, size_t length) {
  for (size_t i = 0; i < options_count; i++)
    if (strlen(options_table[i].name) == length && memcmp(options_table[i].name, name, length) == 0)
      return &options_table[i];
  return NULL;
}

static bool option_choice(const struct option_row *row, const char *value, size_t length, int *out) {
  for (int i = 0; row->choices[i]; i++)
    if (strlen(row->choices[i]) == length && memcmp(row->choices[i], value, length) == 0) {
      *out = i;
      return true;
    }
  return false;
}

static bool option_number(const struct option_row *row, const char *value, size_t length, int *out) {
  long n = 0;
  if (length == 0 || length > 9) return false;
  for (size_t i = 0; i < length; i++) {
    if (value[i] < '0' || value[i] > '9') return false;
    n = n * 10 + (value[i] - '0');
  }
  *out = (int)n;
  return n >= row->least && n <= row->most;
}

static bool option_text(struct options *options, const char *value, size_t length, const char **out) {
  if (length == 0 || length >= options_text_size - options->text_used) return false;
  char *copy = options->text + options->text_used;
  memcpy(copy, value, length);
  copy[length] = '\0';
  options->text_used += length + 1;
  *out = copy;
  return true;
}

static void option_explain(const struct option_row *row, const char *value, size_t length, char *error,
                           size_t size) {
  char shown[64];
  print_buffer(shown, length + 1 < sizeof shown ? length + 1 : sizeof shown, "%s", value);
  if (row->type == OPTION_NUMBER)
    print_buffer(error, size, "option '%s': '%s' is not a number from %d to %d", row->name, shown, row->least,
                 row->most);
  else if (row->type == OPTION_TEXT)
    print_buffer(error, size, "option '%s' wants a file name of 1 to some %d bytes", row->name,
                 options_text_size / 2);
  else
    print_buffer(error, size, "option '%s': '%s' is not one of %s", row->name, shown,
                 row->type == OPTION_FLAG ? "0, 1" : row->argument);
}

bool options_set(struct options *options, const char *name, size_t name_length, const char *value,
                 size_t value_length, char *error, size_t error_size) {
  const struct option_row *row = option_find(name, name_length);
  if (!row) {
    char shown[64];
    print_buffer(shown, name_length + 1 < sizeof shown ? name_length + 1 : sizeof shown, "%s", name);
    size_t at = print_buffer(error, error_size, "unknown option '%s'; the options are", shown);
    for (size_t i = 0; i < options_count && at < error_size; i++)
      at += print_buffer(error + at, error_size - at, " %s", options_table[i].name);
    return false;
  }
  void *field = (char *)options + row->offset;
  int number = 1;
  bool good = false;
  if (!value) {
    good = row->type == OPTION_FLAG;
    value = "";
    value_length = 0;
  } else if (row->type == OPTION_CHOICE) {
    good = option_choice(row, value, value_length, &number);
  } else if (row->type != OPTION_TEXT) {
    good = option_number(row, value, value_length, &number);
  }
  if (row->type == OPTION_TEXT) good = option_text(options, value, value_length, field);
  else if (good) *(int *)field = number;
  if (!good) option_explain(row, value, value_length, error, error_size);
  return good;
}

int options_parse(struct options *options, const char *text, void (*complain)(const char *line, void *arg),
                  void *arg) {
  int bad = 0;
  while (*text) {
    size_t name_length = strcspn(text, "=:");
    const char *name = text, *value = NULL;
    size_t value_length = 0;
    text += name_length;
    if (*text == '=') {
      bool quoted = text[1] == '\'';
      value = text + 1 + quoted;
      value_length = strcspn(value, quoted ? "'" : ":");
      text = value + value_length;
      if (quoted && *text) text++;
      text += strcspn(text, ":");
    }
    if (*text == ':') text++;
    char error[1024];
    if (name_length == 0 && !value) continue;
    if (options_set(options, name, name_length, value, value_length, error, sizeof error)) continue;
    bad++;
    if (complain) complain(error, arg);
  }
  return bad;
}
