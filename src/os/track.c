/* SPDX-License-Identifier: MIT
 * Choosing how writes are tracked. Knows what a way may need of the system; knows nothing of how one works.
 *
 * A way is believed only after it was tried out: kernels, containers and sandboxes refuse in many ways, and some say yes to
 * what they do not do. */
#include "config.h"

#include "os/track.h"

#include "base/print.h"
#include "os/call.h"
#include "os/memory.h"
#include "os/threads.h"
#include "os/track_ways.h"

#include <string.h>
#include <sys/mman.h>

enum { track_trial_pages = 4 };

struct track_costs track_costs;

static const struct track_backend *track; /* NULL: SCAN */
static char track_why[200];

/* --- what ways ask for --- */

int track_open(const char *name, int flags) {
  char path[40];
  print_buffer(path, sizeof path, "/proc/thread-self/%s", name);
  int fd = os_call_open(path, flags);
  if (fd != -ENOENT) return fd;
  print_buffer(path, sizeof path, "/proc/self/%s", name);
  return os_call_open(path, flags);
}

const char *track_refusal(int error) {
  switch (error) {
  case EPERM: case EACCES: return "not permitted";
  case ENOSYS: return "not in this kernel";
  case EINVAL: case ENOTTY: return "this kernel is too old for it";
  case EMFILE: case ENFILE: return "no descriptor is left";
  case ENOENT: return "/proc is not there";
  case ENOMEM: return "no memory";
  default: return "refused";
  }
}

struct track_range {
  uintptr_t lo, hi;
  bool private;
};

static bool track_is_private_there(const struct os_mapping *mapping, void *arg) {
  struct track_range *range = arg;
  if (mapping->lo >= range->hi) return false;
  if (mapping->hi > range->lo && (mapping->shared || mapping->inode)) range->private = false;
  return range->private;
}

bool track_is_private(uintptr_t lo, uintptr_t hi) {
  struct track_range range = {lo, hi, true};
  return os_maps_each(track_is_private_there, &range) == 0 && range.private;
}

/* --- trying a way out --- */

struct track_told {
  uintptr_t lo, hi;
  unsigned calls;
};

static void track_note(uintptr_t lo, uintptr_t hi, bool present, void *arg) {
  struct track_told *told = arg;
  (void)present;
  *told = (struct track_told){lo, hi, told->calls + 1};
}

static bool track_tells(uintptr_t at, size_t size, uintptr_t lo, uintptr_t hi) {
  struct track_told told = {0};
  if (!track->written(at, at + size, track_note, &told)) return false;
  return lo == hi ? told.calls == 0 : told.calls == 1 && told.lo == lo && told.hi == hi;
}

/* Pages never touched are not told, all that were written are; protected ones not, until they are written again. Done twice,
 * since the first time the kernel has no entries to flush, and the second shows what it costs. */
static bool track_trial_once(uintptr_t at, size_t size) {
  size_t page = os_page_size;
  for (size_t i = page; i < size; i += page) *(volatile char *)(at + i) = 1;
  if (!track_tells(at, size, at + page, at + size)) return false;
  uint64_t begin = os_clock();
  for (size_t i = page; i < size; i += page)
    if (track->protect(at + i, at + i + page) != 0) return false;
  track->settle();
  track_costs.protect_ns = (uint32_t)((os_clock() - begin) / (track_trial_pages - 1));
  if (!track_tells(at, size, 0, 0)) return false;
  begin = os_clock();
  *(volatile char *)(at + size - page) = 2;
  track_costs.fault_ns = (uint32_t)(os_clock() - begin);
  return track_tells(at, size, at + size - page, at + size);
}

static bool track_trial(uintptr_t at, size_t size) {
  return track->add(at, at + size) == 0 && track_tells(at, size, 0, 0) && track_trial_once(at, size) &&
         track_trial_once(at, size);
}

/* NULL, or why the way is not used. */
static const char *track_try(const struct track_backend *way) {
  const char *refused = way->begin();
  if (refused) return refused;
  size_t size = track_trial_pages * os_page_size;
  char *pages = os_memory_map(size);
  track = way;
  if (pages) os_call(SYS_madvise, pages, size, MADV_NOHUGEPAGE);
  bool good = pages && track_trial((uintptr_t)pages, size);
  if (pages) os_memory_unmap(pages, size);
  if (good) return NULL;
  way->end();
  track = NULL;
  return "it does not do what it says";
}

/* --- choosing --- */

/* A filter of system calls may end the process for one that it does not know. */
static bool track_is_filtered(void) {
  char text[4096];
  int fd = track_open("status", 0);
  if (fd < 0) return true;
  long got = os_call_read(fd, text, sizeof text - 1);
  os_call_close(fd);
  text[got > 0 ? got : 0] = 0;
  const char *line = strstr(text, "\nSeccomp:");
  return line ? line[sizeof "\nSeccomp:"] != '0' : got <= 0 || got == sizeof text - 1;
}

bool track_is_forbidden(void) { return track == &track_uffd && track_is_filtered(); }

static const char *track_try_uffd(void) {
  return track_is_filtered() ? "system calls are, or may be, filtered" : track_try(&track_uffd);
}

enum track_way track_begin(enum track_way wanted, const char **why) {
  const char *uffd = "not asked for", *soft = "not asked for";
  if (track) track->end();
  track = NULL;
  track_costs = (struct track_costs){0};
  *why = track_why;
  if (wanted == TRACK_SCAN) {
    *why = "as asked for";
    return TRACK_SCAN;
  }
  if (wanted != TRACK_SOFT_DIRTY && !(uffd = track_try_uffd())) {
    *why = "the kernel tracks writes by userfaultfd";
    return TRACK_UFFD;
  }
  if (wanted != TRACK_UFFD && !(soft = track_try(&track_soft_dirty))) {
    print_buffer(track_why, sizeof track_why, "the kernel keeps soft-dirty bits; userfaultfd: %s", uffd);
    return TRACK_SOFT_DIRTY;
  }
  print_buffer(track_why, sizeof track_why, "userfaultfd: %s; soft-dirty bits: %s", uffd, soft);
  return TRACK_SCAN;
}

/* --- using it --- */

int track_add(uintptr_t lo, uintptr_t hi) { return track ? track->add(lo, hi) : ENOSYS; }
int track_protect(uintptr_t lo, uintptr_t hi) { return track ? track->protect(lo, hi) : ENOSYS; }
int track_release(uintptr_t lo, uintptr_t hi) { return track && track->release ? track->release(lo, hi) : ENOSYS; }

void track_settle(void) {
  if (track) track->settle();
}

bool track_written(uintptr_t lo, uintptr_t hi, os_maps_range *each, void *arg) {
  return track && track->written(lo, hi, each, arg);
}

void track_fork_child(void) {
  if (track) track->end();
  track = NULL;
}
