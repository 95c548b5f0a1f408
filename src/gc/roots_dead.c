/* SPDX-License-Identifier: MIT
 * What a report takes out of the roots besides our own memory, because it is proven dead.
 *
 *   a thread's stack   | guard |  dead  sp| live ... | static TLS | descriptor |   taken out: [lo, sp)
 *   of one that ended  | guard |  dead            | dead TLS   tcb| descriptor |  taken out: [lo, tcb), and the
 *                      descriptor behind its header unless its result waits to be joined. The header stays: it
 *                      leads to the table of dynamic TLS, which the C library keeps for the next thread.
 *   the main thread's  [stack] |  dead  sp| live ... arguments, environment |      taken out: [lo, sp)
 *
 * A stack pointer that is in none of these (a coroutine, an alternate signal stack) takes nothing out: then the
 * known stack and the mapping that holds the stack pointer are scanned whole, like any other memory. */
#include "config.h"

#include "gc/rooting.h"

#include <string.h>

enum { roots_header = 64 };

/* Below the stack pointer, if that is on the stack that the descriptor tells. A thread made by raw clone shows
 * the descriptor of another: its tid differs. */
static void roots_cut_thread(struct roots *roots, const struct world_thread *thread) {
  struct world_stack stack;
  if (!thread->sp || !thread->tcb || !world_stack_read(thread->tcb, &stack)) return;
  if (stack.tid != thread->tid || !stack.lo || thread->sp < stack.lo || thread->sp >= stack.tcb) return;
  roots_cut(roots, stack.lo, thread->sp);
}

static void roots_cut_exited(const struct world_stack *stack, void *arg) {
  struct roots *roots = arg;
  if (!stack->guarded) return; /* perhaps the program's own memory, in use for something else by now */
  if (stack->lo) roots_cut(roots, stack->lo, stack->tcb);
  if (stack->tid < 0 || stack->detached) roots_cut(roots, stack->tcb + roots_header, stack->end);
}

extern void *__libc_stack_end __attribute__((weak)); /* where the main thread's stack began */

/* The main thread's stack, which may have grown since anybody could have noted its bounds. */
static void roots_cut_main(struct roots *roots, const struct os_mapping *mapping) {
  uintptr_t lowest = 0;
  bool unknown = false;
  for (unsigned i = 0; i < roots->request->count; i++) {
    const struct world_thread *thread = &roots->request->threads[i];
    if (!thread->sp) unknown = true;
    if (thread->sp < mapping->lo || thread->sp >= mapping->hi) continue;
    if (!lowest || thread->sp < lowest) lowest = thread->sp;
  }
  if (!lowest && !unknown && world_main_exited() && &__libc_stack_end) lowest = (uintptr_t)__libc_stack_end;
  if (unknown || lowest <= mapping->lo || lowest > mapping->hi) return;
  roots_cut(roots, mapping->lo, lowest);
}

/* A thread that never used malloc told nobody of its end. Its stack is a mapping behind a guard. */
static void roots_cut_unseen(struct roots *roots, const struct os_mapping *mapping, uintptr_t guard_end) {
  struct world_stack stack;
  bool plain = mapping->read && mapping->write && !mapping->shared && mapping->inode == 0;
  if (plain && mapping->lo == guard_end && world_stack_below(mapping->hi, &stack) && stack.gone)
    roots_cut_exited(&stack, roots);
}

void roots_cut_dead(struct roots *roots) {
  const struct roots_request *request = roots->request;
  uintptr_t guard_end = 0; /* of the last mapping without any rights */
  for (unsigned i = 0; i < request->count; i++) roots_cut_thread(roots, &request->threads[i]);
  world_exited_each(roots_cut_exited, roots);
  for (size_t i = 0; i < roots->maps->count; i++) {
    const struct os_mapping *mapping = &roots->maps->list[i];
    if (strcmp(mapping->name, "[stack]") == 0) {
      roots_cut_main(roots, mapping);
      return;
    }
    roots_cut_unseen(roots, mapping, guard_end);
    if (!mapping->read && !mapping->write) guard_end = mapping->hi;
  }
}
