/* SPDX-License-Identifier: MIT
 * What DWARF says of one address: file and line, and the functions that were inlined there. */
#ifndef GLEANER_LINES_H
#define GLEANER_LINES_H

#include "report/model.h"

#include <elfutils/libdwfl.h>

/* The debug information of one file, indexed when it is first asked for. */
struct lines;

/* NULL when the module has none. */
struct lines *lines_open(Dwfl_Module *module);

/* The symbol of the code at address, as dwfl numbers addresses, innermost first; NULL when the debug
 * information does not cover it. The last of the chain is the function that really is there: its name is NULL
 * where DWARF does not tell. Names are as the linker knows them, or plain. */
struct symbol *lines_find(struct lines *lines, Dwarf_Addr address);

#endif
