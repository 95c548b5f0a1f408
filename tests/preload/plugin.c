/* SPDX-License-Identifier: MIT
 * A module to be loaded: allocates in its constructor, frees in its destructor, has thread-local memory of its own, and
 * gives memory away and takes it. */
#include "config.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#define PUBLIC __attribute__((visibility("default")))

PUBLIC void *plugin_allocate(size_t size);
PUBLIC void plugin_free(void *p);
PUBLIC char *plugin_local(void);
PUBLIC void *plugin_malloc_address(void);

/* Dynamic: the loader allocates it for each thread that asks. */
static __thread __attribute__((tls_model("global-dynamic"))) char plugin_thread_local[3000];
static char *plugin_own;

__attribute__((constructor)) static void plugin_open(void) { plugin_own = strdup("the plugin's own"); }
__attribute__((destructor)) static void plugin_close(void) { free(plugin_own); }

void *plugin_allocate(size_t size) { return memset(malloc(size), 0x61, size); }
void plugin_free(void *p) { free(p); }
char *plugin_local(void) { return plugin_thread_local; }
void *plugin_malloc_address(void) { return (void *)malloc; }
