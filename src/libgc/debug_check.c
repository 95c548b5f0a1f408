/* SPDX-License-Identifier: MIT
 * Looking at debug objects: all of them after each full collection, and each that is given up. Must not know what is told of leaks but what
 * findleak.c notes here.
 *
 * Whoever gives up an object may be any thread, with the program standing still: it notes what it has seen in a ring, and what is noted is told
 * after the collection, by the thread that tells of it. */
#include "config.h"

#include "libgc/debug_check.h"

#include "api/collector.h"
#include "gc_ext.h"
#include "heap/heap.h"
#include "heap/sweep.h"
#include "os/memory.h"

#include <errno.h>
#include <unistd.h>

/* --- the ring --- */

enum { check_ring = 1 << 14 };

struct check_entry {
  _Atomic bool ready;
  struct check_note note;
};

static struct check_entry *check_entries;
static _Atomic uint64_t check_head, check_tail, check_lost;
static _Atomic pid_t check_telling; /* the process in which a thread takes from it */

void check_note(const struct check_note *note) {
  uint64_t tail = atomic_load(&check_tail);
  do {
    if (!check_entries || tail - atomic_load(&check_head) >= check_ring) {
      atomic_fetch_add(&check_lost, 1);
      return;
    }
  } while (!atomic_compare_exchange_weak(&check_tail, &tail, tail + 1));
  struct check_entry *entry = &check_entries[tail % check_ring];
  entry->note = *note;
  atomic_store(&entry->ready, true);
}

/* False: there is none, or it is not complete yet. */
static bool check_take(struct check_note *note) {
  uint64_t head = atomic_load(&check_head);
  if (head == atomic_load(&check_tail)) return false;
  struct check_entry *entry = &check_entries[head % check_ring];
  if (!atomic_load(&entry->ready)) return false;
  *note = entry->note;
  atomic_store(&entry->ready, false);
  atomic_store(&check_head, head + 1);
  return true;
}

/* --- telling --- */

static void check_say(const struct check_note *note) {
  char text[debug_text_bytes];
  debug_describe(&note->told, text);
  if (note->what == CHECK_LEAKED) debug_say("leaked: the object at %s", text);
  else if (note->what == CHECK_SMASHED) debug_say("smashed: %p in or near the object at %s", note->at, text);
  else debug_say("written to after it was freed: %p in the object at %s", note->at, text);
  debug_say_stack(&note->told);
}

/* One thread at a time; a thread of the parent may have been at it when this process was forked. */
static bool check_begin_telling(void) {
  pid_t mine = getpid(), telling = 0;
  return atomic_compare_exchange_strong(&check_telling, &telling, mine) ||
         (telling != mine && atomic_compare_exchange_strong(&check_telling, &telling, mine));
}

unsigned check_tell(void) {
  struct check_note note;
  unsigned leaked = 0;
  if (!check_begin_telling()) return 0;
  while (check_take(&note)) {
    check_say(&note);
    leaked += note.what == CHECK_LEAKED;
  }
  uint64_t lost = atomic_exchange(&check_lost, 0);
  if (lost) debug_say("and %lu more objects, of which there was no room to note anything", lost);
  atomic_store(&check_telling, 0);
  return leaked;
}

/* --- looking --- */

/* The object may be freed meanwhile, and another one be in its place: what seems to be smashed counts if it is the same one after as before. */
static bool check_look(struct block *block, uint32_t slot, struct check_note *note) {
  struct debug_header *header = (struct debug_header *)block_slot_address(block, slot);
  uint32_t life = atomic_load(&header->life);
  if (life & DEBUG_TOLD) return false;
  note->at = debug_smashed_at(header);
  if (!note->at) return false;
  note->told = debug_tell_of(header);
  bool fences = note->at < debug_pointer(header) || (const char *)note->at >= (const char *)debug_pointer(header) + header->size;
  note->what = life & DEBUG_FREED && !fences ? CHECK_WRITTEN : CHECK_SMASHED;
  atomic_thread_fence(memory_order_seq_cst);
  return debug_is(block, slot) && atomic_compare_exchange_strong(&header->life, &life, life | DEBUG_TOLD);
}

static void check_block(struct block *block) {
  if (!atomic_load(&block->counts) || atomic_load(&block->reprotected)) return;
  for (uint32_t slot = 0; slot < block->nslots; slot++) {
    struct check_note note;
    if (!state_is_live(((volatile uint8_t *)block->state)[slot]) || !debug_is(block, slot)) continue;
    if (check_look(block, slot, &note)) check_note(&note);
  }
}

static void check_all(void) {
  struct block *block;
  heap_lock();
  for (size_t unit = 0; (block = region_next(&unit)) != NULL; unit += block->units) check_block(block);
  heap_unlock();
}

/* --- in a collection --- */

static void (*check_told_before)(struct block *block, uint32_t slot);

static void check_given_up(struct block *block, uint32_t slot) {
  struct check_note note;
  bool readable = !atomic_load(&block->reprotected), debug = readable && debug_is(block, slot);
  if (debug && check_look(block, slot, &note)) {
    note.told.alive = false;
    check_note(&note);
  }
  findleak_given_up(block, slot, debug);
  if (check_told_before) check_told_before(block, slot);
}

static void check_collected(const struct GC_event *event, void *arg) {
  (void)arg;
  bool full = event->collection.generation == GC_GENERATIONS - 1;
  if (event->phase == GC_PHASE_STOP && full && !event->collection.error) check_all();
  if (event->phase == GC_PHASE_STOP || event->phase == GC_PHASE_SWEPT) findleak_told(check_tell());
}

void debug_begin(void) {
  static _Atomic int begun;
  int not_yet = 0;
  if (likely(atomic_load(&begun)) || !atomic_compare_exchange_strong(&begun, &not_yet, 1)) return;
  int saved = errno;
  check_entries = os_memory_map(check_ring * sizeof *check_entries);
  alloc_displaced = &debug_displaced;
  check_told_before = sweep_tell;
  sweep_tell = check_given_up;
  GC_add_callback(check_collected, NULL);
  errno = saved;
}
