/* SPDX-License-Identifier: MIT
 * gc.h: what is a root, and what the client makes one. Roots differ: in a program that is merely linked with the library
 * memory of malloc and mmap is none; where malloc is Gleaner's, all memory is. */
#include "collect.h"

#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

static struct crowd crowd;
static bool all_memory; /* is a root */

/* --- data, stacks, registers, thread-local storage --- */

static void *in_bss[crowd_size];
static void *in_data[crowd_size] = {&in_bss};
static __thread void *in_tls[crowd_size];

static void test_place(void **place, const char *name) {
  crowd_make(&crowd, GC_malloc, 48, place);
  crowd_collect(2);
  OK(crowd_kept(&crowd), "what %s points to is kept", name);
  memset(place, 0, crowd_size * sizeof *place);
  crowd_collect(2);
  OK(crowd_lost(&crowd), "and reclaimed when it points there no more");
}

static void test_stack(void) {
  void *on_stack[crowd_size];
  void **volatile place = on_stack;
  test_place(place, "the stack");
}

__attribute__((noinline)) static void test_register(void) {
  void *p = GC_malloc(48);
  volatile uintptr_t hidden = ~(uintptr_t)p;
  register void *r __asm__("r15") = p;
  p = NULL;
  __asm__ volatile("" : "+r"(r));
  crowd_collect(2);
  bool kept = GC_base((void *)~hidden) == (void *)~hidden;
  __asm__ volatile("" : "+r"(r));
  OK(kept, "what only a register points to is kept");
}

/* --- roots of the client --- */

static void test_mapping(void) {
  size_t size = 65536, used = crowd_size * sizeof(void *);
  void **map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  crowd_make(&crowd, GC_malloc, 48, map + 100);
  crowd_collect(2);
  OK(all_memory ? crowd_kept(&crowd) : crowd_lost(&crowd), "a mapping is a root only where all memory is");
  GC_add_roots(map + 100, (char *)(map + 100) + used);
  crowd_make(&crowd, GC_malloc, 48, map + 100);
  for (int i = 0; i < 4; i++) crowd_collect(2);
  OK(crowd_kept(&crowd), "GC_add_roots makes it one");
  for (int i = 0; i < 3; i++) crowd_collect(0);
  OK(crowd_kept(&crowd), "for all generations");
  GC_remove_roots(map, (char *)map + size);
  crowd_collect(2);
  OK(all_memory || crowd_lost(&crowd), "GC_remove_roots ends it");

  GC_add_roots((char *)(map + 100) - 3, (char *)(map + 100) + used + 5);
  crowd_make(&crowd, GC_malloc, 48, map + 100);
  crowd_collect(2);
  OK(crowd_kept(&crowd), "bounds need not be aligned");
  GC_add_roots(map + 50, map + 150);
  GC_add_roots(map, map);
  GC_add_roots(map + 10, map + 9);
  crowd_make(&crowd, GC_malloc, 48, map + 100);
  crowd_collect(2);
  OK(crowd_kept(&crowd), "roots may overlap, and be empty");
  GC_remove_roots((char *)(map + 100) - 16, (char *)(map + 100) + used + 16);
  crowd_make(&crowd, GC_malloc, 48, map + 100);
  for (int i = 50; i < crowd_size; i++) crowd.hidden[i] = crowd.hidden[i % 50];
  crowd_collect(2);
  OK(crowd_kept(&crowd), "one that overlaps what is removed stays as a whole");
  GC_remove_roots(map + 80, map + 120);
  crowd_collect(2);
  OK(crowd_kept(&crowd), "as does one of which a part is to be removed");
  GC_remove_roots(map, (char *)map + size);
  munmap(map, size);
  crowd_collect(2);
  OK(true, "and may go when they are no roots any more");
}

static void test_many(void) {
  enum { many = 500 };
  static void **maps[many];
  for (int i = 0; i < many; i++) {
    maps[i] = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    GC_add_roots(maps[i] + 8, maps[i] + 16);
  }
  crowd_make(&crowd, GC_malloc, 48, NULL);
  for (int i = 0; i < crowd_size; i++) maps[i * many / crowd_size][9] = crowd_get(&crowd, i);
  crowd_collect(2);
  OK(crowd_kept(&crowd), "there may be many roots");
  for (int i = 0; i < many; i += 2) GC_remove_roots(maps[i], maps[i] + 1024);
  for (int i = 0; i < many; i++) GC_remove_roots(maps[i], maps[i] + 1024);
  for (int i = 0; i < many; i++) munmap(maps[i], 8192);
  crowd_collect(2);
  OK(crowd_lost(&crowd), "and all can be removed");
}

static void test_excluded(void) {
  static void *excluded[crowd_size];
  GC_exclude_static_roots(excluded, excluded + crowd_size);
  crowd_make(&crowd, GC_malloc, 48, excluded);
  crowd_collect(2);
  OK(crowd_lost(&crowd), "static memory can be excluded");
  crowd_make(&crowd, GC_malloc, 48, in_bss);
  crowd_collect(2);
  OK(crowd_kept(&crowd), "other static memory stays a root");
  memset(in_bss, 0, sizeof in_bss);
}

