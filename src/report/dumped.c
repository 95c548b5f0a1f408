/* SPDX-License-Identifier: MIT
 * Reading heap dumps. Knows the form alone; must not know what is asked of the graph.
 *
 * Two passes over the bytes: the first finds the objects, the second, when all are numbered, what leads to which. Nothing in the file is
 * trusted: every number is checked against what it is for, so that damage ends in one message and never in a crash. */
#include "config.h"

#include "report/dumped.h"

#include "base/bits.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
  dumped_text_most = 1 << 20,
  dumped_slots_most = 1 << 16, /* in a block: 64 KiB by 16 bytes are 4096 */
  dumped_frames_most = 1 << 16,
  dumped_sites_most = 1 << 28,
};
#define DUMPED_UNITS_MOST ((uint64_t)1 << 25)   /* from the first block to the last */
#define DUMPED_ADDRESS_MOST ((uint64_t)1 << 57)

/* --- bytes --- */

static void dumped_fail(struct dumped *d, const char *what) {
  if (d->error) return;
  snprintf(d->message, sizeof d->message, "is damaged at byte %zu: %s", d->at, what);
  d->error = d->message;
}

static void dumped_truncated(struct dumped *d) {
  if (!d->error) d->error = "is a heap dump that was not written to its end";
  d->at = d->length;
}

static uint64_t dumped_number_slow(struct dumped *d) {
  uint64_t n = 0;
  for (unsigned shift = 0; shift < 70; shift += 7) {
    if (d->at >= d->length) {
      dumped_truncated(d);
      return 0;
    }
    uint8_t byte = d->bytes[d->at++];
    if (shift == 63 && byte > 1) break;
    n |= (uint64_t)(byte & 0x7f) << shift;
    if (!(byte & 0x80)) return n;
  }
  dumped_fail(d, "a number is too large");
  return 0;
}

static inline uint64_t dumped_number(struct dumped *d) {
  if (likely(d->at < d->length && d->bytes[d->at] < 0x80)) return d->bytes[d->at++];
  return dumped_number_slow(d);
}

static inline int64_t dumped_signed(struct dumped *d) {
  uint64_t n = dumped_number(d);
  return (int64_t)(n >> 1 ^ (0 - (n & 1)));
}

static uint64_t dumped_number_to(struct dumped *d, uint64_t most, const char *what) {
  uint64_t n = dumped_number(d);
  if (n <= most) return n;
  dumped_fail(d, what);
  return 0;
}

/* Terminated, and without what could confuse a terminal. */
static const char *dumped_text(struct dumped *d) {
  size_t length = dumped_number_to(d, dumped_text_most, "a text is too long");
  if (length > d->length - d->at) dumped_truncated(d);
  if (d->error) return "";
  char *text = model_copy((const char *)d->bytes + d->at, length);
  for (char *c = text; *c; c++)
    if ((unsigned char)*c < ' ' || *c == 127) *c = '?';
  d->at += length;
  return text;
}

/* --- what stands before the objects --- */

static void dumped_info(struct dumped *d) {
  const char *key = dumped_text(d), *text = dumped_text(d);
  if (strcmp(key, "program") == 0) d->program = text;
  if (strcmp(key, "mode") == 0) d->mode = text;
  if (strcmp(key, "pid") == 0) d->pid = strtol(text, NULL, 10);
  if (strcmp(key, "time") == 0) d->time = strtol(text, NULL, 10);
  if (strcmp(key, "region") == 0) d->region = strtoull(text, NULL, 16);
  if (strcmp(key, "malloc") == 0) d->malloc_kept = strcmp(text, "kept") == 0;
  if (strcmp(key, "roots-missing") == 0) d->roots_missing = (int)strtol(text, NULL, 10);
  if (d->region > DUMPED_ADDRESS_MOST) dumped_fail(d, "no such region");
}

