/* SPDX-License-Identifier: MIT
 * Tracking by soft-dirty bits: "4" written to /proc/self/clear_refs clears that of every page of the process, and a write sets
 * the page's again; the page map shows it. Knows nothing of other ways.
 *
 * Clearing concerns all pages, so what was protected one by one is noted here, a bit for each page: a page counts as not
 * written when its bit here is set and the kernel's is clear. A bit here goes when the page is told as written. The kernel sets
 * its bit for new mappings, moved pages, and whatever else it is not sure of.
 *
 * Cost: a clear walks all page tables of the process, and each page that the program writes afterwards faults once, whether
 * it matters here or not. So the caller protects many pages at a time, and seldom. Other users of soft-dirty bits in the process
 * (checkpointing) are disturbed. */
#include "config.h"

#include "base/bits.h"
#include "os/call.h"
#include "os/memory.h"
#include "os/track_ways.h"

#include <string.h>

#define SOFT_PRESENT ((uint64_t)1 << 63)
#define SOFT_SWAPPED ((uint64_t)1 << 62)
#define SOFT_DIRTY ((uint64_t)1 << 55)

enum {
  soft_chunk_shift = 30, /* one table of bits for so much memory, made when a page of it is first protected */
  soft_chunks = 2048,    /* a power of two; the largest region has half as many */
  soft_entries = 512,    /* of the page map, read at a time */
};

/* Chunks by their number, in the first free place from number % soft_chunks on. */
static struct soft_chunk {
  uintptr_t number; /* address >> soft_chunk_shift; valid where there are bits */
  uint8_t *bits;
} soft_chunk[soft_chunks];
static bool soft_pending; /* something was protected since the last clear */

static size_t soft_chunk_bytes(void) { return (((size_t)1 << soft_chunk_shift) / os_page_size) / 8; }

static uint8_t *soft_chunk_bits(uintptr_t number, bool make) {
  for (unsigned i = 0; i < soft_chunks; i++) {
    struct soft_chunk *chunk = &soft_chunk[(number + i) % soft_chunks];
    if (chunk->bits && chunk->number != number) continue;
    if (!chunk->bits && make) *chunk = (struct soft_chunk){number, os_memory_map(soft_chunk_bytes())};
    return chunk->bits;
  }
  return NULL;
}

/* The byte with the bit of a page; NULL where there is none. */
static uint8_t *soft_byte(uintptr_t at, bool make) {
  uint8_t *bits = soft_chunk_bits(at >> soft_chunk_shift, make);
  return bits ? &bits[(at & (((uintptr_t)1 << soft_chunk_shift) - 1)) / os_page_size / 8] : NULL;
}

static uint8_t soft_bit(uintptr_t at) { return (uint8_t)(1u << (at / os_page_size % 8)); }

static void soft_forget(void) {
  for (unsigned i = 0; i < soft_chunks; i++) {
    if (soft_chunk[i].bits) os_memory_unmap(soft_chunk[i].bits, soft_chunk_bytes());
    soft_chunk[i].bits = NULL;
  }
  soft_pending = false;
}

static bool soft_clear(void) {
  int fd = track_open("clear_refs", O_WRONLY);
  if (fd < 0) return false;
  long put;
  do put = os_call(SYS_write, fd, "4", 1);
  while (put == -EINTR);
  os_call_close(fd);
  return put == 1;
}

/* A page just written bears the bit at once, if this kernel keeps any. */
static bool soft_exists(int fd) {
  uint64_t entry = 0;
  uintptr_t page = (uintptr_t)os_memory_map(os_page_size);
  if (!page) return false;
  *(volatile char *)page = 1;
  long got = os_call(SYS_pread64, fd, &entry, sizeof entry, page / os_page_size * sizeof entry);
  os_memory_unmap((void *)page, os_page_size);
  return got == sizeof entry && entry & SOFT_PRESENT && entry & SOFT_DIRTY;
}

