/* SPDX-License-Identifier: MIT
 * Thread descriptors, and the threads that have ended. Knows how the C library lays out a thread, as far as it
 * tells debuggers; knows nothing of stopping. */
#include "config.h"

#include "gc/world.h"

#include "base/bits.h"
#include "os/call.h"
#include "os/maps.h"
#include "os/memory.h"
#include "os/modules.h"
#include "os/threads.h"

#include <string.h>

enum { world_descriptor_max = 4096 };

/* Where things lie in the C library's thread descriptor, by the symbols it keeps for debuggers. */
static struct {
  uint32_t size;     /* 0: unknown */
  uint32_t tid;      /* offset of the tid */
  uint32_t state;    /* of the word that has a bit for a thread that is ending; 0: unknown */
  uint32_t specific; /* offset of the array of blocks of pthread keys; joinid is after it */
  uint32_t blocks;   /* of these */
  uint32_t block;    /* bytes of one; 0: unknown */
  uint32_t list;     /* offset of the links to other descriptors */
  bool dynamic;      /* the table of dynamic TLS is as expected */
  size_t tls;        /* bytes of static TLS and descriptor; 0: unknown */
  const uintptr_t *used, *user; /* heads of the lists of descriptors; NULL: unknown */
} world_layout;

static const struct os_modules_field *world_field(const char *name) { return os_modules_symbol(name); }

static bool world_learn_descriptor(void) {
  const uint32_t *size = os_modules_symbol("_thread_db_sizeof_pthread");
  const struct os_modules_field *tid = world_field("_thread_db_pthread_tid");
  const struct os_modules_field *specific = world_field("_thread_db_pthread_specific");
  if (!size || !tid || !specific || *size > world_descriptor_max || *size % 8 || tid->bits != 32) return false;
  if (tid->offset > *size - 4 || specific->offset > *size - 8) return false;
  world_layout.tid = tid->offset;
  world_layout.specific = specific->offset;
  const struct os_modules_field *state = world_field("_thread_db_pthread_cancelhandling");
  if (state && state->bits == 32 && state->offset <= *size - 4) world_layout.state = state->offset;
  world_layout.size = *size;
  return true;
}

static void world_learn_lists(void) {
  const char *global = os_modules_symbol("_rtld_global");
  const struct os_modules_field *used = world_field("_thread_db_rtld_global__dl_stack_used");
  const struct os_modules_field *user = world_field("_thread_db_rtld_global__dl_stack_user");
  const struct os_modules_field *list = world_field("_thread_db_pthread_list");
  if (!global || !used || !user || !list || list->offset > world_layout.size - 2 * sizeof(uintptr_t)) return;
  world_layout.list = list->offset;
  world_layout.used = (const void *)(global + used->offset);
  world_layout.user = (const void *)(global + user->offset);
}

static void world_learn_storage(void) {
  enum { word = 64, pointer_offset = 8 };
  const struct os_modules_field *specific = world_field("_thread_db_pthread_specific");
  const uint32_t *block = os_modules_symbol("_thread_db_sizeof_pthread_key_data_level2");
  const struct os_modules_field *table = world_field("_thread_db_pthread_dtvp");
  const struct os_modules_field *entry = world_field("_thread_db_dtv_dtv");
  const struct os_modules_field *counter = world_field("_thread_db_dtv_t_counter");
  const struct os_modules_field *value = world_field("_thread_db_dtv_t_pointer_val");
  uint32_t blocks = specific->bits / word * specific->count; /* the array is one field, or each element is */
  if (block && specific->bits % word == 0 && specific->offset + blocks * sizeof(uintptr_t) <= world_layout.size) {
    world_layout.blocks = blocks;
    world_layout.block = *block;
  }
  bool all = table && entry && counter && value;
  world_layout.dynamic = all && table->offset == pointer_offset && entry->bits == 2 * word &&
                         counter->offset == 0 && value->offset == 0;
  uintptr_t found = (uintptr_t)os_modules_symbol("_dl_get_tls_static_info");
  void (*ask)(size_t *, size_t *) = (void (*)(size_t *, size_t *))found;
  size_t size = 0, align = 0;
  if (ask) ask(&size, &align); /* reads two variables of the loader, which never change */
  world_layout.tls = size > world_layout.size ? size : 0;
}

