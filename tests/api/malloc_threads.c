/* SPDX-License-Identifier: MIT
 * malloc among threads: every kind of thread, what runs at a thread's end, and memory that outlives its thread. */
#include "config.h"

#include "tap.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <threads.h>
#include <unistd.h>

enum { threads_count = 64 };

/* What the C++ runtime registers for thread_local objects. */
int __cxa_thread_atexit_impl(void (*destructor)(void *), void *object, void *dso);
extern void *__dso_handle;

static _Atomic unsigned threads_destroyed;
static pthread_key_t threads_keys[40];
static __thread char *threads_local;

static bool threads_churn(unsigned seed, unsigned rounds) {
  unsigned char *p[64] = {0};
  bool good = true;
  for (unsigned i = 0; i < rounds; i++) {
    unsigned k = (seed = seed * 1103515245 + 12345) >> 16 & 63, n = (seed >> 8) % 2000 + 8;
    if (p[k]) good = good && p[k][0] == (unsigned char)k && p[k][7] == (unsigned char)k;
    free(p[k]);
    p[k] = malloc(n);
    memset(p[k], (int)k, n);
  }
  for (unsigned k = 0; k < 64; k++) free(p[k]);
  return good;
}

static void *threads_work(void *arg) {
  unsigned seed = (unsigned)(uintptr_t)arg;
  bool good = threads_churn(seed, 3000);
  char *result = malloc(100);
  snprintf(result, 100, "%s %u", good ? "good" : "bad", seed);
  return result;
}

static void test_many(void) {
  pthread_t thread[threads_count];
  bool good = true;
  for (unsigned i = 0; i < threads_count; i++)
    good = good && pthread_create(&thread[i], NULL, threads_work, (void *)(uintptr_t)i) == 0;
  for (unsigned i = 0; i < threads_count; i++) {
    void *result;
    char want[100];
    pthread_join(thread[i], &result);
    snprintf(want, sizeof want, "good %u", i);
    good = good && strcmp(result, want) == 0;
    free(result);
  }
  OK(good, "%d threads allocate at once, and their results outlive them", threads_count);
}

static void threads_key_gone(void *value) {
  char *more = malloc(300);
  memset(more, 1, 300);
  free(more);
  free(value);
  atomic_fetch_add(&threads_destroyed, 1);
}

static void threads_local_gone(void *object) {
  char **slot = object;
  char *more = strdup(*slot);
  free(*slot);
  free(more);
  *slot = NULL;
  atomic_fetch_add(&threads_destroyed, 1);
}

/* Each round's destructor sets the key again, as far as POSIX lets it. */
static pthread_key_t threads_stubborn_key;
static void threads_stubborn(void *value) {
  free(value);
  pthread_setspecific(threads_stubborn_key, malloc(50));
  atomic_fetch_add(&threads_destroyed, 1);
}

static void *threads_with_ends(void *arg) {
  for (unsigned i = 0; i < 40; i++) pthread_setspecific(threads_keys[i], malloc(i * 100));
  if (arg) pthread_setspecific(threads_stubborn_key, malloc(10));
  threads_local = strdup("thread local");
  __cxa_thread_atexit_impl(threads_local_gone, &threads_local, &__dso_handle);
  return NULL;
}

static void test_ends(void) {
  for (unsigned i = 0; i < 40; i++) pthread_key_create(&threads_keys[i], threads_key_gone);
  pthread_key_create(&threads_stubborn_key, threads_stubborn);
  for (unsigned i = 0; i < 20; i++) {
    pthread_t thread;
    pthread_create(&thread, NULL, threads_with_ends, NULL);
    pthread_join(thread, NULL);
  }
  OK(threads_destroyed == 20 * 41, "destructors of keys and of thread-local objects allocate and free");
  threads_destroyed = 0;
  pthread_t thread;
  pthread_create(&thread, NULL, threads_with_ends, threads_keys);
  pthread_join(thread, NULL);
  OK(threads_destroyed >= 41 + 1, "also when a destructor sets its key anew");
}

static int threads_c11(void *arg) { return threads_churn((unsigned)(uintptr_t)arg, 2000); }

static void test_c11(void) {
  thrd_t thread[8];
  int result, sum = 0;
  for (unsigned i = 0; i < 8; i++) thrd_create(&thread[i], threads_c11, (void *)(uintptr_t)i);
  for (unsigned i = 0; i < 8; i++) thrd_join(thread[i], &result), sum += result;
  OK(sum == 8, "C11 threads allocate");
}

