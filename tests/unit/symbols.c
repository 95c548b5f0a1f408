/* SPDX-License-Identifier: MIT
 * src/report/symbols.c, names.c and lines.c: this program names its own code. */
#include "config.h"

#include "report/symbols.h"

#include "tap.h"

#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static volatile int calls;

__attribute__((noinline)) static uint64_t here(void) {
  calls++; /* not a pure function: two calls are two */
  return (uint64_t)(uintptr_t)__builtin_return_address(0);
}

static int inlined_line, plain_line;

__attribute__((always_inline)) static inline uint64_t inlined_function(void) {
  uint64_t address = (inlined_line = __LINE__, here());
  __asm__ volatile("" : "+r"(address)); /* no tail call */
  return address;
}

__attribute__((noinline)) static uint64_t outer_function(void) {
  uint64_t address = inlined_function();
  __asm__ volatile("" : "+r"(address));
  return address;
}

__attribute__((noinline)) static uint64_t plain_function(void) {
  uint64_t address = (plain_line = __LINE__, here());
  __asm__ volatile("" : "+r"(address));
  return address;
}

/* A C++ name, without a C++ compiler. */
uint64_t mangled(void) __asm__("_ZN4demo4workEi");
__attribute__((noinline)) uint64_t mangled(void) {
  uint64_t address = here();
  __asm__ volatile("" : "+r"(address));
  return address;
}

struct note {
  uint64_t address;
  struct model *model;
};

static const char *build_id(const struct dl_phdr_info *info) {
  for (int i = 0; i < info->dlpi_phnum; i++) {
    if (info->dlpi_phdr[i].p_type != PT_NOTE) continue;
    const char *at = (const char *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
    const char *end = at + info->dlpi_phdr[i].p_memsz;
    while (at < end) {
      const ElfW(Nhdr) *note = (const void *)at;
      const unsigned char *bits = (const unsigned char *)at + sizeof *note + ((note->n_namesz + 3) & ~3u);
      if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4) {
        char *hex = model_alloc(2 * note->n_descsz + 1);
        for (unsigned k = 0; k < note->n_descsz; k++) sprintf(hex + 2 * k, "%02x", bits[k]);
        return hex;
      }
      at = (const char *)bits + ((note->n_descsz + 3) & ~3u);
    }
  }
  return NULL;
}

/* Adds the module that holds the address, and a leak with that one frame. */
static int add(struct dl_phdr_info *info, size_t size, void *arg) {
  struct note *note = arg;
  (void)size;
  bool inside = false;
  for (int i = 0; i < info->dlpi_phnum; i++) {
    const ElfW(Phdr) *p = &info->dlpi_phdr[i];
    inside |= p->p_type == PT_LOAD && note->address - info->dlpi_addr - p->p_vaddr < p->p_memsz;
  }
  if (!inside) return 0;
  size_t index = note->model->module_count;
  char *path = *info->dlpi_name ? realpath(info->dlpi_name, NULL) : realpath("/proc/self/exe", NULL);
  *model_module_at(note->model, index) = (struct model_module){
      .known = true, .path = path, .build_id = build_id(info), .bias = info->dlpi_addr, .same = (int)index};
  struct model_stack stack = {note->model->frame_count, 1};
  model_add_frame(note->model, note->address, (int)index);
  *model_add_leak(note->model) = (struct model_leak){.size = {1, 1}, .stack = stack};
  return 1;
}

static struct model *model_of(uint64_t address) {
  struct model *model = model_alloc(sizeof *model);
  model_init(model);
  dl_iterate_phdr(add, &(struct note){address, model});
  return model;
}

static const struct symbol *name(struct model *model) {
  model_group(model);
  symbols_name(model);
  return model->frames[0].symbol;
}

static bool is(const struct symbol *symbol, const char *function) {
  if (symbol && symbol->function && strcmp(symbol->function, function) == 0) return true;
  tap_note("named %s", symbol ? symbol->function ? symbol->function : "(no function)" : "(nothing)");
  return false;
}

