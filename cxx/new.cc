// SPDX-License-Identifier: MIT
// ::operator new and delete for the whole program: memory that lives until it is deleted, and is searched for pointers.
// Those that do not throw are libstdc++'s, which calls these.
#include "config.h"

#include <cstddef>
#include <new>

#include "gc.h"

#define PUBLIC __attribute__((visibility("default")))

// As the standard wants it: the new-handler may find memory, or throw; without one bad_alloc is thrown.
static void *new_or_throw(std::size_t size) {
  for (;;) {
    void *object = GC_MALLOC_UNCOLLECTABLE(size);
    if (object) return object;
    std::new_handler handler = std::get_new_handler();
    if (!handler) throw std::bad_alloc();
    handler();
  }
}

PUBLIC void *operator new(std::size_t size) { return new_or_throw(size); }
PUBLIC void *operator new[](std::size_t size) { return new_or_throw(size); }
PUBLIC void operator delete(void *object) noexcept { GC_FREE(object); }
PUBLIC void operator delete[](void *object) noexcept { GC_FREE(object); }
PUBLIC void operator delete(void *object, std::size_t) noexcept { GC_FREE(object); }
PUBLIC void operator delete[](void *object, std::size_t) noexcept { GC_FREE(object); }

// Types of more alignment than all memory has. The object begins inside: it is kept all the same, being no collected one.
static void *new_aligned(std::size_t size, std::align_val_t alignment_) {
  std::size_t alignment = static_cast<std::size_t>(alignment_), room;
  if (__builtin_add_overflow(size, alignment, &room)) throw std::bad_alloc();
  char *object = static_cast<char *>(new_or_throw(room));
  return object + (-reinterpret_cast<std::size_t>(object) & (alignment - 1));
}

static void delete_aligned(void *object) noexcept {
  if (object) GC_FREE(GC_base(object));
}

PUBLIC void *operator new(std::size_t size, std::align_val_t alignment) { return new_aligned(size, alignment); }
PUBLIC void *operator new[](std::size_t size, std::align_val_t alignment) { return new_aligned(size, alignment); }
PUBLIC void operator delete(void *object, std::align_val_t) noexcept { delete_aligned(object); }
PUBLIC void operator delete[](void *object, std::align_val_t) noexcept { delete_aligned(object); }
PUBLIC void operator delete(void *object, std::size_t, std::align_val_t) noexcept { delete_aligned(object); }
PUBLIC void operator delete[](void *object, std::size_t, std::align_val_t) noexcept { delete_aligned(object); }