static const char *dumped_build_id(struct dumped *d) {
  static const char digits[] = "0123456789abcdef";
  size_t length = dumped_number_to(d, 64, "a build id is too long");
  char hex[129];
  if (length > d->length - d->at) dumped_truncated(d);
  if (d->error || length == 0) return NULL;
  for (size_t i = 0; i < length; i++) {
    hex[2 * i] = digits[d->bytes[d->at] >> 4];
    hex[2 * i + 1] = digits[d->bytes[d->at++] & 15];
  }
  return model_copy(hex, 2 * length);
}

static void dumped_module(struct dumped *d) {
  struct model_module module = {.known = true};
  module.lo = dumped_number(d);
  module.hi = module.lo + dumped_number_to(d, DUMPED_ADDRESS_MOST, "a module is too large");
  module.bias = dumped_number(d);
  module.build_id = dumped_build_id(d);
  module.path = dumped_text(d);
  if (d->error || module.hi < module.lo) return;
  int same = (int)d->model.module_count;
  for (size_t i = d->model.module_count; i-- > 0;) {
    const struct model_module *other = &d->model.modules[i];
    bool id = other->build_id && module.build_id ? strcmp(other->build_id, module.build_id) == 0 : other->build_id == module.build_id;
    if (id && strcmp(other->path, module.path) == 0) same = other->same;
  }
  module.same = same;
  *model_module_at(&d->model, d->model.module_count) = module;
}

static void dumped_thread(struct dumped *d) {
  struct dumped_thread thread = {0};
  thread.tid = (long)dumped_number_to(d, INT32_MAX, "no such thread");
  thread.flags = (unsigned)dumped_number_to(d, UINT32_MAX, "no such flags");
  thread.sp = dumped_number(d);
  thread.tcb = dumped_number(d);
  thread.name = dumped_text(d);
  if (d->error) return;
  d->threads = model_grow(d->threads, &d->thread_room, d->thread_count + 1, sizeof *d->threads);
  d->threads[d->thread_count++] = thread;
}

static void dumped_frames(struct dumped *d) {
  uint64_t thread = dumped_number(d), count = dumped_number_to(d, dumped_frames_most, "too many frames");
  if (thread >= d->thread_count) dumped_fail(d, "no such thread");
  if (count > (d->length - d->at) / 2) dumped_truncated(d);
  if (d->error) return;
  struct dumped_frame *frames = model_alloc((count + 1) * sizeof *frames);
  for (uint64_t i = 0; i < count; i++) frames[i] = (struct dumped_frame){.sp = dumped_number(d), .pc = dumped_number(d)};
  d->threads[thread].frames = frames;
  d->threads[thread].frame_count = count;
}

/* Edges are only counted in the first pass. */
static uint64_t dumped_skip_edges(struct dumped *d) {
  uint64_t count = 0;
  while (!d->error && dumped_number(d) != 0) {
    dumped_number(d);
    count++;
  }
  return count;
}

static void dumped_root(struct dumped *d) {
  struct dumped_root root = {0};
  root.kind = (int)dumped_number_to(d, dump_roots - 1, "no such kind of root");
  root.thread = (int)dumped_number_to(d, d->thread_count, "no such thread") - 1;
  root.lo = dumped_number(d);
  root.size = dumped_number(d);
  root.name = dumped_text(d);
  root.record = d->at;
  root.first = d->root_edge_count;
  root.count = dumped_skip_edges(d);
  if (d->error) return;
  d->root_edge_count += root.count;
  d->roots = model_grow(d->roots, &d->root_room, d->root_count + 1, sizeof *d->roots);
  d->roots[d->root_count++] = root;
}

