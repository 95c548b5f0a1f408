/* SPDX-License-Identifier: MIT
 * The mappings of this process, by the kernel's text. Knows nothing of pages, nor of what lies where.
 *
 * /proc/thread-self is used, not /proc/self: when the main thread has ended, the latter shows an empty
 * space. */
#include "config.h"

#include "os/maps.h"

#include "base/bits.h"
#include "os/call.h"
#include "os/memory.h"

#include <string.h>

enum { maps_text_least = 256 * 1024, maps_list_least = 64 * 1024 };

/* Twice the room; what is there moves along. */
static int maps_grow(void **at, size_t *size, size_t least) {
  size_t more = *size ? *size * 2 : least;
  void *new = os_memory_map(more);
  if (!new) return ENOMEM;
  if (*at) {
    memcpy(new, *at, *size);
    os_memory_unmap(*at, *size);
  }
  *at = new;
  *size = more;
  return 0;
}

static int maps_grow_text(struct os_maps_kept *kept) {
  void *at = kept->text;
  int error = maps_grow(&at, &kept->size, maps_text_least);
  kept->text = at;
  return error;
}

static int maps_read_text(struct os_maps_kept *kept) {
  int fd = os_call_open("/proc/thread-self/maps", 0);
  if (fd == -ENOENT) fd = os_call_open("/proc/self/maps", 0);
  if (fd < 0) return -fd;
  int error = 0;
  kept->length = 0;
  for (;;) {
    if (kept->size - kept->length < 2 * 4096 && (error = maps_grow_text(kept)) != 0) break;
    long got = os_call_read(fd, kept->text + kept->length, kept->size - kept->length - 1);
    if (got < 0) error = (int)-got;
    if (got <= 0) break;
    kept->length += (size_t)got;
  }
  os_call_close(fd);
  if (!error && kept->length == 0) error = ESRCH;
  if (!error) kept->text[kept->length] = 0;
  return error;
}

static uint64_t maps_number(const char **at, unsigned base) {
  uint64_t n = 0;
  for (;; ++*at) {
    unsigned digit = (unsigned char)**at - (unsigned)'0';
    if (digit > 9) digit = ((unsigned char)**at | 32u) - 'a' + 10;
    if (digit >= base) return n;
    n = n * base + digit;
  }
}

/* One line: "lo-hi rwxp offset major:minor inode   name\n". Returns the next; the name is terminated in
 * place. */
static char *maps_line(char *line, struct os_mapping *mapping) {
  const char *at = line;
  mapping->lo = maps_number(&at, 16);
  at++;
  mapping->hi = maps_number(&at, 16);
  at++;
  mapping->read = at[0] == 'r';
  mapping->write = at[1] == 'w';
  mapping->execute = at[2] == 'x';
  mapping->shared = at[3] == 's';
  at += 5;
  mapping->offset = maps_number(&at, 16);
  at++;
  maps_number(&at, 16);
  at++;
  maps_number(&at, 16);
  at++;
  mapping->inode = maps_number(&at, 10);
  while (*at == ' ') at++;
  mapping->name = at;
  char *end = strchr(at, '\n');
  if (!end) return line + strlen(line);
  *end = 0;
  return end + 1;
}

int os_maps_read(struct os_maps *maps) {
  struct os_maps_kept *kept = &maps->kept;
  int error = maps_read_text(kept);
  maps->count = 0;
  for (char *line = kept->text; !error && *line; maps->count++) {
    void *at = maps->list;
    if (sizeof *maps->list * (maps->count + 1) > kept->list_size)
      error = maps_grow(&at, &kept->list_size, maps_list_least);
    maps->list = at;
    if (!error) line = maps_line(line, &maps->list[maps->count]);
  }
  return error;
}

static void maps_forget(struct os_maps *maps) {
  if (maps->kept.text) os_memory_unmap(maps->kept.text, maps->kept.size);
  if (maps->list) os_memory_unmap(maps->list, maps->kept.list_size);
}

int os_maps_each(bool (*each)(const struct os_mapping *mapping, void *arg), void *arg) {
  struct os_maps maps = {0};
  int error = os_maps_read(&maps);
  bool more = !error;
  for (size_t i = 0; more && i < maps.count; i++) more = each(&maps.list[i], arg);
  maps_forget(&maps);
  return error;
}

struct maps_wanted {
  uintptr_t address;
  struct os_mapping *found;
  bool good;
};

static bool maps_is_wanted(const struct os_mapping *mapping, void *arg) {
  struct maps_wanted *wanted = arg;
  if (mapping->hi <= wanted->address) return true;
  wanted->good = mapping->lo <= wanted->address;
  if (wanted->good) {
    *wanted->found = *mapping;
    wanted->found->name = "";
  }
  return false;
}

bool os_maps_find(uintptr_t address, struct os_mapping *mapping) {
  struct maps_wanted wanted = {address, mapping, false};
  os_maps_each(maps_is_wanted, &wanted);
  return wanted.good;
}
