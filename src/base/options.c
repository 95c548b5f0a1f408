/* SPDX-License-Identifier: MIT
 * The option table and its parser. */
#include "config.h"

#include "base/options.h"

#include "base/print.h"

#include <string.h>

static const char *const option_modes[] = {"malloc", "leaks", "collect", NULL};
static const char *const option_misuses[] = {"abort", "report", NULL};
static const char *const option_formats[] = {"text", "json", NULL};
static const char *const option_concurrents[] = {"auto", "on", "off", NULL};
static const char *const option_trackings[] = {"auto", "uffd", "soft-dirty", "scan", NULL};

#define FIELD(name) offsetof(struct options, name)

const struct option_row options_table[] = {
    {"mode", OPTION_CHOICE, FIELD(mode), option_modes, 0, 0, MODE_MALLOC, "malloc|leaks|collect",
     "what Gleaner does besides serving memory: nothing, a leak report at exit, or taking back leaks"},
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
    {"stats", OPTION_FLAG, FIELD(stats), NULL, 0, 1, 0, NULL,
     "tell at exit, where reports go, what was collected, how long it took, and which way was chosen"},
    {"gc-log", OPTION_TEXT, FIELD(gc_log), NULL, 0, 0, 0, "FILE",
     "append a line for each collection to FILE, where %p stands for the process id; stderr is standard error"},
    {"dump-at-exit", OPTION_TEXT, FIELD(dump_at_exit), NULL, 0, 0, 0, "FILE",
     "write a heap dump to FILE, where %p stands for the process id, when the program ends"},
    {"gc-cpu", OPTION_NUMBER, FIELD(gc_cpu), NULL, 1, 100, 5, "PERCENT",
     "the share of the program's time that collections may take, unless the heap has doubled"},
    {"write-tracking", OPTION_CHOICE, FIELD(write_tracking), option_trackings, 0, 0, 0, "auto|uffd|soft-dirty|scan",
     "how old memory that was written is found: by the kernel, or by looking at all of it"},
    {"concurrent", OPTION_CHOICE, FIELD(concurrent), option_concurrents, 0, 0, CONCURRENT_AUTO, "auto|on|off",
     "mark while the program runs in full collections"},
    {"markers", OPTION_NUMBER, FIELD(markers), NULL, 0, options_max_markers, 0, "N",
     "mark with N threads; 0 is as many as the heap and the machine deserve"},
    {"threshold0", OPTION_SIZE, FIELD(threshold0), NULL, 0, 0, 0, "SIZE",
     "collect the youngest generation after SIZE new bytes; 0 is as is best"},
    {"threshold1", OPTION_NUMBER, FIELD(threshold1), NULL, 1, 1000000, 10, "N",
     "collect the middle generation every N collections of the youngest"},
    {"threshold2", OPTION_NUMBER, FIELD(threshold2), NULL, 1, 1000000, 10, "N",
     "collect all every N collections of the middle one, if the oldest grew by a quarter"},
    {"initial-heap", OPTION_SIZE, FIELD(initial_heap), NULL, 0, 0, 0, "SIZE",
     "collect nothing as long as the heap is smaller than SIZE"},
    {"max-heap", OPTION_SIZE, FIELD(max_heap), NULL, 0, 0, 0, "SIZE",
     "refuse memory beyond SIZE, after a last collection; 0 is no limit"},
    {"poison", OPTION_FLAG, FIELD(poison), NULL, 0, 1, 0, NULL,
     "fill what is reclaimed with a pattern and hold it back for a while, to find programs that hide pointers"},
    {"sites", OPTION_FLAG, FIELD(sites), NULL, 0, 1, 0, NULL,
     "record the stacks of allocations in other modes than leaks, too, to tell where memory came from"},
    {"finalize-at-exit", OPTION_FLAG, FIELD(finalize_at_exit), NULL, 0, 1, 0, NULL,
     "run all finalizers that are registered when the program ends"},
    {"stress", OPTION_FLAG, FIELD(stress), NULL, 0, 1, 0, NULL,
     "check the whole heap, and search or collect it, again and again; for testing Gleaner itself"},
    {"tool", OPTION_TEXT, FIELD(tool), NULL, 0, 0, 0, "FILE",
     "the gleaner command that writes the report; by default the installed one"},
};