static void dumped_stack(struct dumped *d) {
  uint64_t site = dumped_number_to(d, dumped_sites_most, "no such site");
  uint64_t count = dumped_number_to(d, dumped_frames_most, "too many frames"), last = 0;
  if (count > (d->length - d->at) / 2) dumped_truncated(d);
  if (d->error) return;
  if (d->site_count && site <= d->sites[d->site_count - 1].id) {
    dumped_fail(d, "sites do not rise");
    return;
  }
  d->sites = model_grow(d->sites, &d->site_room, d->site_count + 1, sizeof *d->sites);
  d->sites[d->site_count++] = (struct dumped_site){(uint32_t)site, d->model.frame_count, count};
  for (uint64_t i = 0; i < count; i++) {
    uint64_t module = dumped_number_to(d, d->model.module_count, "no such module");
    last += (uint64_t)dumped_signed(d);
    model_add_frame(&d->model, last, (int)module - 1);
  }
}

/* --- objects, first pass --- */

struct dumped_room {
  size_t address, size, site, flags;
};

static void dumped_add_object(struct dumped *d, struct dumped_room *room, const struct dumped_block *block, uint64_t slot) {
  uint32_t i = d->count;
  uint64_t requested = block->size, site = 0, flags = dumped_number_to(d, 255, "no such flags");
  if (block->notes) {
    requested = dumped_number(d);
    site = dumped_number_to(d, dumped_sites_most, "no such site");
  }
  if (d->error) return;
  d->address = model_grow(d->address, &room->address, i + 1, sizeof *d->address);
  d->size = model_grow(d->size, &room->size, i + 1, sizeof *d->size);
  d->flags = model_grow(d->flags, &room->flags, i + 1, sizeof *d->flags);
  if (block->notes) {
    d->site = model_grow(d->site, &room->site, i + 1, sizeof *d->site);
    d->site[i] = (uint32_t)site;
    d->site_objects = i + 1;
  }
  d->address[i] = block->start + slot * block->size;
  d->size[i] = requested < UINT32_MAX ? (uint32_t)requested : UINT32_MAX;
  d->flags[i] = (uint8_t)flags;
  if (++d->count == dumped_none) dumped_fail(d, "there are too many objects");
}

/* The words of its bits are at the end of the pool. */
static void dumped_note_slot(struct dumped *d, struct dumped_block *block, uint64_t slot) {
  size_t word = block->rank + slot / 64;
  if (word >= d->slot_word_count) {
    d->slot_words = model_grow(d->slot_words, &d->slot_word_room, word + 1, sizeof *d->slot_words);
    for (; d->slot_word_count <= word; d->slot_word_count++)
      d->slot_words[d->slot_word_count] = (struct dumped_slots){0, block->count};
  }
  d->slot_words[word].bits |= (uint64_t)1 << slot % 64;
  block->slots = (uint32_t)slot + 1;
  block->count++;
}

static void dumped_objects(struct dumped *d, struct dumped_room *room, struct dumped_block *block, uint64_t count) {
  uint64_t slot = 0;
  for (uint64_t i = 0; i < count && !d->error; i++, slot++) {
    slot += dumped_number_to(d, dumped_slots_most, "a block is too large");
    if (slot >= (block->large ? 1 : dumped_slots_most)) dumped_fail(d, "a block is too large");
    if (d->error) return;
    dumped_add_object(d, room, block, slot);
    dumped_note_slot(d, block, slot);
    if (dump_kind_has_edges(block->kind)) d->edge_count += dumped_skip_edges(d);
  }
}

static bool dumped_block_head(struct dumped *d, struct dumped_block *block, uint64_t *unit, uint64_t *count) {
  *unit += dumped_number_to(d, DUMPED_ADDRESS_MOST / dump_unit, "a block lies too far away");
  uint64_t slot_size = dumped_number_to(d, dump_unit, "a slot is too large");
  block->large = slot_size == 0;
  block->size = block->large ? dumped_number(d) : slot_size;
  block->kind = (uint8_t)dumped_number_to(d, dump_kinds - 1, "no such kind of object");
  block->notes = dumped_number_to(d, 1, "no such notes");
  *count = dumped_number(d);
  block->start = *unit * dump_unit;
  if (*count == 0) dumped_fail(d, "a block holds no object");
  if (*count > (d->length - d->at) / 2) dumped_truncated(d);
  if (block->start > DUMPED_ADDRESS_MOST || block->size > DUMPED_ADDRESS_MOST || block->size % dump_step) dumped_fail(d, "no such block");
  return !d->error;
}

