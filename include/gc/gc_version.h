/* SPDX-License-Identifier: MIT
 * For who writes #include <gc/gc_version.h>, as libgc has it. */
#include "../gc_version.h"
