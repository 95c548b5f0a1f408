/* SPDX-License-Identifier: MIT
 * Filters of system calls: which of them end the process for what we call. */
#include "config.h"

#include "os/filter.h"

#include "tap.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define NUMBER offsetof(struct seccomp_data, nr)
#define ARCH offsetof(struct seccomp_data, arch)
#define ARGUMENT offsetof(struct seccomp_data, args[1])
#define LOAD(what) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, what)
#define GIVE(what) BPF_STMT(BPF_RET | BPF_K, what)
#define IF(relation, what, yes, no) BPF_JUMP(BPF_JMP | relation | BPF_K, what, yes, no)
#define ALLOW GIVE(SECCOMP_RET_ALLOW)
#define REFUSE GIVE(SECCOMP_RET_ERRNO | 1)
#define KILL GIVE(SECCOMP_RET_KILL_PROCESS)

/* In a child, since it is for good. */
static bool kills(struct sock_filter *code, unsigned short count) {
  struct sock_fprog program = {.len = count, .filter = code};
  pid_t child = fork();
  if (child == 0) {
    os_filter_add(code ? &program : NULL);
    _exit(os_filter_kills());
  }
  int status = 0;
  waitpid(child, &status, 0);
  return status != 0;
}
#define KILLS(...) kills((struct sock_filter[]){__VA_ARGS__}, sizeof(struct sock_filter[]){__VA_ARGS__} / sizeof(struct sock_filter))

int main(void) {
  OK(!os_filter_kills(), "without a filter nothing is punished");
  OK(kills(NULL, 0), "the strict mode punishes all");
  OK(!KILLS(ALLOW), "a filter that allows everything");
  OK(!KILLS(REFUSE), "or refuses everything, is harmless");
  OK(!KILLS(GIVE(SECCOMP_RET_LOG)), "so is one that writes a log");
  OK(KILLS(KILL), "one that kills is not");
  OK(KILLS(GIVE(SECCOMP_RET_KILL_THREAD)) && KILLS(GIVE(SECCOMP_RET_TRAP)) && KILLS(GIVE(SECCOMP_RET_TRACE)) &&
         KILLS(GIVE(SECCOMP_RET_USER_NOTIF)),
     "nor is a signal, a tracer, or another process that answers");
  OK(!KILLS(LOAD(NUMBER), IF(BPF_JEQ, SYS_ptrace, 0, 1), KILL, ALLOW), "a call that is never made may be punished");
  OK(KILLS(LOAD(NUMBER), IF(BPF_JEQ, SYS_tgkill, 0, 1), KILL, ALLOW), "but none that is");
  OK(KILLS(LOAD(NUMBER), IF(BPF_JEQ, SYS_clock_gettime, 0, 1), KILL, ALLOW), "such as that for the processor's time");
  OK(KILLS(LOAD(NUMBER), IF(BPF_JEQ, SYS_openat, 1, 0), KILL, ALLOW), "a list of what is allowed must have all");
  OK(!KILLS(LOAD(ARCH), IF(BPF_JEQ, AUDIT_ARCH_X86_64, 1, 0), KILL, LOAD(NUMBER), IF(BPF_JGE, 0x40000000, 0, 1), KILL, ALLOW),
     "another processor's calls are none of ours");
  OK(KILLS(LOAD(NUMBER), IF(BPF_JEQ, SYS_ioctl, 0, 3), LOAD(ARGUMENT), IF(BPF_JEQ, 0x5401, 0, 1), ALLOW, KILL, ALLOW),
     "what depends on an argument may be punished");
  OK(!KILLS(LOAD(NUMBER), IF(BPF_JEQ, SYS_ioctl, 0, 3), LOAD(ARGUMENT), IF(BPF_JEQ, 0x5401, 0, 1), ALLOW, REFUSE, ALLOW),
     "or merely refused");
  OK(!KILLS(LOAD(NUMBER), BPF_STMT(BPF_JMP | BPF_JA, 1), KILL, ALLOW), "jumps are followed");
  OK(KILLS(LOAD(NUMBER), BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xff), IF(BPF_JGT, 300, 0, 1), KILL, ALLOW),
     "where nothing is known the worst is assumed");
  struct sock_fprog wild = {.len = 3, .filter = (struct sock_filter *)16};
  os_filter_add(&wild);
  os_filter_add((void *)16);
  OK(!os_filter_kills(), "what the kernel will refuse does nothing");
  return tap_end();
}
