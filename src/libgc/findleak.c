/* SPDX-License-Identifier: MIT
 * libgc's leak finding: what a collection finds unreachable is told, and only then given up. Must not know how that is found out.
 *
 * The search of mode=leaks (api/leak_report.c) tells more, needs no recompilation, and collects nothing. Here programs are as libgc has them:
 * memory of GC_malloc or of GC_debug_malloc that they mean to free, and forgot. */
#include "config.h"

#include "libgc/debug_check.h"
#include "libgc/findleak.h"

#include "api/collector.h"
#include "api/gc_warn.h"
#include "gc.h"
#include "libgc/libgc.h"

#include <stdlib.h>

/* The program aborts when something has leaked; what it frees is kept for a while, to see who writes there. */
static bool findleak_aborts, findleak_delays;

/* --- when --- */

/* Set, whatever to: as libgc. */
__attribute__((constructor)) static void findleak_begin(void) {
  if (secure_getenv("GC_ABORT_ON_LEAK")) findleak_aborts = true;
  if (secure_getenv("GC_FINDLEAK_DELAY_FREE")) findleak_delays = true;
  if (secure_getenv("GC_FIND_LEAK")) GC_set_find_leak(1);
}

void findleak_consult(void) {
  if (unlikely(GC_find_leak)) debug_begin();
}

PUBLIC void GC_set_find_leak(int on) {
  GC_find_leak = on;
  findleak_consult();
}

PUBLIC int GC_get_find_leak(void) { return GC_find_leak; }

bool debug_frees_at_once(void) { return GC_find_leak && !findleak_delays; }

/* After the program's own destructors, which free what they have. */
__attribute__((destructor)) static void findleak_exit(void) {
  if (GC_find_leak && collector_is_armed && birth_is_mine()) GC_gcollect();
}

/* --- what --- */

static struct debug_told findleak_plain(struct block *block, uint32_t slot) {
  static const uint8_t kinds[kind_count] = {[KIND_SCANNED] = 1, [KIND_COLLECTED] = 1, [KIND_TYPED] = 1};
  return (struct debug_told){
      .p = (void *)block_slot_address(block, slot),
      .size = block_requested(block, slot),
      .kind = kinds[block->kind],
      .site = debug_site_of(block, slot),
  };
}

/* What the program has freed, and is kept to see who writes there, is no leak. */
void findleak_given_up(struct block *block, uint32_t slot, bool debug) {
  struct check_note note = {.what = CHECK_LEAKED};
  if (!GC_find_leak) return;
  note.told = debug ? debug_tell_of((struct debug_header *)block_slot_address(block, slot)) : findleak_plain(block, slot);
  if (debug && !note.told.alive) return;
  note.told.alive = false;
  check_note(&note);
}

void findleak_told(unsigned leaked) {
  if (!leaked) return;
  debug_say("%u objects leaked, which nothing led to in the last collection", leaked);
  if (!findleak_aborts) return;
  gc_warn_end("objects have leaked");
  abort();
}
