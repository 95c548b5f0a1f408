/* SPDX-License-Identifier: MIT
 * For who writes #include <gc/gc_mark.h>, as libgc has it. */
#include "../gc_mark.h"
