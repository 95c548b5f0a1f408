/* SPDX-License-Identifier: MIT
 * The reader of heap dumps: a dump that this file writes itself, byte by byte; and damaged ones, of which none may do more than be
 * refused. */
#include "config.h"

#include "report/dumped.h"
#include "report/heap_graph.h"
#include "tap.h"

#include <stdlib.h>
#include <string.h>

static uint8_t bytes[4096];
static size_t length;

static void put(uint64_t n) {
  for (; n >= 0x80; n >>= 7) bytes[length++] = (uint8_t)(n | 0x80);
  bytes[length++] = (uint8_t)n;
}
static void put_signed(int64_t n) { put((uint64_t)n << 1 ^ (uint64_t)(n >> 63)); }
static void put_text(const char *text) {
  put(strlen(text));
  memcpy(bytes + length, text, strlen(text));
  length += strlen(text);
}
static void put_info(const char *key, const char *text) { put(DUMP_INFO), put_text(key), put_text(text); }

#define REGION 0x7e0000000000

/* A global leads to 0, which leads to 1 (large) and 2; 2 leads back to 0. 3 is reached from nowhere, 4 holds no pointers. */
static void write_dump(void) {
  length = 0;
  memcpy(bytes, DUMP_MAGIC, sizeof DUMP_MAGIC - 1);
  length = sizeof DUMP_MAGIC - 1;
  put_info("program", "/bin/graph"), put_info("mode", "collect"), put_info("pid", "17");
  put_info("region", "7e0000000000"), put_info("malloc", "collected"), put_info("unheard-of", "whatever");
  put(DUMP_MODULE), put(0x400000), put(0x5000), put(0x400000), put(2), put(0x2b), put(0x0d), put_text("/bin/graph");
  put(DUMP_THREAD), put(17), put(DUMP_THREAD_MAIN), put(0x7fff0000), put(0x7f00), put_text("graph");
  put(DUMP_FRAMES), put(0), put(2), put(0x7fff0000), put(0x401000), put(0x7fff0100), put(0x401100);
  put(DUMP_ROOT), put(DUMP_GLOBAL), put(0), put(0x404000), put(0x1000), put_text("");
  put(3), put((64 + 0) / 16), put(0); /* the third word, 0x404010 */
  put(DUMP_BLOCK), put(REGION / dump_unit), put(64), put(DUMP_GC), put(1), put(3);
  put(1), put(2), put(50), put(9), put(2), put_signed(0x20000 / 16 - 64 / 16), put(1), put_signed(128 / 16), put(0); /* slot 1 */
  put(1), put(0), put(51), put(0), put(1), put_signed(-128 / 16), put(0);                                            /* slot 3 */
  put(0), put(DUMP_FROZEN), put(52), put(0), put(0);                                                                 /* slot 4 */
  put(DUMP_BLOCK), put(1), put(0), put(1 << 20), put(DUMP_MALLOC), put(0), put(1);
  put(0), put(1), put(0);
  put(DUMP_BLOCK), put(0), put(0x8000), put(DUMP_GC_ATOMIC), put(0), put(1);
  put(5), put(0); /* in the third unit of its block */
  put(DUMP_STACK), put(9), put(2), put(1), put_signed(0x401010), put(1), put_signed(-0x10);
  put(DUMP_END), put(5), put(3), put(1), put(1);
}

static bool parse(struct dumped *d) { return dumped_parse(d, bytes, length); }

