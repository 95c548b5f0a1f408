/* SPDX-License-Identifier: MIT
 * A module that keeps a list in its own data. See leaking.c. */
#include "leaking.h"

void leaking_module_begin(void);
unsigned leaking_module_end(void);

static struct node *volatile module_list;

__attribute__((visibility("default"))) void leaking_module_begin(void) { module_list = list_new(2000, 64); }

__attribute__((visibility("default"))) unsigned leaking_module_end(void) { return list_intact(module_list, 2000, 64); }
