/* SPDX-License-Identifier: MIT
 * gc.h: what libgc has for threads and stacks. The redirected names are used as a program for libgc would. */
#define GC_THREADS
#include "collect.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static struct crowd crowd;
static void *keep[crowd_size];

static void *lists(void *arg) {
  void **list = NULL;
  for (int i = 0; i < 30000; i++) {
    void **p = GC_malloc(32);
    p[0] = list;
    p[1] = (void *)4711;
    list = i % 1000 ? p : NULL;
    for (void **at = list; at && i % 500 == 0; at = *at)
      if (at[1] != (void *)4711) return NULL;
  }
  return arg;
}

static void *leaves(void *arg) { pthread_exit(GC_malloc(strlen(arg))); }

static _Atomic int arrived;
static void *waits(void *arg) {
  arrived++;
  for (;;) pause();
  return arg;
}

static void test_threads(void) {
  pthread_t thread[4];
  void *result = NULL;
  bool good = true;
  for (int i = 0; i < 4; i++) good = good && pthread_create(&thread[i], NULL, lists, keep) == 0;
  for (int i = 0; i < 6; i++) GC_collect(i % 3, NULL);
  for (int i = 0; i < 4; i++) good = good && GC_pthread_join(thread[i], &result) == 0 && result == keep;
  OK(good, "threads that are made by GC_pthread_create allocate and keep what they hold");
  good = GC_pthread_create(&thread[0], NULL, leaves, "five.") == 0;
  usleep(50000);
  GC_gcollect();
  good = good && pthread_join(thread[0], &result) == 0;
  OK(good && GC_base(result) == result && GC_size(result) >= 5, "what a thread leaves by GC_pthread_exit is there until it is joined");
  good = pthread_create(&thread[0], NULL, waits, NULL) == 0;
  while (!arrived) usleep(1000);
  OK(good && pthread_cancel(thread[0]) == 0 && pthread_join(thread[0], &result) == 0 && result == PTHREAD_CANCELED, "GC_pthread_cancel cancels");
  arrived = 0;
  good = pthread_create(&thread[0], NULL, waits, NULL) == 0;
  while (!arrived) usleep(1000);
  OK(good && pthread_detach(thread[0]) == 0 && pthread_join(thread[0], &result) == EINVAL, "GC_pthread_detach detaches");
  OK(GC_pthread_cancel(thread[0]) == 0 && GC_pthread_exit != NULL && GC_pthread_detach != NULL, "and leaves it to itself");
}

/* --- signals --- */

static _Atomic int blocked, ended;

static void *blocks_all(void *arg) {
  sigset_t all, old, now;
  void *volatile held = GC_malloc(48);
  sigfillset(&all);
  GC_pthread_sigmask(SIG_SETMASK, &all, &old);
  pthread_sigmask(SIG_BLOCK, NULL, &now);
  *(bool *)arg = sigismember(&now, SIGUSR1) && !sigismember(&now, GC_get_suspend_signal());
  memset(held, 1, 48);
  blocked = 1;
  while (!ended) usleep(1000);
  *(bool *)arg = *(bool *)arg && GC_base(held) == held;
  return NULL;
}

static void test_signals(void) {
  pthread_t thread;
  bool open = false;
  OK(GC_get_suspend_signal() > 0 && GC_get_suspend_signal() < NSIG, "the signal that stops threads: %d", GC_get_suspend_signal());
  OK(GC_get_thr_restart_signal() == GC_get_suspend_signal(), "and the one that lets them go on");
  pthread_create(&thread, NULL, blocks_all, &open);
  while (!blocked) usleep(1000);
  crowd_make(&crowd, GC_malloc, 48, NULL);
  wipe();
  GC_gcollect();
  OK(crowd_lost(&crowd), "a thread that blocks all by GC_pthread_sigmask is stopped all the same");
  ended = 1;
  pthread_join(thread, NULL);
  OK(open, "and blocks all others");
}

/* --- stacks --- */

static void *told_base(struct GC_stack_base *base, void *arg) {
  char here;
  return (char *)base->mem_base > &here ? arg : NULL;
}

static void *collects(void *arg) {
  void *volatile held = GC_malloc(64);
  GC_gcollect();
  return GC_base(held) == held ? arg : NULL;
}

static void test_stacks(void) {
  struct GC_stack_base base = {NULL}, told = {&base}, again = {NULL};
  OK(GC_call_with_stack_base(told_base, keep) == keep, "GC_call_with_stack_base calls with the stack's cold end");
  OK(GC_do_blocking(collects, keep) == keep && GC_call_with_gc_active(collects, &base) == &base, "so do GC_do_blocking and GC_call_with_gc_active");
  void *me = GC_get_my_stackbottom(&base);
  OK(me && base.mem_base > (void *)&base, "GC_get_my_stackbottom tells thread and stack");
  GC_set_stackbottom(NULL, &told);
  GC_get_my_stackbottom(&again);
  OK(again.mem_base == told.mem_base, "what was told is told again");
  GC_set_stackbottom(me, &base);
  GC_register_altstack(&base, sizeof base, NULL, 0);
  OK(GC_clear_stack(keep) == keep, "GC_clear_stack returns its argument");
}

static void test_rest(void) {
  GC_set_handle_fork(1);
  GC_start_mark_threads();
  crowd_make(&crowd, GC_malloc, 48, keep);
  GC_atfork_prepare();
  pid_t pid = fork();
  if (pid == 0) {
    GC_atfork_child();
    GC_gcollect();
    _exit(crowd_kept(&crowd) ? 0 : 1);
  }
  GC_atfork_parent();
  int status;
  OK(waitpid(pid, &status, 0) == pid && status == 0, "a child between the calls for fork collects");
  void *handle = GC_dlopen("libc.so.6", RTLD_LAZY);
  OK(handle && dlsym(handle, "getpid"), "GC_dlopen opens");
}

int main(void) {
  GC_init();
  test_threads();
  test_signals();
  test_stacks();
  test_rest();
  return tap_end();
}
