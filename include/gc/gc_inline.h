/* SPDX-License-Identifier: MIT
 * For who writes #include <gc/gc_inline.h>, as libgc has it. */
#include "../gc_inline.h"
