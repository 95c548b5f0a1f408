/* SPDX-License-Identifier: MIT
 * The history of modules: a table that only grows. Entries are written under the lock and read without it;
 * what changes in one later is its last epoch alone. Must not know stacks.
 *
 * A module with the same bounds, bias, build id and path as an entry that is still loaded is that entry.
 * When the loader tells of another module at an entry's addresses, the entry's module is gone, whether or
 * not we saw the dlclose. */
#include "config.h"

#include "site/modules.h"

#include "base/lock.h"
#include "os/maps.h"
#include "os/memory.h"

#include <string.h>

enum { modules_chunk = 64, modules_chunks = 1024 };

_Atomic uint32_t modules_now;
static struct lock modules_lock = LOCK_INIT(LOCK_MODULES);
static struct module *modules_table[modules_chunks];
static _Atomic int modules_used;

int modules_count(void) { return atomic_load_explicit(&modules_used, memory_order_acquire); }

static struct module *modules_at(int index) {
  return &modules_table[index / modules_chunk][index % modules_chunk];
}

const struct module *modules_get(int index) {
  return index >= 0 && index < modules_count() ? modules_at(index) : NULL;
}

static uint32_t modules_last(const struct module *module) {
  return __atomic_load_n(&module->last, __ATOMIC_ACQUIRE);
}

static void modules_end(struct module *module, uint32_t epoch) {
  __atomic_store_n(&module->last, epoch, __ATOMIC_RELEASE);
}

/* ---- identity ---- */

static size_t modules_suffix(const char *path, const char *end) {
  size_t a = strlen(path), b = strlen(end);
  return a >= b && memcmp(path + a - b, end, b) == 0;
}

/* A relative path was made absolute on entry: its end is compared then. */
static bool modules_same(const struct module *entry, const struct os_module *now) {
  if (entry->lo != now->lo || entry->hi != now->hi || entry->bias != now->bias) return false;
  if (entry->build_id_size != now->build_id_size) return false;
  if (memcmp(entry->build_id, now->build_id, now->build_id_size) != 0) return false;
  if (strcmp(entry->path, now->path) == 0) return true;
  const char *name = strrchr(now->path, '/');
  return now->path[0] != '/' && modules_suffix(entry->path, name ? name : now->path);
}

static bool modules_overlap(const struct module *entry, const struct os_module *now) {
  return entry->lo < now->hi && now->lo < entry->hi;
}

/* ---- entering ---- */

struct modules_name {
  uintptr_t address;
  char *path;
};

static bool modules_absolute(const struct os_mapping *mapping, void *arg) {
  struct modules_name *name = arg;
  if (mapping->hi <= name->address) return true;
  if (mapping->lo <= name->address && mapping->name[0] == '/') {
    size_t size = strlen(mapping->name) + 1;
    name->path = os_arena_alloc(size, 1);
    if (name->path) memcpy(name->path, mapping->name, size);
  }
  return false;
}

/* The module's path for ever: the loader's copy goes with the module, and a relative one means nothing
 * later. */
static char *modules_keep_path(const struct os_module *now) {
  struct modules_name name = {now->lo, NULL};
  if (now->path[0] != '/' && now->path[0] != '[') os_maps_each(modules_absolute, &name);
  if (name.path) return name.path;
  size_t size = strlen(now->path) + 1;
  name.path = os_arena_alloc(size, 1);
  if (name.path) memcpy(name.path, now->path, size);
  return name.path;
}

static int modules_enter(const struct os_module *now, uint32_t first) {
  int index = modules_count();
  if (index / modules_chunk >= modules_chunks) return -1;
  struct module **chunk = &modules_table[index / modules_chunk];
  if (!*chunk) *chunk = os_arena_alloc(modules_chunk * sizeof **chunk, _Alignof(struct module));
  char *path = *chunk ? modules_keep_path(now) : NULL;
  if (!path) return -1;
  struct module *entry = modules_at(index);
  *entry = (struct module){.lo = now->lo, .hi = now->hi, .bias = now->bias, .path = path,
                           .build_id_size = now->build_id_size, .first = first, .last = UINT32_MAX};
  memcpy(entry->build_id, now->build_id, now->build_id_size);
  atomic_store_explicit(&modules_used, index + 1, memory_order_release);
  return index;
}

/* The entry of a module that is loaded now; a new one when it is new. Modules whose place it has taken are
 * gone. */
static int modules_note_locked(const struct os_module *now) {
  CHECK(lock_is_held(&modules_lock));
  uint32_t epoch = modules_epoch(), first = 0;
  bool replaced = false;
  int count = modules_count();
  for (int i = 0; i < count; i++) {
    struct module *entry = modules_at(i);
    if (!modules_overlap(entry, now)) continue;
    uint32_t last = modules_last(entry);
    if (last == UINT32_MAX) {
      if (modules_same(entry, now)) return i;
      modules_end(entry, epoch);
      last = epoch;
      replaced = true;
    }
    if (last + 1 > first) first = last + 1;
  }
  int index = modules_enter(now, first);
  if (replaced) atomic_store_explicit(&modules_now, epoch + 1, memory_order_release);
  return index;
}

static int modules_note(const struct os_module *now) {
  lock_acquire(&modules_lock);
  int index = modules_note_locked(now);
  lock_release(&modules_lock);
  return index;
}

void modules_see(uintptr_t address) {
  struct os_module now;
  if (os_module_at(address, &now)) modules_note(&now);
}

/* ---- closing ---- */

static bool modules_note_each(const struct os_module *module, void *arg) {
  (void)arg;
  modules_note(module);
  return true;
}

void modules_before_close(void) { os_modules_each(modules_note_each, NULL); }

void modules_after_close(void) {
  lock_acquire(&modules_lock);
  uint32_t epoch = modules_epoch();
  bool gone = false;
  for (int i = 0; i < modules_count(); i++) {
    struct module *entry = modules_at(i);
    struct os_module now;
    if (modules_last(entry) != UINT32_MAX) continue;
    if (os_module_at(entry->lo, &now) && modules_same(entry, &now)) continue;
    modules_end(entry, epoch);
    gone = true;
  }
  if (gone) atomic_store_explicit(&modules_now, epoch + 1, memory_order_release);
  lock_release(&modules_lock);
}

/* ---- asking ---- */

int modules_find(uintptr_t address, uint32_t epoch) {
  int count = modules_count();
  for (int i = 0; i < count; i++) {
    const struct module *entry = modules_at(i);
    if (address - entry->lo < entry->hi - entry->lo && entry->first <= epoch && epoch <= modules_last(entry))
      return i;
  }
  struct os_module now;
  if (!os_module_at(address, &now)) return -1;
  int index = modules_note(&now);
  return index >= 0 && modules_at(index)->first <= epoch ? index : -1;
}

void modules_fork_child(void) { lock_reset(&modules_lock); }
