/* SPDX-License-Identifier: MIT
 * For who writes #include <gc/gc_disclaim.h>, as libgc has it. */
#include "../gc_disclaim.h"