static void whole(void) {
  struct dumped d;
  write_dump();
  bool good = parse(&d);
  OK(good, "a dump is read");
  if (!good) tap_note("%s", d.error);
  OK(strcmp(d.program, "/bin/graph") == 0 && d.pid == 17 && !d.malloc_kept, "what is known of the process");
  OK(d.count == 5 && d.edge_count == 3 && d.root_count == 1 && d.root_edge_count == 1, "so many objects and edges");
  OK(d.address[0] == REGION + 64 && d.address[1] == REGION + 192 && d.address[2] == REGION + 256, "objects stand where they should");
  OK(dumped_find(&d, REGION + 64) == 0 && dumped_find(&d, REGION + 127) == 0 && dumped_find(&d, REGION + 63) == dumped_none,
     "an address in an object finds it, one beside it nothing");
  OK(dumped_find(&d, REGION + 0x20000 + 0xfffff) == 3 && dumped_find(&d, REGION + 0x20000 + 0x100000) == dumped_none,
     "a large object reaches to its end");
  OK(dumped_find(&d, REGION + 18 * dump_unit + 5 * 0x8000) == 4, "an object in a further unit of its block, too");
  OK(dumped_find(&d, 0) == dumped_none && dumped_find(&d, UINT64_MAX) == dumped_none, "no object is everywhere");
  OK(dumped_size(&d, 0) == 50 && dumped_size(&d, 3) == 1 << 20, "sizes are what was asked for, where that is known");
  OK(dumped_kind(&d, 0) == DUMP_GC && dumped_kind(&d, 3) == DUMP_MALLOC && dumped_kind(&d, 4) == DUMP_GC_ATOMIC, "kinds");
  OK(d.edges_from[1] == 2 && d.edges[0] == 3 && d.edges[1] == 1 && d.edges[2] == 0, "edges lead where they should");
  OK(dumped_edge_at(&d, 0, 1) == d.address[0] + 16 && dumped_edge_at(&d, 1, 0) == d.address[1], "from the right word");
  OK(d.root_edges[0].at == 0x404010 && d.root_edges[0].object == 0, "and so does the root");
  const struct dumped_site *site = dumped_site_of(&d, 0);
  OK(site && site->count == 2 && d.model.frames[site->first + 1].address == 0x401000, "a site has its stack");
  OK(!dumped_site_of(&d, 1) && !dumped_site_of(&d, 4), "others have none");
  struct heap_path path;
  heap_find_path(&d, 1, &path);
  OK(path.tier == HEAP_FROM_ROOTS && path.count == 2 && path.objects[0] == 0 && path.root == d.roots && path.root_at == 0x404010,
     "the way from a root to an object");
  heap_find_path(&d, 4, &path);
  OK(path.tier == HEAP_UNREACHED && path.count == 0, "no way to what nothing leads to");
  heap_find_path(&d, 2, &path);
  OK(path.tier == HEAP_FROM_ROOTS && path.count == 1 && !path.root, "what is frozen is kept by itself");
  struct heap_retained retained;
  heap_retain(&d, &retained);
  OK(retained.bytes[0] == 50 + 51 + (1 << 20) && retained.bytes[1] == 51 && retained.unreached == 1, "retained sizes");
}

/* A large object that is none, to which another leads. */
static void write_hollow(void) {
  write_dump();
  length = sizeof DUMP_MAGIC - 1;
  put_info("region", "7e0000000000");
  put(DUMP_BLOCK), put(REGION / dump_unit), put(64), put(DUMP_GC), put(0), put(1);
  put(0), put(0), put(1), put_signed(dump_unit / 16), put(0);
  put(DUMP_BLOCK), put(0), put(0), put(1 << 20), put(DUMP_MALLOC), put(0), put(0);
  put(DUMP_END), put(1), put(1), put(0), put(0);
}

static void refused(void) {
  struct dumped d;
  OK(!dumped_parse(&d, "", 0) && strcmp(d.error, "is no heap dump") == 0, "an empty file is no dump");
  OK(!dumped_parse(&d, "gleaner-dump 2\n", 15) && strstr(d.error, "another version"), "another version is told");
  write_dump();
  bool good = true;
  size_t whole_length = length;
  for (length = 0; length < whole_length; length++) good = good && !parse(&d) && d.error;
  OK(good, "a dump cut short anywhere is refused");
  length = whole_length;
  bytes[length++] = 0;
  OK(!parse(&d), "and one with something behind its end");
  write_hollow();
  OK(!parse(&d) && strstr(d.error, "no object"), "and one of a large object that is not there");
}

/* Bytes changed, put in or taken out; half of the time in a few places. */
static void damage(uint64_t *seed) {
  for (int i = (int)(tap_random(seed) % 4); i >= 0; i--) {
    size_t at = sizeof DUMP_MAGIC - 1 + tap_random(seed) % (length - sizeof DUMP_MAGIC);
    uint64_t how = tap_random(seed) % 4;
    if (how == 0) memmove(bytes + at, bytes + at + 1, --length - at);
    else if (how == 1) memmove(bytes + at + 1, bytes + at, length++ - at);
    bytes[at] = (uint8_t)(how == 3 ? 0xff : tap_random(seed));
  }
}

static void forget(struct dumped *d) {
  free(d->address), free(d->size), free(d->site), free(d->flags), free(d->edges_from), free(d->edges), free(d->blocks);
  free(d->roots), free(d->root_edges), free(d->threads), free(d->sites), free(d->unit_blocks), free(d->slot_words);
}

static void damaged(void) {
  uint64_t seed = tap_seed();
  unsigned refusals = 0, rounds = 20000;
  bool good = true;
  for (unsigned i = 0; i < rounds; i++) {
    struct dumped d;
    write_dump();
    damage(&seed);
    if (i % 16 == 0)
      for (size_t k = sizeof DUMP_MAGIC - 1; k < length; k++) bytes[k] = (uint8_t)tap_random(&seed);
    if (parse(&d)) {
      struct heap_path path;
      struct heap_retained retained;
      for (uint32_t k = 0; k < d.count; k++) heap_find_path(&d, k, &path), free(path.objects);
      heap_retain(&d, &retained);
      free(retained.bytes), free(retained.idom);
    } else {
      refusals++;
      good = good && d.error && *d.error && !strchr(d.error, '\n');
    }
    forget(&d);
  }
  OK(good && refusals > rounds / 2, "%u damaged dumps: %u are refused in one line, the others are read, and nothing else happens", rounds, refusals);
}

int main(void) {
  whole();
  refused();
  damaged();
  return tap_end();
}
