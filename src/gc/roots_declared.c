/* SPDX-License-Identifier: MIT
 * Libgc's roots: the writable segments of the loaded modules, each thread's stack, registers and thread-local
 * storage, and what the client added. Knows how the loader and the C library tell where these are; must not know of
 * other memory.
 *
 *   a thread's stack   | guard |  dead  sp| live ... | static TLS | descriptor |    told: [sp, end)
 *   the main thread's  [stack] |  dead  sp| live ... arguments, environment |       told: [sp, end), and its TLS and descriptor
 *
 * A stack pointer that is in none of these, or on an alternate signal stack: the known stack is told whole, and so is
 * the mapping that holds the stack pointer. Only then is the kernel asked for the mappings, so that what is done each
 * time costs a few dozen microseconds. The loader's list is read without its lock; a thread that stands still in the
 * midst of changing it makes this one take all memory for roots. */
#include "config.h"

#include "gc/rooting.h"

#include "base/bits.h"
#include "os/call.h"
#include "os/memory.h"
#include "os/modules.h"

#include <errno.h>

enum {
  roots_modules = 1024,    /* with thread-local storage */
  roots_large = 256 << 10, /* of so much, only written pages are looked at */
};

struct roots_declaring {
  struct roots *roots;
  bool unknown; /* something is not as it was expected */
};

static size_t roots_tls_bytes[roots_modules]; /* by module number */

/* --- ranges --- */

static void roots_declare_part(struct roots *roots, uintptr_t lo, uintptr_t hi, bool present) {
  (void)present;
  roots_checked(roots, lo, hi);
}

/* Memory of any kind, which need not be there. */
static void roots_declare(struct roots *roots, uintptr_t lo, uintptr_t hi) {
  if (lo >= hi) return;
  if (hi - lo >= roots_large)
    roots_mapped(roots, lo, hi);
  else
    roots_uncut(roots, lo, hi, true, roots_declare_part);
}

/* The mapping that holds the address. */
static void roots_around(struct roots *roots, uintptr_t address) {
  roots_read_maps(roots);
  for (size_t i = 0; i < roots->maps->count; i++) {
    const struct os_mapping *mapping = &roots->maps->list[i];
    if (address - mapping->lo < mapping->hi - mapping->lo) roots_mapped(roots, mapping->lo, mapping->hi);
  }
}

static void roots_declare_data(struct roots *roots, uintptr_t lo, uintptr_t hi) {
  roots_data = true;
  roots_declare(roots, lo, hi);
  roots_data = false;
}

/* --- modules --- */

static bool roots_is_own_module(const struct dl_phdr_info *info) {
  uintptr_t here = (uintptr_t)roots_is_own_module;
  bool program = false, own = false;
  for (size_t i = 0; i < info->dlpi_phnum; i++) {
    const ElfW(Phdr) *part = &info->dlpi_phdr[i];
    if (part->p_type == PT_INTERP) program = true;
    if (part->p_type == PT_LOAD && here - info->dlpi_addr - part->p_vaddr < part->p_memsz) own = true;
  }
  return own && !program; /* in a program (a unit test) our variables are not told apart */
}

/* The program's filter, if it has one. */
static bool roots_wants(const struct roots_declaring *declaring, const char *name, uintptr_t lo, size_t size) {
  int (*segment)(const char *, void *, size_t) = declaring->roots->request->segment;
  return !segment || segment(name, (void *)lo, size) != 0;
}

static bool roots_is_library(const struct dl_phdr_info *info) { return info->dlpi_name && *info->dlpi_name; }

static void roots_module(const struct dl_phdr_info *info, void *arg) {
  struct roots_declaring *declaring = arg;
  size_t tls = info->dlpi_tls_modid;
  bool library = roots_is_library(info) && declaring->roots->request->no_libraries;
  bool silent = library || roots_is_own_module(info);
  if (tls >= roots_modules) declaring->unknown = true;
  for (size_t i = 0; i < info->dlpi_phnum; i++) {
    const ElfW(Phdr) *part = &info->dlpi_phdr[i];
    uintptr_t lo = info->dlpi_addr + part->p_vaddr;
    if (part->p_type == PT_TLS && tls < roots_modules) roots_tls_bytes[tls] = part->p_memsz;
    if (part->p_type != PT_LOAD || !(part->p_flags & PF_W) || silent) continue;
    if (roots_wants(declaring, info->dlpi_name, lo, part->p_memsz))
      roots_declare_data(declaring->roots, lo, lo + part->p_memsz);
  }
}

