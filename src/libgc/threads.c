/* SPDX-License-Identifier: MIT
 * libgc's names for threads and stacks. Threads need no care here: all are found and can be stopped anywhere; so most of these only
 * do what they are named after. */
#include "config.h"

#define GC_THREADS
#define GC_NO_THREAD_REDIRECTS
#include "api/collector.h"
#include "api/gc_events.h"
#include "gc.h"
#include "gc/suspend.h"
#include "gc/world.h"
#include "libgc/libgc.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>

/* --- the calls that libgc wraps --- */

PUBLIC int GC_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *arg) {
  return pthread_create(thread, attributes, start, arg);
}

PUBLIC int GC_pthread_join(pthread_t thread, void **result) { return pthread_join(thread, result); }
PUBLIC int GC_pthread_detach(pthread_t thread) { return pthread_detach(thread); }
PUBLIC int GC_pthread_cancel(pthread_t thread) { return pthread_cancel(thread); }
PUBLIC void GC_pthread_exit(void *result) { pthread_exit(result); }

/* The signal that stops threads stays open: a thread that blocks it could not be stopped, and nothing would be collected. */
PUBLIC int GC_pthread_sigmask(int how, const sigset_t *set, sigset_t *old) {
  sigset_t open;
  if (set && how != SIG_UNBLOCK && world_signal) {
    open = *set;
    sigdelset(&open, world_signal);
    set = &open;
  }
  return pthread_sigmask(how, set, old);
}

PUBLIC void *GC_dlopen(const char *path, int mode) { return dlopen(path, mode); }

/* --- stacks --- */

PUBLIC void *GC_call_with_stack_base(GC_stack_base_func function, void *arg) {
  struct GC_stack_base base;
  GC_get_stack_base(&base);
  void *result = function(&base, arg);
  return result;
}

/* libgc's own thread may not touch the heap in the first, and may again in the second. */
PUBLIC void *GC_do_blocking(GC_fn_type function, void *arg) { return function(arg); }
PUBLIC void *GC_call_with_gc_active(GC_fn_type function, void *arg) { return function(arg); }

/* What was told of this thread's stack, or what it began with. */
static THREAD_LOCAL void *libgc_stack_bottom;

PUBLIC void *GC_get_my_stackbottom(struct GC_stack_base *base) {
  if (libgc_stack_bottom) base->mem_base = libgc_stack_bottom;
  else GC_get_stack_base(base);
  return (void *)(uintptr_t)pthread_self();
}

/* Where a thread's stack lies is seen from its stack pointer when it is stopped: all that is mapped above it is searched. So this is
 * only remembered, for the calling thread. */
PUBLIC void GC_set_stackbottom(void *thread, const struct GC_stack_base *base) {
  if (!thread || thread == (void *)(uintptr_t)pthread_self()) libgc_stack_bottom = base->mem_base;
}

PUBLIC void GC_register_altstack(void *stack, GC_word stack_size, void *alternative, GC_word alternative_size) {
  (void)stack;
  (void)stack_size;
  (void)alternative;
  (void)alternative_size;
}

PUBLIC void *GC_clear_stack(void *p) { return p; }

/* --- standing still --- */

static bool threads_is_mine(const void *thread) { return thread == (void *)(uintptr_t)pthread_self(); }

PUBLIC void GC_suspend_thread(void *thread) {
  int saved = errno;
  if (threads_is_mine(thread)) suspend_myself();
  else if (collector_arm() == 0 || world_signal) suspend_thread((uintptr_t)thread);
  errno = saved;
}

PUBLIC void GC_resume_thread(void *thread) { suspend_resume((uintptr_t)thread); }
PUBLIC int GC_is_thread_suspended(void *thread) { return suspend_is_suspended((uintptr_t)thread); }

PUBLIC void GC_stop_world_external(void) {
  collector_arm();
  suspend_world();
}
PUBLIC void GC_start_world_external(void) { suspend_world_over(); }

/* --- signals --- */

PUBLIC int GC_get_suspend_signal(void) { return world_signal ? world_signal : -1; }
PUBLIC int GC_get_thr_restart_signal(void) { return world_signal ? world_signal : -1; }

/* The signal is chosen when the library is loaded, before a program can have a wish: one for which nobody has a handler, and which few want. */
PUBLIC void GC_set_suspend_signal(int number) { (void)number; }
PUBLIC void GC_set_thr_restart_signal(int number) { (void)number; }

/* --- fork: always handled --- */

PUBLIC void GC_set_handle_fork(int value) { (void)value; }
PUBLIC void GC_atfork_prepare(void) {}
PUBLIC void GC_atfork_parent(void) {}
PUBLIC void GC_atfork_child(void) {}

PUBLIC void GC_start_mark_threads(void) {}
