/* SPDX-License-Identifier: MIT
 * Lists of free objects that a program keeps for itself, one for each size: see gc_inline.h. Names and values are libgc's (8.2).
 *
 * The list of index i holds objects of i granules, and that of index 0 objects of one granule, for requests of no bytes. */
#ifndef GC_TINY_FL_H
#define GC_TINY_FL_H

#define GC_GRANULE_BYTES 16
#define GC_GRANULE_WORDS 2
#define GC_WORDS_TO_GRANULES(words) ((words) / GC_GRANULE_WORDS)

#ifndef GC_TINY_FREELISTS
#define GC_TINY_FREELISTS 25
#endif

#define GC_RAW_BYTES_FROM_INDEX(i) ((i)*GC_GRANULE_BYTES)

#endif