/* Up to the end of the last object. */
static uint64_t dumped_block_bytes(const struct dumped_block *block) {
  return block->large ? block->size : (uint64_t)block->slots * block->size;
}

static void dumped_block(struct dumped *d, struct dumped_room *room, uint64_t *unit) {
  struct dumped_block block = {.first = d->count, .rank = d->slot_word_count};
  uint64_t count;
  if (!dumped_block_head(d, &block, unit, &count)) return;
  block.record = d->at;
  dumped_objects(d, room, &block, count);
  uint64_t units = (dumped_block_bytes(&block) + dump_unit - 1) / dump_unit;
  *unit += units ? units : 1;
  if (d->error) return;
  d->blocks = model_grow(d->blocks, &d->block_room, d->block_count + 1, sizeof *d->blocks);
  d->blocks[d->block_count++] = block;
}

/* --- the first pass --- */

static void dumped_end(struct dumped *d) {
  uint64_t objects = dumped_number(d), edges = dumped_number(d), roots = dumped_number(d), root_edges = dumped_number(d);
  if (d->error) return;
  bool same = objects == d->count && edges == d->edge_count && roots == d->root_count && root_edges == d->root_edge_count;
  if (!same || d->at != d->length) dumped_fail(d, "it does not hold what its end tells");
}

static void dumped_first_pass(struct dumped *d) {
  struct dumped_room room = {0};
  uint64_t unit = 0;
  for (bool more = true; more && !d->error;) {
    if (d->at >= d->length) {
      dumped_truncated(d);
      return;
    }
    switch (d->bytes[d->at++]) {
    case DUMP_INFO: dumped_info(d); break;
    case DUMP_MODULE: dumped_module(d); break;
    case DUMP_THREAD: dumped_thread(d); break;
    case DUMP_FRAMES: dumped_frames(d); break;
    case DUMP_ROOT: dumped_root(d); break;
    case DUMP_BLOCK: dumped_block(d, &room, &unit); break;
    case DUMP_STACK: dumped_stack(d); break;
    case DUMP_END: dumped_end(d), more = false; break;
    default: d->at--, dumped_fail(d, "no such record");
    }
  }
}

/* --- the second pass --- */

static void dumped_index_units(struct dumped *d) {
  if (!d->block_count) return;
  const struct dumped_block *last = &d->blocks[d->block_count - 1];
  d->first_unit = d->blocks[0].start / dump_unit;
  uint64_t end = (last->start + dumped_block_bytes(last) + dump_unit - 1) / dump_unit;
  if (end - d->first_unit > DUMPED_UNITS_MOST) {
    dumped_fail(d, "the heap is too large");
    return;
  }
  d->unit_count = end - d->first_unit;
  d->unit_blocks = model_alloc(d->unit_count * sizeof *d->unit_blocks);
  for (size_t i = 0; i < d->block_count; i++) {
    const struct dumped_block *block = &d->blocks[i];
    uint64_t from = block->start / dump_unit - d->first_unit, to = from + (dumped_block_bytes(block) + dump_unit - 1) / dump_unit;
    for (uint64_t u = from; u < to && u < d->unit_count; u++) d->unit_blocks[u] = (uint32_t)i + 1;
  }
}

uint32_t dumped_find(const struct dumped *d, uint64_t address) {
  uint64_t unit = address / dump_unit - d->first_unit;
  if (unit >= d->unit_count || !d->unit_blocks[unit]) return dumped_none;
  const struct dumped_block *block = &d->blocks[d->unit_blocks[unit] - 1];
  uint64_t offset = address - block->start;
  if (block->large) return offset < block->size ? block->first : dumped_none;
  uint64_t slot = offset / block->size;
  if (slot >= block->slots) return dumped_none;
  const struct dumped_slots *word = &d->slot_words[block->rank + slot / 64];
  uint64_t bit = (uint64_t)1 << slot % 64;
  return word->bits & bit ? block->first + word->before + bits_count(word->bits & (bit - 1)) : dumped_none;
}

