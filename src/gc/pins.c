/* SPDX-License-Identifier: MIT
 * See pins.h.
 *
 *   chunks | 256 entries | 1024 | 4096 | ...   each made when there was no place in those before, never moved or given back
 *
 * An entry's key goes from 0 or a key to "busy" by compare-and-swap, which gives it to one thread, and on to a key or 0 when its
 * values are there or gone. A key can be in a few places of each chunk only, all of which are looked at, so that a gap
 * does not end a search. A reader of the whole needs no order: it takes each word for a value. */
#include "config.h"

#include "gc/pins.h"

#include "base/bits.h"
#include "os/memory.h"
#include "os/threads.h"
#include "os/wait.h"

enum {
  pins_chunks = 11,
  pins_first = 256, /* entries; each next chunk has 4 times as many */
  pins_places = 8,  /* of a key in a chunk */
  pins_kind_shift = 60,
  pins_signal_shift = 52,
  pins_signals_many = 256,
};

struct pins_entry {
  _Atomic uint64_t key;
  _Atomic uintptr_t value[pin_values];
};

static _Atomic(struct pins_entry *) pins_chunk[pins_chunks];
static _Atomic bool pins_lost;
static _Atomic uint64_t pins_sequence;
#define PINS_BUSY UINT64_MAX
static _Atomic size_t pins_signals, pins_thread_signals;      /* entries of queued signals; of these, for threads */
static _Atomic size_t pins_signals_limit = pins_signals_many; /* when to look whether they are still queued */

static size_t pins_entries(int chunk) { return (size_t)pins_first << 2 * chunk; }

static enum pin_kind pins_kind(uint64_t key) { return (enum pin_kind)(key >> pins_kind_shift); }
static bool pins_is_signal(uint64_t key) { return pins_kind(key) == PIN_SIGNAL || pins_kind(key) == PIN_THREAD_SIGNAL; }

struct pin pins_of(enum pin_kind kind, uint64_t id) {
  uint64_t room = ((uint64_t)1 << pins_kind_shift) - 1;
  if (kind >= PIN_SIGNAL) {
    uint64_t sequences = ((uint64_t)1 << pins_signal_shift) - 1;
    id = id << pins_signal_shift | (atomic_fetch_add(&pins_sequence, 1) & sequences);
  }
  return (struct pin){.key = (uint64_t)kind << pins_kind_shift | (id & room)};
}

/* --- chunks and places --- */

static struct pins_entry *pins_chunk_make(int chunk) {
  size_t bytes = pins_entries(chunk) * sizeof(struct pins_entry);
  struct pins_entry *made = os_memory_map(bytes), *there = NULL;
  if (!made) return NULL;
  if (atomic_compare_exchange_strong(&pins_chunk[chunk], &there, made)) return made;
  os_memory_unmap(made, bytes);
  return there;
}

static struct pins_entry *pins_place(struct pins_entry *entries, int chunk, uint64_t key, size_t i) {
  return &entries[(bits_mix(key) + i) & (pins_entries(chunk) - 1)];
}

/* An entry that has the key, 0 for a free one; made busy. make: also in a new chunk. NULL: none. */
static struct pins_entry *pins_seize(uint64_t key, uint64_t now, bool make) {
  for (int chunk = 0; chunk < pins_chunks; chunk++) {
    struct pins_entry *entries = atomic_load(&pins_chunk[chunk]);
    if (!entries && make) entries = pins_chunk_make(chunk);
    if (!entries) return NULL;
    for (size_t i = 0; i < pins_places; i++) {
      struct pins_entry *entry = pins_place(entries, chunk, key, i);
      uint64_t seen = now;
      if (atomic_load_explicit(&entry->key, memory_order_relaxed) == now &&
          atomic_compare_exchange_strong(&entry->key, &seen, PINS_BUSY))
        return entry;
    }
  }
  return NULL;
}

static void pins_fill(struct pins_entry *entry, const struct pin *pin) {
  for (int i = 0; i < pin_values; i++) atomic_store_explicit(&entry->value[i], pin->value[i], memory_order_relaxed);
  atomic_store(&entry->key, pin->key);
}