static void test_malloced(void) {
  void **(*volatile allocate)(size_t) = (void **(*)(size_t))malloc;
  void **place = allocate(crowd_size * sizeof *place);
  crowd_make(&crowd, GC_malloc, 48, place);
  crowd_collect(2);
  OK(all_memory ? crowd_kept(&crowd) : crowd_lost(&crowd), "malloc'ed memory is searched only where malloc is Gleaner's");
  free(place);
}

static void test_cleared(void) {
  void *on_stack[crowd_size];
  void **volatile place = on_stack;
  size_t size = crowd_size * sizeof(void *);
  void **map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  GC_add_roots(map, (char *)map + size);
  GC_clear_roots();
  crowd_make(&crowd, GC_malloc, 48, map);
  crowd_collect(2);
  OK(all_memory ? crowd_kept(&crowd) : crowd_lost(&crowd), "after GC_clear_roots what was added is none, but where all memory is");
  crowd_make(&crowd, GC_malloc, 48, in_bss);
  crowd_collect(2);
  OK(crowd_kept(&crowd), "static memory is");
  test_place(place, "the stack");
  GC_add_roots(map, (char *)map + size);
  crowd_make(&crowd, GC_malloc, 48, map);
  crowd_collect(2);
  OK(crowd_kept(&crowd), "what is added then is one");
  GC_remove_roots(map, (char *)map + size);
  munmap(map, size);
}

/* --- threads --- */

static pthread_barrier_t barrier;
static struct crowd thread_crowd;

/* Registered or not: its stack and its registers are searched. */
static void *hold(void *arg) {
  void *mine[crowd_size];
  void **volatile place = arg ? in_tls : mine;
  crowd_make(&thread_crowd, GC_malloc, 48, place);
  wipe();
  pthread_barrier_wait(&barrier);
  pthread_barrier_wait(&barrier);
  memset(place, 0, sizeof mine);
  wipe();
  pthread_barrier_wait(&barrier);
  pthread_barrier_wait(&barrier);
  return NULL;
}

static void test_thread(bool tls) {
  pthread_t thread;
  pthread_barrier_init(&barrier, NULL, 2);
  pthread_create(&thread, NULL, hold, tls ? "" : NULL);
  pthread_barrier_wait(&barrier);
  crowd_collect(2);
  OK(crowd_kept(&thread_crowd), "what another thread's %s points to is kept", tls ? "thread-local storage" : "stack");
  pthread_barrier_wait(&barrier);
  pthread_barrier_wait(&barrier);
  crowd_collect(2);
  OK(crowd_lost(&thread_crowd), "as long as it does");
  pthread_barrier_wait(&barrier);
  pthread_join(thread, NULL);
}

static void *register_self(void *arg) {
  struct GC_stack_base base = {0}, *volatile here = &base;
  char *const frame = (char *)here;
  OK(GC_get_stack_base(&base) == GC_SUCCESS && (char *)base.mem_base > frame && (char *)base.mem_base - frame < 9 << 20,
     "a thread's stack has a cold end");
  OK(!GC_thread_is_registered(), "it is not registered by itself");
  OK(GC_unregister_my_thread() == GC_NOT_FOUND, "and cannot be unregistered");
  OK(GC_register_my_thread(&base) == GC_SUCCESS && GC_thread_is_registered(), "it can be registered");
  OK(GC_register_my_thread(&base) == GC_DUPLICATE, "once");
  OK(GC_unregister_my_thread() == GC_SUCCESS && !GC_thread_is_registered(), "and unregistered");
  OK(GC_register_my_thread(&base) == GC_SUCCESS, "and registered again");
  return arg;
}

static void test_registering(void) {
  struct GC_stack_base base = {0}, *volatile here = &base;
  OK(GC_thread_is_registered(), "the main thread is registered");
  OK(GC_get_stack_base(&base) == GC_SUCCESS && (char *)base.mem_base > (char *)here, "its stack has a cold end");
  OK(GC_register_my_thread(&base) == GC_DUPLICATE, "and it cannot be registered again");
  GC_allow_register_threads();
  pthread_t thread;
  pthread_create(&thread, NULL, register_self, NULL);
  pthread_join(thread, NULL);
  pthread_create(&thread, NULL, register_self, NULL);
  pthread_join(thread, NULL);
  OK(GC_SUCCESS == 0 && GC_DUPLICATE == 1 && GC_UNIMPLEMENTED == 3, "the results have libgc's numbers");
}

int main(void) {
  GC_INIT();
  all_memory = heap_serves_malloc();
  test_place(in_bss, "zeroed data");
  test_place(in_data, "initialised data");
  test_place(in_tls, "thread-local storage");
  test_stack();
  test_register();
  test_mapping();
  test_many();
  test_excluded();
  test_malloced();
  test_thread(false);
  test_thread(true);
  test_registering();
  test_cleared();
  return tap_end();
}
