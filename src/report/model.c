/* SPDX-License-Identifier: MIT
 * The report model: space, grouping, order. See model.h. */
#include "config.h"

#include "report/model.h"

#include "base/bits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Breaks rule 11 (a lower layer ends the process): nothing can be drawn without memory, and no caller could
 * help. */
static _Noreturn void model_no_memory(void) {
  fputs("gleaner: out of memory while drawing the report\n", stderr);
  exit(1);
}

void *model_alloc(size_t size) {
  void *p = calloc(1, size ? size : 1);
  if (!p) model_no_memory();
  return p;
}

void *model_grow(void *array, size_t *room, size_t wanted, size_t item) {
  if (wanted <= *room) return array;
  size_t more = *room * 2 > wanted ? *room * 2 : wanted + 15;
  char *grown = reallocarray(array, more, item);
  if (!grown) model_no_memory();
  memset(grown + *room * item, 0, (more - *room) * item);
  *room = more;
  return grown;
}

char *model_copy(const char *text, size_t length) {
  char *copy = model_alloc(length + 1);
  memcpy(copy, text, length);
  return copy;
}

void model_init(struct model *model) {
  memset(model, 0, sizeof *model);
  model->program = "";
  model->message = "";
  model->collect.way = model->collect.why = "";
}

struct model_module *model_module_at(struct model *model, size_t index) {
  model->modules = model_grow(model->modules, &model->module_room, index + 1, sizeof *model->modules);
  if (index >= model->module_count) model->module_count = index + 1;
  return &model->modules[index];
}

void model_add_frame(struct model *model, uint64_t address, int module) {
  model->frames = model_grow(model->frames, &model->frame_room, model->frame_count + 1, sizeof *model->frames);
  model->frames[model->frame_count++] = (struct model_frame){.address = address, .module = module};
}

struct model_leak *model_add_leak(struct model *model) {
  model->leaks = model_grow(model->leaks, &model->leak_room, model->leak_count + 1, sizeof *model->leaks);
  return &model->leaks[model->leak_count++];
}

struct model_titled_stack *model_add_stack(struct model *model) {
  model->stacks = model_grow(model->stacks, &model->stack_room, model->stack_count + 1, sizeof *model->stacks);
  return &model->stacks[model->stack_count++];
}

const struct model_module *model_module_of(const struct model *model, const struct model_frame *frame) {
  if (frame->module < 0 || (size_t)frame->module >= model->module_count) return NULL;
  const struct model_module *module = &model->modules[frame->module];
  return module->known ? module : NULL;
}

uint64_t model_offset(const struct model *model, const struct model_frame *frame) {
  const struct model_module *module = model_module_of(model, frame);
  return module ? frame->address - module->bias : frame->address;
}

static bool model_same_file(const struct model_module *a, const struct model_module *b) {
  if (!a->known || !b->known || strcmp(a->path, b->path) != 0) return false;
  if (!a->build_id || !b->build_id) return a->build_id == b->build_id;
  return strcmp(a->build_id, b->build_id) == 0;
}

static void model_link_modules(struct model *model) {
  for (size_t i = 0; i < model->module_count; i++) {
    size_t same = model->modules[i].known ? 0 : i;
    while (same < i && !model_same_file(&model->modules[same], &model->modules[i])) same++;
    model->modules[i].same = (int)same;
  }
}

static int model_file_of(const struct model *model, const struct model_frame *frame) {
  const struct model_module *module = model_module_of(model, frame);
  return module ? module->same : -1;
}

/* What makes a frame this one, within its file. */
static uint64_t model_place(const struct model *model, const struct model_frame *frame) {
  if (frame->symbol && frame->symbol->file) return (uint64_t)1 << 63 | frame->symbol->id;
  return model_offset(model, frame);
}

static const struct model *model_sorting; /* for the comparisons: qsort gives them no argument */

static int model_compare(uint64_t a, uint64_t b) { return a < b ? -1 : a > b; }

static int model_compare_stacks(const struct model_stack *a, const struct model_stack *b) {
  const struct model *model = model_sorting;
  for (size_t i = 0; i < a->count && i < b->count; i++) {
    const struct model_frame *f = &model->frames[a->first + i], *g = &model->frames[b->first + i];
    int order = model_compare((uint64_t)(model_file_of(model, f) + 1), (uint64_t)(model_file_of(model, g) + 1));
    if (order == 0) order = model_compare(model_place(model, f), model_place(model, g));
    if (order != 0) return order;
  }
  return model_compare(a->count, b->count);
}

static int model_compare_groups(const void *a_, const void *b_) {
  const struct model_leak *a = a_, *b = b_;
  int order = model_compare(a->hash, b->hash);
  if (order == 0) order = (int)a->kind - (int)b->kind;
  if (order == 0) order = (int)a->cycle - (int)b->cycle;
  return order ? order : model_compare_stacks(&a->stack, &b->stack);
}

static int model_compare_sizes(const void *a_, const void *b_) {
  const struct model_leak *a = a_, *b = b_;
  int order = (int)a->kind - (int)b->kind;
  if (order == 0) order = -model_compare(a->size.bytes, b->size.bytes);
  if (order == 0) order = -model_compare(a->size.count, b->size.count);
  if (order == 0) order = model_compare_stacks(&a->stack, &b->stack);
  return order ? order : (int)b->cycle - (int)a->cycle;
}

static uint64_t model_hash(const struct model *model, const struct model_leak *leak) {
  uint64_t hash = bits_mix((uint64_t)leak->kind * 2 + leak->cycle + 1);
  for (size_t i = 0; i < leak->stack.count; i++) {
    const struct model_frame *frame = &model->frames[leak->stack.first + i];
    hash = bits_mix(hash ^ model_place(model, frame)) + (uint64_t)(model_file_of(model, frame) + 1);
  }
  return hash;
}

static void model_add_up(struct model *model) {
  for (size_t i = 0; i < model->leak_count; i++) {
    struct model_count *total = &model->totals[model->leaks[i].kind];
    total->count += model->leaks[i].size.count;
    total->bytes += model->leaks[i].size.bytes;
  }
}

void model_group(struct model *model) {
  model_link_modules(model);
  if (!model->totals_told) model_add_up(model);
  model->totals_told = true;
  for (size_t i = 0; i < model->leak_count; i++) model->leaks[i].hash = model_hash(model, &model->leaks[i]);

  model_sorting = model;
  if (model->leak_count) qsort(model->leaks, model->leak_count, sizeof *model->leaks, model_compare_groups);
  size_t kept = 0;
  for (size_t i = 0; i < model->leak_count; i++) {
    const struct model_leak *leak = &model->leaks[i];
    struct model_leak *group = kept ? &model->leaks[kept - 1] : NULL;
    if (group && model_compare_groups(group, leak) == 0) {
      group->size.count += leak->size.count;
      group->size.bytes += leak->size.bytes;
    } else {
      model->leaks[kept++] = *leak;
    }
  }
  model->leak_count = kept;
  if (kept) qsort(model->leaks, kept, sizeof *model->leaks, model_compare_sizes);
}

bool model_has_lost(const struct model *model) {
  if (model->totals[MODEL_DEFINITE].count || model->totals[MODEL_INDIRECT].count) return true;
  for (size_t i = 0; i < model->leak_count; i++)
    if (model->leaks[i].kind < MODEL_REACHABLE && !model->leaks[i].suppressed) return true;
  return false;
}
