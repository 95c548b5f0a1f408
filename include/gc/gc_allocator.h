/* SPDX-License-Identifier: MIT
 * For who writes #include <gc/gc_allocator.h>, as libgc has it. */
#include "../gc_allocator.h"
