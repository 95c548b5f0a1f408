/* SPDX-License-Identifier: MIT
 * From the first constructor to the last destructor; and what a program may do to its descriptors, its environment
 * and its children without losing the report, or noticing it. */
#include "leaky.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static void *volatile held;
static const char *chosen = ""; /* the scenario's name, known before main */

static bool is(const char *name) { return strcmp(chosen, name) == 0; }

APART static void earliest(int argc, char **argv) {
  if (argc > 1) chosen = argv[1];
  if (is("before_constructors")) make(10);
  scrub();
}
__attribute__((section(".preinit_array"), used)) static void (*const earliest_entry)(int, char **) = earliest;

__attribute__((constructor)) APART static void early(void) {
  if (is("constructed")) make(11);
  scrub();
}

__attribute__((destructor)) APART static void late(void) {
  if (is("destructed")) make(12);
  if (is("given_up")) held = NULL;
  if (is("cleaned")) free(held);
}

static void idle(void) {}

/* @ before_constructors definite 1 10 frame=earliest -- before any constructor */
#define before_constructors idle
/* @ constructed definite 1 11 frame=early -- in a constructor */
#define constructed idle
/* @ destructed definite 1 12 frame=late -- in a destructor */
#define destructed idle

static void keep(void) { held = make(13); }

/* @ given_up definite 1 13 -- what a destructor gives up is lost */
#define given_up keep
/* @ cleaned rows=0 -- what it frees is not */
#define cleaned keep

APART static void handler(void) { make(14); }

/* @ at_exit definite 3 42 rows=1 frame=handler -- in handlers of atexit */
static void at_exit(void) {
  for (int i = 0; i < 3; i++)
    if (atexit(handler)) abort();
}

/* @ at_quick_exit_too definite 1 14 frame=handler status=9 -- of at_quick_exit */
static void at_quick_exit_too(void) {
  if (at_quick_exit(handler)) abort();
  quick_exit(9);
}

static void with_status(int status, void *arg) {
  handler();
  free(arg);
  scenario_status = status;
}

/* @ on_exit_too definite 1 14 frame=with_status -- and of on_exit */
static void on_exit_too(void) {
  if (on_exit(with_status, make(99))) abort();
}

APART static void leak_in_handler_of_handler(void) { atexit(handler); }

/* @ nested definite 1 14 frame=handler -- a handler that a handler installs */
static void nested(void) { atexit(leak_in_handler_of_handler); }

static pthread_key_t key;
static void on_thread_end(void *value) {
  free(value);
  make(15);
}

static void *with_key(void *arg) {
  if (pthread_setspecific(key, make(100))) abort();
  return arg;
}

/* @ thread_destructor definite 1 15 frame=on_thread_end -- in the destructor of a thread-specific value */
static void thread_destructor(void) {
  pthread_t thread;
  if (pthread_key_create(&key, on_thread_end) || pthread_create(&thread, NULL, with_key, NULL) ||
      pthread_join(thread, NULL))
    abort();
}

/* @ first_thread_destructor definite 1 15 frame=on_thread_end -- also of the first thread */
static void first_thread_destructor(void) {
  if (pthread_key_create(&key, on_thread_end)) abort();
  with_key(NULL);
  pthread_exit(NULL);
}

static void leak(void) { make(64); }

/* @ silent via=silent rows=0 -- nothing lost: nothing is said ... */
static void silent(void) { free(make(64)); }
/* @ talkative via=line opt=--verbose -- ... but one line when asked */
#define talkative silent
/* @ empty_report rows=0 -- a report to a file is written all the same */
#define empty_report silent
/* @ textual via=text text=textual_leak text=64 -- a text report names the function */
APART static void textual_leak(void) { make(64); }
static void textual(void) { textual_leak(); }

/* @ printed definite 1 64 -- buffered output is not lost, doubled or moved */
static void printed(void) {
  printf("line\nno newline at the end");
  fprintf(stderr, "and to stderr");
  leak();
}

/* @ stderr_used definite 1 64 via=stderr -- without --report it goes to standard error */
#define stderr_used leak

/* @ stderr_closed definite 1 64 via=stderr -- also when the program has closed it */
static void stderr_closed(void) {
  close(2);
  leak();
}

/* @ stderr_replaced definite 1 64 via=stderr -- or has put something else in its place */
static void stderr_replaced(void) {
  close(2);
  if (open("/dev/null", O_WRONLY) != 2) abort();
  leak();
}

/* @ all_closed definite 1 64 via=stderr -- or has closed the first hundreds of descriptors */
static void all_closed(void) {
  for (int fd = 0; fd < 900; fd++) close(fd);
  leak();
}

/* @ range_closed definite 1 64 -- a report to a file needs none of them, were they closed at one stroke */
static void range_closed(void) {
  closefrom(0);
  leak();
}

/* @ descriptors definite 1 64 -- the program's descriptors have the numbers they always had */
static void descriptors(void) {
  for (int i = 0; i < 3; i++) printf("%d\n", open("/dev/null", O_RDONLY));
  leak();
}

