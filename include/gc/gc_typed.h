/* SPDX-License-Identifier: MIT
 * For who writes #include <gc/gc_typed.h>, as libgc has it. */
#include "../gc_typed.h"
