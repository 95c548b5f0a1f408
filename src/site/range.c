/* SPDX-License-Identifier: MIT
 * Finding stacks in the address space. */
#include "config.h"

#include "site/range.h"

#include "os/maps.h"
#include "os/memory.h"
#include "os/threads.h"

#include <string.h>

enum {
  range_stack_usual = 8 << 20,   /* bytes of a stack */
  range_stack_alone = 120 << 20, /* the kernel maps nothing that near below the top of the first stack */
};

extern void *__libc_stack_end; /* of ld.so: the first stack pointer of the process */

/* Without /proc: what must be there. */
static void range_guess(uintptr_t sp, struct range *range) {
  uintptr_t first = (uintptr_t)__libc_stack_end, tcb = os_thread_pointer();
  range->lo = sp & -os_page_size;
  range->hi = range->lo + os_page_size;
  range->steady = true;
  if (sp < first && first - sp < range_stack_usual) range->hi = first;
  else if (sp < tcb && tcb - sp < range_stack_usual) range->hi = tcb;
}

struct range range_look(struct range *ranges, uintptr_t sp) {
  struct os_mapping mapping;
  struct range range;
  if (os_maps_find(sp, &mapping) && mapping.read) {
    range = (struct range){mapping.lo, mapping.hi, false};
    uintptr_t first = (uintptr_t)__libc_stack_end;
    range.steady = range_holds(&range, os_thread_pointer());
    if (range_holds(&range, first)) {
      /* The first stack grows: what it will take is its own already. */
      range.steady = true;
      if (range.hi - range.lo < range_stack_alone - range_stack_usual) range.lo -= range_stack_usual;
    }
  } else {
    range_guess(sp, &range);
  }
  struct range *place = ranges;
  while (place < ranges + range_cached - 1 && place->hi && !(place->lo < range.hi && range.lo < place->hi))
    place++;
  memmove(ranges + 1, ranges, (size_t)((char *)place - (char *)ranges));
  ranges[0] = range;
  return range;
}

struct range range_of(struct range *ranges, uintptr_t sp) {
  for (int i = 0; i < range_cached; i++)
    if (range_holds(&ranges[i], sp)) return ranges[i];
  return range_look(ranges, sp);
}
