/* SPDX-License-Identifier: MIT
 * Calls that change what lies where in this process, or whether it is one that may change more of itself. The C library's functions
 * for them make the system call, so they are made by number here, and looked at there (syscall.c).
 *
 * Only what concerns the heap matters: memory of malloc's that the program makes unreadable, unmaps, moves away, or maps
 * something else over. Markers may be reading there, and what is not readable must be so again for whoever gets it next. */
#include "config.h"

#include "spaces.h"

#include "api/hooks.h"

#include <sched.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PUBLIC __attribute__((visibility("default")))

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

bool spaces_is_number(long number) {
  switch (number) {
    case SYS_mprotect: case SYS_pkey_mprotect: case SYS_mmap: case SYS_munmap: case SYS_mremap: case SYS_madvise: case SYS_unshare:
    case SYS_setns:
      return true;
    default: return false;
  }
}

/* A page that was made a guard by advice (Linux 6.13) looks like all others in the list of mappings, and would kill who reads it. So
 * the heap has none, as if the kernel were older: programs go on to mprotect. */
bool spaces_refuses(long number, const long *arguments) {
  if (number != SYS_madvise || arguments[2] != MADV_GUARD_INSTALL || !region.span) return false;
  uintptr_t lo = (uintptr_t)arguments[0], hi = lo + (size_t)arguments[1];
  return lo < region.base + region.span && hi > region.base;
}

static int spaces_gone(long address, long size) { return hook_before_mprotect((void *)address, (size_t)size, PROT_NONE); }

void spaces_before(struct spaces_call *call, long number, const long *arguments) {
  call->barred[0] = call->barred[1] = -1;
  switch (number) {
    case SYS_madvise: break;
    case SYS_mprotect: case SYS_pkey_mprotect: {
      bool key = number == SYS_pkey_mprotect && arguments[3] > 0; /* whose rights are not known */
      int protection = key ? PROT_NONE : (int)arguments[2];
      call->barred[0] = hook_before_mprotect((void *)arguments[0], (size_t)arguments[1], protection);
      break;
    }
    case SYS_mmap:
      if (arguments[3] & MAP_FIXED) call->barred[0] = spaces_gone(arguments[0], arguments[1]);
      break;
    case SYS_munmap: call->barred[0] = spaces_gone(arguments[0], arguments[1]); break;
    case SYS_mremap:
      call->barred[0] = spaces_gone(arguments[0], arguments[1]);
      if (arguments[3] & MREMAP_FIXED) call->barred[1] = spaces_gone(arguments[4], arguments[2]);
      break;
    default: hook_before_alone(); /* refused to a process with a second thread, as one of ours would be */
  }
}

void spaces_after(const struct spaces_call *call) {
  hook_after_mprotect(call->barred[0]);
  hook_after_mprotect(call->barred[1]);
}

PUBLIC int mprotect(void *address, size_t size, int protection) {
  return (int)syscall(SYS_mprotect, address, size, protection);
}

/* Without a key the C library calls mprotect, for kernels that know no keys. */
PUBLIC int pkey_mprotect(void *address, size_t size, int protection, int key) {
  if (key == -1) return mprotect(address, size, protection);
  return (int)syscall(SYS_pkey_mprotect, address, size, protection, key);
}

PUBLIC void *mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset) {
  return (void *)syscall(SYS_mmap, address, size, protection, flags, fd, offset);
}

PUBLIC void *mmap64(void *address, size_t size, int protection, int flags, int fd, off64_t offset) {
  return (void *)syscall(SYS_mmap, address, size, protection, flags, fd, offset);
}

PUBLIC int munmap(void *address, size_t size) { return (int)syscall(SYS_munmap, address, size); }

PUBLIC void *mremap(void *address, size_t old_size, size_t size, int flags, ...) {
  void *to = NULL;
  va_list more;
  va_start(more, flags);
  if (flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) to = va_arg(more, void *);
  va_end(more);
  return (void *)syscall(SYS_mremap, address, old_size, size, flags, to);
}

PUBLIC int madvise(void *address, size_t size, int advice) { return (int)syscall(SYS_madvise, address, size, advice); }

PUBLIC int unshare(int flags) { return (int)syscall(SYS_unshare, flags); }

PUBLIC int setns(int fd, int type) { return (int)syscall(SYS_setns, fd, type); }
