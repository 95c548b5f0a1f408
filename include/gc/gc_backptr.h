/* SPDX-License-Identifier: MIT
 * For who writes #include <gc/gc_backptr.h>, as libgc has it. */
#include "../gc_backptr.h"
