/* SPDX-License-Identifier: MIT
 * Warnings, and the end of the process. Must not know what is wrong. */
#include "config.h"

#include "api/gc_warn.h"

#include "api/gc_events.h"
#include "api/report_out.h"
#include "base/print.h"
#include "gc.h"
#include "os/threads.h"

#include <errno.h>
#include <stdlib.h>

#define PUBLIC __attribute__((visibility("default"), noinline))

/* --- warnings --- */

/* Where the log goes; where there is none, to standard error. */
static void gc_warn_default(char *format, GC_word value) {
  char line[512];
  size_t length = print_buffer(line, sizeof line, format, value);
  if (length > 0 && length < sizeof line && line[length - 1] == '\n') line[length - 1] = '\0';
  gc_log_note("%s", line);
}

static GC_warn_proc gc_warn_procedure = gc_warn_default;

PUBLIC void GC_set_warn_proc(GC_warn_proc procedure) { __atomic_store_n(&gc_warn_procedure, procedure, __ATOMIC_SEQ_CST); }
PUBLIC GC_warn_proc GC_get_warn_proc(void) { return __atomic_load_n(&gc_warn_procedure, __ATOMIC_SEQ_CST); }
PUBLIC void GC_ignore_warn_proc(char *format, GC_word value) { (void)format, (void)value; }

/* A procedure may allocate, which may be what is refused: it is not told of that while it is being told. */
void gc_warn(const char *format, unsigned long value) {
  static THREAD_LOCAL bool telling;
  int saved = errno;
  if (telling) return;
  telling = true;
  GC_get_warn_proc()((char *)(uintptr_t)format, value);
  telling = false;
  errno = saved;
}

bool gc_warn_is_heard(void) { return GC_get_warn_proc() != gc_warn_default; }

/* --- the end --- */

static _Atomic bool gc_warn_looping;

static void gc_warn_say(const char *message) {
  if (message) print_fd(report_out_stderr(), "%s\n", message);
}

__attribute__((visibility("default"))) GC_abort_func GC_on_abort = gc_warn_say;

PUBLIC void GC_set_abort_func(GC_abort_func function) { __atomic_store_n(&GC_on_abort, function, __ATOMIC_SEQ_CST); }
PUBLIC GC_abort_func GC_get_abort_func(void) { return __atomic_load_n(&GC_on_abort, __ATOMIC_SEQ_CST); }

void gc_warn_loop(void) { atomic_store(&gc_warn_looping, true); }

/* By default nothing is said: whoever ends the process has told why. */
void gc_warn_end(const char *message) {
  GC_abort_func function = GC_get_abort_func();
  if (function != gc_warn_say) function(message);
  while (atomic_load(&gc_warn_looping)) os_thread_sleep(1000 * 1000 * 1000);
}

PUBLIC void GC_abort_on_oom(void) {
  print_fd(report_out_stderr(), "gleaner: there is no memory for an allocation\n");
  gc_warn_end(NULL);
  exit(EXIT_FAILURE);
}
