/* SPDX-License-Identifier: MIT
 * Tables and ways as plain text. Names are looked up only for what is shown. */
#include "config.h"

#include "report/heap_text.h"

#include "base/bits.h"
#include "report/heap_graph.h"
#include "report/symbols.h"
#include "report/writer.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* --- names --- */

/* Stacks are gathered, and named all at once: each time opens the files anew. */
static void heap_gather(struct dumped *d, size_t first, size_t count) {
  *model_add_stack(&d->model) = (struct model_titled_stack){"", {first, count}};
}

static void heap_gather_site(struct dumped *d, const struct dumped_site *site) {
  if (site) heap_gather(d, site->first, site->count);
}

static void heap_name(struct dumped *d) {
  symbols_name(&d->model);
  d->model.stack_count = 0;
}

/* The function that was at pc. exact: interrupted there, not called from before it. */
static const struct symbol *heap_function(struct dumped *d, uint64_t pc, bool exact, size_t *frame) {
  *frame = d->model.frame_count;
  model_add_frame(&d->model, pc + exact, dumped_module_at(d, pc));
  heap_gather(d, *frame, 1);
  heap_name(d);
  return d->model.frames[*frame].symbol;
}

static const char *heap_base_name(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash && slash[1] ? slash + 1 : path;
}

static void heap_put_function(FILE *out, struct dumped *d, uint64_t pc, bool exact) {
  size_t frame;
  const struct symbol *symbol = heap_function(d, pc, exact, &frame);
  int module = dumped_module_at(d, pc);
  if (symbol && symbol->function) {
    fprintf(out, "in %s", symbol->function);
    if (symbol->file) fprintf(out, " (%s:%d)", symbol->file_shown, symbol->line);
  } else if (module >= 0)
    fprintf(out, "in %s+0x%" PRIx64, d->model.modules[module].path, pc - d->model.modules[module].bias);
  else
    fprintf(out, "in code at 0x%" PRIx64, pc);
}

/* --- roots --- */

static void heap_put_thread(FILE *out, const struct dumped *d, int index) {
  if (index < 0) return;
  const struct dumped_thread *thread = &d->threads[index];
  fprintf(out, " of thread %ld", thread->tid);
  if (*thread->name) fprintf(out, " (%s)", thread->name);
}

static void heap_put_offset(FILE *out, const char *name, uint64_t offset) {
  fprintf(out, "'%s'", name);
  if (offset) fprintf(out, "+%" PRIu64, offset);
}

static void heap_put_global(FILE *out, const struct dumped *d, uint64_t at) {
  int index = dumped_module_at(d, at);
  uint64_t offset = 0;
  if (index < 0) {
    fputs("a file's private memory", out);
    return;
  }
  const struct model_module *module = &d->model.modules[index];
  const char *name = symbols_variable(module, at, &offset);
  if (name) {
    fputs("global variable ", out);
    heap_put_offset(out, name, offset);
    fprintf(out, " of %s", module->path);
  } else
    fprintf(out, "global variable at %s+0x%" PRIx64, module->path, at - module->bias);
}

static void heap_put_tls(FILE *out, const struct dumped *d, const struct dumped_root *root, uint64_t at) {
  uint64_t offset = 0, tcb = root->thread >= 0 ? d->threads[root->thread].tcb : 0;
  const char *name = NULL;
  for (size_t i = 0; at < tcb && i < d->model.module_count && !name; i++)
    if (strcmp(d->model.modules[i].path, d->program) == 0) name = symbols_tls_variable(&d->model.modules[i], tcb - at, &offset);
  if (name) {
    fputs("thread-local variable ", out);
    heap_put_offset(out, name, offset);
  } else
    fputs("thread-local storage", out);
  heap_put_thread(out, d, root->thread);
}

/* Frames stand innermost first, each from its stack pointer up. */
static void heap_put_stack(FILE *out, struct dumped *d, const struct dumped_root *root, uint64_t at) {
  fputs("the stack", out);
  heap_put_thread(out, d, root->thread);
  if (root->thread < 0 || !d->threads[root->thread].frame_count) return;
  const struct dumped_thread *thread = &d->threads[root->thread];
  size_t i = 0;
  while (i + 1 < thread->frame_count && thread->frames[i + 1].sp <= at) i++;
  fputs(", ", out);
  heap_put_function(out, d, thread->frames[i].pc, i == 0);
}

