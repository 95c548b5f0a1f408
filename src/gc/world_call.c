/* SPDX-License-Identifier: MIT
 * The stack on which a collection runs. Knows nothing of threads. */
#include "config.h"

#include "gc/world.h"

#include "os/frame.h"
#include "os/memory.h"

enum { world_stack_bytes = 256 * 1024 };
static char *world_stack; /* its guard page comes first */
uintptr_t world_left;

static bool world_make_stack(void) {
  if (world_stack) return true;
  char *at = os_memory_reserve(world_stack_bytes);
  if (!at) return false;
  if (os_memory_commit(at + os_page_size, world_stack_bytes - os_page_size) == 0) world_stack = at;
  else os_memory_unmap(at, world_stack_bytes);
  return world_stack != NULL;
}

void world_call(void (*act)(void *arg), void *arg) {
  CHECK(lock_is_held(&world_lock));
  if (!world_make_stack()) {
    act(arg);
    return;
  }
  enum { below = 256 }; /* this frame ends not far below, and what comes next is on the other stack */
  world_left = (uintptr_t)__builtin_frame_address(0) - below;
  os_frame_call(world_stack + world_stack_bytes, act, arg);
  world_left = 0;
}
