/* SPDX-License-Identifier: MIT
 * For who writes #include <gc/gc_ext.h>, as libgc has it. */
#include "../gc_ext.h"