/* @ moved definite 1 64 via=relative -- a relative name of a report is relative to where the program was started */
static void moved(void) {
  if (chdir("/")) abort();
  leak();
}

/* @ bare definite 1 64 -- a program that clears its environment */
static void bare(void) {
  clearenv();
  leak();
}

static void on_child(int number) {
  (void)number;
  if (write(1, "child\n", 6) != 6) abort();
}
static void wait_for_children(void) {
  int status;
  if (wait(&status) != -1 || errno != ECHILD) puts("a child that is not mine");
}

/* @ childless definite 1 64 -- a program that would notice a child that is not its own */
static void childless(void) {
  signal(SIGCHLD, on_child);
  atexit(wait_for_children);
  leak();
}

/* @ child_ignored definite 1 64 via=stderr -- and one that ignores its children */
static void child_ignored(void) {
  signal(SIGCHLD, SIG_IGN);
  leak();
}

/* @ all_blocked definite 1 64 -- one that blocks all signals */
static void all_blocked(void) {
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_BLOCK, &all, NULL);
  leak();
}

/* @ private definite 1 64 -- a process that the kernel shows to nobody */
static void private(void) {
  if (prctl(PR_SET_DUMPABLE, 0)) abort();
  leak();
}

/* Each of these system calls fails with EPERM from now on. */
APART static void refuse(const unsigned *calls, size_t count) {
  struct sock_filter filter[20] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))};
  size_t n = 1;
  for (size_t i = 0; i < count; i++) {
    filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, calls[i], 0, 1);
    filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
  }
  filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  struct sock_fprog program = {.len = (unsigned short)n, .filter = filter};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) abort();
}

static void *sleeper(void *arg) {
  for (;;) pause();
  return arg;
}

/* @ no_ptrace definite 1 64 -- where ptrace and its kin are refused */
static void no_ptrace(void) {
  static const unsigned calls[] = {SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, SYS_kcmp,
                                   SYS_userfaultfd, SYS_pidfd_getfd};
  refuse(calls, sizeof calls / sizeof calls[0]);
  pthread_t thread;
  if (pthread_create(&thread, NULL, sleeper, make(64))) abort();
  leak();
}

static void fail(void) {
  scenario_status = 5;
  leak();
}

/* @ status_kept definite 1 64 status=5 -- the program's status is kept */
#define status_kept fail
/* @ status_changed definite 1 64 opt=--error-exitcode=99 status=99 -- unless a status for leaks was given */
#define status_changed fail
/* @ status_changed_quickly definite 1 64 opt=--error-exitcode=99 status=99 -- also for quick_exit */
static void status_changed_quickly(void) {
  leak();
  scrub();
  quick_exit(0);
}
/* @ status_changed_last definite 1 64 opt=--error-exitcode=99 status=99 -- and at the end of the last thread */
static void status_changed_last(void) {
  leak();
  pthread_exit(NULL);
}
static void *ends(void *arg) {
  usleep(20000);
  leak();
  scrub();
  exit(7);
  return arg;
}
/* @ status_of_thread definite 1 64 status=7 -- a call that the search cuts short does not return to end the program first */
static void status_of_thread(void) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, ends, NULL)) abort();
  poll(NULL, 0, -1);
  _exit(8);
}
static void fail_without_leak(void) {
  scenario_status = 5;
  held = make(64);
}
/* @ status_without_leak opt=--error-exitcode=99 status=5 -- which a program without leaks does not get */
#define status_without_leak fail_without_leak

APART static void descend(int depth) {
  if (depth == 0) make(64);
  else descend(depth - 1);
  __asm__ volatile("" : : : "memory");
}

/* @ deep definite 1 64 frames=128 frame=descend -- a deep stack
 * @ deep opt=--max-frames=5 definite 1 64 frames=5 frame=make -- and as much of it as one wants
 * @ deep opt=--max-frames=250 definite 1 64 frames=250 */
static void deep(void) { descend(300); }

static const struct scenario table[] = {
    SCENARIO(before_constructors), SCENARIO(constructed), SCENARIO(destructed), SCENARIO(given_up),
    SCENARIO(cleaned), SCENARIO(at_exit), SCENARIO(at_quick_exit_too), SCENARIO(on_exit_too), SCENARIO(nested),
    SCENARIO(thread_destructor), SCENARIO(first_thread_destructor), SCENARIO(silent), SCENARIO(talkative),
    SCENARIO(empty_report), SCENARIO(textual), SCENARIO(printed), SCENARIO(stderr_used),
    SCENARIO(stderr_closed),
    SCENARIO(stderr_replaced), SCENARIO(all_closed), SCENARIO(range_closed),
    SCENARIO(descriptors), SCENARIO(moved), SCENARIO(bare), SCENARIO(childless), SCENARIO(child_ignored),
    SCENARIO(all_blocked), SCENARIO(private), SCENARIO(no_ptrace), SCENARIO(status_kept),
    SCENARIO(status_changed), SCENARIO(status_changed_quickly),
    SCENARIO(status_changed_last), SCENARIO(status_without_leak), SCENARIO(status_of_thread), SCENARIO(deep),
};

SCENARIO_MAIN(table)
