/* SPDX-License-Identifier: MIT
 * For who writes #include <gc/leak_detector.h>, as libgc has it. */
#include "../leak_detector.h"
