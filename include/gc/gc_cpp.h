/* SPDX-License-Identifier: MIT
 * For who writes #include <gc/gc_cpp.h>, as libgc has it. */
#include "../gc_cpp.h"