/* Calls each word's address and target; of the second pass and of dumped_edge_at. */
typedef void dumped_edge(struct dumped *d, uint64_t at, uint32_t object, void *arg);

static void dumped_each_edge(struct dumped *d, uint64_t from, bool is_root, dumped_edge *each, void *arg) {
  uint64_t at = from - sizeof at, words;
  while (!d->error && (words = dumped_number(d)) != 0) {
    at += words * sizeof at;
    uint64_t target = is_root ? d->region + dumped_number(d) * dump_step : from + (uint64_t)dumped_signed(d) * dump_step;
    uint32_t object = dumped_find(d, target);
    if (object == dumped_none) dumped_fail(d, "an edge leads to no object");
    else each(d, at, object, arg);
  }
}

static void dumped_add_edge(struct dumped *d, uint64_t at, uint32_t object, void *arg) {
  uint64_t *next = arg;
  (void)at;
  d->edges[(*next)++] = object;
}

static void dumped_add_root_edge(struct dumped *d, uint64_t at, uint32_t object, void *arg) {
  size_t *next = arg;
  d->root_edges[(*next)++] = (struct dumped_root_edge){at, object};
}

static void dumped_skip_object_head(struct dumped *d, const struct dumped_block *block) {
  dumped_number(d);
  dumped_number(d);
  if (!block->notes) return;
  dumped_number(d);
  dumped_number(d);
}

static void dumped_second_pass(struct dumped *d) {
  uint64_t next = 0;
  d->edges_from = model_alloc(((size_t)d->count + 1) * sizeof *d->edges_from);
  d->edges = model_alloc((d->edge_count + 1) * sizeof *d->edges);
  d->root_edges = model_alloc((d->root_edge_count + 1) * sizeof *d->root_edges);
  for (size_t b = 0; b < d->block_count && !d->error; b++) {
    const struct dumped_block *block = &d->blocks[b];
    d->at = block->record;
    for (uint32_t i = block->first; i < block->first + block->count && !d->error; i++) {
      d->edges_from[i] = next;
      dumped_skip_object_head(d, block);
      if (dump_kind_has_edges(block->kind)) dumped_each_edge(d, d->address[i], false, dumped_add_edge, &next);
    }
  }
  d->edges_from[d->count] = next;
  size_t next_root = 0;
  for (size_t i = 0; i < d->root_count && !d->error; i++) {
    d->at = d->roots[i].record;
    dumped_each_edge(d, d->roots[i].lo, true, dumped_add_root_edge, &next_root);
  }
}

/* --- all together --- */

static bool dumped_magic(struct dumped *d) {
  static const char magic[] = DUMP_MAGIC, word[] = "gleaner-dump ";
  size_t length = sizeof magic - 1;
  if (d->length < length || memcmp(d->bytes, magic, length) != 0) {
    bool ours = d->length >= sizeof word - 1 && memcmp(d->bytes, word, sizeof word - 1) == 0;
    d->error = ours ? "is a heap dump of another version than this command reads" : "is no heap dump";
  }
  d->at = length;
  return !d->error;
}

bool dumped_parse(struct dumped *d, const void *bytes, size_t length) {
  memset(d, 0, sizeof *d);
  model_init(&d->model);
  d->program = d->mode = "";
  d->bytes = bytes;
  d->length = length;
  if (!dumped_magic(d)) return false;
  dumped_first_pass(d);
  if (!d->error) dumped_index_units(d);
  if (!d->error) dumped_second_pass(d);
  return !d->error;
}

static char *dumped_read_all(int fd, size_t *length) {
  char *text = NULL;
  size_t room = 0;
  ssize_t got;
  *length = 0;
  do {
    text = model_grow(text, &room, *length + (1 << 20), 1);
    got = read(fd, text + *length, room - *length);
    if (got > 0) *length += (size_t)got;
  } while (got > 0 || (got < 0 && errno == EINTR));
  return got < 0 ? NULL : text;
}

