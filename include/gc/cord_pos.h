/* SPDX-License-Identifier: MIT
 * For who writes #include <gc/cord_pos.h>, as libgc has it. */
#include "../cord_pos.h"
