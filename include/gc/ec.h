/* SPDX-License-Identifier: MIT
 * For who writes #include <gc/ec.h>, as libgc has it. */
#include "../ec.h"
