/* SPDX-License-Identifier: MIT
 * The probe: stepping libunwind over memory of ours instead of a stack, to see what it reads. The only user
 * of libunwind. Must not know rules.
 *
 * The probe is one readable range. Its words are zero but for four pages, in which each word holds the
 * address of a cell of its own in the zone: such a value tells its word, and may be followed like a pointer.
 *
 *   |  ... | other |  ...  | cfa | zone of cells |  ...  | fp |  ...  | sp |  ...           |
 *   0     1/16            1/8                          3/8           1/2                  size
 *
 * Registers point into the pages fp (rbp), sp (rsp) and other (all the rest); cfa serves frames whose CFA
 * lies in memory. The distances are larger than any frame, so an address in the range tells the register it
 * comes from.
 *
 * libunwind is kept from the rest of the process: it finds modules through us, takes no lock but the
 * caller's, prints nothing, and where it would abort, there is no information. The linker's --wrap makes
 * that so.
 *
 * All is for one thread at a time: the caller holds a lock. */
#ifndef GLEANER_PROBE_H
#define GLEANER_PROBE_H

#include "site/site.h"

#include <libunwind.h>

enum {
  probe_page = 4096,
  probe_page_words = probe_page / 8,
  probe_cell = 256,       /* what may be added to a CFA from memory is less than half of it */
  probe_other_span = 256, /* between the registers of the page other */
  probe_registers = 16,   /* rax to r15 in libunwind's numbers */
  probe_saved = 6,        /* as in site_registers: rbx rbp r12 r13 r14 r15 */
};

enum probe_page_name { PROBE_CFA, PROBE_OTHER, PROBE_FP, PROBE_SP, probe_pages };

struct probe {
  uintptr_t base;
  size_t size;
  uintptr_t zone;
  uintptr_t page[probe_pages];
  unw_cursor_t
      cursor; /* where we are: libunwind never again finds a frame with one that began where it found none */
};

extern struct probe probe;

/* The registers that go in, and what comes out. */
struct probe_run {
  uintptr_t in[probe_registers];
  uintptr_t sp, pc, saved[probe_saved];
  uintptr_t at, start; /* where libunwind was, and where its procedure begins */
  bool signal;         /* a signal's frame */
};

/* libunwind's numbers of the saved registers. */
extern const uint8_t probe_numbers[probe_saved];

/* The word that has this cell. */
static inline uint64_t *probe_word(size_t cell) {
  return (uint64_t *)probe.page[cell / probe_page_words] + cell % probe_page_words;
}

/* False when memory is refused. */
bool probe_make(void);

/* Looks up the unwind information of an address for the runs that follow. False when there is none. */
bool probe_show(uintptr_t address);

/* Two layouts of the registers that go in, so that what is read from one may be proved by the other. */
void probe_place_registers(struct probe_run *run, bool second);

/* One step from the address shown, whose instruction has not been executed, or is a call that has not
 * returned. False when libunwind finds no information, or gives up. */
bool probe_run(struct probe_run *run, uintptr_t address);

void probe_fork_child(void);

/* Gives the range back; the next probe has a small one. */
void probe_limit_span(void);

#endif
