/* SPDX-License-Identifier: MIT
 * The one writer of heap dumps. Runs in a snapshot, a process of its own in which nothing else does: what is here could lock,
 * but nothing is allocated: it all goes through one buffer. Contents are not told, only which words lead to objects. */
#include "config.h"

#include "api/dump_out.h"

#include "api/api.h"
#include "base/bits.h"
#include "base/print.h"
#include "gc/graph.h"
#include "gc/rooted.h"
#include "heap/sweep.h"
#include "os/call.h"
#include "os/memory.h"
#include "os/process.h"
#include "report/dump.h"
#include "site/frame.h"
#include "site/modules.h"

#include <poll.h>
#include <string.h>
#include <ucontext.h>

enum { dump_buffer = 256 * 1024, dump_room = 64, dump_frames_most = 512, dump_modules_most = 4096 };

struct dump {
  const struct snapshot *snapshot;
  const struct dump_request *request;
  int error;
  size_t length;
  uint8_t *buffer;
  uint64_t *sites;        /* a bit for each that an object has; NULL: none are recorded */
  size_t site_bytes;
  uint64_t objects, edges, roots, root_edges;
  uintptr_t last_unit;    /* where the last block ended */
  /* of the object or root that is being told */
  uintptr_t from, last_word;
  uint64_t edges_here;
  bool is_root;
  int modules;            /* that were written */
  int roots_error;
};

_Static_assert((int)ROOTED_DEAD_STACK == (int)DUMP_DEAD_STACK && (int)rooted_kinds == (int)dump_roots &&
                   (int)ROOTED_GLOBAL == (int)DUMP_GLOBAL && (int)ROOTED_KERNEL == (int)DUMP_KERNEL,
               "the kinds of roots");
_Static_assert((int)KIND_SCANNED == (int)DUMP_MALLOC && (int)kind_count == (int)dump_kinds &&
                   (int)KIND_COLLECTED == (int)DUMP_GC && (int)KIND_UNCOLLECTABLE == (int)DUMP_UNCOLLECTABLE,
               "the kinds of objects");
_Static_assert(DUMP_AGE == STATE_AGE >> 3 && DUMP_FROZEN == STATE_FROZEN >> 3 && DUMP_SUSPECT == STATE_SUSPECT >> 3, "flags");
_Static_assert((int)dump_unit == (int)block_unit, "units");

/* --- the stream --- */

/* A pipe of the program's may be one that does not wait. */
static void dump_wait(int fd) {
  struct pollfd wait = {fd, POLLOUT, 0};
  os_call(SYS_poll, &wait, 1, -1);
}

static void dump_flush(struct dump *dump) {
  const uint8_t *at = dump->buffer;
  while (dump->length && !dump->error) {
    long put = os_call(SYS_write, dump->request->fd, at, dump->length);
    if (put > 0) at += put, dump->length -= (size_t)put;
    else if (put == -EAGAIN) dump_wait(dump->request->fd);
    else if (put != -EINTR) dump->error = put ? (int)-put : EIO;
  }
  dump->length = 0;
}

static inline void dump_make_room(struct dump *dump, size_t bytes) {
  if (unlikely(dump->length + bytes > dump_buffer)) dump_flush(dump);
}

static void dump_bytes(struct dump *dump, const void *bytes, size_t size) {
  dump_make_room(dump, size);
  memcpy(dump->buffer + dump->length, bytes, size);
  dump->length += size;
}

/* Ten bytes at most. */
static inline void dump_number(struct dump *dump, uint64_t n) {
  dump_make_room(dump, dump_room);
  uint8_t *at = dump->buffer + dump->length;
  for (; n >= 0x80; n >>= 7) *at++ = (uint8_t)(n | 0x80);
  *at++ = (uint8_t)n;
  dump->length = (size_t)(at - dump->buffer);
}

static inline void dump_signed(struct dump *dump, int64_t n) {
  dump_number(dump, (uint64_t)n << 1 ^ (uint64_t)(n >> 63));
}

static void dump_text(struct dump *dump, const char *text) {
  size_t length = strlen(text);
  if (length > dump_buffer / 2) length = dump_buffer / 2;
  dump_number(dump, length);
  dump_bytes(dump, text, length);
}

