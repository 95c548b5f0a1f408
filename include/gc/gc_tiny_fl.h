/* SPDX-License-Identifier: MIT
 * For who writes #include <gc/gc_tiny_fl.h>, as libgc has it. */
#include "../gc_tiny_fl.h"
