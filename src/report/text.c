/* SPDX-License-Identifier: MIT
 * The report as plain text, for people. */
#include "config.h"

#include "report/writer.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

const char *text_number(char *buffer, uint64_t n) {
  char *at = buffer + text_number_size - 1;
  *at = '\0';
  for (int digits = 0;; digits++) {
    if (digits && digits % 3 == 0) *--at = ',';
    *--at = (char)('0' + n % 10);
    n /= 10;
    if (n == 0) return at;
  }
}

static const char *text_base_name(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash && slash[1] ? slash + 1 : path;
}

/* Control characters of a hostile name must not reach a terminal. */
static void text_put(FILE *out, const char *text) {
  for (; *text; text++) fputc((unsigned char)*text < ' ' || *text == 127 ? '?' : *text, out);
}

static int text_width(const char *text) { return text ? (int)strlen(text) : 0; }

static void text_place(FILE *out, const struct model *model, const struct model_frame *frame,
                       const struct symbol *symbol) {
  const struct model_module *module = model_module_of(model, frame);
  if (symbol && symbol->file) {
    text_put(out, symbol->file_shown);
    fprintf(out, ":%d", symbol->line);
  } else if (symbol && symbol->caller) {
    fputs("(inlined)", out);
  } else if (module) {
    fputc('(', out);
    text_put(out, text_base_name(module->path));
    fprintf(out, "+0x%" PRIx64 ")", model_offset(model, frame));
  }
}

/* Nothing but the module is known: enough to look it up elsewhere. The build id stands where a module is first met. */
static void text_unnamed(FILE *out, const struct model *model, const struct model_frame *frame, bool *met) {
  const struct model_module *module = model_module_of(model, frame);
  if (!module) {
    fprintf(out, "0x%" PRIx64 " (in no module)", frame->address);
    return;
  }
  text_put(out, module->path);
  fprintf(out, "+0x%" PRIx64, model_offset(model, frame));
  if (module->build_id && !met[module->same]) fprintf(out, " (build id %s)", module->build_id);
  met[module->same] = true;
}

static void text_stack(FILE *out, const struct model *model, const struct model_stack *stack, bool *met) {
  enum { widest = 32 };
  int width = 0, number = 0;
  for (size_t i = 0; i < stack->count; i++)
    for (const struct symbol *s = model->frames[stack->first + i].symbol; s; s = s->caller)
      if (text_width(s->function) > width && text_width(s->function) <= widest) width = text_width(s->function);
  for (size_t i = 0; i < stack->count; i++) {
    const struct model_frame *frame = &model->frames[stack->first + i];
    const struct symbol *symbol = frame->symbol;
    if (!symbol) {
      fprintf(out, "    #%-3d ", number++);
      text_unnamed(out, model, frame, met);
      fputc('\n', out);
    }
    for (; symbol; symbol = symbol->caller) {
      const char *function = symbol->function ? symbol->function : "?";
      fprintf(out, "    #%-3d ", number++);
      text_put(out, function);
      fprintf(out, "%*s  ", text_width(function) < width ? width - text_width(function) : 0, "");
      text_place(out, model, frame, symbol);
      fputc('\n', out);
    }
  }
  if (stack->count == 0) fputs("    (no stack is known)\n", out);
}

void text_write_stack(FILE *out, const struct model *model, const struct model_stack *stack) {
  bool *met = model_alloc(model->module_count + 1);
  text_stack(out, model, stack, met);
  free(met);
}

static void text_size(FILE *out, const struct model_count *size) {
  char bytes[text_number_size], count[text_number_size];
  fprintf(out, "%s byte%s in %s block%s", text_number(bytes, size->bytes), size->bytes == 1 ? "" : "s",
          text_number(count, size->count), size->count == 1 ? "" : "s");
}

static void text_leak(FILE *out, const struct model *model, const struct model_leak *leak, bool *met) {
  static const char *const kinds[] = {"definitely lost", "indirectly lost", "still reachable", "reclaimed"};
  text_size(out, &leak->size);
  const char *verb = leak->kind == MODEL_RECLAIMED ? (leak->size.count == 1 ? "was" : "were")
                                                   : (leak->size.count == 1 ? "is" : "are");
  fprintf(out, " %s %s%s, allocated at\n", verb, kinds[leak->kind],
          !leak->cycle            ? ""
          : leak->size.count == 1 ? " (the entry of a cycle)"
                                  : " (each the entry of a cycle)");
  text_stack(out, model, &leak->stack, met);
  fputc('\n', out);
}

