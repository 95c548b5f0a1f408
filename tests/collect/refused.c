/* SPDX-License-Identifier: MIT
 * A program in which memory cannot be searched: something needed is refused, or a thread cannot be stopped. It keeps a list where
 * a search that is not complete would miss it, leaks, and must not notice anything. See refused.sh. */
#include "leaking.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

enum { refused_count = 5000, refused_size = 100, refused_skip = 77 };

/* A list in a mapping that only /proc tells about. */
static struct node *volatile *refused_place;

APART static void refused_hold(void) {
  refused_place = mmap(NULL, 1 << 16, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (refused_place == MAP_FAILED) abort();
  refused_place[500] = list_new(refused_count, refused_size);
}

APART static unsigned refused_once(void) { return list_intact(list_new(1000, 64), 1000, 64); }

APART static void refused_leak(void) {
  unsigned sum = 0;
  for (unsigned i = (unsigned)(leaking_bytes / 64000); i > 0; i--) sum += refused_once();
  printf("%u nodes lost\n", sum);
}

static void refused_tell(void) {
  printf("%u nodes kept\n", list_intact(refused_place[500], refused_count, refused_size));
}

static void nothing(void) {
  refused_hold();
  refused_leak();
  refused_tell();
}

/* --- a thread with all signals blocked, behind the back of libc, that alone knows a list --- */

static _Atomic int deaf_ready, deaf_end;

static void *deaf_main(void *arg) {
  const uint64_t all = ~(uint64_t)0;
  syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, sizeof all);
  struct node *mine = list_new(refused_count, refused_size);
  deaf_ready = 1;
  while (!deaf_end) sched_yield();
  printf("%u nodes of the thread\n", list_intact(mine, refused_count, refused_size));
  return arg;
}

static void deaf(void) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, deaf_main, NULL)) abort();
  while (!deaf_ready) sched_yield();
  nothing();
  deaf_end = 1;
  pthread_join(thread, NULL);
}

/* --- seccomp: opening files, or signalling threads, is refused --- */

static bool refuse_by_number; /* by seccomp(2), which the C library has no name for */

/* The calls listed get one action, all others another. */
static void refuse_by(const int *calls, unsigned count, unsigned listed, unsigned others) {
  struct sock_filter filter[80];
  unsigned short n = 0;
  filter[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
  for (unsigned i = 0; i < count; i++) {
    filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)calls[i], 0, 1);
    filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, listed);
  }
  filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, others);
  struct sock_fprog program = {.len = n, .filter = filter};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) exit(refused_skip);
  if (refuse_by_number ? syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program)
                       : prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
    exit(refused_skip);
}

static void refuse(const int *calls, unsigned count) { refuse_by(calls, count, SECCOMP_RET_ERRNO | EPERM, SECCOMP_RET_ALLOW); }

/* A thread whose system calls are taken for those of another system most of the time: one made then would end it. */
static void *dispatched_main(void *arg) {
  static volatile char blocked; /* 0: calls are allowed */
  enum { set_dispatch = 59, on = 1 };
  if (prctl(set_dispatch, on, 0, 0, &blocked)) exit(refused_skip);
  deaf_ready = 1;
  while (!deaf_end) {
    blocked = 1;
    for (volatile int i = 0; i < 10000000 && !deaf_end; i++) continue;
    blocked = 0;
    sched_yield();
  }
  return arg;
}

static void dispatched(void) {
  pthread_t thread;
  deaf_ready = 0;
  if (pthread_create(&thread, NULL, dispatched_main, NULL)) abort();
  while (!deaf_ready) sched_yield();
  nothing();
  deaf_end = 1;
  pthread_join(thread, NULL);
}

/* What a malloc may be expected to call; anything else ends the process. */
static void killed(void) {
  static const int calls[] = {SYS_read, SYS_write, SYS_exit, SYS_exit_group, SYS_brk, SYS_mmap, SYS_munmap, SYS_mprotect,
                              SYS_madvise, SYS_mremap, SYS_futex, SYS_rt_sigprocmask, SYS_rt_sigaction, SYS_rt_sigreturn,
                              SYS_getpid, SYS_gettid, SYS_fstat, SYS_newfstatat, SYS_clock_gettime, SYS_sched_yield, SYS_lseek, SYS_getrandom, SYS_prlimit64};
  refuse_by(calls, sizeof calls / sizeof calls[0], SECCOMP_RET_ALLOW, SECCOMP_RET_KILL_PROCESS);
  nothing();
}

/* A program with threads that reads files may expect these, too; anything else ends the process. */
static void killed_unusual(void) {
  static const int calls[] = {SYS_read, SYS_write, SYS_exit, SYS_exit_group, SYS_brk, SYS_mmap, SYS_munmap, SYS_mprotect,
                              SYS_madvise, SYS_mremap, SYS_futex, SYS_rt_sigprocmask, SYS_rt_sigaction, SYS_rt_sigreturn,
                              SYS_getpid, SYS_gettid, SYS_fstat, SYS_newfstatat, SYS_clock_gettime, SYS_sched_yield, SYS_lseek, SYS_getrandom, SYS_prlimit64,
                              SYS_open, SYS_openat, SYS_close, SYS_pread64, SYS_getdents64, SYS_tgkill, SYS_clone, SYS_clone3,
                              SYS_set_robust_list, SYS_rseq, SYS_sigaltstack, SYS_nanosleep, SYS_clock_nanosleep};
  refuse_by_number = true;
  refuse_by(calls, sizeof calls / sizeof calls[0], SECCOMP_RET_ALLOW, SECCOMP_RET_KILL_PROCESS);
  nothing();
}

