/* SPDX-License-Identifier: MIT
 * Walking a stack by rules. Must not know threads, nor when a stack is wanted.
 *
 * The frames of the last walk are kept. As soon as a walk meets one of them, in the same state, it only
 * compares the words that were read from there outwards: most of a stack is where it was at the last
 * allocation.
 *
 *   kept   |         | f i | f i+1 | ...  | outermost |     frames, filled from the end
 *   words  |            | w | w | w | ...             |     what they read, likewise; as in memo.h
 * */
#ifndef GLEANER_WALK_H
#define GLEANER_WALK_H

#include "base/options.h"
#include "site/memo.h"
#include "site/range.h"

enum { walk_frames = options_max_frames };

/* A frame, and the state in which the walk came to it. */
struct walk_frame {
  uintptr_t pc, sp, fp;
  uintptr_t fp_from; /* WALK_FP_...; or the word that fp was read from, not yet recorded */
  uintptr_t before;  /* place of the last word that was read before */
  uint32_t word;     /* index of the first word that was read for it */
  uint32_t id;       /* of the stack from it outwards */
  bool exact;        /* interrupted at pc, not called from before it */
  bool fp_new;       /* the frame before it restored fp; else fp is as it was there */
  bool needs_fp;     /* fp decided what was found further out */
};

/* What a thread needs to walk. Zero at first. */
struct walk_memory {
  struct range ranges[range_cached];
  uint32_t epoch;           /* of the frames kept */
  uint32_t kept_count;      /* kept[walk_frames - kept_count ..] are frames */
  struct walk_frame kept[walk_frames];
  struct walk_frame fresh[walk_frames]; /* of the walk under way, innermost first */
  uint64_t words[memo_words_max];
  struct memo memo;
};

/* The id of the stack from start, of at most max_frames frames; remembered in memory->memo. A few
 * nanoseconds for each frame that is not where it was. */
uint32_t walk_capture(struct walk_memory *memory, const struct site_start *start, unsigned max_frames);

#endif
