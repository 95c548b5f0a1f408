/* SPDX-License-Identifier: MIT
 * For who writes #include <javaxfc.h>, as libgc has it: what it declares stands in gc.h. */
#ifndef GC_JAVAXFC_H
#define GC_JAVAXFC_H

#include "gc.h"

#endif
