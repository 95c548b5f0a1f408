/* SPDX-License-Identifier: MIT
 * What exists only because libgc has it: shared by the files of this folder. */
#ifndef GLEANER_LIBGC_H
#define GLEANER_LIBGC_H

#include "api/api.h"

#define PUBLIC __attribute__((visibility("default"), noinline))
#define PUBLIC_DATA __attribute__((visibility("default")))

/* --- figures.c --- */

/* So many bytes more than when this was asked the last time are no candidates for collection, as the program says. */
ptrdiff_t figures_spared(void);

/* --- settings.c --- */

void settings_want_incremental(void);
void settings_refuse_incremental(void); /* now and later */

#endif
