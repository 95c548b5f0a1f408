/* SPDX-License-Identifier: MIT
 * A snapshot of the whole process, to be looked at at leisure while the program goes on: a child that has its own copy of all
 * memory, made at a moment when every thread stood still. The pause is the stop and the fork.
 *
 * The child is made by clone(2) alone, so that nothing of the C library's happens at the fork. It has no descriptor of the
 * program's, all signals blocked, and is the first that the kernel ends when memory is short. Its end sends no SIGCHLD, and only
 * a wait with __WCLONE or __WALL sees it. */
#ifndef GLEANER_SNAPSHOT_H
#define GLEANER_SNAPSHOT_H

#include "gc/world.h"

/* What the child has besides its memory. Its threads array and signal frames are those of the stop. */
struct snapshot {
  const struct world_thread *threads; /* self first */
  unsigned count;
  unsigned deaf;         /* of these, not stopped: what they did during the fork may be half there */
  const uintptr_t *pins; /* words that the kernel held for the program (gc/pins.h): the child cannot ask */
  size_t pin_count;
  bool in_handler;       /* self was interrupted like the others; else its frame is saved registers alone */
};

struct snapshot_request {
  struct world_thread self;
  bool in_handler; /* of a signal, which may have come anywhere: waits for no lock (EBUSY) */
  bool announced;  /* the end of the child is told to the process by world_signal, and whoever made it need not wait */
  int keep;        /* the descriptor that the child keeps; -1: none */
  /* In the child. Its result, 0 to 255, is the exit status. Locks of ours are held as a stop has them, those above are free. */
  int (*act)(const struct snapshot *snapshot, void *arg);
  void *arg;
};

struct snapshot_taken {
  pid_t pid;
  uint64_t pause_ns;
  unsigned threads, deaf;
};

/* 0, or an errno value: nothing has happened then. EBUSY: in_handler, and a lock is held; EAGAIN, ENOMEM: a stop or a fork was
 * refused; EPERM: the program forbade itself such calls. */
int snapshot_take(const struct snapshot_request *request, struct snapshot_taken *taken);

/* Waits for the child's end: the exit status, or -EINTR when a signal ended it. -EAGAIN without waiting where it has not ended. */
int snapshot_reap(pid_t pid, bool wait);

#endif
