/* SPDX-License-Identifier: MIT
 * Reads a record (the form is in record.h) into a model. Input may be cut off or corrupted: what can be read
 * is kept, what cannot is counted, and nothing that stands in it can make the reader fail. */
#include "config.h"

#include "report/reader.h"

#include "report/record.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
  record_max_module = 1 << 16, /* more modules than any process can load */
  record_max_build_id = 128,
};

/* The rest of one line. */
struct record_line {
  const char *at, *end;
};

static void record_skip_blanks(struct record_line *line) {
  while (line->at < line->end && *line->at == ' ') line->at++;
}

/* The next word; its length, 0 at the end of the line. */
static size_t record_word(struct record_line *line, const char **word) {
  record_skip_blanks(line);
  *word = line->at;
  while (line->at < line->end && *line->at != ' ') line->at++;
  return (size_t)(line->at - *word);
}

static bool record_digits(const char *text, size_t length, unsigned base, uint64_t *out) {
  uint64_t n = 0;
  if (base == 16 && length > 2 && text[0] == '0' && text[1] == 'x') text += 2, length -= 2;
  if (length == 0) return false;
  for (size_t i = 0; i < length; i++) {
    unsigned digit = text[i] >= '0' && text[i] <= '9'   ? (unsigned)(text[i] - '0')
                     : text[i] >= 'a' && text[i] <= 'f' ? (unsigned)(text[i] - 'a' + 10)
                                                        : 16;
    if (digit >= base || __builtin_mul_overflow(n, base, &n) || __builtin_add_overflow(n, digit, &n))
      return false;
  }
  *out = n;
  return true;
}

static bool record_number(struct record_line *line, unsigned base, uint64_t *out) {
  const char *word;
  size_t length = record_word(line, &word);
  return record_digits(word, length, base, out);
}

static bool record_is(const char *word, size_t length, const char *name) {
  return strlen(name) == length && memcmp(word, name, length) == 0;
}

/* The rest of the line, \n and \\ undone. */
static const char *record_text(struct record_line *line) {
  record_skip_blanks(line);
  char *text = model_copy(line->at, (size_t)(line->end - line->at)), *to = text;
  for (const char *from = text; *from; from++) {
    if (*from == '\\' && from[1]) *to++ = *++from == 'n' ? '\n' : *from;
    else *to++ = *from;
  }
  *to = '\0';
  return text;
}

static bool record_totals(struct model *model, struct record_line *line) {
  struct model_count totals[model_kinds];
  for (int i = 0; i < model_kinds; i++)
    if (!record_number(line, 10, &totals[i].count) || !record_number(line, 10, &totals[i].bytes)) return false;
  memcpy(model->totals, totals, sizeof totals);
  return model->totals_told = true;
}

static bool record_search(struct model *model, struct record_line *line) {
  struct model_search s = {.told = true};
  if (!record_number(line, 10, &s.objects) || !record_number(line, 10, &s.root_bytes) ||
      !record_number(line, 10, &s.threads) || !record_number(line, 10, &s.not_stopped) ||
      !record_number(line, 10, &s.stop_ns) || !record_number(line, 10, &s.roots_ns) ||
      !record_number(line, 10, &s.classify_ns))
    return false;
  model->search = s;
  return true;
}

static bool record_module(struct model *model, struct record_line *line) {
  uint64_t index;
  struct model_module module = {.known = true};
  const char *word, *check;
  if (!record_number(line, 10, &index) || index >= record_max_module || !record_number(line, 16, &module.lo) ||
      !record_number(line, 16, &module.hi) || !record_number(line, 16, &module.bias))
    return false;
  size_t length = record_word(line, &word);
  if (!record_is(word, length, "-")) {
    if (length == 0 || length > record_max_build_id) return false;
    for (check = word; check < word + length; check++)
      if (!strchr("0123456789abcdef", *check) || !*check) return false;
    module.build_id = model_copy(word, length);
  }
  module.path = record_text(line);
  *model_module_at(model, (size_t)index) = module;
  return true;
}

/* ADDRESS@MODULE. A frame whose module was not told is kept with its address. */
static bool record_frame(struct model *model, const char *word, size_t length) {
  const char *at = memchr(word, '@', length);
  uint64_t address, module;
  if (!at || !record_digits(word, (size_t)(at - word), 16, &address)) return false;
  size_t rest = length - (size_t)(at - word) - 1;
  bool known = record_digits(at + 1, rest, 10, &module) && module < record_max_module;
  model_add_frame(model, address, known ? (int)module : -1);
  return known || record_is(at + 1, rest, "-");
}

/* False when a frame could not be read: the frames before it are kept. */
static bool record_frames(struct model *model, struct record_line *line, struct model_stack *stack) {
  const char *word;
  size_t length;
  bool good = true;
  stack->first = model->frame_count;
  while (good && (length = record_word(line, &word)) > 0) good = record_frame(model, word, length);
  stack->count = model->frame_count - stack->first;
  return good;
}

static bool record_leak(struct model *model, struct record_line *line) {
  static const char *const kinds[] = {"definite", "indirect", "reachable", "reclaimed"};
  struct model_leak leak = {0};
  const char *word;
  uint64_t cycle;
  size_t length = record_word(line, &word);
  int kind = 0;
  while (kind <= MODEL_RECLAIMED && !record_is(word, length, kinds[kind])) kind++;
  if (kind > MODEL_RECLAIMED || !record_number(line, 10, &leak.size.count) ||
      !record_number(line, 10, &leak.size.bytes) || !record_number(line, 10, &cycle))
    return false;
  leak.kind = (enum model_kind)kind;
  leak.cycle = cycle != 0;
  bool good = record_frames(model, line, &leak.stack);
  *model_add_leak(model) = leak; /* whatever its frames are: no leak is ever dropped */
  return good;
}

