/* SPDX-License-Identifier: MIT
 * For who writes #include <gc/gc.h>, as libgc has it. */
#include "../gc.h"