const size_t options_count = sizeof options_table / sizeof options_table[0];
_Static_assert(sizeof options_table / sizeof options_table[0] <= 64, "struct options has a bit for each");

void options_init(struct options *options) {
  memset(options, 0, sizeof *options);
  for (size_t i = 0; i < options_count; i++) {
    void *field = (char *)options + options_table[i].offset;
    if (options_table[i].type == OPTION_SIZE) *(size_t *)field = (size_t)options_table[i].initial;
    else if (options_table[i].type != OPTION_TEXT) *(int *)field = options_table[i].initial;
  }
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

/* Digits, and perhaps one of K, M, G. */
static bool option_size(const char *value, size_t length, size_t *out) {
  static const char suffixes[] = "KMGkmg";
  const char *suffix = length > 1 ? memchr(suffixes, value[length - 1], sizeof suffixes - 1) : NULL;
  size_t n = 0;
  if (suffix) length--;
  if (length == 0) return false;
  for (size_t i = 0; i < length; i++) {
    if (value[i] < '0' || value[i] > '9') return false;
    if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, (size_t)(value[i] - '0'), &n)) return false;
  }
  if (suffix && __builtin_mul_overflow(n, (size_t)1 << 10 * ((suffix - suffixes) % 3 + 1), &n)) return false;
  *out = n;
  return n <= PTRDIFF_MAX;
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
  else if (row->type == OPTION_SIZE)
    print_buffer(error, size, "option '%s': '%s' is not a number of bytes, which may end in K, M or G", row->name, shown);
  else if (row->type == OPTION_TEXT)
    print_buffer(error, size, "option '%s' wants a file name of 1 to some %d bytes", row->name,
                 options_text_size / 2);
  else
    print_buffer(error, size, "option '%s': '%s' is not one of %s", row->name, shown,
                 row->type == OPTION_FLAG ? "0, 1" : row->argument);
}

static void option_unknown(const char *name, size_t length, char *error, size_t size) {
  char shown[64];
  print_buffer(shown, length + 1 < sizeof shown ? length + 1 : sizeof shown, "%s", name);
  size_t at = print_buffer(error, size, "unknown option '%s'; the options are", shown);
  for (size_t i = 0; i < options_count && at < size; i++)
    at += print_buffer(error + at, size - at, " %s", options_table[i].name);
}

/* Sets the field when the value is good. */
static bool option_read(struct options *options, const struct option_row *row, const char *value, size_t length) {
  void *field = (char *)options + row->offset;
  size_t bytes = 0;
  int number = 0;
  bool good;
  switch (row->type) {
  case OPTION_TEXT: return option_text(options, value, length, field);
  case OPTION_SIZE:
    good = option_size(value, length, &bytes);
    if (good) *(size_t *)field = bytes;
    return good;
  case OPTION_CHOICE: good = option_choice(row, value, length, &number); break;
  default: good = option_number(row, value, length, &number);
  }
  if (good) *(int *)field = number;
  return good;
}

bool options_set(struct options *options, const char *name, size_t name_length, const char *value,
                 size_t value_length, char *error, size_t error_size) {
  const struct option_row *row = option_find(name, name_length);
  if (!row) {
    option_unknown(name, name_length, error, error_size);
    return false;
  }
  bool set = !value && row->type == OPTION_FLAG;
  if (!value) {
    value = set ? "1" : "";
    value_length = set;
  }
  if (option_read(options, row, value, value_length)) {
    options->given |= (uint64_t)1 << (row - options_table);
    return true;
  }
  option_explain(row, value, value_length, error, error_size);
  return false;
}

bool options_are_given(const struct options *options, const char *name) {
  const struct option_row *row = option_find(name, strlen(name));
  return row && options->given >> (row - options_table) & 1;
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
