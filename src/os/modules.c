/* SPDX-License-Identifier: MIT
 * Modules, asked of the loader. Knows program headers and notes; must not know who asks, nor keep anything
 * but the program's own path, which cannot change.
 *
 * _dl_find_object (glibc 2.35) answers without a lock, so it may be asked while a thread holds the loader's. */
#include "config.h"

#include "os/modules.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

/* A module as the loader tells it. */
struct modules_raw {
  uintptr_t lo, hi, bias;
  const char *name; /* "" for the program */
  const ElfW(Phdr) *phdr;
  size_t phnum;
};

/* ---- the program's path ---- */

static char modules_program[PATH_MAX];
static _Atomic bool modules_program_known;

/* Two threads at once write the same bytes. */
static const char *modules_program_path(void) {
  if (!atomic_load_explicit(&modules_program_known, memory_order_acquire)) {
    int saved = errno;
    ssize_t length = readlink("/proc/self/exe", modules_program, sizeof modules_program - 1);
    if (length < 0) length = 0;
    modules_program[length] = 0;
    errno = saved;
    atomic_store_explicit(&modules_program_known, true, memory_order_release);
  }
  return modules_program;
}

/* ---- one module ---- */

/* The program headers by the ELF header, which the first segment holds. */
static void modules_headers(struct modules_raw *raw) {
  const ElfW(Ehdr) *elf = (const ElfW(Ehdr) *)raw->lo;
  raw->phdr = NULL;
  raw->phnum = 0;
  if (raw->hi - raw->lo < sizeof *elf || memcmp(elf->e_ident, ELFMAG, SELFMAG) != 0) return;
  if (elf->e_phentsize != sizeof *raw->phdr || elf->e_phoff > 4096) return;
  raw->phdr = (const ElfW(Phdr) *)(raw->lo + elf->e_phoff);
  raw->phnum = elf->e_phnum;
}

/* Addresses from the loadable segments. */
static void modules_bounds(struct modules_raw *raw) {
  raw->lo = UINTPTR_MAX;
  raw->hi = 0;
  for (size_t i = 0; i < raw->phnum; i++) {
    const ElfW(Phdr) *p = &raw->phdr[i];
    if (p->p_type != PT_LOAD) continue;
    uintptr_t lo = raw->bias + (p->p_vaddr & -(uintptr_t)4096);
    uintptr_t hi = raw->bias + ((p->p_vaddr + p->p_memsz + 4095) & -(uintptr_t)4096);
    if (lo < raw->lo) raw->lo = lo;
    if (hi > raw->hi) raw->hi = hi;
  }
}

static void modules_from_info(const struct dl_phdr_info *info, struct modules_raw *raw) {
  raw->bias = info->dlpi_addr;
  raw->name = info->dlpi_name ? info->dlpi_name : "";
  raw->phdr = info->dlpi_phdr;
  raw->phnum = info->dlpi_phnum;
  modules_bounds(raw);
}

#ifdef HAVE__DL_FIND_OBJECT
static bool modules_locate(uintptr_t address, struct modules_raw *raw) {
  struct dl_find_object found;
  if (_dl_find_object((void *)address, &found) != 0 || !found.dlfo_link_map) return false;
  raw->lo = (uintptr_t)found.dlfo_map_start;
  raw->hi = (uintptr_t)found.dlfo_map_end;
  raw->bias = found.dlfo_link_map->l_addr;
  raw->name = found.dlfo_link_map->l_name ? found.dlfo_link_map->l_name : "";
  if (raw->name[0] == 0 && !found.dlfo_link_map->l_prev) {
    raw->phdr = (const ElfW(Phdr) *)getauxval(AT_PHDR);
    raw->phnum = raw->phdr ? getauxval(AT_PHNUM) : 0;
  } else {
    modules_headers(raw);
  }
  if (raw->phdr) modules_bounds(raw); /* the loader's end is not that of a page */
  return true;
}
#else
struct modules_search {
  uintptr_t address;
  struct modules_raw *raw;
};

static int modules_search_one(struct dl_phdr_info *info, size_t size, void *arg) {
  struct modules_search *search = arg;
  (void)size;
  modules_from_info(info, search->raw);
  return search->address - search->raw->lo < search->raw->hi - search->raw->lo && search->raw->hi;
}

