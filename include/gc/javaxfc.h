/* SPDX-License-Identifier: MIT
 * For who writes #include <gc/javaxfc.h>, as libgc has it. */
#include "../javaxfc.h"