/* The totals, right-aligned under each other. */
static void text_totals(FILE *out, const struct model *model) {
  static const char *const names[] = {
      "definitely lost:", "indirectly lost:", "still reachable:", "suppressed:"};
  const struct model_count *totals[] = {&model->totals[0], &model->totals[1], &model->totals[2],
                                        &model->suppressed};
  int bytes_width = 0, count_width = 0, lines = model->suppressed.count ? 4 : 3;
  char buffer[text_number_size], other[text_number_size];
  for (int i = 0; i < lines; i++) {
    int bytes = text_width(text_number(buffer, totals[i]->bytes));
    int count = text_width(text_number(buffer, totals[i]->count));
    bytes_width = bytes > bytes_width ? bytes : bytes_width;
    count_width = count > count_width ? count : count_width;
  }
  for (int i = 0; i < lines; i++)
    fprintf(out, "== %-16s %*s bytes in %*s blocks\n", names[i], bytes_width,
            text_number(buffer, totals[i]->bytes), count_width, text_number(other, totals[i]->count));
}

static void text_search(FILE *out, const struct model *model) {
  const struct model_search *s = &model->search;
  char objects[text_number_size], roots[text_number_size];
  uint64_t us = (s->stop_ns + s->roots_ns + s->classify_ns) / 1000;
  fprintf(out,
          "searched %s blocks from %s bytes of roots and %" PRIu64 " thread%s in %" PRIu64 ".%03" PRIu64 " ms",
          text_number(objects, s->objects), text_number(roots, s->root_bytes), s->threads,
          s->threads == 1 ? "" : "s", us / 1000, us % 1000);
}

/* What makes the report less than whole is said whenever there is a report. */
static void text_doubts(FILE *out, const struct model *model) {
  if (model->search.not_stopped)
    fprintf(out, "== %" PRIu64 " thread%s could not be stopped: what only they point to is listed as lost\n",
            model->search.not_stopped, model->search.not_stopped == 1 ? "" : "s");
  if (!model->complete) fputs("== the record is cut off: there may be more\n", out);
  if (model->bad_lines)
    fprintf(out, "== %zu line%s of the record could not be read\n", model->bad_lines,
            model->bad_lines == 1 ? "" : "s");
}

static void text_misuse(FILE *out, const struct model *model) {
  bool *met = model_alloc(model->module_count);
  fputs("gleaner: ", out);
  text_put(out, *model->message ? model->message : "memory was misused");
  fputs(" in ", out);
  text_put(out, model->program);
  fprintf(out, " (pid %ld)\n", model->pid);
  for (size_t i = 0; i < model->stack_count; i++) {
    fputs("  ", out);
    text_put(out, model->stacks[i].title);
    fputc('\n', out);
    text_stack(out, model, &model->stacks[i].stack, met);
  }
  text_doubts(out, model);
  free(met);
}

/* --- a summary of collections --- */

/* Nanoseconds as milliseconds with three decimals, right-aligned. */
static void text_ms(FILE *out, int width, uint64_t ns) {
  uint64_t us = ns / 1000;
  fprintf(out, "%*" PRIu64 ".%03" PRIu64, width > 4 ? width - 4 : 0, us / 1000, us % 1000);
}

static void text_generations(FILE *out, const struct model_collect *c) {
  enum { wide = 12 };
  fprintf(out, "%-10s %11s %8s %13s %16s %*s %*s %*s %*s\n", "generation", "collections", "given up", "objects", "bytes",
          wide, "time in ms", wide, "pauses: 50 %", wide, "99 %", wide, "longest");
  for (unsigned i = 0; i < c->generation_count; i++) {
    const struct model_generation *g = &c->generations[i];
    const uint64_t times[] = {g->time_ns, g->pause_50_ns, g->pause_99_ns, g->pause_max_ns};
    char objects[text_number_size], bytes[text_number_size];
    fprintf(out, "%-10u %11" PRIu64 " %8" PRIu64 " %13s %16s", i, g->collections, g->given_up,
            text_number(objects, g->objects), text_number(bytes, g->bytes));
    for (size_t k = 0; k < sizeof times / sizeof times[0]; k++) fputc(' ', out), text_ms(out, wide, times[k]);
    fputc('\n', out);
  }
}

