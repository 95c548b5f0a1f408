/* SPDX-License-Identifier: MIT
 * A program that forbids itself system calls, and then uses its heap. "refuse": what is unusual, and what concerns the
 * process itself, fails with EPERM. "kill": all but what a malloc may be expected to call ends the process. "no-dump":
 * gives up its identity, after which the kernel lets nobody look into it. */
#include "config.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { seccomp_skip = 77, seccomp_most = 64 };

static const int seccomp_refused[] = {SYS_membarrier, SYS_userfaultfd, SYS_openat, SYS_open, SYS_ptrace,
                                      SYS_process_vm_readv, SYS_tgkill, SYS_memfd_create, SYS_clone, SYS_clone3,
                                      SYS_vfork, SYS_fork, SYS_execve, SYS_pipe2, SYS_getrandom, SYS_kcmp};
static const int seccomp_allowed[] = {SYS_read, SYS_write, SYS_exit, SYS_exit_group, SYS_brk, SYS_mmap, SYS_munmap,
                                      SYS_mprotect, SYS_madvise, SYS_mremap, SYS_futex, SYS_rt_sigprocmask,
                                      SYS_rt_sigaction, SYS_rt_sigreturn, SYS_getpid, SYS_gettid, SYS_fstat,
                                      SYS_newfstatat, SYS_clock_gettime, SYS_sched_yield, SYS_lseek};

/* The calls listed get one action, all others the other. */
static int seccomp_install(const int *calls, size_t count, unsigned listed, unsigned others) {
  struct sock_filter filter[seccomp_most];
  size_t n = 0;
  filter[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
  for (size_t i = 0; i < count; i++) {
    filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)calls[i], 0, 1);
    filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, listed);
  }
  filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, others);
  struct sock_fprog program = {.len = (unsigned short)n, .filter = filter};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return -1;
  return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static int seccomp_use_heap(void) {
  static char *p[20000];
  for (unsigned round = 0; round < 3; round++) {
    for (unsigned i = 0; i < 20000; i++) {
      if (!(p[i] = malloc(i % 3000 + 1))) return 1;
      memset(p[i], (int)i, i % 3000 + 1);
    }
    for (unsigned i = 0; i < 20000; i++) {
      if (p[i][0] != (char)i) return 2;
      free(p[i]);
    }
  }
  char *large = malloc(10 << 20);
  if (!large || !(large = realloc(large, 100 << 20))) return 3;
  free(large);
  return 0;
}

int main(int argc, char **argv) {
  char *volatile lost = malloc(4321);
  lost = NULL;
  const char *how = argc > 1 ? argv[1] : "";
  int failed = 0;
  if (strcmp(how, "refuse") == 0)
    failed = seccomp_install(seccomp_refused, sizeof seccomp_refused / sizeof(int), SECCOMP_RET_ERRNO | EPERM,
                             SECCOMP_RET_ALLOW);
  else if (strcmp(how, "kill") == 0)
    failed = seccomp_install(seccomp_allowed, sizeof seccomp_allowed / sizeof(int), SECCOMP_RET_ALLOW,
                             SECCOMP_RET_KILL_PROCESS);
  else if (strcmp(how, "no-dump") == 0) failed = geteuid() == 0 ? setgid(65534) || setuid(65534) : prctl(PR_SET_DUMPABLE, 0);
  if (failed) return seccomp_skip;
  int result = seccomp_use_heap();
  printf("%s: %d%s\n", how, result, lost ? "?" : "");
  return result == 0 ? 42 : result;
}