/* --- threads --- */

static void roots_values(uintptr_t lo, uintptr_t hi, void *arg) {
  const struct roots_declaring *declaring = arg;
  roots_declare(declaring->roots, lo, hi);
}

static void roots_dynamic(size_t module, uintptr_t at, void *arg) {
  struct roots_declaring *declaring = arg;
  size_t bytes = module < roots_modules ? roots_tls_bytes[module] : 0;
  if (bytes)
    roots_declare(declaring->roots, at, at + bytes);
  else
    declaring->unknown = true;
}

/* Of those that ended and were not joined, what they return; a running thread's descriptor goes with its stack. */
static void roots_descriptor(const struct world_stack *stack, void *arg) {
  const struct roots_declaring *declaring = arg;
  if (stack->tid <= 0) roots_declare(declaring->roots, stack->tcb, stack->end);
}

extern void *__libc_stack_end __attribute__((weak)); /* where the main thread's stack began */

/* The upper end of the main thread's stack, which never moves. */
static uintptr_t roots_main_top(struct roots *roots) {
  static uintptr_t top;
  uintptr_t within = &__libc_stack_end ? (uintptr_t)__libc_stack_end : 0;
  if (top) return top;
  roots_read_maps(roots);
  for (size_t i = 0; i < roots->maps->count; i++) {
    const struct os_mapping *mapping = &roots->maps->list[i];
    if (within - mapping->lo < mapping->hi - mapping->lo) top = mapping->hi;
  }
  return top;
}

/* True when the stack pointer is on the main stack: all between is memory. */
static bool roots_main_stack(struct roots *roots, uintptr_t sp) {
  enum { most = 64 << 20 };
  uintptr_t top = roots_main_top(roots);
  if (sp >= top || top - sp > most || !os_memory_are_readable(sp, top)) return false;
  roots_tell(roots, sp, top);
  return true;
}

static void roots_stack(struct roots *roots, const struct world_thread *thread, const struct world_stack *stack) {
  bool alternate = thread->sp - thread->alternate_lo < thread->alternate_hi - thread->alternate_lo;
  bool main = !stack->lo && stack->tid == (pid_t)os_call(SYS_getpid);
  if (!alternate && stack->lo && thread->sp - stack->lo < stack->tcb - stack->lo) {
    roots_declare(roots, thread->sp, stack->end); /* static TLS lies in between */
    return;
  }
  roots_declare(roots, stack->tls, stack->end);
  if (!alternate && main && roots_main_stack(roots, thread->sp)) return;
  roots_around(roots, thread->sp);
  if (stack->lo) roots_declare(roots, stack->lo, stack->tcb);
  if (main) roots_around(roots, (uintptr_t)__libc_stack_end);
}

/* A thread made by raw clone shows the descriptor of another, or none: its tid differs. */
static void roots_declare_thread(struct roots_declaring *declaring, const struct world_thread *thread) {
  struct world_stack stack;
  struct roots *roots = declaring->roots;
  if (thread->stranger) { /* not where its stack pointer was a moment ago */
    if (world_stack_read(thread->tcb, &stack)) roots_declare(roots, stack.lo ? stack.lo : stack.tls, stack.end);
    return;
  }
  if (thread->tcb && world_stack_read(thread->tcb, &stack) && stack.tid == thread->tid) {
    if (!world_storage_each(&stack, roots_values, roots_dynamic, declaring)) declaring->unknown = true;
    roots_stack(roots, thread, &stack);
  } else {
    roots_around(roots, thread->sp);
    roots_around(roots, thread->tcb);
  }
}

int roots_declared(struct roots *roots) {
  struct roots_declaring declaring = {.roots = roots};
  roots_cut_excluded(roots);
  roots_sort_cuts(roots);
  if (!os_modules_listed(roots_module, &declaring) || declaring.unknown) return ENOTSUP;
  if (!world_descriptors_each(roots_descriptor, &declaring)) return ENOTSUP;
  for (unsigned i = 0; i < roots->request->count && !declaring.unknown; i++)
    roots_declare_thread(&declaring, &roots->request->threads[i]);
  if (declaring.unknown) return ENOTSUP;
  for (size_t i = 0; i < roots_count(&roots_added); i++) roots_declare_data(roots, roots_added.list->at[i].lo, roots_added.list->at[i].hi);
  for (size_t i = 0; i < roots_count(&roots_kept); i++) roots_declare(roots, roots_kept.list->at[i].lo, roots_kept.list->at[i].hi);
  return 0;
}