static void text_pauses(FILE *out, const struct model_collect *c) {
  enum { widest = 50 };
  uint64_t most = 1;
  for (unsigned i = 0; i < c->bar_count; i++) most = c->bars[i].count > most ? c->bars[i].count : most;
  if (c->bar_count) fputs("\npauses in ms\n", out);
  for (unsigned i = 0; i < c->bar_count; i++) {
    int length = (int)(c->bars[i].count * widest / most);
    fputs("  below ", out);
    text_ms(out, 10, c->bars[i].below_ns);
    fprintf(out, " %10" PRIu64 " ", c->bars[i].count);
    for (int k = 0; k < (length ? length : 1); k++) fputc('#', out);
    fputc('\n', out);
  }
}

static void text_share(FILE *out, uint64_t part, uint64_t whole) {
  uint64_t share = whole ? part * 10000 / whole : 0;
  fprintf(out, "%" PRIu64 ".%02" PRIu64 " %%", share / 100, share % 100);
}

static void text_collect_ends(FILE *out, const struct model_collect *c) {
  fputs("== ran ", out);
  text_ms(out, 0, c->elapsed_ns);
  fputs(" ms; stood still for ", out);
  text_share(out, c->stopped_ns, c->elapsed_ns);
  fputs(" of that, collections took ", out);
  text_share(out, c->collecting_ns, c->elapsed_ns);
  char most[text_number_size];
  fprintf(out, "\n== at most %s bytes before a collection; markers: up to %" PRIu64, text_number(most, c->heap_most),
          c->markers_most);
  fprintf(out, "; marked while the program ran: %" PRIu64 "\n", c->concurrent);
  fputs("== write tracking: ", out);
  text_put(out, c->way);
  if (*c->why) fputs(", because ", out);
  text_put(out, c->why);
  fputc('\n', out);
  for (unsigned i = 0; i < c->given_up_count; i++) {
    fprintf(out, "== given up %" PRIu64 " time%s: ", c->given_up[i].count, c->given_up[i].count == 1 ? "" : "s");
    text_put(out, c->given_up[i].why);
    fputc('\n', out);
  }
}

static void text_collected(FILE *out, const struct model *model) {
  fputs("== gleaner: collections of ", out);
  text_put(out, model->program);
  fprintf(out, " (pid %ld)\n\n", model->pid);
  bool *met = model_alloc(model->module_count);
  for (size_t i = 0; i < model->leak_count; i++)
    if (!model->leaks[i].suppressed) text_leak(out, model, &model->leaks[i], met);
  free(met);
  text_generations(out, &model->collect);
  text_pauses(out, &model->collect);
  text_collect_ends(out, &model->collect);
  text_doubts(out, model);
}

/* The one line of a program that lost nothing. */
static void text_nothing(FILE *out, const struct model *model) {
  fputs("== gleaner: no memory was lost by ", out);
  text_put(out, model->program);
  fprintf(out, " (pid %ld)", model->pid);
  if (model->suppressed.count) {
    fputs("; suppressed: ", out);
    text_size(out, &model->suppressed);
  }
  if (model->search.told) {
    fputs("; ", out);
    text_search(out, model);
  }
  fputc('\n', out);
}

void text_write(FILE *out, const struct model *model, const struct writer_options *options) {
  bool lost = model_has_lost(model), doubts = !model->complete || model->bad_lines;
  if (model->misuse) {
    text_misuse(out, model);
    return;
  }
  if (model->collected) {
    text_collected(out, model);
    return;
  }
  if (!lost && !(options->show_reachable && model->totals[MODEL_REACHABLE].count)) {
    if (!options->verbose && !doubts) return;
    text_nothing(out, model);
    text_doubts(out, model);
    return;
  }
  fprintf(out, "== gleaner: memory %s by ", lost ? "lost" : "kept");
  text_put(out, model->program);
  fprintf(out, " (pid %ld)\n\n", model->pid);
  bool *met = model_alloc(model->module_count);
  for (size_t i = 0; i < model->leak_count; i++) {
    const struct model_leak *leak = &model->leaks[i];
    if (leak->suppressed || (leak->kind == MODEL_REACHABLE && !options->show_reachable)) continue;
    text_leak(out, model, leak, met);
  }
  free(met);
  text_totals(out, model);
  if (options->verbose && model->search.told) {
    fputs("== ", out);
    text_search(out, model);
    fputc('\n', out);
  }
  text_doubts(out, model);
}