static sem_t threads_done;
static void *threads_detached(void *arg) {
  threads_churn((unsigned)(uintptr_t)arg, 200);
  sem_post(&threads_done);
  return NULL;
}

static size_t threads_resident(void) {
  unsigned long total = 0, pages = 0;
  FILE *f = fopen("/proc/self/statm", "r");
  if (f && fscanf(f, "%lu %lu", &total, &pages) != 2) pages = 0;
  if (f) fclose(f);
  return pages * 4096;
}

static nlink_t threads_tasks(void) {
  struct stat about;
  return stat("/proc/self/task", &about) == 0 ? about.st_nlink : 0;
}

/* Each ends before the next one begins, as far as that can be seen. */
static void test_churn(void) {
  pthread_attr_t attr;
  pthread_attr_init(&attr);
  pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
  sem_init(&threads_done, 0, 0);
  size_t before = 0;
  nlink_t tasks = threads_tasks();
  for (unsigned i = 0; i < 1200; i++) {
    pthread_t thread;
    if (i == 200) before = threads_resident();
    while (pthread_create(&thread, &attr, threads_detached, (void *)(uintptr_t)i) != 0) sched_yield();
    sem_wait(&threads_done);
    for (unsigned tries = 0; tries < 10000 && threads_tasks() > tasks; tries++) sched_yield();
  }
  OK(threads_resident() < before + (48 << 20), "1000 detached threads, one after another, use no more memory than a few");
}

/* Blocks of a thread that is gone, freed and reused by others. */
enum { threads_orphans = 3000 };
static void *threads_orphan[threads_orphans];
static void *threads_leave(void *arg) {
  for (unsigned i = 0; i < threads_orphans; i++) {
    threads_orphan[i] = malloc(i % 700 + 8);
    memset(threads_orphan[i], (int)(i + (uintptr_t)arg), i % 700 + 8);
  }
  return NULL;
}

static void test_orphans(void) {
  bool good = true;
  size_t before = 0;
  for (unsigned round = 0; round < 40; round++) {
    pthread_t thread;
    if (round == 5) before = threads_resident();
    pthread_create(&thread, NULL, threads_leave, (void *)(uintptr_t)round);
    pthread_join(thread, NULL);
    for (unsigned i = 0; i < threads_orphans; i++) {
      unsigned char *p = threads_orphan[i];
      good = good && p[0] == (unsigned char)(i + round) && p[i % 700 + 7] == (unsigned char)(i + round);
      threads_orphan[i] = i % 2 ? realloc(p, 900) : p;
      free(threads_orphan[i]);
    }
  }
  OK(good, "blocks outlive the thread that allocated them");
  OK(threads_resident() < before + (32 << 20), "and, freed by another, are used again");
}

static _Atomic bool threads_stop;
static void *threads_cancelled(void *arg) {
  (void)arg;
  for (unsigned i = 0;; i++) {
    threads_churn(i, 20);
    pthread_testcancel();
  }
  return NULL;
}

static void test_cancel(void) {
  for (unsigned i = 0; i < 20; i++) {
    pthread_t thread;
    void *result;
    pthread_create(&thread, NULL, threads_cancelled, NULL);
    threads_churn(i, 100);
    pthread_cancel(thread);
    pthread_join(thread, &result);
    if (result != PTHREAD_CANCELED) threads_stop = true;
  }
  OK(!threads_stop && threads_churn(1, 1000), "threads that are cancelled leave a sound heap");
}

/* A thread of no library: made by clone, with the memory of the process but the thread pointer of its maker, who waits. */
static _Atomic bool threads_raw_good;
static int threads_raw(void *arg) {
  threads_raw_good = threads_churn((unsigned)(uintptr_t)arg, 500);
  return 0;
}

static void test_raw(void) {
  char *stack = mmap(NULL, 1 << 18, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  bool good = true;
  for (unsigned i = 0; i < 10; i++) {
    threads_raw_good = false;
    int pid = clone(threads_raw, stack + (1 << 18), CLONE_VM | CLONE_VFORK | SIGCHLD, (void *)(uintptr_t)i);
    int status;
    good = good && pid > 0 && waitpid(pid, &status, 0) == pid && status == 0 && threads_raw_good;
  }
  munmap(stack, 1 << 18);
  OK(good && threads_churn(3, 1000), "a clone that shares memory and thread pointer, as vfork's child does, may allocate");
}

int main(void) {
  test_many();
  test_ends();
  test_c11();
  test_churn();
  test_orphans();
  test_cancel();
  test_raw();
  return tap_end();
}
