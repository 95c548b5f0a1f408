/* SPDX-License-Identifier: MIT
 * Whether pointers that the kernel holds are to be noted: where there may be a search or a collection. In mode=malloc that is
 * known when the collector is armed; what was handed to the kernel before is malloc'ed memory, which is not collected there. */
#include "config.h"

#include "api/api.h"
#include "api/collector.h"
#include "api/hooks.h"

bool hook_pins(void) {
  if (collector_is_armed) return true;
  return birth_ensure() && birth_options.mode != MODE_MALLOC;
}