static const char *soft_begin(void) {
  int fd = track_open("pagemap", 0);
  if (fd < 0) return track_refusal(-fd);
  bool exists = soft_exists(fd);
  os_call_close(fd);
  soft_forget();
  if (!exists) return "this kernel keeps none";
  return soft_clear() ? NULL : "clear_refs is refused";
}

/* What was protected before counts as written. */
static void soft_unprotect(uintptr_t lo, uintptr_t hi) {
  const uintptr_t chunk = (uintptr_t)1 << soft_chunk_shift;
  for (uintptr_t at = lo; at < hi;) {
    uint8_t *byte = soft_byte(at, false);
    if (byte) *byte &= (uint8_t)~soft_bit(at);
    at = byte ? at + os_page_size : bits_align_up(at + 1, chunk);
  }
}

static int soft_add(uintptr_t lo, uintptr_t hi) {
  if (!track_is_private(lo, hi)) return EINVAL;
  soft_unprotect(lo, hi);
  return 0;
}

static int soft_protect(uintptr_t lo, uintptr_t hi) {
  for (uintptr_t at = lo; at < hi; at += os_page_size) {
    uint8_t *byte = soft_byte(at, true);
    if (!byte) {
      soft_unprotect(lo, hi);
      return ENOMEM;
    }
    *byte |= soft_bit(at);
  }
  soft_pending = true;
  return 0;
}

/* If it fails the bits of the kernel stay, and with them the pages count as written. */
static void soft_settle(void) {
  if (soft_pending) soft_clear();
  soft_pending = false;
}

/* --- what was written --- */

/* Merges neighbours before they are told. */
struct soft_merge {
  uintptr_t lo, hi;
  bool present;
  os_maps_range *each;
  void *arg;
};

static void soft_tell(struct soft_merge *merge, uintptr_t lo, uintptr_t hi, bool present) {
  if (lo == merge->hi && present == merge->present) {
    merge->hi = hi;
    return;
  }
  if (merge->lo != merge->hi) merge->each(merge->lo, merge->hi, merge->present, merge->arg);
  merge->lo = lo;
  merge->hi = hi;
  merge->present = present;
}

static void soft_page(struct soft_merge *merge, uintptr_t at, uint64_t entry) {
  if (!(entry & (SOFT_PRESENT | SOFT_SWAPPED))) return;
  uint8_t *byte = soft_byte(at, false);
  bool is_protected = byte && *byte & soft_bit(at);
  if (is_protected && !(entry & SOFT_DIRTY)) return;
  if (is_protected) *byte &= (uint8_t)~soft_bit(at);
  soft_tell(merge, at, at + os_page_size, entry & SOFT_PRESENT);
}

static bool soft_written_by(int fd, uintptr_t lo, uintptr_t hi, struct soft_merge *merge) {
  uint64_t entry[soft_entries];
  for (uintptr_t at = lo; at < hi;) {
    size_t want = (hi - at) / os_page_size;
    if (want > soft_entries) want = soft_entries;
    long got = os_call(SYS_pread64, fd, entry, want * sizeof entry[0], at / os_page_size * sizeof entry[0]);
    if (got == -EINTR) continue;
    if (got < (long)sizeof entry[0]) return false;
    for (size_t i = 0; i < (size_t)got / sizeof entry[0]; i++, at += os_page_size) soft_page(merge, at, entry[i]);
  }
  soft_tell(merge, 0, 0, !merge->present); /* the last one */
  return true;
}

static bool soft_written(uintptr_t lo, uintptr_t hi, os_maps_range *each, void *arg) {
  struct soft_merge merge = {.each = each, .arg = arg};
  int fd = track_open("pagemap", 0);
  if (fd < 0) return false;
  bool good = soft_written_by(fd, lo, hi, &merge);
  os_call_close(fd);
  return good;
}

const struct track_backend track_soft_dirty = {
    .begin = soft_begin, .end = soft_forget, .add = soft_add, .protect = soft_protect,
    .settle = soft_settle, .written = soft_written,
};