/* Not by dlsym, which takes the loader's lock and may allocate: this may be reached from malloc. */
void world_learn_layout(void) {
  if (!world_learn_descriptor()) return;
  world_learn_lists();
  world_learn_storage();
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

/* From a copy of the descriptor. */
static bool world_stack_fill(uintptr_t tcb, const uintptr_t *word, struct world_stack *stack) {
  size_t size = world_layout.size;
  if (word[0] != tcb || word[2] != tcb) return false; /* header.tcb, header.self */
  *stack = (struct world_stack){.tcb = tcb, .end = tcb + size};
  if (world_layout.tls) stack->tls = stack->end - world_layout.tls;
  memcpy(&stack->tid, (const char *)word + world_layout.tid, sizeof stack->tid);
  uint32_t state;
  memcpy(&state, (const char *)word + world_layout.state, sizeof state);
  stack->gone = stack->tid <= 0 && (!world_layout.state || state & world_ending);
  world_stack_bounds(stack, word, size / sizeof *word);
  return true;
}

bool world_stack_read(uintptr_t tcb, struct world_stack *stack) {
  uintptr_t word[world_descriptor_max / sizeof(uintptr_t)];
  size_t size = world_layout.size, got;
  if (!size || tcb % sizeof(uintptr_t)) return false;
  got = world_is_stopped() ? os_maps_copy(&world_maps, tcb, word, size) : os_maps_peek(tcb, word, size);
  return got == size && world_stack_fill(tcb, word, stack);
}

/* The C library links descriptors in such an order that a list can be followed at any moment. */
static bool world_list_each(const uintptr_t *head, void (*each)(const struct world_stack *stack, void *arg),
                            void *arg) {
  enum { most = 1 << 20 };
  struct world_stack stack;
  const uintptr_t *node = (const uintptr_t *)*head;
  for (size_t i = 0; node != head; node = (const uintptr_t *)*node) {
    uintptr_t tcb = (uintptr_t)node - world_layout.list;
    if (!node || (uintptr_t)node % sizeof *node || ++i > most) return false;
    if (!world_stack_fill(tcb, (const uintptr_t *)tcb, &stack)) return false;
    each(&stack, arg);
  }
  return true;
}

bool world_descriptors_each(void (*each)(const struct world_stack *stack, void *arg), void *arg) {
  if (!world_layout.used) return false;
  return world_list_each(world_layout.used, each, arg) && world_list_each(world_layout.user, each, arg);
}

/* The table of dynamic TLS: entries of two words, the number of which stands before the first, a generation. */
bool world_storage_each(const struct world_stack *stack, void (*values)(uintptr_t lo, uintptr_t hi, void *arg),
                        void (*dynamic)(size_t module, uintptr_t at, void *arg), void *arg) {
  const uintptr_t *descriptor = (const uintptr_t *)stack->tcb, *table = (const uintptr_t *)descriptor[1];
  const uintptr_t *block = descriptor + world_layout.specific / sizeof *descriptor;
  if (!world_layout.dynamic || !world_layout.block || !stack->tls) return false;
  for (uint32_t i = 0; i < world_layout.blocks; i++) {
    bool apart = block[i] < stack->tcb || block[i] >= stack->end; /* the first lies in the descriptor */
    if (block[i] && apart) values(block[i], block[i] + world_layout.block, arg);
  }
  for (uintptr_t i = 1, count = table ? table[-2] : 0; i <= count; i++) {
    uintptr_t at = table[2 * i];
    if (at && at != UINTPTR_MAX && (at < stack->tls || at >= stack->tcb)) dynamic(i, at, arg);
  }
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
