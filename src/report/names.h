/* SPDX-License-Identifier: MIT
 * The symbol tables of one file (.symtab, .dynsym, .gnu_debugdata, as libdwfl joins them), sorted once:
 * libdwfl itself goes through the whole table for each address. */
#ifndef GLEANER_NAMES_H
#define GLEANER_NAMES_H

#include "base/base.h"

#include <elfutils/libdwfl.h>

struct names;

struct names *names_open(Dwfl_Module *module);

/* The symbol of the function that covers the address, as dwfl numbers addresses; NULL when there is none. */
const char *names_find(const struct names *names, GElf_Addr address);

#endif