/* --- what is known of the process --- */

static void dump_info(struct dump *dump, const char *key, const char *text) {
  dump_number(dump, DUMP_INFO);
  dump_text(dump, key);
  dump_text(dump, text);
}

static void dump_info_number(struct dump *dump, const char *key, const char *format, unsigned long n) {
  char text[32];
  print_buffer(text, sizeof text, format, n);
  dump_info(dump, key, text);
}

static void dump_infos(struct dump *dump) {
  static const char *const modes[] = {"malloc", "leaks", "collect"};
  char program[4096];
  struct timespec now;
  os_process_path(program, sizeof program);
  os_call(SYS_clock_gettime, 0, &now);
  dump_info(dump, "program", program);
  dump_info_number(dump, "pid", "%lu", (unsigned long)dump->request->pid);
  dump_info_number(dump, "time", "%lu", (unsigned long)now.tv_sec);
  dump_info(dump, "mode", modes[birth_options.mode]);
  dump_info(dump, "version", PACKAGE_VERSION);
  dump_info_number(dump, "region", "%lx", region.base);
  /* whether malloc'ed memory is given up when nothing leads to it */
  dump_info(dump, "malloc", sweep_policies[KIND_SCANNED] == SWEEP_NEVER ? "kept" : "collected");
}

/* --- modules --- */

static void dump_module(struct dump *dump, const struct os_module *module) {
  dump_number(dump, DUMP_MODULE);
  dump_number(dump, module->lo);
  dump_number(dump, module->hi - module->lo);
  dump_number(dump, module->bias);
  dump_number(dump, module->build_id_size);
  dump_bytes(dump, module->build_id, module->build_id_size);
  dump_text(dump, module->path ? module->path : "");
  dump->modules++;
}

