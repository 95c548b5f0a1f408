/* SPDX-License-Identifier: MIT
 * Names for frames: function, file and line, from the files that a record names, by elfutils. A file that is
 * not the one that ran (its build id differs) names nothing. Nothing is ever fetched from a network. */
#ifndef GLEANER_SYMBOLS_H
#define GLEANER_SYMBOLS_H

#include "report/model.h"

/* Sets the symbol of each frame that can be named. Each (file, offset) is looked up once. Without elfutils it
 * names nothing. */
void symbols_name(struct model *model);

#endif
