/* SPDX-License-Identifier: MIT
 * Limits on memory, as the kernel's files tell them. Must not know who wants to know. */
#include "config.h"

#include "os/limits.h"

#include "os/call.h"
#include "os/memory.h"

#include <string.h>

enum { limits_path = 512, limits_text = 8192 };

/* A small file's text, terminated; false when it cannot be read. */
static bool limits_read(const char *path, char *text, size_t size) {
  long fd = os_call_open(path, 0), got = 0;
  if (fd < 0) return false;
  size_t length = 0;
  while (length + 1 < size && (got = os_call(SYS_read, fd, text + length, size - 1 - length)) > 0) length += (size_t)got;
  os_call(SYS_close, fd);
  text[length] = '\0';
  return length > 0;
}

/* The number at the beginning; false when there is none ("max"). */
static bool limits_number(const char *text, size_t *number) {
  *number = 0;
  if (*text < '0' || *text > '9') return false;
  for (; *text >= '0' && *text <= '9'; text++)
    if (__builtin_mul_overflow(*number, (size_t)10, number)) return false;
    else *number += (size_t)(*text - '0');
  return true;
}

/* The number behind a line's name. */
static bool limits_field(const char *text, const char *name, size_t *number) {
  size_t length = strlen(name);
  for (const char *line = text; line; line = strchr(line, '\n')) {
    if (*line == '\n') line++;
    if (strncmp(line, name, length) == 0) return limits_number(line + length + strspn(line + length, " "), number);
  }
  return false;
}

/* --- control groups --- */

/* How the two versions name things. */
struct limits_version {
  const char *line, *folder; /* of the group; where such groups lie */
  const char *most, *used, *idle;
};
static const struct limits_version limits_versions[] = {
    {":memory:", "/memory", "/memory.limit_in_bytes", "/memory.usage_in_bytes", "total_inactive_file"},
    {"0::", "", "/memory.max", "/memory.current", "inactive_file"},
};

struct limits_group {
  const struct limits_version *version;
  const char *root, *path;
  size_t length; /* of the path */
};

static bool limits_group_read(const struct limits_group *group, const char *name, char *text) {
  char path[limits_path];
  size_t root = strlen(group->root), folder = strlen(group->version->folder), back = strlen(name);
  if (root + folder + group->length + back >= sizeof path) return false;
  memcpy(path, group->root, root);
  memcpy(path + root, group->version->folder, folder);
  memcpy(path + root + folder, group->path, group->length);
  memcpy(path + root + folder + group->length, name, back + 1);
  return limits_read(path, text, limits_text);
}

static bool limits_group_one(const struct limits_group *group, size_t *used, size_t *most) {
  char text[limits_text];
  size_t idle;
  if (!limits_group_read(group, group->version->most, text) || !limits_number(text, most)) return false;
  if (*most == 0 || *most > PTRDIFF_MAX / 2) return false; /* version 1 has no word for none */
  if (!limits_group_read(group, group->version->used, text) || !limits_number(text, used)) return false;
  if (limits_group_read(group, "/memory.stat", text) && limits_field(text, group->version->idle, &idle))
    *used -= idle < *used ? idle : *used;
  return true;
}

/* Of the group and all that it is in, the one that is closest to its limit. */
static bool limits_group_closest(struct limits_group *group, size_t *used, size_t *most) {
  bool found = false;
  for (size_t u, m;; group->length--) {
    while (group->length > 0 && group->path[group->length] != '/' && group->path[group->length] >= ' ') group->length--;
    if (limits_group_one(group, &u, &m) && (!found || (double)u * (double)*most > (double)*used * (double)m)) {
      *used = u, *most = m;
      found = true;
    }
    if (group->length == 0) return found;
  }
}

bool os_limit_group(const char *told, const char *root, size_t *used, size_t *most) {
  char text[limits_text];
  if (!limits_read(told, text, sizeof text)) return false;
  for (size_t i = 0; i < sizeof limits_versions / sizeof *limits_versions; i++) {
    const char *line = strstr(text, limits_versions[i].line);
    const char *path = line ? strchr(line, '/') : NULL;
    if (!path) continue;
    struct limits_group group = {&limits_versions[i], root, path, strcspn(path, "\n")};
    if (limits_group_closest(&group, used, most)) return true;
  }
  return false;
}

/* --- the process --- */

/* The word of /proc/self/statm with this number, in bytes. */
static bool limits_pages(unsigned number, size_t *bytes) {
  char text[256];
  const char *at = text;
  if (!limits_read("/proc/self/statm", text, sizeof text)) return false;
  for (; number > 0 && at; number--) at = strchr(at, ' ') ? strchr(at, ' ') + 1 : NULL;
  if (!at || !limits_number(at, bytes)) return false;
  *bytes *= os_page_size;
  return true;
}

static bool limits_resource(int resource, unsigned number, size_t *used, size_t *most) {
  struct rlimit limit;
  if (os_call(SYS_prlimit64, 0, resource, NULL, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return false;
  *most = limit.rlim_cur;
  return limits_pages(number, used);
}

static bool limits_machine(size_t *used, size_t *most) {
  char text[limits_text];
  size_t available;
  if (!limits_read("/proc/meminfo", text, sizeof text)) return false;
  if (!limits_field(text, "MemTotal:", most) || !limits_field(text, "MemAvailable:", &available) || available > *most) return false;
  *used = (*most - available) << 10;
  *most <<= 10;
  return true;
}

bool os_limit_find(enum os_limit limit, size_t *used, size_t *most) {
  enum { statm_size = 0, statm_data = 5 };
  switch (limit) {
  case OS_LIMIT_CONTROL_GROUP: return os_limit_group("/proc/self/cgroup", "/sys/fs/cgroup", used, most);
  case OS_LIMIT_ADDRESS_SPACE: return limits_resource(RLIMIT_AS, statm_size, used, most);
  case OS_LIMIT_DATA: return limits_resource(RLIMIT_DATA, statm_data, used, most);
  case OS_LIMIT_MACHINE: return limits_machine(used, most);
  default: return false;
  }
}
