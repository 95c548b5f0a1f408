/* SPDX-License-Identifier: MIT
 * Names for frames. The only user of libdwfl besides lines.c; knows nothing of formats. */
#include "config.h"

#include "report/symbols.h"

#ifndef HAVE_LIBDW

void symbols_name(struct model *model) { (void)model; }

const char *symbols_variable(const struct model_module *module, uint64_t address, uint64_t *offset) {
  (void)module, (void)address, (void)offset;
  return NULL;
}

const char *symbols_tls_variable(const struct model_module *program, uint64_t below, uint64_t *offset) {
  (void)program, (void)below, (void)offset;
  return NULL;
}

#else

#include "base/bits.h"
#include "report/lines.h"
#include "report/names.h"

#include <dlfcn.h>
#include <elfutils/libdwfl.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* One file, opened when the first frame in it is named. One Dwfl each: a closed library's addresses may have
 * been given to another. */
struct symbols_file {
  bool opened;
  Dwfl_Module *module; /* NULL: the file is gone, or is not the one that ran */
  GElf_Addr bias;      /* dwfl's address - the file's */
  struct names *names;
  struct lines *lines; /* NULL: no debug information */
};

/* One answer of the cache. */
struct symbols_entry {
  bool used;
  int module;
  uint64_t offset;
  const struct symbol *symbol;
};

/* A symbol that frames share. */
struct symbols_shared {
  struct symbol symbol;
  struct symbols_shared *next;
};

enum { symbols_buckets = 1 << 12 };

struct symbols {
  struct model *model;
  struct symbols_file *files; /* one for each module of the model */
  struct symbols_entry *cache;
  uint32_t count; /* symbols shared */
  struct symbols_shared *shared[symbols_buckets];
  size_t cache_size; /* a power of two, at least twice the frames */
};

static char *symbols_debug_path = (char *)"+:.debug:/usr/lib/debug";

static const Dwfl_Callbacks symbols_callbacks = {
    .find_elf = dwfl_build_id_find_elf,
    .find_debuginfo = dwfl_standard_find_debuginfo,
    .section_address = dwfl_offline_section_address,
    .debuginfo_path = &symbols_debug_path,
};

static bool symbols_build_id_fits(Dwfl_Module *module, const char *wanted) {
  const unsigned char *bits;
  GElf_Addr at;
  if (!wanted) return true;
  int size = dwfl_module_build_id(module, &bits, &at);
  if (size <= 0 || strlen(wanted) != (size_t)size * 2) return false;
  for (int i = 0; i < size; i++) {
    char hex[3];
    snprintf(hex, sizeof hex, "%02x", bits[i]);
    if (memcmp(hex, wanted + 2 * i, 2) != 0) return false;
  }
  return true;
}

static bool symbols_try(struct symbols_file *file, const char *path, const char *build_id) {
  int fd =
      open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* never wait for a fifo that took a library's place */
  if (fd < 0) return false;
  Dwfl *dwfl = dwfl_begin(&symbols_callbacks);
  if (!dwfl) return close(fd), false;
  dwfl_report_begin(dwfl);
  Dwfl_Module *module = dwfl_report_offline(dwfl, path, path, fd); /* takes fd over when it succeeds */
  if (!module) close(fd);
  dwfl_report_end(dwfl, NULL, NULL);
  if (module && dwfl_module_getelf(module, &file->bias) && symbols_build_id_fits(module, build_id)) {
    file->module = module;
    file->names = names_open(module);
    file->lines = lines_open(module);
    return true;
  }
  dwfl_end(dwfl);
  return false;
}

static void symbols_open(struct symbols_file *file, const struct model_module *module) {
  file->opened = true;
  if (module->path[0] == '/' && symbols_try(file, module->path, module->build_id)) return;
  /* Replaced or deleted since: its separate debug file may still name it. */
  if (!module->build_id || strlen(module->build_id) < 3) return;
  char path[256];
  snprintf(path, sizeof path, "/usr/lib/debug/.build-id/%.2s/%s.debug", module->build_id, module->build_id + 2);
  symbols_try(file, path, module->build_id);
}

