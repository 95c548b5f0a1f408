/* SPDX-License-Identifier: MIT
 * The program's signal handlers, entered through us. */
#ifndef GLEANER_PRELOAD_HANDLERS_H
#define GLEANER_PRELOAD_HANDLERS_H

#include <signal.h>

/* What to give the kernel instead of the handler, and back again. SIG_DFL and its likes stay what they are. */
sighandler_t handlers_wrap(sighandler_t handler) __attribute__((visibility("hidden")));
sighandler_t handlers_unwrap(sighandler_t handler) __attribute__((visibility("hidden")));

#endif
