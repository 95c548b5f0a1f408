/* SPDX-License-Identifier: MIT
 * Modules loaded while the program runs, and pointers of other allocators. The argument is the directory in which lie
 * plugin.so, opener.so and hidden/hidden.so. */
#include "config.h"

#include "tap.h"

#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *modules_directory;
static bool modules_preloaded;

static void *modules_open(const char *name, int mode) {
  char path[4096];
  snprintf(path, sizeof path, "%s/%s", modules_directory, name);
  void *handle = dlopen(path, mode);
  if (!handle) tap_note("%s", dlerror());
  return handle;
}

struct plugin {
  void *handle;
  void *(*allocate)(size_t);
  void (*free)(void *);
  char *(*local)(void);
  void *(*malloc_address)(void);
};

static bool plugin_load(struct plugin *plugin, int mode) {
  plugin->handle = modules_open("plugin.so", mode);
  if (!plugin->handle) return false;
  plugin->allocate = (void *(*)(size_t))dlsym(plugin->handle, "plugin_allocate");
  plugin->free = (void (*)(void *))dlsym(plugin->handle, "plugin_free");
  plugin->local = (char *(*)(void))dlsym(plugin->handle, "plugin_local");
  plugin->malloc_address = (void *(*)(void))dlsym(plugin->handle, "plugin_malloc_address");
  return plugin->allocate && plugin->free && plugin->local && plugin->malloc_address;
}

static void test_deepbind(void) {
  struct plugin plugin;
  if (!OK(plugin_load(&plugin, RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND), "a module loads with RTLD_DEEPBIND")) return;
  OK(plugin.malloc_address() == (void *)malloc, "it has the same malloc as the program");
  for (unsigned i = 1; i < 3000; i += 7) {
    char *p = plugin.allocate(i);
    free(realloc(p, i + 100));
    plugin.free(malloc(i));
  }
  OK(plugin.local()[0] == 0, "and thread-local memory");
  OK(dlclose(plugin.handle) == 0, "and is closed");
  OK(!dlopen(NULL, RTLD_DEEPBIND) && strstr(dlerror(), "invalid mode"), "the flag alone is an invalid mode as ever");
}

static void test_caller(void) {
  void *opener = modules_open("opener.so", RTLD_NOW);
  if (!OK(opener != NULL, "a library with a RUNPATH loads")) return;
  void *(*open)(const char *, int) = (void *(*)(const char *, int))dlsym(opener, "opener_open");
  void *(*open_apart)(const char *, int) = (void *(*)(const char *, int))dlsym(opener, "opener_open_apart");
  OK(!dlopen("hidden.so", RTLD_NOW) && dlerror(), "the program itself does not find its modules");
  void *handle = open("hidden.so", RTLD_NOW | RTLD_DEEPBIND);
  OK(handle != NULL, "the library does: dlopen sees who called it");
  if (handle) dlclose(handle);
  handle = open_apart("hidden.so", RTLD_NOW);
  OK(handle != NULL, "so does dlmopen");
  if (handle) dlclose(handle);
  dlclose(opener);
}

static void *modules_thread(void *arg) {
  struct plugin *plugin = arg;
  strcpy(plugin->local(), "mine");
  return plugin->allocate(500);
}

static void test_churn(void) {
  bool good = true;
  char *kept[40];
  for (unsigned i = 0; i < 40; i++) {
    struct plugin plugin;
    pthread_t thread;
    void *other;
    if (!plugin_load(&plugin, i % 2 ? RTLD_NOW : RTLD_LAZY)) break;
    kept[i] = plugin.allocate(i * 50 + 1);
    pthread_create(&thread, NULL, modules_thread, &plugin);
    pthread_join(thread, &other);
    good = good && other && ((char *)other)[499] == 0x61;
    plugin.free(other);
    good = good && dlclose(plugin.handle) == 0;
  }
  for (unsigned i = 0; i < 40; i++) {
    good = good && kept[i][i * 50] == 0x61;
    free(kept[i]);
  }
  OK(good, "a module is loaded and closed again and again, and what it allocated stays");
}

struct modules_family {
  void *(*malloc)(size_t);
  void *(*calloc)(size_t, size_t);
  void *(*realloc)(void *, size_t);
};

static bool modules_find_family(struct modules_family *family, void *handle) {
  family->malloc = (void *(*)(size_t))dlsym(handle, "malloc");
  family->calloc = (void *(*)(size_t, size_t))dlsym(handle, "calloc");
  family->realloc = (void *(*)(void *, size_t))dlsym(handle, "realloc");
  return family->malloc && family->calloc && family->realloc;
}

static bool modules_foreign(const struct modules_family *family) {
  bool good = true;
  for (unsigned i = 1; i < 400000; i = i * 3 + 5) {
    char *p = family->malloc(i), *q = family->calloc(1, i);
    memset(p, 0x33, i);
    good = good && malloc_usable_size(p) >= i;
    p = realloc(p, i + 1000);
    good = good && p[0] == 0x33 && p[i - 1] == 0x33;
    free(p);
    free(q);
  }
  return good;
}

static void test_foreign(void) {
  struct modules_family family;
  void *libc = dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD);
  if (!OK(libc && modules_find_family(&family, libc), "libc's own malloc can be found")) return;
  OK(!modules_preloaded || family.malloc != malloc, "and is not the program's when another is preloaded");
  OK(modules_foreign(&family), "its blocks may be given to the program's realloc, free and malloc_usable_size");
  dlclose(libc);
}

/* A second libc has a heap of its own; what comes from there goes back there. */
static void test_apart(void) {
  struct modules_family family;
  void *libc = dlmopen(LM_ID_NEWLM, "libc.so.6", RTLD_NOW);
  if (!libc || !modules_find_family(&family, libc)) {
    tap_skip("a second libc lives beside the first", "it cannot be loaded");
    return;
  }
  void (*other_free)(void *) = (void (*)(void *))dlsym(libc, "free");
  bool good = true;
  for (unsigned i = 1; i < 100000; i = i * 3 + 5) {
    char *p = family.malloc(i);
    p = family.realloc(memset(p, 0x44, i), i * 2);
    good = good && p[i - 1] == 0x44;
    other_free(p);
  }
  OK(good, "a second libc lives beside the first");
  dlclose(libc);
}

int main(int argc, char **argv) {
  modules_directory = argc > 1 ? argv[1] : ".";
  modules_preloaded = dlsym(RTLD_DEFAULT, "GC_leak_check") != NULL;
  test_deepbind();
  test_caller();
  test_churn();
  test_foreign();
  test_apart();
  return tap_end();
}
