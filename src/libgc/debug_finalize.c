/* SPDX-License-Identifier: MIT
 * Finalizers of debug objects: they are given the pointer that the program has. Must not know when they are run. */
#include "config.h"

#include "libgc/debug.h"

#include "gc.h"
#include "libgc/libgc.h"

/* What the finalizer of the whole object is given, header and all. */
struct debug_finalizer {
  GC_finalization_proc function;
  void *data;
};

static void debug_finalize(void *base, void *arg) {
  const struct debug_finalizer *finalizer = arg;
  finalizer->function(debug_pointer(base), finalizer->data);
}

typedef void debug_register(void *object, GC_finalization_proc function, void *data, GC_finalization_proc *old_function, void **old_data);

/* The one that it had may be of either sort: a class of gc_cpp.h registers the whole object. */
static void debug_tell_old(GC_finalization_proc function, void *data, GC_finalization_proc *old_function, void **old_data) {
  const struct debug_finalizer *finalizer = function == debug_finalize ? data : NULL;
  if (old_function) *old_function = finalizer ? finalizer->function : function;
  if (old_data) *old_data = finalizer ? finalizer->data : data;
}

/* Where nothing was told of the old one, as when memory is refused, nothing is. */
static void debug_register_with(debug_register *with, void *object, GC_finalization_proc function, void *data,
                                GC_finalization_proc *old_function, void **old_data) {
  struct debug_header *header = debug_find(object);
  static char untold;
  GC_finalization_proc before = NULL;
  void *before_data = &untold;
  struct debug_finalizer *finalizer = NULL;
  if (!header || GC_find_leak) {
    with(object, function, data, old_function, old_data);
    return;
  }
  if (function) {
    finalizer = GC_malloc(sizeof *finalizer);
    if (!finalizer) return;
    *finalizer = (struct debug_finalizer){function, data};
  }
  with(header, function ? debug_finalize : NULL, finalizer, &before, &before_data);
  if (before_data != &untold) debug_tell_old(before, before_data, old_function, old_data);
}

#define DEBUG_REGISTER(name)                                                                                                        \
  PUBLIC void GC_debug_##name(void *object, GC_finalization_proc function, void *data, GC_finalization_proc *old_function,          \
                              void **old_data) {                                                                                    \
    debug_register_with(GC_##name, object, function, data, old_function, old_data);                                                 \
  }

DEBUG_REGISTER(register_finalizer)
DEBUG_REGISTER(register_finalizer_ignore_self)
DEBUG_REGISTER(register_finalizer_no_order)
DEBUG_REGISTER(register_finalizer_unreachable)
