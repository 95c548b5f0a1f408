/* SPDX-License-Identifier: MIT
 * gc.h and gc_ext.h: the finalizer thread, who waits for it, and many threads that register under collections. */
#define _GNU_SOURCE
#include "final.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static _Atomic int ran, elsewhere, unblocked, wrong;
static pthread_t main_thread;

static void GC_CALLBACK count(void *object, void *data) {
  sigset_t blocked;
  (void)object, (void)data;
  pthread_sigmask(SIG_BLOCK, NULL, &blocked);
  elsewhere += !pthread_equal(pthread_self(), main_thread);
  unblocked += !sigismember(&blocked, SIGUSR1) || !sigismember(&blocked, SIGINT);
  ran++;
}

__attribute__((noinline)) static void lose(int n, GC_finalization_proc function) {
  for (int i = 0; i < n; i++) GC_register_finalizer(GC_malloc(48), function, NULL, NULL, NULL);
  wipe();
}

static int stop_errno;

static void GC_CALLBACK stop(void *object, void *data) {
  (void)object, (void)data;
  if (GC_stop_finalizer_thread() == -1) stop_errno = errno;
}

static _Atomic bool slow_held;

static void GC_CALLBACK slow(void *object, void *data) {
  (void)object, (void)data;
  do usleep(2000);
  while (slow_held);
  ran++;
}

static int child(void) {
  ran = elsewhere = 0;
  lose(100, count);
  collect_all();
  if (!nearly(ran, 100) || elsewhere != 0) return 1;
  if (GC_start_finalizer_thread() != 0) return 2;
  lose(100, count);
  collect_all();
  if (GC_wait_for_finalizers(0) != 0) return 3;
  return nearly(ran, 200) && elsewhere >= 90 ? 0 : 4;
}

static void test_thread(void) {
  OK(GC_stop_finalizer_thread() == 0, "there is no finalizer thread at first");
  OK(GC_start_finalizer_thread() == 0 && GC_start_finalizer_thread() == 0, "one can be had, and no second one");
  GC_disable();
  lose(100, count);
  GC_enable();
  collect_all();
  OK(GC_wait_for_finalizers(0) == 0, "it can be waited for");
  OK(nearly(ran, 100) && elsewhere == ran, "it has run all finalizers");
  OK(unblocked == 0, "with signals blocked");
  ran = 0;
  lose(50, slow);
  collect_all();
  GC_wait_for_finalizers(0);
  OK(nearly(ran, 50), "who waits does so until the last one has returned");
  slow_held = true;
  lose(50, slow);
  collect_all();
  errno = 0;
  OK(GC_wait_for_finalizers(3000000) == -1 && errno == ETIMEDOUT, "or for so long");
  slow_held = false;
  GC_wait_for_finalizers(0);
  lose(20, stop);
  collect_all();
  GC_wait_for_finalizers(0);
  OK(stop_errno == EDEADLK, "it cannot stop itself");
  int status;
  pid_t pid = fork();
  if (pid == 0) _exit(child());
  OK(waitpid(pid, &status, 0) == pid && status == 0, "a forked child has none, until it asks for one (status %x)", (unsigned)status);
  ran = elsewhere = 0;
  lose(100, count);
  collect_all();
  GC_wait_for_finalizers(0);
  OK(nearly(ran, 100) && elsewhere == ran, "its parent still has it");
  OK(GC_stop_finalizer_thread() == 0, "it can be stopped");
  ran = elsewhere = 0;
  lose(100, count);
  collect_all();
  OK(nearly(ran, 100) && elsewhere == 0, "and then the program's threads run them");
}

/* --- many threads --- */

enum { threads_most = 8, held_most = 64 };

struct item {
  struct item *next;
  uint64_t check;
  _Atomic int finalized, registered;
};

static _Atomic long made, finalized;

static void GC_CALLBACK end(void *object, void *data) {
  struct item *item = object;
  if (item->check != ~(uint64_t)(uintptr_t)item || (uintptr_t)data != ~(uintptr_t)item) wrong++;
  if (item->finalized++ || !item->registered) wrong++;
  if (item->next && item->next->check != ~(uint64_t)(uintptr_t)item->next) wrong++; /* ordered: it is there still */
  finalized++;
}

