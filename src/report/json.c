/* SPDX-License-Identifier: MIT
 * The report as JSON, for programs. The members are a promise: they are described in gleaner(1), more may be
 * added, none goes. What is unknown is null. */
#include "config.h"

#include "report/writer.h"

#include <inttypes.h>
#include <string.h>

/* The length of the valid UTF-8 sequence at text (RFC 3629: shortest form, no surrogates), or 0. */
static int json_utf8(const unsigned char *text) {
  if (text[0] >= 0x01 && text[0] <= 0x7f) return 1;
  static const struct {
    unsigned char lo, hi, second_lo, second_hi, length;
  } forms[] = {{0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
               {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4},
               {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4}};
  for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
    if (text[0] < forms[i].lo || text[0] > forms[i].hi) continue;
    if (text[1] < forms[i].second_lo || text[1] > forms[i].second_hi) return 0;
    for (int k = 2; k < forms[i].length; k++)
      if ((text[k] & 0xc0) != 0x80) return 0;
    return forms[i].length;
  }
  return 0;
}

/* The bytes from text on that stand for themselves. */
static size_t json_plain(const unsigned char *text) {
  size_t length = 0;
  for (;;) {
    unsigned char c = text[length];
    int sequence = c < ' ' || c == '"' || c == '\\' || c == 127 ? 0 : json_utf8(text + length);
    if (sequence == 0) return length;
    length += (size_t)sequence;
  }
}

static void json_string(FILE *out, const char *text) {
  if (!text) {
    fputs("null", out);
    return;
  }
  fputc('"', out);
  for (const unsigned char *at = (const unsigned char *)text;;) {
    size_t length = json_plain(at);
    fwrite(at, 1, length, out);
    at += length;
    if (!*at) break;
    if (*at == '"' || *at == '\\') fprintf(out, "\\%c", *at);
    else if (*at == '\n') fputs("\\n", out);
    else if (*at < 128) fprintf(out, "\\u%04x", *at);
    else fputs("\\ufffd", out); /* no text: the replacement character */
    at++;
  }
  fputc('"', out);
}

static void json_count(FILE *out, const char *name, const struct model_count *size) {
  fprintf(out, "\"%s\":{\"count\":%" PRIu64 ",\"bytes\":%" PRIu64 "}", name, size->count, size->bytes);
}

static void json_frame(FILE *out, const struct model *model, const struct model_frame *frame,
                       const struct symbol *symbol) {
  const struct model_module *module = model_module_of(model, frame);
  fprintf(out, "{\"address\":\"0x%" PRIx64 "\",\"module\":", frame->address);
  json_string(out, module ? module->path : NULL);
  fputs(",\"build_id\":", out);
  json_string(out, module ? module->build_id : NULL);
  if (module) fprintf(out, ",\"offset\":\"0x%" PRIx64 "\"", model_offset(model, frame));
  else fputs(",\"offset\":null", out);
  fputs(",\"function\":", out);
  json_string(out, symbol ? symbol->function : NULL);
  fputs(",\"file\":", out);
  json_string(out, symbol ? symbol->file : NULL);
  if (symbol && symbol->file) fprintf(out, ",\"line\":%d", symbol->line);
  else fputs(",\"line\":null", out);
  fprintf(out, ",\"inlined\":%s}", symbol && symbol->caller ? "true" : "false");
}

static void json_stack(FILE *out, const struct model *model, const struct model_stack *stack) {
  fputs("\"frames\":[", out);
  for (size_t i = 0; i < stack->count; i++) {
    const struct model_frame *frame = &model->frames[stack->first + i];
    const struct symbol *symbol = frame->symbol;
    if (i) fputc(',', out);
    do {
      json_frame(out, model, frame, symbol);
      if (symbol) symbol = symbol->caller;
      if (symbol) fputc(',', out);
    } while (symbol);
  }
  fputc(']', out);
}

static void json_leak(FILE *out, const struct model *model, const struct model_leak *leak) {
  static const char *const kinds[] = {"definite", "indirect", "reachable", "reclaimed"};
  fprintf(out, "{\"kind\":\"%s\",\"count\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"cycle\":%s,", kinds[leak->kind],
          leak->size.count, leak->size.bytes, leak->cycle ? "true" : "false");
  json_stack(out, model, &leak->stack);
  fputc('}', out);
}