static void heap_put_registers(FILE *out, struct dumped *d, const struct dumped_root *root) {
  fputs("a register", out);
  heap_put_thread(out, d, root->thread);
  if (root->thread < 0 || !d->threads[root->thread].frame_count) return;
  fputs(", ", out);
  heap_put_function(out, d, d->threads[root->thread].frames[0].pc, true);
}

static void heap_put_root(FILE *out, struct dumped *d, const struct dumped_root *root, uint64_t at) {
  switch (root->kind) {
  case DUMP_REGISTERS: heap_put_registers(out, d, root); return;
  case DUMP_STACK_OF_THREAD: heap_put_stack(out, d, root, at); break;
  case DUMP_TLS: heap_put_tls(out, d, root, at); break;
  case DUMP_GLOBAL: heap_put_global(out, d, at); break;
  case DUMP_DECLARED: fputs("memory that was declared a root", out); break;
  case DUMP_KEPT: fputs("what was handed to the collector (a pinned object, a value of a weak map, the argument of a callback)", out); return;
  case DUMP_KERNEL: fputs("what the kernel will give back (epoll, a timer, a signal)", out); return;
  case DUMP_DEAD_STACK:
    fputs("what calls that have returned left below the stack pointer", out);
    heap_put_thread(out, d, root->thread);
    break;
  default: fprintf(out, "memory outside of the heap (%s)", *root->name ? root->name : "anonymous");
  }
  fprintf(out, ", at 0x%" PRIx64, at);
}

/* --- one object --- */

static void heap_put_object(FILE *out, const struct dumped *d, uint32_t object) {
  char number[text_number_size];
  uint8_t flags = d->flags[object];
  fprintf(out, "0x%" PRIx64 ": %s bytes, %s", d->address[object], text_number(number, dumped_size(d, object)),
          dumped_kind_name(dumped_kind(d, object)));
  if (flags & DUMP_FROZEN) fputs(", frozen\n", out);
  else fprintf(out, ", generation %d%s\n", flags & DUMP_AGE, flags & DUMP_SUSPECT ? ", found unreachable once" : "");
}

static void heap_put_site(FILE *out, struct dumped *d, uint32_t object) {
  const struct dumped_site *site = dumped_site_of(d, object);
  if (!site) return;
  heap_gather_site(d, site);
  heap_name(d);
  fputs("allocated at\n", out);
  text_write_stack(out, &d->model, &(struct model_stack){site->first, site->count});
}

static void heap_put_path(FILE *out, struct dumped *d, const struct heap_path *path) {
  for (size_t i = 0; i < path->count; i++) {
    uint64_t at = i ? dumped_edge_at(d, path->objects[i - 1], path->objects[i]) : 0;
    if (i) fprintf(out, "  +%" PRIu64 " -> ", at - d->address[path->objects[i - 1]]);
    else fputs("  -> ", out);
    heap_put_object(out, d, path->objects[i]);
  }
}

bool heap_text_why(FILE *out, struct dumped *d, uint32_t object) {
  struct heap_path path;
  heap_put_object(out, d, object);
  heap_put_site(out, d, object);
  heap_find_path(d, object, &path);
  if (d->roots_missing) fprintf(out, "not all roots could be read (%s)\n", strerror(d->roots_missing));
  if (path.tier == HEAP_UNREACHED) {
    fputs("nothing leads to it: it is garbage\n", out);
    return false;
  }
  if (path.root) heap_put_root(out, d, path.root, path.root_at);
  else if (path.tier == HEAP_FROM_OWNED) fputs("no root leads there: malloc'ed memory that was not freed", out);
  else fputs("no root leads there: an object that is kept until it is freed", out);
  fputc('\n', out);
  heap_put_path(out, d, &path);
  free(path.objects);
  return true;
}

/* --- tables --- */

struct heap_row {
  uint64_t key, count, bytes;
};