static void dump_see_module(const struct dl_phdr_info *info, void *arg) {
  (void)arg;
  for (size_t i = 0; i < info->dlpi_phnum; i++)
    if (info->dlpi_phdr[i].p_type == PT_LOAD) {
      modules_see(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
      return;
    }
}

/* All that were ever seen, so that stacks can be named; those that are loaded are seen now at the latest. */
static void dump_modules(struct dump *dump) {
  os_modules_listed(dump_see_module, dump);
  for (int i = 0; i < modules_count() && i < dump_modules_most; i++) {
    const struct module *seen = modules_get(i);
    struct os_module module = {.lo = seen->lo, .hi = seen->hi, .bias = seen->bias, .path = seen->path,
                               .build_id_size = seen->build_id_size};
    memcpy(module.build_id, seen->build_id, sizeof module.build_id);
    if (seen->last != UINT32_MAX) module.hi = module.lo; /* no longer there: its addresses are another's */
    dump_module(dump, &module);
  }
}

/* --- threads --- */

/* The process itself still runs, and may be asked for the names. */
static void dump_thread_name(const struct dump *dump, pid_t tid, char *name, size_t size) {
  char path[64];
  print_buffer(path, sizeof path, "/proc/%d/task/%d/comm", (int)dump->request->pid, (int)tid);
  int fd = os_call_open(path, 0);
  long got = fd < 0 ? 0 : os_call_read(fd, name, size - 1);
  if (fd >= 0) os_call_close(fd);
  name[got > 0 ? got : 0] = 0;
  if (got > 0 && name[got - 1] == '\n') name[got - 1] = 0;
}

static void dump_thread(struct dump *dump, const struct world_thread *thread) {
  char name[64];
  dump_thread_name(dump, thread->tid, name, sizeof name);
  dump_number(dump, DUMP_THREAD);
  dump_number(dump, (uint64_t)thread->tid);
  dump_number(dump, (thread->tid == dump->request->pid ? DUMP_THREAD_MAIN : 0) | (thread->stopped ? 0 : DUMP_THREAD_DEAF));
  dump_number(dump, thread->sp);
  dump_number(dump, thread->tcb);
  dump_text(dump, name);
}

/* Where the thread was interrupted; of the one that asks, where it asked. */
static bool dump_registers(const struct dump *dump, const struct world_thread *thread, struct site_registers *at) {
  if (!thread->stopped || !thread->frame_lo) return false;
  if (thread == dump->snapshot->threads && !dump->snapshot->in_handler) {
    *at = *(const struct site_registers *)thread->frame_lo;
    return true;
  }
  const greg_t *r = ((const ucontext_t *)thread->frame_lo)->uc_mcontext.gregs;
  *at = (struct site_registers){(uintptr_t)r[REG_RSP], (uintptr_t)r[REG_RIP],
                                {(uintptr_t)r[REG_RBX], (uintptr_t)r[REG_RBP], (uintptr_t)r[REG_R12],
                                 (uintptr_t)r[REG_R13], (uintptr_t)r[REG_R14], (uintptr_t)r[REG_R15]}};
  return true;
}

static void dump_frames(struct dump *dump, unsigned thread) {
  struct range ranges[range_cached] = {{0, 0, false}};
  static struct { uintptr_t sp, pc; } found[dump_frames_most];
  struct frame frame;
  unsigned count = 0;
  if (!dump_registers(dump, &dump->snapshot->threads[thread], &frame.at)) return;
  frame_begin(&frame, ranges);
  do {
    found[count].sp = frame.at.sp;
    found[count++].pc = frame.at.pc;
  } while (count < dump_frames_most && frame_step(&frame));
  dump_number(dump, DUMP_FRAMES);
  dump_number(dump, thread);
  dump_number(dump, count);
  for (unsigned i = 0; i < count; i++) {
    dump_number(dump, found[i].sp);
    dump_number(dump, found[i].pc);
  }
}

/* --- edges --- */

static void dump_edge(struct dump *dump, uintptr_t at, uintptr_t target) {
  dump_number(dump, (at - dump->last_word) / sizeof(uintptr_t));
  dump->last_word = at;
  dump->edges_here++;
  if (dump->is_root) dump_number(dump, (target - region.base) / dump_step);
  else dump_signed(dump, (int64_t)(target - dump->from) / dump_step);
}

static void dump_word(uintptr_t at, uintptr_t word, void *arg) {
  struct block *block;
  uint32_t slot;
  if (graph_find(word, &block, &slot)) dump_edge(arg, at, block_slot_address(block, slot));
}

static void dump_begin_edges(struct dump *dump, uintptr_t from, bool is_root) {
  dump->from = from;
  dump->last_word = from - sizeof(uintptr_t);
  dump->edges_here = 0;
  dump->is_root = is_root;
}

/* --- roots --- */

static void dump_root_head(struct dump *dump, const struct rooted_range *range, uintptr_t lo) {
  unsigned thread = range->thread ? (unsigned)(range->thread - dump->snapshot->threads) + 1 : 0;
  dump_number(dump, DUMP_ROOT);
  dump_number(dump, range->kind);
  dump_number(dump, thread);
  dump_number(dump, lo);
  dump_number(dump, range->hi - range->lo);
  dump_text(dump, range->kind == ROOTED_MAPPING ? range->mapping : "");
}

static void dump_root(const struct rooted_range *range, void *arg) {
  struct dump *dump = arg;
  uintptr_t lo = range->copied ? range->copied : range->lo;
  dump_root_head(dump, range, lo);
  dump_begin_edges(dump, lo, true);
  rooted_words(range, dump_word, dump);
  dump_number(dump, 0);
  dump->roots++;
  dump->root_edges += dump->edges_here;
}

static enum roots_purpose dump_purpose(const struct dump *dump) {
  if (birth_options.mode == MODE_LEAKS) return ROOTS_REPORT;
  return dump->request->declared_roots ? ROOTS_DECLARED : ROOTS_ALL;
}

/* --- objects --- */

static void dump_note(struct dump *dump, struct block *block, uint32_t slot) {
  const struct note *note = block_note(block, slot);
  dump_number(dump, block_requested(block, slot));
  uint32_t site = note ? note->site : 0;
  dump_number(dump, site);
  if (site / 8 < dump->site_bytes) dump->sites[site / 64] |= (uint64_t)1 << site % 64;
}

static void dump_object(struct dump *dump, struct block *block, uint32_t slot, uint32_t skipped) {
  uint8_t state = block->state[slot];
  dump_number(dump, skipped);
  dump_number(dump, (state & (STATE_AGE | STATE_FROZEN | STATE_SUSPECT)) >> 3);
  if (dump->sites) dump_note(dump, block, slot);
  dump->objects++;
  if (!kind_is_scanned(block->kind)) return;
  dump_begin_edges(dump, block_slot_address(block, slot), false);
  graph_contents(block, slot, dump_word, dump);
  dump_number(dump, 0);
  dump->edges += dump->edges_here;
}

static void dump_block(struct dump *dump, struct block *block) {
  uint32_t count = 0, next = 0;
  for (uint32_t slot = 0; slot < block->nslots; slot++) count += graph_is_alive(block, slot);
  if (!count) return;
  uintptr_t first = block->start / block_unit;
  dump_number(dump, DUMP_BLOCK);
  dump_number(dump, first - dump->last_unit);
  dump_number(dump, block->slot_size);
  if (!block->slot_size) dump_number(dump, block->size);
  dump_number(dump, block->kind);
  dump_number(dump, dump->sites != NULL);
  dump_number(dump, count);
  for (uint32_t slot = 0; slot < block->nslots && !dump->error; slot++) {
    if (!graph_is_alive(block, slot)) continue;
    dump_object(dump, block, slot, slot - next);
    next = slot + 1;
  }
  uintptr_t end = block->slot_size ? block_slot_address(block, next) : block->start + block->size;
  dump->last_unit = bits_align_up(end, block_unit) / block_unit; /* as the reader knows it: empty slots at the end are not told */
}

static void dump_objects(struct dump *dump) {
  struct block *block;
  for (size_t unit = 0; (block = region_next(&unit)) != NULL && !dump->error; unit += block->units) dump_block(dump, block);
}

/* --- stacks --- */

static void dump_stack(struct dump *dump, uint32_t site) {
  const struct site_stack *stack = site_stack(site);
  uintptr_t last = 0;
  if (!stack) return;
  dump_number(dump, DUMP_STACK);
  dump_number(dump, site);
  dump_number(dump, stack->count);
  for (uint32_t i = 0; i < stack->count; i++) {
    int module = modules_find(stack->pc[i] - 1, stack->epoch);
    dump_number(dump, module >= 0 && module < dump->modules ? (unsigned)module + 1 : 0);
    dump_signed(dump, (int64_t)(stack->pc[i] - last));
    last = stack->pc[i];
  }
}

static void dump_stacks(struct dump *dump) {
  for (size_t word = 0; dump->sites && word < dump->site_bytes / sizeof *dump->sites; word++)
    for (uint64_t bits = dump->sites[word]; bits; bits &= bits - 1)
      dump_stack(dump, (uint32_t)(word * 64 + bits_lowest(bits)));
}

/* --- all together --- */

static int dump_begin(struct dump *dump) {
  dump->buffer = os_memory_map(dump_buffer);
  if (dump->buffer && birth_records()) {
    dump->site_bytes = bits_align_up(site_count() / 8 + 1, os_page_size);
    dump->sites = os_memory_map(dump->site_bytes);
  }
  if (!dump->buffer || (birth_records() && !dump->sites)) return ENOMEM;
  site_fork_child();
  return graph_begin();
}

int dump_write(const struct snapshot *snapshot, const struct dump_request *request) {
  static struct dump dump;
  dump = (struct dump){.snapshot = snapshot, .request = request};
  int error = dump_begin(&dump);
  if (error) return error;
  dump_bytes(&dump, DUMP_MAGIC, sizeof DUMP_MAGIC - 1);
  dump_flush(&dump); /* whoever asked for it shall know */
  dump_infos(&dump);
  dump_modules(&dump);
  for (unsigned i = 0; i < snapshot->count; i++) dump_thread(&dump, &snapshot->threads[i]);
  for (unsigned i = 0; i < snapshot->count; i++) dump_frames(&dump, i);
  error = rooted_each(snapshot, dump_purpose(&dump), dump_root, &dump);
  if (error) dump_info_number(&dump, "roots-missing", "%lu", (unsigned long)error);
  dump_objects(&dump);
  dump_stacks(&dump);
  dump_number(&dump, DUMP_END);
  dump_number(&dump, dump.objects);
  dump_number(&dump, dump.edges);
  dump_number(&dump, dump.roots);
  dump_number(&dump, dump.root_edges);
  dump_flush(&dump);
  return dump.error;
}
