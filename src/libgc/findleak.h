/* SPDX-License-Identifier: MIT
 * libgc's leak finding, as settings are told to it. */
#ifndef GLEANER_LIBGC_FINDLEAK_H
#define GLEANER_LIBGC_FINDLEAK_H

#include "base/base.h"

/* The variable GC_find_leak may have been set: before anything is collected. */
void findleak_consult(void);

#endif
