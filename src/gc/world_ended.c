/* SPDX-License-Identifier: MIT
 * Thread descriptors, and the threads that have ended. Knows how the C library lays out a thread, as far as it
 * tells debuggers; knows nothing of stopping. */
#include "config.h"

#include "gc/world.h"

#include "base/bits.h"
#include "os/call.h"
#include "os/maps.h"
#include "os/memory.h"
#include "os/threads.h"

#include <dlfcn.h>
#include <string.h>

enum { world_descriptor_max = 8192 };

/* Where things lie in the C library's thread descriptor, by the symbols it keeps for debuggers. */
static struct {
  uint32_t size;     /* 0: unknown */
  uint32_t tid;      /* offset of the tid */
  uint32_t state;    /* of the word that has a bit for a thread that is ending; 0: unknown */
  uint32_t specific; /* offset of what follows the array of pthread keys: joinid is after it */
} world_layout;

/* What libthread_db reads: the size of a field in bits, the number of elements, the offset. */
struct world_field {
  uint32_t bits, count, offset;
};

void world_learn_layout(void) {
  const uint32_t *size = dlsym(RTLD_DEFAULT, "_thread_db_sizeof_pthread");
  const struct world_field *tid = dlsym(RTLD_DEFAULT, "_thread_db_pthread_tid");
  const struct world_field *specific = dlsym(RTLD_DEFAULT, "_thread_db_pthread_specific");
  if (!size || !tid || !specific || *size > world_descriptor_max || *size % 8 || tid->bits != 32) return;
  if (tid->offset > *size - 4 || specific->offset > *size - 8) return;
  world_layout.tid = tid->offset;
  world_layout.specific = specific->offset;
  const struct world_field *state = dlsym(RTLD_DEFAULT, "_thread_db_pthread_cancelhandling");
  if (state && state->bits == 32 && state->offset <= *size - 4) world_layout.state = state->offset;
  world_layout.size = *size;
}

/* Fills in what only a comparison of words shows. joinid is the descriptor itself when detached. The stack's
 * bounds are two neighbouring words, the address and a size that ends where the descriptor ends, but for
 * alignment. */
static void world_stack_bounds(struct world_stack *stack, const uintptr_t *word, size_t words) {
  enum { slack = 4096 };
  for (size_t i = world_layout.specific / sizeof *word; i < words; i++) {
    if (word[i] == stack->tcb) stack->detached = true;
    if (i + 1 == words || word[i] == 0 || word[i] % os_page_size || word[i] >= stack->tcb) continue;
    uintptr_t top = word[i] + word[i + 1];
    if (stack->lo || top < stack->end || top - stack->end > slack) continue;
    stack->lo = word[i];
    stack->guarded = i + 2 < words && word[i + 2] != 0; /* the size of the guard comes next */
  }
}

/* The C library's EXITING and TERMINATED. Both are clear in a stack that is being given to its next thread,
 * which has no tid yet but may have its argument, and in those of threads that a fork left behind. */
enum { world_ending = 1 << 4 | 1 << 5 };

bool world_stack_read(uintptr_t tcb, struct world_stack *stack) {
  uintptr_t word[world_descriptor_max / sizeof(uintptr_t)];
  size_t size = world_layout.size;
  if (!size || tcb % sizeof(uintptr_t) || os_maps_peek(tcb, word, size) != size) return false;
  if (word[0] != tcb || word[2] != tcb) return false; /* header.tcb, header.self */
  *stack = (struct world_stack){.tcb = tcb, .end = tcb + size};
  memcpy(&stack->tid, (const char *)word + world_layout.tid, sizeof stack->tid);
  uint32_t state;
  memcpy(&state, (const char *)word + world_layout.state, sizeof state);
  stack->gone = stack->tid <= 0 && (!world_layout.state || state & world_ending);
  world_stack_bounds(stack, word, size / sizeof *word);
  return true;
}

bool world_stack_below(uintptr_t top, struct world_stack *stack) {
  enum { least_alignment = 64 };
  if (!world_layout.size || top < world_layout.size) return false;
  uintptr_t last = 0;
  for (uintptr_t alignment = least_alignment; alignment <= os_page_size; alignment *= 2) {
    uintptr_t tcb = bits_align_down(top - world_layout.size, alignment);
    if (tcb != last && world_stack_read(tcb, stack) && stack->lo) return true;
    last = tcb;
  }
  return false;
}

/* Thread pointers of pthreads that came to their end; 0 is empty. A descriptor may be in use again: its tid
 * tells. When the table is full, the oldest knowledge of a place is lost, and that stack counts as alive. */
enum { world_exited_places = 4096, world_exited_probes = 32 };
static _Atomic uintptr_t world_exited[world_exited_places];
static _Atomic pid_t world_main_gone; /* the process whose main thread has ended */

void world_thread_exiting(void) {
  uintptr_t tcb = os_thread_pointer();
  pid_t process = (pid_t)os_call(SYS_getpid);
  if (os_thread_id() == process) atomic_store(&world_main_gone, process);
  if (!tcb) return;
  size_t home = (size_t)bits_mix(tcb);
  for (size_t i = 0; i < world_exited_probes; i++) {
    _Atomic uintptr_t *place = &world_exited[(home + i) % world_exited_places];
    uintptr_t old = atomic_load(place);
    if (old == 0) atomic_compare_exchange_strong(place, &old, tcb); /* old is 0, or who was faster */
    if (old == 0 || old == tcb) return;
  }
  atomic_store(&world_exited[home % world_exited_places], tcb);
}

void world_exited_each(void (*each)(const struct world_stack *stack, void *arg), void *arg) {
  struct world_stack stack;
  for (size_t i = 0; i < world_exited_places; i++) {
    uintptr_t tcb = atomic_load(&world_exited[i]);
    if (tcb && world_stack_read(tcb, &stack) && stack.gone) each(&stack, arg);
  }
}

bool world_main_exited(void) {
  pid_t gone = atomic_load(&world_main_gone);
  return gone != 0 && gone == (pid_t)os_call(SYS_getpid);
}

void world_ended_fork_child(void) {
  for (size_t i = 0; i < world_exited_places; i++)
    if (atomic_load_explicit(&world_exited[i], memory_order_relaxed)) atomic_store(&world_exited[i], 0);
  atomic_store(&world_main_gone, 0);
}