static bool record_stack(struct model *model, struct record_line *line) {
  const char *word;
  size_t length = record_word(line, &word);
  if (length == 0) return false;
  char *title = model_copy(word, length);
  for (char *c = title; *c; c++)
    if (*c == '_') *c = ' ';
  struct model_stack stack;
  bool good = record_frames(model, line, &stack);
  *model_add_stack(model) = (struct model_titled_stack){.title = title, .stack = stack};
  return good;
}

static bool record_kind(struct model *model, struct record_line *line) {
  const char *word;
  size_t length = record_word(line, &word);
  model->misuse = record_is(word, length, "misuse");
  model->collected = record_is(word, length, "collect");
  return model->misuse || model->collected || record_is(word, length, "leaks");
}

/* So many decimal numbers, one after the other. */
static bool record_numbers(struct record_line *line, uint64_t *out, unsigned count) {
  for (unsigned i = 0; i < count; i++)
    if (!record_number(line, 10, &out[i])) return false;
  return true;
}

static bool record_ran(struct model *model, struct record_line *line) {
  uint64_t n[6];
  struct model_collect *c = &model->collect;
  if (!record_numbers(line, n, 6)) return false;
  c->elapsed_ns = n[0], c->stopped_ns = n[1], c->collecting_ns = n[2];
  c->heap_most = n[3], c->concurrent = n[4], c->markers_most = n[5];
  return true;
}

static bool record_generation(struct model *model, struct record_line *line) {
  uint64_t n[10];
  if (!record_numbers(line, n, 10) || n[0] >= model_generations) return false;
  if (n[0] >= model->collect.generation_count) model->collect.generation_count = (unsigned)n[0] + 1;
  model->collect.generations[n[0]] = (struct model_generation){
      .collections = n[1], .given_up = n[2], .objects = n[3], .bytes = n[4], .time_ns = n[5],
      .stopped_ns = n[6], .pause_50_ns = n[7], .pause_99_ns = n[8], .pause_max_ns = n[9]};
  return true;
}

static bool record_pauses(struct model *model, struct record_line *line) {
  uint64_t n[2];
  struct model_collect *c = &model->collect;
  if (!record_numbers(line, n, 2) || c->bar_count == model_bars) return false;
  c->bars[c->bar_count++] = (struct model_bar){.below_ns = n[0], .count = n[1]};
  return true;
}

static bool record_tracking(struct model *model, struct record_line *line) {
  const char *word;
  size_t length = record_word(line, &word);
  model->collect.way = model_copy(word, length);
  model->collect.why = record_text(line);
  return length > 0;
}

static bool record_given_up(struct model *model, struct record_line *line) {
  uint64_t count;
  struct model_collect *c = &model->collect;
  if (!record_number(line, 10, &count) || c->given_up_count == model_reasons) return false;
  c->given_up[c->given_up_count++] = (struct model_given_up){.count = count, .why = record_text(line)};
  return true;
}

static bool record_line(struct model *model, struct record_line *line) {
  const char *word;
  uint64_t n = 0;
  size_t length = record_word(line, &word);
  if (length == 0) return true;
  if (record_is(word, length, "leak")) return record_leak(model, line);
  if (record_is(word, length, "module")) return record_module(model, line);
  if (record_is(word, length, "stack")) return record_stack(model, line);
  if (record_is(word, length, "totals")) return record_totals(model, line);
  if (record_is(word, length, "search")) return record_search(model, line);
  if (record_is(word, length, "kind")) return record_kind(model, line);
  if (record_is(word, length, "program")) return model->program = record_text(line), true;
  if (record_is(word, length, "message")) return model->message = record_text(line), true;
  if (record_is(word, length, "ran")) return record_ran(model, line);
  if (record_is(word, length, "generation")) return record_generation(model, line);
  if (record_is(word, length, "pauses")) return record_pauses(model, line);
  if (record_is(word, length, "tracking")) return record_tracking(model, line);
  if (record_is(word, length, "given-up")) return record_given_up(model, line);
  if (record_is(word, length, "end")) return model->complete = true;
  if (!record_is(word, length, "pid") || !record_number(line, 10, &n) || n > INT_MAX) return false;
  model->pid = (long)n;
  return true;
}

bool record_parse(struct model *model, const char *text, size_t length) {
  const char *end = text + length;
  size_t magic = strlen(RECORD_MAGIC);
  if (length <= magic || memcmp(text, RECORD_MAGIC, magic) != 0 || text[magic] != '\n') return false;
  text += magic + 1;
  while (text < end && !model->complete) {
    const char *newline = memchr(text, '\n', (size_t)(end - text));
    struct record_line line = {text, newline ? newline : end};
    /* A last line without its newline was cut off, perhaps inside a number: it cannot be trusted. */
    if (!newline || !record_line(model, &line)) model->bad_lines++;
    text = newline ? newline + 1 : end;
  }
  return true;
}

bool record_read(struct model *model, int fd, int *error) {
  char *text = NULL;
  size_t length = 0, room = 0;
  *error = 0;
  for (;;) {
    text = model_grow(text, &room, length + (1 << 16), 1);
    ssize_t n = read(fd, text + length, room - length);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) *error = errno;
    if (n <= 0) break;
    length += (size_t)n;
  }
  bool good = *error == 0 && record_parse(model, text, length);
  free(text); /* the model has copies of all it needs */
  return good;
}
