/* SPDX-License-Identifier: MIT
 * Process hooks: loading and unloading of modules, and the exits that run no handlers. Thin: what is to be done lies
 * behind api/hooks.h. */
#include "config.h"

#include "api/hooks.h"
#include "real.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PUBLIC __attribute__((visibility("default")))

/* RTLD_DEEPBIND would give the module libc's malloc where the rest of the program has ours (Debian's php dies of that
 * under other allocators), so the flag is cleared.
 *
 * The real function takes the caller's RUNPATH and namespace from its return address: it must see the program's call,
 * not ours. A jump is certain only in assembly; a compiler makes one when it likes to. The stub of index n loads
 * real_functions[n]; on the first call it saves the three arguments and asks real_find_slow. */
#define PROCESS_JUMP(name, index, mode_register)                                                             \
  __asm__(".pushsection .text." #name ",\"ax\",@progbits\n"                                                  \
          ".hidden real_functions\n.hidden real_find_slow\n"                                                 \
          ".globl " #name "\n"                                                                               \
          ".type " #name ", @function\n" #name ":\n"                                                         \
          ".cfi_startproc\n"                                                                                 \
          "  endbr64\n"                                                                                      \
          "  andl $~8, " mode_register "\n"                                                                  \
          "  movq real_functions+8*" #index "(%rip), %rax\n"                                                 \
          "  testq %rax, %rax\n"                                                                             \
          "  jz 1f\n"                                                                                        \
          "  jmp *%rax\n"                                                                                    \
          "1: pushq %rdi\n"                                                                                  \
          ".cfi_adjust_cfa_offset 8\n"                                                                       \
          "  pushq %rsi\n"                                                                                   \
          ".cfi_adjust_cfa_offset 8\n"                                                                       \
          "  pushq %rdx\n"                                                                                   \
          ".cfi_adjust_cfa_offset 8\n"                                                                       \
          "  movl $" #index ", %edi\n"                                                                       \
          "  call real_find_slow\n"                                                                          \
          "  popq %rdx\n"                                                                                    \
          ".cfi_adjust_cfa_offset -8\n"                                                                      \
          "  popq %rsi\n"                                                                                    \
          ".cfi_adjust_cfa_offset -8\n"                                                                      \
          "  popq %rdi\n"                                                                                    \
          ".cfi_adjust_cfa_offset -8\n"                                                                      \
          "  jmp *%rax\n"                                                                                    \
          ".cfi_endproc\n"                                                                                   \
          ".size " #name ", .-" #name "\n"                                                                   \
          ".popsection\n")

_Static_assert(RTLD_DEEPBIND == 8, "the flag that the stubs clear");
_Static_assert(real_index_dlopen == 0 && real_index_dlmopen == 1, "the indices that the stubs load");

PROCESS_JUMP(dlopen, 0, "%esi");
PROCESS_JUMP(dlmopen, 1, "%edx");

PUBLIC int dlclose(void *handle) {
  hook_before_dlclose();
  int result = REAL(dlclose)(handle);
  hook_after_dlclose();
  return result;
}

/* Limits. One of a vfork child or of another process is none of ours. */
static __attribute__((noipa)) void process_limited(int resource, const void *limit) { /* NULL, though declared not to be: the kernel takes it */
  const rlim_t *most = limit; /* the first word of either struct */
  if (most && resource == RLIMIT_AS && *most != RLIM_INFINITY) hook_before_limit(*most);
}

PUBLIC int setrlimit(__rlimit_resource_t resource, const struct rlimit *limit) {
  process_limited((int)resource, limit);
  return REAL(setrlimit)(resource, limit);
}

PUBLIC int setrlimit64(__rlimit_resource_t resource, const struct rlimit64 *limit) {
  process_limited((int)resource, limit);
  return REAL(setrlimit64)(resource, limit);
}

PUBLIC int prlimit(pid_t pid, enum __rlimit_resource resource, const struct rlimit *limit, struct rlimit *old) {
  if (pid == 0 || pid == getpid()) process_limited((int)resource, limit);
  return REAL(prlimit)(pid, resource, limit, old);
}

PUBLIC int prlimit64(pid_t pid, enum __rlimit_resource resource, const struct rlimit64 *limit, struct rlimit64 *old) {
  if (pid == 0 || pid == getpid()) process_limited((int)resource, limit);
  return REAL(prlimit64)(pid, resource, limit, old);
}

/* exit_group itself: the real _exit does no more, and this may be called where nothing can be looked up. */
PUBLIC _Noreturn void _exit(int status) {
  status = hook__exit(status);
  for (;;) syscall(SYS_exit_group, status);
}

PUBLIC _Noreturn void _Exit(int status) { _exit(status); }
