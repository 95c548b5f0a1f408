/* SPDX-License-Identifier: MIT
 * For who writes #include <gc/gc_config_macros.h>, as libgc has it. */
#include "../gc_config_macros.h"