static void test_lines(void) {
  const struct symbol *plain = name(model_of(plain_function()));
  if (!plain || !plain->file) {
    tap_skip("lines and inlined calls", "this program has no debug information");
    return;
  }
  OK(plain->line == plain_line && strstr(plain->file, "symbols.c"), "a call's file and line are found (%d)",
     plain->line);
  OK(*plain->file == '/' && plain->file_shown >= plain->file, "the file has its directory");
  const struct symbol *inlined = name(model_of(outer_function()));
  OK(is(inlined, "inlined_function") && inlined->line == inlined_line, "the innermost is the inlined function");
  OK(inlined && is(inlined->caller, "outer_function") && inlined->caller->line > inlined_line &&
         !inlined->caller->caller,
     "and its caller has the line of the call");
}

/* A loop that was unrolled has two calls in one line. */
static void test_shared(void) {
  uint64_t places[2];
  places[0] = here(), places[1] = here();
  struct model *m = model_of(places[0]);
  size_t first = m->frame_count;
  model_add_frame(m, places[1], 0);
  *model_add_leak(m) = (struct model_leak){.size = {2, 20}, .stack = {first, 1}};
  const struct symbol *symbol = name(m);
  if (!symbol || !symbol->file) return;
  OK(places[0] != places[1] && m->frames[0].symbol == m->frames[1].symbol,
     "two calls in one line have one name");
  OK(m->leak_count == 2, "(before)");
  model_group(m);
  OK(m->leak_count == 1 && m->leaks[0].size.count == 3, "and are one leak");
}

static void test_refusals(void) {
  struct model *m = model_of(plain_function());
  m->modules[0].path = "/nonexistent/program";
  m->modules[0].build_id = NULL;
  OK(name(m) == NULL, "a file that is gone names nothing");
  m = model_of(plain_function());
  if (m->modules[0].build_id) {
    m->modules[0].build_id = "00112233445566778899aabbccddeeff00112233";
    OK(name(m) == NULL, "a file of another build names nothing");
  }
  m = model_of(plain_function());
  m->modules[0].path = "/etc/passwd";
  m->modules[0].build_id = NULL;
  OK(name(m) == NULL, "nor does a file that is no program");
  m = model_of(plain_function());
  m->modules[0].path = "linux-vdso.so.1";
  m->modules[0].build_id = NULL;
  OK(name(m) == NULL, "nor a module that is no file");
  m = model_of(plain_function());
  m->frames[0].module = -1;
  OK(name(m) == NULL, "a frame of no module is not named");
}

int main(void) {
#ifndef HAVE_LIBDW
  tap_skip("names", "built without elfutils");
  return tap_end();
#endif
  OK(is(name(model_of(plain_function())), "plain_function"), "a static function of the program is named");
  OK(is(name(model_of((uint64_t)(uintptr_t)dlsym(RTLD_DEFAULT, "getenv") + 4)), "getenv"),
     "so is one of a library");
  const struct symbol *work = name(model_of(mangled()));
  OK(dlopen("libstdc++.so.6", RTLD_NOW) ? is(work, "demo::work(int)") : is(work, "_ZN4demo4workEi"),
     "a C++ name is demangled where the machine can");
  test_lines();
  test_shared();
  test_refusals();
  setenv("DEBUGINFOD_URLS", "http://127.0.0.1:9", 1);
  name(model_of(plain_function()));
  OK(!getenv("DEBUGINFOD_URLS"), "no debug information is fetched from anywhere");

  struct model *big = model_of(plain_function());
  for (uint64_t i = 0; i < 20000; i++) model_add_frame(big, big->modules[0].bias + i * 7, 0);
  big->leaks[0].stack.count = big->frame_count;
  name(big);
  OK(is(big->frames[0].symbol, "plain_function"), "20,000 addresses, most of them nowhere, do no harm");
  return tap_end();
}
