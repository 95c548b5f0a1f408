/* SPDX-License-Identifier: MIT
 * The ways of tracking writes, for track.c alone. Functions as in track.h. */
#ifndef GLEANER_OS_TRACK_WAYS_H
#define GLEANER_OS_TRACK_WAYS_H

#include "os/track.h"

struct track_backend {
  const char *(*begin)(void); /* NULL, or why not: a few words. Then nothing is left behind */
  void (*end)(void);          /* in a fork child, too */
  int (*add)(uintptr_t lo, uintptr_t hi);
  int (*protect)(uintptr_t lo, uintptr_t hi);
  int (*release)(uintptr_t lo, uintptr_t hi); /* NULL: there is no such thing */
  void (*settle)(void);
  bool (*written)(uintptr_t lo, uintptr_t hi, os_maps_range *each, void *arg);
};

extern const struct track_backend track_uffd, track_soft_dirty;

/* In track.c. Whether all of [lo, hi) that is mapped is private anonymous memory. */
bool track_is_private(uintptr_t lo, uintptr_t hi);
/* Opens a file of /proc about this process's memory ("pagemap"): a descriptor, or -errno. */
int track_open(const char *name, int flags);
/* A few words for an errno value. */
const char *track_refusal(int error);

#endif
