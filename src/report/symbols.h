/* SPDX-License-Identifier: MIT
 * Names for frames: function, file and line, from the files that a record names, by elfutils. A file that is
 * not the one that ran (its build id differs) names nothing. Nothing is ever fetched from a network. */
#ifndef GLEANER_SYMBOLS_H
#define GLEANER_SYMBOLS_H

#include "report/model.h"

/* Sets the symbol of each frame that can be named. Each (file, offset) is looked up once. Without elfutils it
 * names nothing. */
void symbols_name(struct model *model);

/* The variable at an address in a module, and how far into it that is; NULL: unknown. */
const char *symbols_variable(const struct model_module *module, uint64_t address, uint64_t *offset);

/* The thread-local variable of the program's own that lies so far below a thread pointer. */
const char *symbols_tls_variable(const struct model_module *program, uint64_t below, uint64_t *offset);

#endif
