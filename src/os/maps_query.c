/* SPDX-License-Identifier: MIT
 * Some mappings of this process, each by a question of its own, instead of the text of all of them. */
#include "config.h"

#include "os/call.h"
#include "os/maps.h"

#include <errno.h>
#include <sys/ioctl.h>

/* The kernel's interface, which is younger (6.11) than the headers of many systems. */
struct maps_query {
  uint64_t size, flags, address;                               /* in */
  uint64_t start, end, rights, page_size, offset, inode;       /* out */
  uint32_t major, minor, name_size, build_id_size;
  uint64_t name, build_id;
};
#define MAPS_QUERY _IOWR('f', 17, struct maps_query)
enum { MAPS_READABLE = 1, MAPS_WRITABLE = 2, MAPS_EXECUTABLE = 4, MAPS_SHARED = 8, MAPS_OR_NEXT = 16 };

static int maps_ask(int fd, uintptr_t lo, uintptr_t hi, bool (*each)(const struct os_mapping *mapping, void *arg),
                    void *arg) {
  while (lo < hi) {
    struct maps_query query = {.size = sizeof query, .flags = MAPS_OR_NEXT, .address = lo};
    long result = os_call(SYS_ioctl, fd, MAPS_QUERY, &query);
    if (result == -EINTR) continue;
    if (result == -ENOENT || (result == 0 && query.start >= hi)) return 0;
    if (result < 0) return (int)-result;
    struct os_mapping mapping = {.lo = query.start, .hi = query.end, .name = "", .offset = query.offset,
                                 .read = query.rights & MAPS_READABLE, .write = query.rights & MAPS_WRITABLE,
                                 .execute = query.rights & MAPS_EXECUTABLE, .shared = query.rights & MAPS_SHARED, .inode = query.inode};
    if (!each(&mapping, arg)) return 0;
    lo = query.end;
  }
  return 0;
}

struct maps_within {
  uintptr_t lo, hi;
  bool (*each)(const struct os_mapping *mapping, void *arg);
  void *arg;
};

static bool maps_is_within(const struct os_mapping *mapping, void *arg) {
  const struct maps_within *within = arg;
  if (mapping->hi <= within->lo) return true;
  return mapping->lo < within->hi && within->each(mapping, within->arg);
}

int os_maps_each_within(uintptr_t lo, uintptr_t hi, bool (*each)(const struct os_mapping *mapping, void *arg), void *arg) {
  static _Atomic bool refused; /* an older kernel: it never changes */
  if (!atomic_load_explicit(&refused, memory_order_relaxed)) {
    int fd = os_call_open("/proc/thread-self/maps", 0);
    if (fd == -ENOENT) fd = os_call_open("/proc/self/maps", 0);
    if (fd < 0) return -fd;
    int error = maps_ask(fd, lo, hi, each, arg);
    os_call_close(fd);
    if (!error) return 0;
    if (error == ENOTTY || error == EINVAL) atomic_store(&refused, true);
  }
  struct maps_within within = {lo, hi, each, arg};
  return os_maps_each(maps_is_within, &within);
}