static bool modules_locate(uintptr_t address, struct modules_raw *raw) {
  struct modules_search search = {address, raw};
  return dl_iterate_phdr(modules_search_one, &search) != 0;
}
#endif

/* The build id in one segment of notes. */
static bool modules_note_id(uintptr_t note, uintptr_t end, uintptr_t align, struct os_module *module) {
  while (end - note >= sizeof(ElfW(Nhdr))) {
    const ElfW(Nhdr) *header = (const ElfW(Nhdr) *)note;
    uintptr_t name = note + sizeof *header;
    uintptr_t text = name + ((header->n_namesz + align - 1) & -align);
    uintptr_t next = text + ((header->n_descsz + align - 1) & -align);
    if (text > end || next > end || next <= note) return false;
    if (header->n_type == NT_GNU_BUILD_ID && header->n_namesz == 4 && memcmp((void *)name, "GNU", 4) == 0) {
      size_t size = header->n_descsz;
      if (size > os_build_id_max) size = os_build_id_max;
      memcpy(module->build_id, (void *)text, size);
      module->build_id_size = size;
      return true;
    }
    note = next;
  }
  return false;
}

static void modules_fill(const struct modules_raw *raw, struct os_module *module) {
  module->lo = raw->lo;
  module->hi = raw->hi;
  module->bias = raw->bias;
  module->build_id_size = 0;
  if (raw->lo == getauxval(AT_SYSINFO_EHDR)) module->path = "[vdso]";
  else if (raw->name[0]) module->path = raw->name;
  else module->path = modules_program_path();
  for (size_t i = 0; i < raw->phnum; i++) {
    const ElfW(Phdr) *p = &raw->phdr[i];
    uintptr_t lo = raw->bias + p->p_vaddr, hi = lo + p->p_memsz;
    if (p->p_type != PT_NOTE || lo < raw->lo || hi > raw->hi || hi < lo) continue;
    if (modules_note_id(lo, hi, p->p_align == 8 ? 8 : 4, module)) return;
  }
}

bool os_module_at(uintptr_t address, struct os_module *module) {
  struct modules_raw raw;
  if (!modules_locate(address, &raw)) return false;
  modules_fill(&raw, module);
  return true;
}

int os_module_phdr(uintptr_t address, int (*callback)(struct dl_phdr_info *, size_t, void *), void *arg) {
  struct modules_raw raw;
  if (!modules_locate(address, &raw) || !raw.phdr) return 0;
  struct dl_phdr_info info = {.dlpi_addr = raw.bias, .dlpi_name = raw.name, .dlpi_phdr = raw.phdr,
                              .dlpi_phnum = (ElfW(Half))raw.phnum, .dlpi_adds = 1};
  return callback(&info, sizeof info, arg);
}

/* ---- all modules ---- */

struct modules_visit {
  bool (*each)(const struct os_module *, void *);
  void *arg;
};

static int modules_visit_one(struct dl_phdr_info *info, size_t size, void *arg) {
  struct modules_visit *visit = arg;
  struct modules_raw raw;
  struct os_module module;
  (void)size;
  modules_from_info(info, &raw);
  if (raw.lo >= raw.hi) return 0;
  modules_fill(&raw, &module);
  return !visit->each(&module, visit->arg);
}

void os_modules_each(bool (*each)(const struct os_module *module, void *arg), void *arg) {
  struct modules_visit visit = {each, arg};
  dl_iterate_phdr(modules_visit_one, &visit);
}

/* ---- the loader's own list ---- */

/* Where the loader keeps the number of a module's thread-local storage, as it tells debuggers. */
static uint32_t modules_tls_offset(void) {
  static _Atomic uint32_t known; /* 1: cannot be known */
  uint32_t offset = atomic_load_explicit(&known, memory_order_relaxed);
  if (offset) return offset;
  const struct os_modules_field *field = os_modules_symbol("_thread_db_link_map_l_tls_modid");
  offset = field && field->bits == 8 * sizeof(size_t) && field->offset % sizeof(size_t) == 0 ? field->offset : 1;
  atomic_store_explicit(&known, offset, memory_order_relaxed);
  return offset;
}

struct modules_listing {
  void (*each)(const struct dl_phdr_info *, void *);
  void *arg;
  const struct link_map *map;
};