static int heap_compare_rows(const void *a_, const void *b_) {
  const struct heap_row *a = a_, *b = b_;
  if (a->bytes != b->bytes) return a->bytes < b->bytes ? 1 : -1;
  if (a->count != b->count) return a->count < b->count ? 1 : -1;
  return a->key < b->key ? -1 : a->key > b->key;
}

struct heap_table {
  struct heap_row *rows;
  size_t count, size; /* size: of a hash table, a power of two */
};

/* By open addressing; key 0 is one like others, so keys are stored plus one. */
static struct heap_row *heap_row(struct heap_table *table, uint64_t key) {
  if (2 * (table->count + 1) > table->size) {
    struct heap_table old = *table;
    table->size = old.size ? old.size * 2 : 1024;
    table->rows = model_alloc(table->size * sizeof *table->rows);
    table->count = 0;
    for (size_t i = 0; i < old.size; i++)
      if (old.rows[i].key) *heap_row(table, old.rows[i].key - 1) = old.rows[i];
    free(old.rows);
  }
  for (size_t i = (size_t)bits_mix(key + 1);; i++) {
    struct heap_row *row = &table->rows[i & (table->size - 1)];
    if (row->key == key + 1) return row;
    if (row->key) continue;
    row->key = key + 1;
    table->count++;
    return row;
  }
}

static void heap_sort(struct heap_table *table) {
  size_t kept = 0;
  for (size_t i = 0; i < table->size; i++)
    if (table->rows[i].key) table->rows[kept++] = table->rows[i];
  if (kept) qsort(table->rows, kept, sizeof *table->rows, heap_compare_rows);
  for (size_t i = 0; i < kept; i++) table->rows[i].key--;
}

static uint64_t heap_key(const struct dumped *d, const struct dumped_block *block, uint32_t object, enum heap_by by) {
  if (by == HEAP_BY_SITE) return object < d->site_objects ? d->site[object] : 0;
  if (by == HEAP_BY_SIZE) return dumped_size(d, object) * dump_kinds + block->kind;
  return d->flags[object] & DUMP_FROZEN ? 3 : d->flags[object] & DUMP_AGE;
}

static void heap_count(const struct dumped *d, struct heap_table *table, enum heap_by by) {
  for (size_t b = 0; b < d->block_count; b++) {
    const struct dumped_block *block = &d->blocks[b];
    for (uint32_t i = block->first; i < block->first + block->count; i++) {
      struct heap_row *row = heap_row(table, heap_key(d, block, i, by));
      row->count++;
      row->bytes += d->size[i] != UINT32_MAX ? d->size[i] : block->size;
    }
  }
}

static void heap_put_head(FILE *out, const struct dumped *d) {
  char objects[text_number_size], bytes[text_number_size];
  uint64_t sum = 0;
  for (uint32_t i = 0; i < d->count; i++) sum += dumped_size(d, i);
  fprintf(out, "%s (pid %ld, mode %s): %s bytes in %s objects\n", d->program, d->pid, d->mode, text_number(bytes, sum),
          text_number(objects, d->count));
}

/* One line for a stack: the first function that is not the allocator's own, and its caller. */
static void heap_put_site_line(FILE *out, struct dumped *d, const struct dumped_site *site) {
  enum { shown = 3 };
  for (size_t i = 0; i < site->count && i < shown; i++) {
    const struct model_frame *frame = &d->model.frames[site->first + i];
    const struct model_module *module = model_module_of(&d->model, frame);
    if (i) fputs(" < ", out);
    if (frame->symbol && frame->symbol->function) {
      fputs(frame->symbol->function, out);
      if (frame->symbol->file) fprintf(out, " (%s:%d)", frame->symbol->file_shown, frame->symbol->line);
    } else if (module)
      fprintf(out, "%s+0x%" PRIx64, heap_base_name(module->path), model_offset(&d->model, frame));
    else
      fprintf(out, "0x%" PRIx64, frame->address);
  }
}

static const struct dumped_site *heap_site(const struct dumped *d, uint64_t id) {
  size_t lo = 0, hi = d->site_count;
  while (lo < hi) {
    size_t middle = (lo + hi) / 2;
    if (d->sites[middle].id < id) lo = middle + 1;
    else hi = middle;
  }
  return lo < d->site_count && d->sites[lo].id == id ? &d->sites[lo] : NULL;
}

