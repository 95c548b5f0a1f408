/* SPDX-License-Identifier: MIT
 * For who writes #include <gc/gc_gcj.h>, as libgc has it. */
#include "../gc_gcj.h"
