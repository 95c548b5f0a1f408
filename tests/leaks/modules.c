/* SPDX-License-Identifier: MIT
 * Modules that are opened and closed while the program runs: what their data keep, and how a leak is named whose
 * module has gone. */
#include "leaky.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>

enum { size = 64 };

static const char *hook_at; /* when plugin_hook does something */
static bool hook_sleeps;
static _Atomic int ready;

APART _Noreturn static void sleep_forever(void) {
  ready++;
  for (;;) pause();
}

void plugin_hook(const char *what);
void plugin_hook(const char *what) {
  if (!hook_at || strcmp(what, hook_at) != 0) return;
  if (hook_sleeps) sleep_forever();
  make(size);
}

/* The path of a file beside the program. */
APART static void beside(char path[PATH_MAX], const char *name) {
  ssize_t length = readlink("/proc/self/exe", path, PATH_MAX - 32);
  if (length < 0) abort();
  path[length] = '\0';
  strcpy(strrchr(path, '/') + 1, name);
}

APART static void *open_plugin(const char *name, int flags) {
  char path[PATH_MAX];
  beside(path, name);
  void *module = dlopen(path, RTLD_NOW | flags);
  if (!module) abort();
  return module;
}

APART static void call_leak(void *module, const char *function, size_t bytes) {
  void *(*leak)(size_t) = (void *(*)(size_t))dlsym(module, function);
  if (!leak || leak(bytes)) abort();
}

APART static void *volatile *place(void *module, const char *what) {
  void *volatile *(*find)(const char *) = (void *volatile *(*)(const char *))dlsym(module, "plugin_a_place");
  if (!find) abort();
  return find(what);
}

APART static void root(void *volatile *where) {
  *where = make(size);
  if (scenario_drop) *where = NULL;
}

/* @ data root=64 -- a variable of a module */
static void data(void) { root(place(open_plugin("plugin-a.so", 0), "data")); }

/* @ bss root=64 -- one without initial value */
static void bss(void) { root(place(open_plugin("plugin-a.so", 0), "bss")); }

/* @ tls root=64 -- a thread-local one */
static void tls(void) { root(place(open_plugin("plugin-a.so", 0), "tls")); }

/* @ large_tls root=64 -- at the end of much of it */
static void large_tls(void) { root(place(open_plugin("plugin-a.so", 0), "large")); }

/* @ deep root=64 -- a module opened with RTLD_DEEPBIND */
static void deep(void) { root(place(open_plugin("plugin-a.so", RTLD_DEEPBIND), "data")); }

static void *thread_with_tls(void *module) {
  root(place(module, "tls"));
  root(place(module, "large"));
  scrub();
  sleep_forever();
}

/* @ thread_tls -- thread-local variables of a module in another thread
 * @ thread_tls+drop definite 2 128 -- the control */
static void thread_tls(void) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, thread_with_tls, open_plugin("plugin-a.so", 0))) abort();
  while (!ready) sched_yield();
}

/* @ leak definite 1 64 top=plugin_a_leak frame=call_leak module=plugin-a.so:plugin_a_leak -- a leak made in a module */
static void leak(void) { call_leak(open_plugin("plugin-a.so", 0), "plugin_a_leak", size); }

/* @ closed definite 1 64 top=plugin_a_leak module=plugin-a.so:plugin_a_leak -- also when it has been closed */
static void closed(void) {
  void *module = open_plugin("plugin-a.so", 0);
  call_leak(module, "plugin_a_leak", size);
  if (dlclose(module)) abort();
}

/* @ closed_by_exit definite 1 64 top=plugin_a_leak -- a leak behind the last handle but one */
static void closed_by_exit(void) {
  void *module = open_plugin("plugin-a.so", 0);
  call_leak(module, "plugin_a_leak", size);
  open_plugin("plugin-a.so", 0);
  if (dlclose(module)) abort();
}

/* @ replaced definite 2 300 rows=2 row=definite:1:100:plugin_a_leak row=definite:1:200:plugin_b_leak
 * @ replaced definite 2 300 module=plugin-a.so:plugin_a_leak module=plugin-b.so:plugin_b_leak -- one after the other at one place */