static void json_search(FILE *out, const struct model_search *s) {
  fprintf(out,
          ",\n\"search\":{\"objects\":%" PRIu64 ",\"root_bytes\":%" PRIu64 ",\"threads\":%" PRIu64
          ",\"not_stopped\":%" PRIu64 ",\"stop_ns\":%" PRIu64 ",\"roots_ns\":%" PRIu64
          ",\"classify_ns\":%" PRIu64 "}",
          s->objects, s->root_bytes, s->threads, s->not_stopped, s->stop_ns, s->roots_ns, s->classify_ns);
}

static void json_misuse(FILE *out, const struct model *model) {
  fputs(",\n\"misuse\":{\"message\":", out);
  json_string(out, model->message);
  fputs(",\"stacks\":[", out);
  for (size_t i = 0; i < model->stack_count; i++) {
    fprintf(out, "%s{\"title\":", i ? "," : "");
    json_string(out, model->stacks[i].title);
    fputc(',', out);
    json_stack(out, model, &model->stacks[i].stack);
    fputc('}', out);
  }
  fputs("]}", out);
}

static void json_generation(FILE *out, const struct model_generation *g) {
  fprintf(out,
          "{\"collections\":%" PRIu64 ",\"given_up\":%" PRIu64 ",\"objects\":%" PRIu64 ",\"bytes\":%" PRIu64
          ",\"time_ns\":%" PRIu64 ",\"stopped_ns\":%" PRIu64 ",\"pause_50_ns\":%" PRIu64 ",\"pause_99_ns\":%" PRIu64
          ",\"pause_max_ns\":%" PRIu64 "}",
          g->collections, g->given_up, g->objects, g->bytes, g->time_ns, g->stopped_ns, g->pause_50_ns, g->pause_99_ns,
          g->pause_max_ns);
}

static void json_collect(FILE *out, const struct model_collect *c) {
  fprintf(out,
          ",\n\"collect\":{\"elapsed_ns\":%" PRIu64 ",\"stopped_ns\":%" PRIu64 ",\"collecting_ns\":%" PRIu64
          ",\"heap_most\":%" PRIu64 ",\"concurrent\":%" PRIu64 ",\"markers\":%" PRIu64 ",\"write_tracking\":",
          c->elapsed_ns, c->stopped_ns, c->collecting_ns, c->heap_most, c->concurrent, c->markers_most);
  json_string(out, c->way);
  fputs(",\"write_tracking_why\":", out);
  json_string(out, c->why);
  fputs(",\n \"generations\":[", out);
  for (unsigned i = 0; i < c->generation_count; i++) {
    if (i) fputs(",\n  ", out);
    json_generation(out, &c->generations[i]);
  }
  fputs("],\n \"pauses\":[", out);
  for (unsigned i = 0; i < c->bar_count; i++)
    fprintf(out, "%s{\"below_ns\":%" PRIu64 ",\"count\":%" PRIu64 "}", i ? "," : "", c->bars[i].below_ns, c->bars[i].count);
  fputs("],\n \"given_up\":[", out);
  for (unsigned i = 0; i < c->given_up_count; i++) {
    fprintf(out, "%s{\"count\":%" PRIu64 ",\"why\":", i ? "," : "", c->given_up[i].count);
    json_string(out, c->given_up[i].why);
    fputc('}', out);
  }
  fputs("]}", out);
}

void json_write(FILE *out, const struct model *model, const struct writer_options *options) {
  fprintf(out, "{\"version\":1,\"pid\":%ld,\"program\":", model->pid);
  json_string(out, model->program);
  fputs(",\n\"totals\":{", out);
  json_count(out, "definite", &model->totals[MODEL_DEFINITE]);
  fputc(',', out);
  json_count(out, "indirect", &model->totals[MODEL_INDIRECT]);
  fputc(',', out);
  json_count(out, "reachable", &model->totals[MODEL_REACHABLE]);
  fputs("},\n", out);
  json_count(out, "suppressed", &model->suppressed);
  fprintf(out, ",\n\"complete\":%s", model->complete && model->bad_lines == 0 ? "true" : "false");
  if (model->search.told) json_search(out, &model->search);
  if (model->misuse) json_misuse(out, model);
  if (model->collected) json_collect(out, &model->collect);
  fputs(",\n\"leaks\":[", out);
  const char *between = "\n";
  for (size_t i = 0; i < model->leak_count; i++) {
    const struct model_leak *leak = &model->leaks[i];
    if (leak->suppressed || (leak->kind == MODEL_REACHABLE && !options->show_reachable)) continue;
    fputs(between, out);
    json_leak(out, model, leak);
    between = ",\n";
  }
  fputs("]}\n", out);
}