static void pins_count_signal(uint64_t key, size_t change) {
  if (!pins_is_signal(key)) return;
  atomic_fetch_add(&pins_signals, change);
  if (pins_kind(key) == PIN_THREAD_SIGNAL) atomic_fetch_add(&pins_thread_signals, change);
}

/* --- queued signals --- */

struct pins_pending {
  uint64_t process, threads;
};

static bool pins_add_pending(pid_t tid, void *arg) {
  struct pins_pending *pending = arg;
  pending->threads |= os_thread_pending(tid, &pending->process);
  return true;
}

static struct pins_pending pins_find_pending(void) {
  struct pins_pending pending = {0};
  if (os_threads_each(pins_add_pending, &pending) != 0) pending.process = pending.threads = ~(uint64_t)0;
  return pending;
}

/* Of those pinned before the sequence number: what is not pending has been delivered, and lies in a frame or a buffer. */
static void pins_drop_delivered(const struct pins_pending *pending, uint64_t before) {
  for (int chunk = 0; chunk < pins_chunks; chunk++) {
    struct pins_entry *entries = atomic_load(&pins_chunk[chunk]);
    for (size_t i = 0; entries && i < pins_entries(chunk); i++) {
      uint64_t key = atomic_load_explicit(&entries[i].key, memory_order_relaxed);
      if (!pins_is_signal(key) || (key & (((uint64_t)1 << pins_signal_shift) - 1)) >= before) continue;
      unsigned signal = key >> pins_signal_shift & 0xff;
      uint64_t queued = pins_kind(key) == PIN_SIGNAL ? pending->process : pending->threads;
      if (signal - 1 < 64 && queued >> (signal - 1) & 1) continue;
      if (!atomic_compare_exchange_strong(&entries[i].key, &key, PINS_BUSY)) continue;
      pins_count_signal(key, (size_t)-1);
      pins_fill(&entries[i], &(struct pin){0});
    }
  }
}

/* Many have been queued since: some may be gone. Another thread may be just about to pin one that it has queued, which is
 * why only older ones count. */
static void pins_look_after_signals(void) {
  uint64_t before = atomic_load(&pins_sequence);
  struct pins_pending pending = pins_find_pending();
  pins_drop_delivered(&pending, before);
  size_t left = atomic_load(&pins_signals);
  atomic_store(&pins_signals_limit, left < pins_signals_many ? pins_signals_many : 2 * left);
}

/* --- what others see --- */

void pins_set(const struct pin *pin) {
  bool signal = pins_is_signal(pin->key);
  if (signal && atomic_load(&pins_signals) >= atomic_load(&pins_signals_limit)) pins_look_after_signals();
  struct pins_entry *entry = signal ? NULL : pins_seize(pin->key, pin->key, false);
  if (!entry) entry = pins_seize(pin->key, 0, true);
  if (!entry) {
    atomic_store(&pins_lost, true);
    return;
  }
  pins_count_signal(pin->key, 1);
  pins_fill(entry, pin);
}

bool pins_take(uint64_t key, struct pin *taken) {
  struct pins_entry *entry = pins_seize(key, key, false);
  *taken = (struct pin){0};
  if (!entry) return false;
  taken->key = key;
  for (int i = 0; i < pin_values; i++) taken->value[i] = atomic_load_explicit(&entry->value[i], memory_order_relaxed);
  pins_fill(entry, &(struct pin){0});
  return true;
}

bool pins_complete(void) { return !atomic_load(&pins_lost); }

void pins_each(void (*range)(uintptr_t lo, uintptr_t hi, void *arg), void *arg) {
  if (atomic_load(&pins_signals) > 0) {
    struct pins_pending pending = {.process = os_wait_pending()};
    if (atomic_load(&pins_thread_signals) > 0) pending = pins_find_pending();
    pins_drop_delivered(&pending, UINT64_MAX);
  }
  for (int chunk = 0; chunk < pins_chunks; chunk++) {
    struct pins_entry *entries = atomic_load(&pins_chunk[chunk]);
    if (entries) range((uintptr_t)entries, (uintptr_t)(entries + pins_entries(chunk)), arg);
  }
}
