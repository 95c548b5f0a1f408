/* SPDX-License-Identifier: MIT
 * Writing a heap dump, in a snapshot. The form is told in report/dump.h. */
#ifndef GLEANER_DUMP_OUT_H
#define GLEANER_DUMP_OUT_H

#include "gc/snapshot.h"

struct dump_request {
  int fd;
  bool declared_roots; /* as libgc: see gc/roots.h */
  pid_t pid;           /* of the process, whose snapshot this is */
};

/* 0 or an errno value. */
int dump_write(const struct snapshot *snapshot, const struct dump_request *request);

#endif
