/* SPDX-License-Identifier: MIT
 * The form of a heap dump: one file, written once from front to back by a runtime (api/dump_out.c), read by the gleaner command
 * (report/dump_read.c); gleaner-dump(5) tells it to the world.
 *
 *   gleaner-dump 1\n
 *   'I' key text                                          what is known of the process; any number, any order
 *   'M' lo size bias build-id path                        a module; numbered from 0 in the order of the file
 *   'T' tid flags sp tcb name                             a thread; likewise. The first is the one that was asked
 *   'F' thread count (sp pc)*                             its frames, innermost first
 *   'R' kind thread+1 lo size name edges                  a root: a range of memory
 *   'B' gap slot-size [size] kind notes count object*     a block: objects of one size, in rising order
 *       object: skipped flags [requested site] edges      requested, site: with notes; edges: not of kinds without pointers
 *   'S' site count (module+1 delta)*                      a stack, return addresses innermost first
 *   'E' objects edges roots root-edges                    how many there were; nothing follows
 *
 *   edges: (words target)* 0
 *
 * Numbers are unsigned LEB128; delta and an object's target are signed and zigzag-coded; texts and build ids are a length and bytes.
 *   gap, slot-size   64 KiB units from the end of the last block (at first: of address 0); 0: one large object of size bytes
 *   skipped          slots that hold no object alive, since the last object
 *   words            from the last edge's word (at first: from one before the first) to this one's: so never 0
 *   target           of a root: the beginning of the object that the word leads to, in units of 16 bytes from the region's base;
 *                    of an object: the same, from its own beginning
 *   delta            from the frame before (at first: from 0)
 * The region's base is the text "region", hex. */
#ifndef GLEANER_DUMP_H
#define GLEANER_DUMP_H

#define DUMP_MAGIC "gleaner-dump 1\n"
/* What comes in the place of a dump through a descriptor where none can be made: a text follows, up to the end. */
#define DUMP_REFUSAL "gleaner-no-dump\n"

enum {
  DUMP_INFO = 'I',
  DUMP_MODULE = 'M',
  DUMP_THREAD = 'T',
  DUMP_FRAMES = 'F',
  DUMP_ROOT = 'R',
  DUMP_BLOCK = 'B',
  DUMP_STACK = 'S',
  DUMP_END = 'E',
};

enum dump_root { /* in the order of gc/rooted.h */
  DUMP_REGISTERS,
  DUMP_STACK_OF_THREAD,
  DUMP_TLS,
  DUMP_GLOBAL,
  DUMP_MAPPING,
  DUMP_DECLARED,
  DUMP_KEPT,
  DUMP_KERNEL,
  DUMP_DEAD_STACK,
  dump_roots,
};

enum { /* flags of a thread */
  DUMP_THREAD_MAIN = 1,
  DUMP_THREAD_DEAF = 2, /* it was not stopped */
};

enum { /* flags of an object */
  DUMP_AGE = 3, /* 0 to 2 */
  DUMP_FROZEN = 4,
  DUMP_SUSPECT = 8,
};

enum dump_kind { DUMP_MALLOC, DUMP_GC_ATOMIC, DUMP_GC, DUMP_UNCOLLECTABLE, DUMP_UNCOLLECTABLE_ATOMIC, DUMP_TYPED, dump_kinds };

static inline int dump_kind_has_edges(unsigned kind) { return kind != DUMP_GC_ATOMIC && kind != DUMP_UNCOLLECTABLE_ATOMIC; }

enum { dump_unit = 64 * 1024, dump_step = 16 };

/* How a process is asked for a dump: the reserved signal, which the name of a mapping in /proc/PID/maps tells, queued (SI_QUEUE)
 * for a thread of it with the value
 *
 *   | 0x676c | 16 bits: a descriptor of the asker's | 10 bits: of this request alone | 22 bits: its process id |
 *
 * The process opens /proc/ASKER/fd/DESCRIPTOR, the writing end of a pipe, and has a child of its own write there. What is not
 * understood, or cannot be opened, is ignored; when it is not the moment, so it is, too: ask again. One value is answered once. */
#define DUMP_ASK_MAPPING "gleaner-dump-signal-"
#define DUMP_ASK_MAGIC ((uint64_t)0x676c)
#define DUMP_ASK(fd, nonce, pid)                                                                             \
  (DUMP_ASK_MAGIC << 48 | (uint64_t)(uint16_t)(fd) << 32 | (uint64_t)((nonce) & 0x3ff) << 22 | ((uint32_t)(pid) & 0x3fffff))
#define DUMP_ASK_FD(asked) ((unsigned)((asked) >> 32 & 0xffff))
#define DUMP_ASK_PID(asked) ((unsigned)((asked) & 0x3fffff))

#endif