static int modules_list_one(struct dl_phdr_info *info, size_t size, void *arg) {
  const struct modules_listing *listing = arg;
  (void)size;
  for (size_t i = 0; i < info->dlpi_phnum; i++)
    if (info->dlpi_phdr[i].p_type == PT_TLS)
      info->dlpi_tls_modid = *(const size_t *)((const char *)listing->map + modules_tls_offset());
  listing->each(info, listing->arg);
  return 1;
}

bool os_modules_listed(void (*each)(const struct dl_phdr_info *info, void *arg), void *arg) {
#ifdef HAVE__DL_FIND_OBJECT
  if (modules_tls_offset() == 1) return false;
  const struct r_debug_extended *space = (const void *)&_r_debug;
  for (; space; space = space->base.r_version > 1 ? space->r_next : NULL) {
    if (space->base.r_state != RT_CONSISTENT) return false;
    for (const struct link_map *map = space->base.r_map; map; map = map->l_next) {
      struct modules_listing listing = {each, arg, map};
      if (!os_module_phdr((uintptr_t)map->l_ld, modules_list_one, &listing)) return false;
    }
  }
  return _r_debug.r_map != NULL;
#else
  (void)each, (void)arg, (void)modules_list_one; /* the lock would be needed to find a module's headers */
  return false;
#endif
}

/* ---- symbols ---- */

struct modules_dynamic {
  const ElfW(Sym) *symbols;
  const char *names;
  const uint32_t *hash; /* DT_GNU_HASH */
};

static uintptr_t modules_pointer(const struct link_map *map, uintptr_t value) {
  return value < map->l_addr ? map->l_addr + value : value; /* the loader has relocated all but the vdso's */
}

static bool modules_read_dynamic(const struct link_map *map, struct modules_dynamic *dynamic) {
  *dynamic = (struct modules_dynamic){0};
  if (!map->l_ld) return false;
  for (const ElfW(Dyn) *d = map->l_ld; d->d_tag != DT_NULL; d++) {
    const void *at = (const void *)modules_pointer(map, d->d_un.d_ptr);
    if (d->d_tag == DT_SYMTAB) dynamic->symbols = at;
    if (d->d_tag == DT_STRTAB) dynamic->names = at;
    if (d->d_tag == DT_GNU_HASH) dynamic->hash = at;
  }
  return dynamic->symbols && dynamic->names && dynamic->hash;
}

static uint32_t modules_hash(const char *name) {
  uint32_t h = 5381;
  for (; *name; name++) h = h * 33 + (unsigned char)*name;
  return h;
}

/* The table: buckets, first symbol, words and shift of the filter; the filter; the buckets; the hashes, each chain of
 * which ends with an odd one. */
static const void *modules_symbol_in(const struct link_map *map, const char *name) {
  struct modules_dynamic dynamic;
  if (!modules_read_dynamic(map, &dynamic)) return NULL;
  uint32_t h = modules_hash(name), buckets = dynamic.hash[0], first = dynamic.hash[1], words = dynamic.hash[2];
  const uint64_t *filter = (const void *)(dynamic.hash + 4);
  uint64_t bits = (uint64_t)1 << h % 64 | (uint64_t)1 << (h >> dynamic.hash[3]) % 64;
  if (!buckets || !words || (filter[h / 64 % words] & bits) != bits) return NULL;
  const uint32_t *bucket = (const void *)(filter + words), *chain = bucket + buckets;
  uint32_t i = bucket[h % buckets];
  for (; i >= first; i++) {
    const ElfW(Sym) *symbol = &dynamic.symbols[i];
    bool same = (chain[i - first] | 1) == (h | 1) && strcmp(dynamic.names + symbol->st_name, name) == 0;
    if (same && symbol->st_shndx != SHN_UNDEF) return (const void *)(map->l_addr + symbol->st_value);
    if (chain[i - first] & 1) break;
  }
  return NULL;
}

/* Libraries that a program begins with stand first in the list, the loader last of them, and are never unloaded: nobody
 * changes what is read here. */
const void *os_modules_symbol(const char *name) {
  uintptr_t loader = getauxval(AT_BASE);
  for (const struct link_map *map = _r_debug.r_map; map; map = map->l_next) {
    const void *symbol = modules_symbol_in(map, name);
    if (symbol || map->l_addr == loader) return symbol;
  }
  return NULL;
}