static void *work(void *arg) {
  uint64_t seed = (uintptr_t)arg;
  struct item *held[held_most] = {NULL};
  for (int i = 0; i < 6000; i++) {
    struct item **at = &held[tap_random(&seed) % held_most], *item = *at;
    switch (tap_random(&seed) % 8) {
    case 0:
      if (item && item->finalized) wrong++; /* it is reachable */
      *at = NULL;
      break;
    case 1:
      if (item && item->registered) {
        GC_register_finalizer(item, NULL, NULL, NULL, NULL);
        item->registered = 0;
        made--;
      }
      break;
    case 2:
      if (i % 64 == 0) GC_collect((int)(tap_random(&seed) % 3), NULL);
      break;
    case 3:
      if (item) {
        if (item->registered) made--;
        item->registered = 0;
        *at = NULL;
        for (int k = 0; k < held_most; k++)
          if (held[k] && held[k]->next == item) held[k]->next = NULL;
        GC_register_finalizer(item, NULL, NULL, NULL, NULL);
      }
      break;
    default:
      item = GC_malloc(sizeof *item);
      item->check = ~(uint64_t)(uintptr_t)item;
      item->next = held[tap_random(&seed) % held_most];
      item->registered = 1;
      made++;
      GC_register_finalizer(item, end, (void *)~(uintptr_t)item, NULL, NULL);
      *at = item;
    }
    if (i % 32 == 0)
      for (int k = 0; k < held_most; k++) wrong += held[k] && held[k]->finalized;
  }
  memset(held, 0, sizeof held);
  wipe();
  return NULL;
}

static void test_many(void) {
  pthread_t threads[threads_most];
  for (uintptr_t i = 0; i < threads_most; i++) pthread_create(&threads[i], NULL, work, (void *)(i + 1));
  for (int i = 0; i < threads_most; i++) pthread_join(threads[i], NULL);
  long before = -1;
  for (int i = 0; i < 200 && finalized != before; i++) {
    before = finalized;
    collect_all();
    GC_wait_for_finalizers(0);
  }
  OK(finalized >= made * 9 / 10 && finalized <= made, "of %ld objects %ld are finalized", (long)made, (long)finalized);
  OK(wrong == 0, "8 threads register, take away and lose under collections: each is finalized once, unreachable, and what it leads to is there");
}

/* --- a thread that ends itself at once --- */

enum { patience = 3000 }; /* times 10 ms, on a machine however busy */

static bool slow_create;

/* The new thread is far ahead of who made it. */
__attribute__((visibility("default"))) int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *arg) {
  int (*create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *) = dlsym(RTLD_NEXT, "pthread_create");
  int error = create(thread, attributes, start, arg);
  if (slow_create) usleep(300 * 1000);
  return error;
}

static void GC_CALLBACK end_thread(void *object, void *data) {
  count(object, data);
  if (!pthread_equal(pthread_self(), main_thread)) pthread_exit(NULL);
}

static void test_ends_at_once(void) {
  GC_set_finalize_on_demand(1);
  lose(100, end_thread);
  GC_gcollect();
  ran = 0;
  slow_create = true;
  OK(GC_start_finalizer_thread() == 0, "a finalizer thread begins while finalizers wait");
  slow_create = false;
  for (int i = 0; i < patience && ran == 0; i++) usleep(10 * 1000);
  usleep(100 * 1000);
  GC_set_finalize_on_demand(0);
  GC_invoke_finalizers();
  ran = 0;
  lose(100, count);
  GC_gcollect();
  for (int i = 0; i < patience && ran < 50; i++) {
    GC_malloc(100000);
    if (i > 100) usleep(10 * 1000); /* it has not ended yet */
  }
  OK(ran >= 50, "one that a finalizer has ended by pthread_exit is not waited for, %d were run", ran);
}

static _Atomic int begun, let_go, is_over, too_early;

static void GC_CALLBACK wait_to_end(void *object, void *data) {
  (void)object, (void)data;
  begun = 1;
  while (!let_go) usleep(1000);
  is_over = 1;
}

static void *stop_it(void *arg) {
  if (GC_stop_finalizer_thread() != 0 || !is_over) too_early++;
  return arg;
}

static void test_stopped_twice(void) {
  pthread_t thread[2];
  GC_start_finalizer_thread();
  lose(20, wait_to_end);
  for (int i = 0; i < patience && !begun; i++) {
    collect_all();
    usleep(10000);
  }
  for (int i = 0; i < 2; i++) pthread_create(&thread[i], NULL, stop_it, NULL);
  usleep(30000);
  let_go = 1;
  for (int i = 0; i < 2; i++) pthread_join(thread[i], NULL);
  OK(begun && !too_early, "whoever stops it returns when it has ended what it was running");
}

int main(void) {
  GC_INIT();
  main_thread = pthread_self();
  test_thread();
  test_many();
  test_ends_at_once();
  GC_start_finalizer_thread();
  test_many();
  GC_stop_finalizer_thread();
  test_stopped_twice();
  return tap_end();
}
