/* SPDX-License-Identifier: MIT
 * How debug objects are told of. Must not know what was wrong with them. */
#include "config.h"

#include "libgc/debug.h"

#include "api/report_out.h"
#include "base/print.h"
#include "gc_mark.h"
#include "libgc/libgc.h"
#include "os/memory.h"
#include "site/modules.h"

#include <string.h>

enum { tell_kinds = 64, tell_line = 1024 };

static _Atomic GC_describe_type_fn tell_types[tell_kinds];

PUBLIC void GC_register_describe_type_fn(int kind, GC_describe_type_fn function) {
  if (kind >= 0 && kind < tell_kinds) atomic_store(&tell_types[kind], function);
}

void debug_say(const char *format, ...) {
  char line[tell_line];
  va_list args;
  va_start(args, format);
  print_buffer_v(line, sizeof line, format, args);
  va_end(args);
  print_fd(report_out_stderr(), "gleaner: %s\n", line);
}

/* The program's function is given no more room than it was promised; what it writes need not end. */
static void tell_type(const struct debug_told *told, char text[GC_TYPE_DESCR_LEN + 1]) {
  static const char *const kinds[] = {"PTRFREE", "NORMAL", "UNCOLLECTABLE", "ATOMIC_UNCOLLECTABLE"};
  GC_describe_type_fn function = told->kind < tell_kinds ? atomic_load(&tell_types[told->kind]) : NULL;
  memset(text, 0, GC_TYPE_DESCR_LEN + 1);
  if (function && told->alive) function((void *)(uintptr_t)told->p, text);
  else if (told->kind < sizeof kinds / sizeof kinds[0]) print_buffer(text, GC_TYPE_DESCR_LEN, "%s", kinds[told->kind]);
  else print_buffer(text, GC_TYPE_DESCR_LEN, "kind %u", told->kind);
}

const char *debug_describe(const struct debug_told *told, char text[debug_text_bytes]) {
  char type[GC_TYPE_DESCR_LEN + 1];
  tell_type(told, type);
  if (told->debug)
    print_buffer(text, debug_text_bytes, "%p (%s:%d, sz=%zu, %s)", told->p, told->file ? told->file : "?", told->line, told->size, type);
  else print_buffer(text, debug_text_bytes, "%p (appr. sz=%zu, %s)", told->p, told->size, type);
  return text;
}

/* Who writes before an object may have written over where its name stands. */
static const char *tell_file(const char *file) { return os_memory_is_readable((uintptr_t)file) ? file : NULL; }

/* By module and offset: whoever finds many leaks has no time to look for names. */
void debug_say_stack(const struct debug_told *told) {
  enum { frames_most = 20 };
  const struct site_stack *stack = told->site ? site_stack(told->site) : NULL;
  for (uint32_t i = 0; stack && i < stack->count && i < frames_most; i++) {
    int index = modules_find(stack->pc[i] - 1, stack->epoch);
    const struct module *module = index < 0 ? NULL : modules_get(index);
    debug_say("    #%u %s+0x%lx", i, module ? module->path : "?", (unsigned long)(stack->pc[i] - (module ? module->bias : 0)));
  }
}

uint32_t debug_site_of(struct block *block, uint32_t slot) {
  const struct note *note = birth_records() ? block_note(block, slot) : NULL;
  return note ? note->site : 0;
}

struct debug_told debug_tell_of(struct debug_header *header) {
  uint32_t life = atomic_load(&header->life);
  struct block *block = region_find((uintptr_t)header);
  return (struct debug_told){
      .p = debug_pointer(header),
      .size = header->size,
      .file = tell_file(header->file),
      .line = header->line,
      .kind = life >> debug_kind_shift & (tell_kinds - 1),
      .site = block ? debug_site_of(block, block_slot(block, (uintptr_t)header)) : 0,
      .debug = true,
      .alive = !(life & DEBUG_FREED),
  };
}
