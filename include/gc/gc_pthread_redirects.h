/* SPDX-License-Identifier: MIT
 * For who writes #include <gc/gc_pthread_redirects.h>, as libgc has it. */
#include "../gc_pthread_redirects.h"
