// SPDX-License-Identifier: MIT
// What gc_cpp.h throws with when it does not include <new>.
#include "config.h"

#include <new>

#define GC_API extern __attribute__((visibility("default")))
#include "gc_cpp.h"

GC_API void GC_CALL GC_throw_bad_alloc() { throw std::bad_alloc(); }