static void heap_put_key(FILE *out, struct dumped *d, uint64_t key, enum heap_by by) {
  char number[text_number_size];
  const struct dumped_site *site = by == HEAP_BY_SITE ? heap_site(d, key) : NULL;
  if (site) heap_put_site_line(out, d, site);
  else if (by == HEAP_BY_SITE) fputs("(stack not known)", out);
  else if (by == HEAP_BY_SIZE) fprintf(out, "%s of %s bytes", dumped_kind_name(key % dump_kinds), text_number(number, key / dump_kinds));
  else if (key == 3) fputs("frozen", out);
  else fprintf(out, "generation %" PRIu64, key);
}

static void heap_put_table(FILE *out, struct dumped *d, enum heap_by by, unsigned limit) {
  struct heap_table table = {0};
  char bytes[text_number_size], count[text_number_size];
  if (by == HEAP_BY_SITE && !d->site_objects) fputs("allocations were not recorded (option sites): by size\n", out), by = HEAP_BY_SIZE;
  heap_count(d, &table, by);
  heap_sort(&table);
  for (size_t i = 0; by == HEAP_BY_SITE && i < table.count && i < limit; i++) heap_gather_site(d, heap_site(d, table.rows[i].key));
  heap_name(d);
  fprintf(out, "%15s %12s\n", "bytes", "objects");
  for (size_t i = 0; i < table.count && i < limit; i++) {
    const struct heap_row *row = &table.rows[i];
    fprintf(out, "%15s %12s  ", text_number(bytes, row->bytes), text_number(count, row->count));
    heap_put_key(out, d, row->key, by);
    fputc('\n', out);
  }
  if (table.count > limit) fprintf(out, "%15s %12s  and %zu more\n", "", "", table.count - limit);
  free(table.rows);
}

/* --- by retained size --- */

/* The largest few, by insertion. */
static size_t heap_largest(const struct dumped *d, const struct heap_retained *retained, uint32_t *best, unsigned limit) {
  size_t kept = 0;
  for (uint32_t i = 0; i < d->count; i++) {
    if (kept == limit && retained->bytes[i] <= retained->bytes[best[kept - 1]]) continue;
    size_t at = kept < limit ? kept++ : kept - 1;
    for (; at > 0 && retained->bytes[best[at - 1]] < retained->bytes[i]; at--) best[at] = best[at - 1];
    best[at] = i;
  }
  return kept;
}

static void heap_put_retained(FILE *out, struct dumped *d, unsigned limit) {
  struct heap_retained retained;
  char bytes[text_number_size], own[text_number_size];
  uint32_t *best = model_alloc(((size_t)limit + 1) * sizeof *best);
  heap_retain(d, &retained);
  size_t count = limit ? heap_largest(d, &retained, best, limit) : 0;
  for (size_t i = 0; i < count; i++) heap_gather_site(d, dumped_site_of(d, best[i]));
  heap_name(d);
  fprintf(out, "%15s %15s\n", "retained", "bytes");
  for (size_t i = 0; i < count; i++) {
    const struct dumped_site *site = dumped_site_of(d, best[i]);
    fprintf(out, "%15s %15s  0x%" PRIx64 " %s", text_number(bytes, retained.bytes[best[i]]),
            text_number(own, dumped_size(d, best[i])), d->address[best[i]], dumped_kind_name(dumped_kind(d, best[i])));
    if (site) fputs(", ", out), heap_put_site_line(out, d, site);
    fputc('\n', out);
  }
  if (retained.unreached)
    fprintf(out, "%15s bytes in %s objects are reached by nothing\n", text_number(bytes, retained.unreached_bytes),
            text_number(own, retained.unreached));
  free(best), free(retained.bytes), free(retained.idom);
}

void heap_text_top(FILE *out, struct dumped *d, enum heap_by by, unsigned limit) {
  heap_put_head(out, d);
  if (by == HEAP_BY_RETAINED) heap_put_retained(out, d, limit);
  else heap_put_table(out, d, by, limit);
}