static void no_open(void) {
  static const int calls[] = {SYS_open, SYS_openat, SYS_openat2};
  refuse(calls, 3);
  nothing();
}

static void no_signals(void) {
  static const int calls[] = {SYS_kill, SYS_tkill, SYS_tgkill, SYS_rt_sigqueueinfo, SYS_rt_tgsigqueueinfo};
  pthread_t thread;
  refuse(calls, 5);
  deaf_ready = 0;
  if (pthread_create(&thread, NULL, deaf_main, NULL)) abort();
  while (!deaf_ready) sched_yield();
  nothing();
  deaf_end = 1;
  pthread_join(thread, NULL);
}

/* --- no room for another queued signal, in this process or all of the user's --- */

static void *threads_main(void *arg) {
  struct node *mine = list_new(refused_count, refused_size);
  deaf_ready = 1;
  while (!deaf_end) usleep(1000);
  printf("%u nodes of the thread\n", list_intact(mine, refused_count, refused_size));
  return arg;
}

static void threads(void) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, threads_main, NULL)) exit(refused_skip);
  while (!deaf_ready) sched_yield();
  nothing();
  deaf_end = 1;
  pthread_join(thread, NULL);
}

static void no_queue(void) {
  struct rlimit none = {0, 0};
  if (setrlimit(RLIMIT_SIGPENDING, &none)) exit(refused_skip);
  threads();
}

/* The actions of all real-time signals are set anew, behind the back of libc. */
static void no_handler(void) {
  const struct {
    void (*handler)(int);
    unsigned long flags;
    void *restorer;
    uint64_t mask;
  } none = {SIG_DFL, 0, NULL, 0};
  pthread_t thread;
  for (int number = 34; number <= 64; number++)
    if (syscall(SYS_rt_sigaction, number, &none, NULL, sizeof none.mask)) abort();
  if (pthread_create(&thread, NULL, threads_main, NULL)) abort();
  while (!deaf_ready) sched_yield();
  nothing();
  deaf_end = 1;
  pthread_join(thread, NULL);
}

/* Not even our own helpers: threads, tracking of writes, memory files. Nothing of it is needed. */
static void no_extras(void) {
  static const int calls[] = {SYS_clone, SYS_clone3, SYS_fork, SYS_vfork, SYS_userfaultfd, SYS_memfd_create, SYS_ptrace,
                              SYS_process_vm_readv, SYS_membarrier, SYS_ioctl, SYS_sched_setaffinity};
  refuse(calls, sizeof calls / sizeof calls[0]);
  nothing();
}

/* A process that gave up its identity may not look into itself. */
static void no_dump(void) {
  if (setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534)) exit(refused_skip);
  prctl(PR_SET_DUMPABLE, 0);
  nothing();
}

/* --- memory is short --- */

static void no_memory(void) {
  static void *taken[100000];
  unsigned count = 0, again = 0;
  struct rlimit limit;
  refused_hold();
  refused_leak();
  getrlimit(RLIMIT_AS, &limit);
  limit.rlim_cur = (rlim_t)600 << 20;
  if (setrlimit(RLIMIT_AS, &limit)) exit(refused_skip);
  while (count < 100000 && (taken[count] = malloc(100000))) memset(taken[count++], 1, 100);
  bool refused = count < 100000 && errno == ENOMEM;
  for (unsigned i = 0; i < count; i++) free(taken[i]);
  for (unsigned i = 0; i < 100; i++) again += (taken[i] = malloc(50000)) != NULL;
  for (unsigned i = 0; i < 100; i++) free(taken[i]);
  printf("refused: %d, some before: %d, given again: %u\n", refused, count > 100, again);
  refused_tell();
}

#define SCENARIO(name) {#name, name}
static const struct scenario table[] = {SCENARIO(nothing), SCENARIO(threads), SCENARIO(deaf), SCENARIO(no_open), SCENARIO(no_signals), SCENARIO(killed), SCENARIO(killed_unusual), SCENARIO(dispatched),
                                        SCENARIO(no_extras), SCENARIO(no_dump), SCENARIO(no_queue), SCENARIO(no_handler), SCENARIO(no_memory)};

/* The status is 3, which is nobody's but the program's. */
int main(int argc, char **argv) {
  const char *mib = getenv("LEAKING_MIB");
  leaking_bytes = (size_t)(mib ? atoi(mib) : 160) << 20;
  for (size_t i = 0; argc > 1 && i < sizeof table / sizeof table[0]; i++) {
    if (strcmp(argv[1], table[i].name) != 0) continue;
    table[i].run();
    return 3;
  }
  return 70;
}