/* libstdc++'s demangler, if the machine has one. */
static const char *symbols_demangle(const char *name) {
  static char *(*demangle)(const char *, char *, size_t *, int *);
  static bool tried;
  if (strncmp(name, "_Z", 2) != 0) return name;
  if (!tried) {
    tried = true;
    void *library = dlopen("libstdc++.so.6", RTLD_NOW | RTLD_LOCAL);
    if (library) demangle = (char *(*)(const char *, char *, size_t *, int *))dlsym(library, "__cxa_demangle");
  }
  int status = -1;
  char *plain = demangle ? demangle(name, NULL, NULL, &status) : NULL;
  return plain && status == 0 ? plain : name;
}

/* A name without what compiler and linker hung on to it: f.constprop.0, f.cold, f@@VERSION. */
static const char *symbols_plain(const char *name) {
  static const char *const parts[] = {".constprop", ".isra", ".part", ".cold", ".lto_priv", ".llvm", "@"};
  if (!name || !*name) return NULL;
  size_t length = strlen(name);
  for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
    const char *found = strstr(name + 1, parts[i]);
    if (found && (size_t)(found - name) < length) length = (size_t)(found - name);
  }
  return symbols_demangle(name[length] ? model_copy(name, length) : name);
}

static bool symbols_same_text(const char *a, const char *b) { return a == b || (a && b && strcmp(a, b) == 0); }

static bool symbols_same(const struct symbol *a, const struct symbol *b) {
  return a->line == b->line && a->caller == b->caller && symbols_same_text(a->function, b->function) &&
         symbols_same_text(a->file, b->file);
}

/* The one symbol that reads like this one; its callers are shared first. */
static const struct symbol *symbols_share(struct symbols *symbols, const struct symbol *symbol) {
  if (!symbol) return NULL;
  struct symbol wanted = *symbol;
  wanted.caller = symbols_share(symbols, symbol->caller);
  uint64_t hash = bits_mix((uint64_t)wanted.line ^ (uint64_t)(uintptr_t)wanted.caller);
  for (const char *c = wanted.function; c && *c; c++) hash = hash * 31 + (unsigned char)*c;
  struct symbols_shared **bucket = &symbols->shared[bits_mix(hash) % symbols_buckets];
  for (struct symbols_shared *at = *bucket; at; at = at->next)
    if (symbols_same(&at->symbol, &wanted)) return &at->symbol;
  struct symbols_shared *added = model_alloc(sizeof *added);
  *added = (struct symbols_shared){wanted, *bucket};
  added->symbol.id = ++symbols->count;
  *bucket = added;
  return &added->symbol;
}

static const struct symbol *symbols_look_up(struct symbols_file *file, uint64_t offset) {
  /* A return address may be the first byte of the next function or line: the call is before it. */
  GElf_Addr address = offset - 1 + file->bias;
  const char *name = names_find(file->names, address);
  struct symbol *symbol = file->lines ? lines_find(file->lines, address) : NULL;
  if (!symbol && !name) return NULL;
  if (!symbol) symbol = model_alloc(sizeof *symbol);
  struct symbol *outer = symbol;
  for (; outer->caller; outer = (struct symbol *)outer->caller)
    outer->function = symbols_plain(outer->function);
  outer->function = symbols_plain(name ? name : outer->function);
  return symbol->function || symbol->file ? symbol : NULL;
}

static struct symbols_entry *symbols_slot(struct symbols *symbols, int module, uint64_t offset) {
  size_t i = (size_t)bits_mix(offset ^ (uint64_t)module << 48);
  for (;; i++) {
    struct symbols_entry *entry = &symbols->cache[i & (symbols->cache_size - 1)];
    if (!entry->used || (entry->module == module && entry->offset == offset)) return entry;
  }
}

