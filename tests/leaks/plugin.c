/* SPDX-License-Identifier: MIT
 * A module that modules.c opens and closes. It is built twice, as plugin-a.so and plugin-b.so: PLUGIN is a or b. */
#include "leaky.h"

#define PASTE(a, b, c) a##b##c
#define NAME(plugin, what) PASTE(plugin_, plugin, what)

/* Called when the module is opened ("start") and closed ("stop"); the program may define it. */
void plugin_hook(const char *what) __attribute__((weak));

void *NAME(PLUGIN, _leak)(size_t size);
void *NAME(PLUGIN, _leak)(size_t size) {
  void *p = malloc(size);
  KEEP(p);
  return NULL;
}

static void *volatile plugin_data = (void *)1, *volatile plugin_bss;
static __thread void *volatile plugin_tls;
static __thread void *volatile plugin_large_tls[5000];

/* The address of one of the module's variables. */
void *volatile *NAME(PLUGIN, _place)(const char *what);
void *volatile *NAME(PLUGIN, _place)(const char *what) {
  switch (what[0]) {
  case 'd': return &plugin_data;
  case 'b': return &plugin_bss;
  case 't': return &plugin_tls;
  default: return &plugin_large_tls[4999];
  }
}

__attribute__((constructor)) static void NAME(PLUGIN, _start)(void) {
  if (plugin_hook) plugin_hook("start");
}

__attribute__((destructor)) static void NAME(PLUGIN, _stop)(void) {
  if (plugin_hook) plugin_hook("stop");
}
