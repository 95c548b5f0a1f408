/* SPDX-License-Identifier: MIT
 * libgc's leak finding, as settings are told to it. */
#ifndef GLEANER_LIBGC_FINDLEAK_H
#define GLEANER_LIBGC_FINDLEAK_H

#include "base/base.h"

/* The variable GC_find_leak may have been set: before anything is collected. */
void findleak_consult(void);

/* The program aborts when something has leaked (GC_ABORT_ON_LEAK); what it frees is kept for a while, to see who writes there
 * (GC_FINDLEAK_DELAY_FREE). */
void findleak_set_abort(bool on);
void findleak_set_delay_free(bool on);

#endif