bool dumped_read(struct dumped *d, int fd) {
  struct stat file;
  size_t length = 0;
  void *bytes = MAP_FAILED;
  if (fstat(fd, &file) == 0 && S_ISREG(file.st_mode) && file.st_size > 0) {
    length = (size_t)file.st_size;
    bytes = mmap(NULL, length, PROT_READ, MAP_PRIVATE, fd, 0);
  }
  if (bytes == MAP_FAILED) bytes = dumped_read_all(fd, &length);
  if (bytes) return dumped_parse(d, bytes, length);
  memset(d, 0, sizeof *d);
  d->error = strerror(errno);
  return false;
}

/* --- questions --- */

const struct dumped_block *dumped_block_of(const struct dumped *d, uint32_t object) {
  size_t lo = 0, hi = d->block_count;
  while (hi - lo > 1) {
    size_t middle = (lo + hi) / 2;
    if (d->blocks[middle].first <= object) lo = middle;
    else hi = middle;
  }
  return &d->blocks[lo];
}

uint64_t dumped_size(const struct dumped *d, uint32_t object) {
  return d->size[object] != UINT32_MAX ? d->size[object] : dumped_block_of(d, object)->size;
}

unsigned dumped_kind(const struct dumped *d, uint32_t object) { return dumped_block_of(d, object)->kind; }

const char *dumped_kind_name(unsigned kind) {
  static const char *const names[] = {"malloc", "GC_malloc_atomic", "GC_malloc", "GC_malloc_uncollectable",
                                      "GC_malloc_atomic_uncollectable", "GC_malloc_explicitly_typed"};
  return kind < dump_kinds ? names[kind] : "?";
}

const struct dumped_site *dumped_site_of(const struct dumped *d, uint32_t object) {
  size_t lo = 0, hi = d->site_count;
  if (object >= d->site_objects) return NULL;
  while (lo < hi) {
    size_t middle = (lo + hi) / 2;
    if (d->sites[middle].id < d->site[object]) lo = middle + 1;
    else hi = middle;
  }
  return lo < d->site_count && d->sites[lo].id == d->site[object] ? &d->sites[lo] : NULL;
}

struct dumped_wanted {
  uint32_t object;
  uint64_t at;
};

static void dumped_is_wanted(struct dumped *d, uint64_t at, uint32_t object, void *arg) {
  struct dumped_wanted *wanted = arg;
  (void)d;
  if (!wanted->at && object == wanted->object) wanted->at = at;
}

static void dumped_ignore(struct dumped *d, uint64_t at, uint32_t object, void *arg) { (void)d, (void)at, (void)object, (void)arg; }

uint64_t dumped_edge_at(struct dumped *d, uint32_t from, uint32_t to) {
  const struct dumped_block *block = dumped_block_of(d, from);
  struct dumped_wanted wanted = {.object = to};
  d->at = block->record;
  for (uint32_t i = block->first; i <= from; i++) {
    dumped_skip_object_head(d, block);
    if (!dump_kind_has_edges(block->kind)) continue;
    dumped_each_edge(d, d->address[i], false, i == from ? dumped_is_wanted : dumped_ignore, &wanted);
  }
  return wanted.at;
}

int dumped_module_at(const struct dumped *d, uint64_t address) {
  for (size_t i = 0; i < d->model.module_count; i++)
    if (address - d->model.modules[i].lo < d->model.modules[i].hi - d->model.modules[i].lo) return (int)i;
  return -1;
}

bool dumped_is_kept(const struct dumped *d, uint32_t object, bool owned) {
  unsigned kind = dumped_kind(d, object);
  if (d->flags[object] & DUMP_FROZEN || kind == DUMP_UNCOLLECTABLE || kind == DUMP_UNCOLLECTABLE_ATOMIC) return true;
  return owned && kind == DUMP_MALLOC && d->malloc_kept;
}
