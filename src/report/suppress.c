/* SPDX-License-Identifier: MIT
 * Suppressions: reading and matching. */
#include "config.h"

#include "report/suppress.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* pattern, from its first byte, against text from its first byte; up to the end of text when tied. Going back
 * to the last star only is enough, so that no pattern is slow. */
static bool suppress_glob(const char *pattern, size_t length, const char *text, bool tied) {
  const char *end = pattern + length, *star = NULL, *resume = NULL;
  for (;;) {
    if (pattern == end && (!tied || !*text)) return true;
    if (pattern < end && *pattern == '*') {
      star = ++pattern;
      resume = text;
    } else if (pattern < end && *text && *pattern == *text) {
      pattern++;
      text++;
    } else if (star && *resume) {
      pattern = star;
      text = ++resume;
    } else {
      return false;
    }
  }
}

bool suppress_match(const char *pattern, const char *text) {
  size_t length = strlen(pattern);
  bool first = length > 0 && pattern[0] == '^';
  pattern += first;
  length -= first;
  bool last = length > 0 && pattern[length - 1] == '$';
  length -= last;
  if (first) return suppress_glob(pattern, length, text, last);
  for (;; text++) {
    if (suppress_glob(pattern, length, text, last)) return true;
    if (!*text) return false;
  }
}

static void suppress_line(struct suppressions *s, const char *path, size_t number, char *line,
                          void (*complain)(const char *line)) {
  static const char kind[] = "leak:";
  line += strspn(line, " \t");
  size_t length = strlen(line);
  while (length > 0 && strchr(" \t\r\n", line[length - 1])) line[--length] = '\0';
  if (length == 0 || *line == '#') return;
  if (strncmp(line, kind, sizeof kind - 1) == 0 && length > sizeof kind - 1) {
    s->patterns = model_grow(s->patterns, &s->room, s->count + 1, sizeof *s->patterns);
    s->patterns[s->count++] = model_copy(line + sizeof kind - 1, length - (sizeof kind - 1));
    return;
  }
  char text[512];
  snprintf(text, sizeof text, "%s, line %zu: '%.100s' is not leak:PATTERN", path, number, line);
  complain(text);
}

bool suppress_read(struct suppressions *s, const char *path, void (*complain)(const char *line)) {
  FILE *file = fopen(path, "re");
  if (!file) return false;
  char *line = NULL;
  size_t room = 0;
  errno = 0;
  for (size_t number = 1; getline(&line, &room, file) >= 0; number++)
    suppress_line(s, path, number, line, complain);
  bool good = !ferror(file);
  int saved = errno;
  free(line);
  fclose(file);
  errno = saved;
  return good;
}

static bool suppress_names(const char *pattern, const struct model *model, const struct model_frame *frame) {
  const struct model_module *module = model_module_of(model, frame);
  if (module && suppress_match(pattern, module->path)) return true;
  for (const struct symbol *symbol = frame->symbol; symbol; symbol = symbol->caller)
    if ((symbol->function && suppress_match(pattern, symbol->function)) ||
        (symbol->file && suppress_match(pattern, symbol->file)))
      return true;
  return false;
}

static bool suppress_covers(const struct suppressions *s, const struct model *model,
                            const struct model_leak *leak) {
  for (size_t i = 0; i < leak->stack.count; i++)
    for (size_t p = 0; p < s->count; p++)
      if (suppress_names(s->patterns[p], model, &model->frames[leak->stack.first + i])) return true;
  return false;
}

static void suppress_move(struct model_count *from, struct model_count *to, const struct model_count *size) {
  from->count -= size->count < from->count ? size->count : from->count;
  from->bytes -= size->bytes < from->bytes ? size->bytes : from->bytes;
  to->count += size->count;
  to->bytes += size->bytes;
}

void suppress_apply(const struct suppressions *s, struct model *model) {
  if (s->count == 0) return;
  for (size_t i = 0; i < model->leak_count; i++) {
    struct model_leak *leak = &model->leaks[i];
    leak->suppressed = leak->kind != MODEL_REACHABLE && suppress_covers(s, model, leak);
    if (leak->suppressed) suppress_move(&model->totals[leak->kind], &model->suppressed, &leak->size);
  }
}