static const struct symbol *symbols_find(struct symbols *symbols, const struct model_frame *frame) {
  const struct model_module *module = model_module_of(symbols->model, frame);
  if (!module) return NULL;
  uint64_t offset = model_offset(symbols->model, frame);
  struct symbols_entry *entry = symbols_slot(symbols, module->same, offset);
  if (entry->used) return entry->symbol;
  struct symbols_file *file = &symbols->files[module->same];
  if (!file->opened) symbols_open(file, module);
  *entry = (struct symbols_entry){true, module->same, offset, NULL};
  if (file->module) entry->symbol = symbols_share(symbols, symbols_look_up(file, offset));
  return entry->symbol;
}

static void symbols_name_stack(struct symbols *symbols, const struct model_stack *stack) {
  for (size_t i = 0; i < stack->count; i++) {
    struct model_frame *frame = &symbols->model->frames[stack->first + i];
    frame->symbol = symbols_find(symbols, frame);
  }
}

void symbols_name(struct model *model) {
  struct symbols symbols = {.model = model, .cache_size = 64};
  if (model->frame_count == 0) return;
  unsetenv("DEBUGINFOD_URLS"); /* a report must not fetch anything */
  while (symbols.cache_size < 2 * model->frame_count) symbols.cache_size *= 2;
  symbols.files = model_alloc(model->module_count * sizeof *symbols.files);
  symbols.cache = model_alloc(symbols.cache_size * sizeof *symbols.cache);
  for (size_t i = 0; i < model->leak_count; i++) symbols_name_stack(&symbols, &model->leaks[i].stack);
  for (size_t i = 0; i < model->stack_count; i++) symbols_name_stack(&symbols, &model->stacks[i].stack);
  free(symbols.cache);
  free(symbols.files); /* what the names point into stays open */
}

/* --- variables: seldom asked for, so the file is opened each time, and its table gone through --- */

static const char *symbols_variable_in(Dwfl_Module *module, int type, uint64_t value, uint64_t *offset) {
  const char *found = NULL;
  int count = dwfl_module_getsymtab(module);
  for (int i = 1; i < count; i++) {
    GElf_Sym symbol;
    GElf_Addr address;
    const char *name = dwfl_module_getsym_info(module, i, &symbol, &address, NULL, NULL, NULL);
    if (!name || !*name || GELF_ST_TYPE(symbol.st_info) != type || symbol.st_shndx == SHN_UNDEF) continue;
    uint64_t within = value - (type == STT_TLS ? symbol.st_value : address);
    if (within >= symbol.st_size || (found && within > *offset)) continue;
    found = symbols_plain(name);
    *offset = within;
  }
  return found;
}

const char *symbols_variable(const struct model_module *module, uint64_t address, uint64_t *offset) {
  struct symbols_file file = {0};
  unsetenv("DEBUGINFOD_URLS");
  symbols_open(&file, module);
  return file.module ? symbols_variable_in(file.module, STT_OBJECT, address - module->bias + file.bias, offset) : NULL;
}

/* The program's own block ends at the thread pointer, but for alignment. */
const char *symbols_tls_variable(const struct model_module *program, uint64_t below, uint64_t *offset) {
  struct symbols_file file = {0};
  unsetenv("DEBUGINFOD_URLS");
  symbols_open(&file, program);
  GElf_Addr bias;
  Elf *elf = file.module ? dwfl_module_getelf(file.module, &bias) : NULL;
  size_t parts = 0;
  if (!elf || elf_getphdrnum(elf, &parts) != 0) return NULL;
  for (size_t i = 0; i < parts; i++) {
    GElf_Phdr part;
    if (!gelf_getphdr(elf, (int)i, &part) || part.p_type != PT_TLS) continue;
    uint64_t size = bits_align_up(part.p_memsz, part.p_align ? part.p_align : 1);
    return below <= size ? symbols_variable_in(file.module, STT_TLS, size - below, offset) : NULL;
  }
  return NULL;
}

#endif
