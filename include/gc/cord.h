/* SPDX-License-Identifier: MIT
 * For who writes #include <gc/cord.h>, as libgc has it. */
#include "../cord.h"
