/* SPDX-License-Identifier: MIT
 * The one writer of records. */
#include "config.h"

#include "api/record_out.h"

#include "os/memory.h"
#include "os/process.h"
#include "report/record.h"
#include "site/modules.h"

#include <unistd.h>

enum { record_modules_max = 65536 };

static void record_escaped(struct printer *out, const char *text) {
  for (; *text; text++) {
    if (*text == '\n') print(out, "\\n");
    else if (*text == '\\') print(out, "\\\\");
    else print_text(out, text, 1);
  }
}

bool record_begin(struct record_out *out, int fd, const char *kind) {
  char program[4096];
  out->named = os_memory_map(record_modules_max);
  if (!out->named) return false;
  os_process_path(program, sizeof program);
  print_open(&out->printer, fd);
  print(&out->printer, RECORD_MAGIC "\nkind %s\npid %d\nprogram ", kind, (int)getpid());
  record_escaped(&out->printer, program);
  print(&out->printer, "\n");
  return true;
}

static void record_module(struct record_out *out, int index) {
  struct printer *to = &out->printer;
  if (index < 0 || index >= record_modules_max || out->named[index]) return;
  const struct module *module = modules_get(index);
  out->named[index] = 1;
  print(to, "module %d %lx %lx %lx ", index, (unsigned long)module->lo, (unsigned long)module->hi,
        (unsigned long)module->bias);
  for (size_t i = 0; i < module->build_id_size; i++) print(to, "%x%x", module->build_id[i] >> 4, module->build_id[i] & 15);
  print(to, module->build_id_size ? " " : "- ");
  record_escaped(to, module->path ? module->path : "?");
  print(to, "\n");
}

void record_modules(struct record_out *out, const struct site_stack *stack) {
  for (uint32_t i = 0; stack && i < stack->count; i++) record_module(out, modules_find(stack->pc[i] - 1, stack->epoch));
}

void record_frames(struct record_out *out, const struct site_stack *stack) {
  for (uint32_t i = 0; stack && i < stack->count; i++) {
    int module = modules_find(stack->pc[i] - 1, stack->epoch);
    if (module < 0) print(&out->printer, " %lx@-", (unsigned long)stack->pc[i]);
    else print(&out->printer, " %lx@%d", (unsigned long)stack->pc[i], module);
  }
  print(&out->printer, "\n");
}

bool record_end(struct record_out *out) {
  print(&out->printer, "end\n");
  os_memory_unmap(out->named, record_modules_max);
  return print_flush(&out->printer);
}