static void replaced(void) {
  void *module = open_plugin("plugin-a.so", 0);
  call_leak(module, "plugin_a_leak", 100);
  if (dlclose(module)) abort();
  module = open_plugin("plugin-b.so", 0);
  call_leak(module, "plugin_b_leak", 200);
  if (scenario_drop && dlclose(module)) abort();
}

/* @ closed_often definite 100 6400 frame=plugin_a_leak rows=1 -- a module opened and closed a hundred times */
static void closed_often(void) {
  for (int i = 0; i < 100; i++) closed();
}

APART static void copy_plugin(void) {
  char path[PATH_MAX], buffer[4096];
  beside(path, "plugin-a.so");
  int from = open(path, O_RDONLY), to = open("copy.so", O_WRONLY | O_CREAT | O_EXCL, 0755);
  ssize_t got;
  if (from < 0 || to < 0) abort();
  while ((got = read(from, buffer, sizeof buffer)) > 0)
    if (write(to, buffer, (size_t)got) != got) abort();
  close(from);
  close(to);
}

/* @ deleted definite 1 64 module=plugin-a.so@copy.so:plugin_a_leak -- a module whose file is gone */
static void deleted(void) {
  copy_plugin();
  void *module = dlopen("./copy.so", RTLD_NOW);
  if (!module) abort();
  call_leak(module, "plugin_a_leak", size);
  unlink("copy.so");
}

/* @ deleted_closed definite 1 64 module=plugin-a.so@copy.so:plugin_a_leak -- closed and deleted */
static void deleted_closed(void) {
  copy_plugin();
  void *module = dlopen("./copy.so", RTLD_NOW);
  if (!module) abort();
  call_leak(module, "plugin_a_leak", size);
  if (dlclose(module)) abort();
  unlink("copy.so");
}

/* @ pointer_closed definite 1 64 -- the data of a closed module keep nothing */
static void pointer_closed(void) {
  void *module = open_plugin("plugin-a.so", 0);
  root(place(module, "data"));
  if (dlclose(module)) abort();
}

/* @ started definite 1 64 frame=plugin_a_start -- a leak in a module's constructor */
static void started(void) {
  hook_at = "start";
  open_plugin("plugin-a.so", 0);
}

/* @ stopped definite 1 64 frame=plugin_a_stop -- in its destructor, when it is closed */
static void stopped(void) {
  hook_at = "stop";
  if (dlclose(open_plugin("plugin-a.so", 0))) abort();
}

/* @ stopped_at_exit definite 1 64 frame=plugin_a_stop -- or when the program ends */
static void stopped_at_exit(void) {
  hook_at = "stop";
  open_plugin("plugin-a.so", 0);
}

static void *opener(void *arg) {
  open_plugin("plugin-a.so", 0);
  return arg;
}

/* @ opening definite 1 64 -- another thread is inside a module's constructor, under the loader's lock */
static void opening(void) {
  hook_at = "start";
  hook_sleeps = true;
  pthread_t thread;
  if (pthread_create(&thread, NULL, opener, NULL)) abort();
  while (!ready) sched_yield();
  make(size);
  scrub();
  quick_exit(0); /* exit would wait for the lock */
}

/* @ missing -- a module that does not exist */
static void missing(void) {
  if (dlopen("/no/such/module.so", RTLD_NOW)) abort();
}

/* @ other_namespace definite 1 64 -- a module in a namespace of its own, with its own libc */
static void other_namespace(void) {
  char path[PATH_MAX];
  beside(path, "plugin-a.so");
  void *module = dlmopen(LM_ID_NEWLM, path, RTLD_NOW);
  if (!module) abort();
  call_leak(module, "plugin_a_leak", size); /* from the other libc's heap: not ours to count */
  make(size);
}

static const struct scenario table[] = {
    SCENARIO(data), SCENARIO(bss), SCENARIO(tls), SCENARIO(large_tls), SCENARIO(deep), SCENARIO(thread_tls),
    SCENARIO(leak), SCENARIO(closed), SCENARIO(closed_by_exit), SCENARIO(replaced), SCENARIO(closed_often),
    SCENARIO(deleted), SCENARIO(deleted_closed), SCENARIO(pointer_closed), SCENARIO(started), SCENARIO(stopped),
    SCENARIO(stopped_at_exit), SCENARIO(opening), SCENARIO(missing), SCENARIO(other_namespace),
};

SCENARIO_MAIN(table)
