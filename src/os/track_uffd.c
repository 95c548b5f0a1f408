/* SPDX-License-Identifier: MIT
 * Tracking by userfaultfd: pages are write-protected for the tracker, in its asynchronous mode (Linux 6.7), in which a fault
 * only clears the page's bit; PAGEMAP_SCAN tells the pages without it. Knows nothing of other ways.
 *
 * The kernel has the last word about each page: only one that lies in a mapping registered for this, and bears the bit, is not
 * written. So a mapping that was replaced, moved by mremap, or inherited by a fork child counts as written, as does everything
 * once the descriptor is closed, since that takes all registrations back. For the same reason nothing here needs to be repaired.
 *
 * Limits: huge pages are protected whole if the range covers them; a first write to such a one splits it, and the rest of it
 * stays protected. The program cannot register the same memory with a userfaultfd of its own (EBUSY). */
#include "config.h"

#include "os/call.h"
#include "os/memory.h"
#include "os/track_ways.h"

#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

/* The kernel's interface, younger than the headers of many systems. */
struct uffd_api {
  uint64_t api, features, ioctls;
};
struct uffd_register {
  uint64_t start, size, mode, ioctls;
};
struct uffd_protect {
  uint64_t start, size, mode;
};
#define UFFD_API_CALL _IOWR(0xAA, 0x3F, struct uffd_api)
#define UFFD_REGISTER_CALL _IOWR(0xAA, 0x00, struct uffd_register)
#define UFFD_PROTECT_CALL _IOWR(0xAA, 0x06, struct uffd_protect)
enum {
  UFFD_VERSION = 0xAA,
  UFFD_ONLY_USER_MODE = 1, /* all that is allowed without privilege; in asynchronous mode the kernel's own writes work as well */
  UFFD_FEATURE_UNPOPULATED = 1 << 13,
  UFFD_FEATURE_ASYNC = 1 << 15,
  UFFD_REGISTER_WP = 2,
  UFFD_PROTECT_WP = 1,
};

