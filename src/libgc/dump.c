/* SPDX-License-Identifier: MIT
 * libgc's dumps: what the heap looks like, as text on standard output, for a person. gleaner dump shows more. Must not change anything. */
#include "config.h"

#include "api/gc_events.h"
#include "api/gc_memory.h"
#include "base/print.h"
#include "gc.h"
#include "gc/finalize.h"
#include "gc/watch.h"
#include "gc_inline.h"
#include "heap/heap.h"
#include "libgc/libgc.h"

#include <errno.h>
#include <unistd.h>

static const char *const dump_kinds[] = {
    [KIND_SCANNED] = "malloc'ed", [KIND_COLLECTED] = "normal", [KIND_POINTER_FREE] = "pointer-free", [KIND_UNCOLLECTABLE] = "uncollectable",
    [KIND_UNCOLLECTABLE_POINTER_FREE] = "uncollectable, pointer-free", [KIND_TYPED] = "typed"};

/* --- each part, into an open printer --- */

static void dump_head(struct printer *out, const char *name) {
  if (name) print(out, "*** GC dump %s\n", name);
  else print(out, "*** GC dump of collection %lu\n", (unsigned long)GC_get_gc_no());
  print(out, "heap: %zu bytes, %zu of them free; %zu were given back; %zu allocated since the last collection\n", GC_get_heap_size(),
        GC_get_free_bytes(), GC_get_unmapped_bytes(), GC_get_bytes_since_gc());
}

static void dump_sizes(struct printer *out) {
  for (unsigned kind = 0; kind < kind_count; kind++) {
    size_t bytes = atomic_load(&heap_bytes[kind]);
    ptrdiff_t used = atomic_load(&heap_in_use[kind]);
    if (bytes) print(out, "%s: %zu bytes in blocks, %zu of them in use\n", dump_kinds[kind], bytes, used > 0 ? (size_t)used : 0);
  }
}

/* Blocks may come and go between two looks: each is looked at under the lock, and printed without it. */
static bool dump_block(struct printer *out, size_t *unit) {
  struct block copy;
  heap_lock();
  struct block *block = region_next(unit);
  if (block) copy = *block;
  heap_unlock();
  if (!block) return false;
  uint32_t freed = atomic_load(&copy.remote_freed), used = copy.used > freed ? copy.used - freed : 0;
  print(out, "%p: %zu bytes, %s, %u of %u slots of %zu bytes in use\n", (void *)copy.start, (size_t)copy.units * block_unit,
        dump_kinds[copy.kind], used, copy.nslots, copy.slot_size ? (size_t)copy.slot_size : copy.requested);
  *unit += copy.units;
  return true;
}

static void dump_blocks(struct printer *out) {
  for (size_t unit = 0; dump_block(out, &unit);) continue;
}

static void dump_waiting(struct printer *out) {
  static const struct {
    enum watch_kind kind;
    const char *name;
  } rows[] = {{WATCH_LINK, "disappearing links"}, {WATCH_LONG_LINK, "long links"}, {WATCH_FINALIZER, "finalizers"},
              {WATCH_QUEUED, "finalizers that are due"}};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    watch_lock();
    size_t count = watch_count(rows[i].kind);
    watch_unlock();
    print(out, "%s: %zu\n", rows[i].name, count);
  }
}

/* --- the public names --- */

static int dump_descriptor(void) {
  int log = gc_log_descriptor();
  return log < 0 ? STDOUT_FILENO : log;
}

static void dump_all(const char *name) {
  struct printer out;
  int saved = errno;
  if (!birth_ensure()) return;
  print_open(&out, dump_descriptor());
  dump_head(&out, name);
  dump_sizes(&out);
  dump_blocks(&out);
  dump_waiting(&out);
  print(&out, "*** end of GC dump\n");
  print_flush(&out);
  errno = saved;
}

PUBLIC void GC_dump(void) { dump_all(NULL); }
PUBLIC void GC_dump_named(const char *name) { dump_all(name); }

static void dump_part(void (*part)(struct printer *out)) {
  struct printer out;
  int saved = errno;
  if (!birth_ensure()) return;
  print_open(&out, dump_descriptor());
  part(&out);
  print_flush(&out);
  errno = saved;
}

PUBLIC void GC_dump_regions(void) { dump_part(dump_blocks); }
PUBLIC void GC_dump_finalization(void) { dump_part(dump_waiting); }

static size_t dump_free_slots(unsigned kind, size_t size) {
  struct block *block;
  size_t count = 0;
  heap_lock();
  for (size_t unit = 0; (block = region_next(&unit)) != NULL; unit += block->units) {
    uint32_t used = block->used - atomic_load(&block->remote_freed);
    if (block->kind == kind && block->slot_size == size && used < block->nslots) count += block->nslots - used;
  }
  heap_unlock();
  return count;
}

PUBLIC void GC_print_free_list(int kind, size_t granules) {
  static const unsigned of[] = {KIND_POINTER_FREE, KIND_COLLECTED, KIND_UNCOLLECTABLE, KIND_UNCOLLECTABLE_POINTER_FREE};
  size_t size = granules * GC_GRANULE_BYTES;
  int saved = errno;
  if (kind < 0 || (size_t)kind >= sizeof of / sizeof of[0] || !birth_ensure()) return;
  print_fd(dump_descriptor(), "%s objects of %zu bytes: %zu free\n", dump_kinds[of[kind]], size, dump_free_slots(of[kind], size));
  errno = saved;
}
