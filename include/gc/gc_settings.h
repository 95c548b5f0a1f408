/* SPDX-License-Identifier: MIT
 * For who writes #include <gc/gc_settings.h>, as libgc has it. */
#include "../gc_settings.h"