struct uffd_scan {
  uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
  uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
struct uffd_region {
  uint64_t start, end, categories;
};
#define UFFD_SCAN_CALL _IOWR('f', 16, struct uffd_scan)
enum { UFFD_ALLOWED = 1 << 0, UFFD_WRITTEN = 1 << 1, UFFD_PRESENT = 1 << 3, UFFD_SWAPPED = 1 << 4, UFFD_ZERO = 1 << 5 };

enum {
  uffd_regions = 128,
  uffd_place = 1000,   /* descriptors from here on are rarely the program's; the kernel's table still has 8 KiB only */
  uffd_place_below = 16, /* the limit, where that is lower */
  uffd_limit_least = 128, /* with a lower limit each one counts */
};

static struct {
  int fd; /* open while pid is not 0 */
  long pid;
  dev_t dev;
  ino_t ino;
} uffd;

/* --- the descriptor --- */

static long uffd_stat(int fd, struct stat *now) { return os_call(SYS_newfstatat, fd, "", now, AT_EMPTY_PATH); }

/* Whether the number is still ours: the program may have closed it, and opened something else. And whether this is the process
 * that it works on: after a fork that we did not hear of it is the parent. */
static bool uffd_is_there(void) {
  struct stat now;
  if (!uffd.pid || os_call(SYS_getpid) != uffd.pid) return false;
  if (uffd_stat(uffd.fd, &now) == 0 && now.st_dev == uffd.dev && now.st_ino == uffd.ino) return true;
  uffd.pid = 0;
  return false;
}

static int uffd_move_away(int fd) {
  struct rlimit limit;
  if (os_call(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &limit) != 0) limit.rlim_cur = 0;
  uint64_t place = uffd_place;
  if (limit.rlim_cur < uffd_limit_least) return -EMFILE;
  if (place + uffd_place_below > limit.rlim_cur) place = limit.rlim_cur - uffd_place_below;
  return (int)os_call(SYS_fcntl, fd, F_DUPFD_CLOEXEC, place);
}

static int uffd_open(void) {
  int fd = (int)os_call(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_ONLY_USER_MODE);
  if (fd < 0) return fd;
  struct uffd_api api = {.api = UFFD_VERSION, .features = UFFD_FEATURE_ASYNC | UFFD_FEATURE_UNPOPULATED};
  int error = (int)os_call(SYS_ioctl, fd, UFFD_API_CALL, &api);
  int high = error ? error : uffd_move_away(fd);
  os_call_close(fd);
  return high;
}

static void uffd_end(void) {
  long pid = uffd.pid;
  struct stat now;
  uffd.pid = 0;
  if (!pid || uffd_stat(uffd.fd, &now) != 0) return;
  if (now.st_dev == uffd.dev && now.st_ino == uffd.ino) os_call_close(uffd.fd);
}

static const char *uffd_begin(void) {
  struct stat now;
  int fd = uffd_open();
  if (fd < 0) return track_refusal(-fd);
  if (uffd_stat(fd, &now) != 0) {
    os_call_close(fd);
    return track_refusal(EBADF);
  }
  uffd.fd = fd;
  uffd.dev = now.st_dev;
  uffd.ino = now.st_ino;
  uffd.pid = os_call(SYS_getpid);
  return NULL;
}

/* --- ranges --- */

static int uffd_change(uintptr_t lo, uintptr_t hi, uint64_t mode) {
  struct uffd_protect protect = {lo, hi - lo, mode};
  long result;
  do result = os_call(SYS_ioctl, uffd.fd, UFFD_PROTECT_CALL, &protect);
  while (result == -EAGAIN || result == -EINTR);
  return (int)-result;
}

/* Bits that pages brought along when they were moved here mean nothing (kernels before 6.13 kept them): they go. */
static int uffd_add(uintptr_t lo, uintptr_t hi) {
  if (!uffd_is_there()) return EBADF;
  if (!track_is_private(lo, hi)) return EINVAL;
  struct uffd_register range = {.start = lo, .size = hi - lo, .mode = UFFD_REGISTER_WP};
  long result = os_call(SYS_ioctl, uffd.fd, UFFD_REGISTER_CALL, &range);
  return result < 0 ? (int)-result : uffd_change(lo, hi, 0);
}

/* When a part is refused, those before it are protected: nobody would look at them. */
static int uffd_protect(uintptr_t lo, uintptr_t hi) {
  if (!uffd_is_there()) return EBADF;
  int error = uffd_change(lo, hi, UFFD_PROTECT_WP);
  if (error) uffd_change(lo, hi, 0);
  return error;
}

static int uffd_release(uintptr_t lo, uintptr_t hi) { return uffd_is_there() ? uffd_change(lo, hi, 0) : EBADF; }

static void uffd_settle(void) {}

/* --- what was written --- */

/* Of a mapping that is not registered also what is absent is found: it is dropped here. */
static void uffd_tell(const struct uffd_region *region, os_maps_range *each, void *arg) {
  if (region->categories & (UFFD_PRESENT | UFFD_SWAPPED))
    each(region->start, region->end, region->categories & UFFD_PRESENT, arg);
}

static bool uffd_written_by(int fd, uintptr_t lo, uintptr_t hi, os_maps_range *each, void *arg) {
  struct uffd_region found[uffd_regions];
  struct uffd_scan scan = {
      .size = sizeof scan, .start = lo, .end = hi, .vec = (uintptr_t)found, .vec_len = uffd_regions,
      .category_inverted = UFFD_ZERO | UFFD_ALLOWED, .category_mask = UFFD_ZERO,
      .category_anyof_mask = UFFD_WRITTEN | UFFD_ALLOWED, .return_mask = UFFD_PRESENT | UFFD_SWAPPED,
  };
  while (scan.start < scan.end) {
    long count = os_call(SYS_ioctl, fd, UFFD_SCAN_CALL, &scan);
    if (count == -EINTR) continue;
    if (count < 0 || scan.walk_end <= scan.start) return false;
    for (long i = 0; i < count; i++) uffd_tell(&found[i], each, arg);
    scan.start = scan.walk_end;
  }
  return true;
}

static bool uffd_written(uintptr_t lo, uintptr_t hi, os_maps_range *each, void *arg) {
  if (!uffd_is_there()) return false;
  int fd = track_open("pagemap", 0);
  if (fd < 0) return false;
  bool good = uffd_written_by(fd, lo, hi, each, arg);
  os_call_close(fd);
  return good;
}

const struct track_backend track_uffd = {
    .begin = uffd_begin, .end = uffd_end, .add = uffd_add, .protect = uffd_protect,
    .release = uffd_release, .settle = uffd_settle, .written = uffd_written,
};
