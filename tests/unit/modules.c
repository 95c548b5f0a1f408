/* SPDX-License-Identifier: MIT
 * Tests of src/os/modules.c and src/site/modules.c: what is loaded, and what was. */
#include "config.h"

#include "site/modules.h"
#include "tap.h"

#include <dlfcn.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

static char program[PATH_MAX], folder[PATH_MAX];

static bool ends_with(const char *text, const char *end) {
  size_t a = strlen(text), b = strlen(end);
  return a >= b && strcmp(text + a - b, end) == 0;
}

static void test_loaded(void) {
  struct os_module m;
  OK(os_module_at((uintptr_t)test_loaded, &m) && strcmp(m.path, program) == 0,
     "the program is known by its path");
  OK(m.lo <= (uintptr_t)test_loaded && (uintptr_t)test_loaded < m.hi, "its addresses hold its code");
  OK(os_module_at((uintptr_t)dlsym(RTLD_DEFAULT, "qsort"), &m) && strstr(m.path, "libc.so") && m.path[0] == '/',
     "so is the C library");
  OK(m.build_id_size == 20, "with its build id");
  Dl_info info;
  dladdr((void *)m.lo, &info);
  OK((uintptr_t)info.dli_fbase == m.bias, "and the difference to its file's addresses");
  int local;
  OK(!os_module_at((uintptr_t)&local, &m), "the stack is no module");
  OK(!os_module_at(0, &m) && !os_module_at(UINTPTR_MAX, &m), "nor are 0 and the last address");
  uintptr_t vdso = getauxval(AT_SYSINFO_EHDR);
  if (vdso) OK(os_module_at(vdso + 100, &m) && strcmp(m.path, "[vdso]") == 0, "the vdso has a name of its own");
  else tap_skip("the vdso has a name of its own", "there is none");
}

static int count_frames(struct dl_phdr_info *info, size_t size, void *arg) {
  (void)size;
  for (int i = 0; i < info->dlpi_phnum; i++) *(int *)arg += info->dlpi_phdr[i].p_type == PT_GNU_EH_FRAME;
  return 3;
}

static bool seen_program, seen_libc;

static bool look(const struct os_module *module, void *arg) {
  (void)arg;
  seen_program |= strcmp(module->path, program) == 0;
  seen_libc |= strstr(module->path, "libc.so") != NULL && module->build_id_size == 20;
  return true;
}

static void test_headers(void) {
  int frames = 0;
  OK(os_module_phdr((uintptr_t)qsort, count_frames, &frames) == 3 && frames == 1,
     "a module shows its program headers");
  frames = 0;
  OK(os_module_phdr((uintptr_t)test_loaded, count_frames, &frames) == 3 && frames == 1,
     "and so does the program");
  OK(os_module_phdr((uintptr_t)&frames, count_frames, &frames) == 0, "no module, no headers");
  os_modules_each(look, NULL);
  OK(seen_program && seen_libc, "all modules are listed");
}

static void *load(const char *name, uintptr_t *function) {
  char path[PATH_MAX + 32];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  void *handle = dlopen(path, RTLD_NOW);
  *function = handle ? (uintptr_t)dlsym(handle, "closing_call") : 0;
  return handle;
}

static void test_closed(void) {
  uintptr_t one, two;
  uint32_t before = modules_epoch();
  void *handle = load("closing1.so", &one);
  if (!OK(handle != NULL, "a module is loaded")) return;
  int index = modules_find(one, before);
  OK(index >= 0 && ends_with(modules_get(index)->path, "/closing1.so"), "it is found");
  OK(modules_find(one, before) == index, "and entered once");
  modules_before_close();
  modules_after_close();
  OK(modules_epoch() == before, "a close that unloads nothing begins no epoch");
  modules_before_close();
  dlclose(handle);
  modules_after_close();
  OK(modules_epoch() == before + 1, "one that unloads a module does");
  OK(modules_find(one, before) == index, "the module is still known in its epoch");
  OK(modules_find(one, before + 1) == -1, "but not after it");
  OK(modules_get(index)->build_id_size <= os_build_id_max &&
         ends_with(modules_get(index)->path, "/closing1.so"),
     "its path outlives it");

  void *other = load("closing2.so", &two);
  int next = modules_find(two, modules_epoch());
  OK(next >= 0 && next != index && ends_with(modules_get(next)->path, "/closing2.so"),
     "another module, perhaps at the same addresses, is another entry");
  OK(modules_find(one, before) == index, "which does not change what was there before");

  /* The C library closes modules without telling anyone. */
  uint32_t quiet = modules_epoch();
  dlclose(other);
  handle = load("closing1.so", &one);
  modules_see(one);
  struct os_module now;
  os_module_at(one, &now);
  bool reused = now.lo == modules_get(next)->lo;
  if (reused) OK(modules_epoch() == quiet + 1, "a module found in another's place begins an epoch");
  else tap_skip("a module found in another's place begins an epoch", "the loader chose other addresses");
  int third = modules_find(one, modules_epoch());
  OK(third >= 0 && ends_with(modules_get(third)->path, "/closing1.so"), "and is found there");
  dlclose(handle);
}

static void test_relative(void) {
  char here[PATH_MAX];
  if (!getcwd(here, sizeof here) || chdir(folder) != 0) return;
  void *handle = dlopen("./closing2.so", RTLD_NOW);
  uintptr_t function = handle ? (uintptr_t)dlsym(handle, "closing_call") : 0;
  modules_see(function); /* it may lie where another was */
  int index = modules_find(function, modules_epoch());
  OK(index >= 0 && modules_get(index)->path[0] == '/' && ends_with(modules_get(index)->path, "/closing2.so"),
     "a module that was opened by a relative path is known by an absolute one");
  OK(modules_find(function, modules_epoch()) == index, "and is the same when seen again");
  modules_see(function);
  modules_before_close();
  OK(modules_find(function, modules_epoch()) == index, "by whichever way");
  if (handle) dlclose(handle);
  if (chdir(here) != 0) abort();
}

int main(void) {
  ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
  if (length > 0) program[length] = 0;
  strcpy(folder, program);
  dirname(folder);
  test_loaded();
  test_headers();
  test_closed();
  test_relative();
  return tap_end();
}
