/* SPDX-License-Identifier: MIT
 * Places where programs keep what they need and few would look: a list whose only pointer lies there is intact after
 * any number of collections, and so is what the C library and the loader keep for us. places SCENARIO says how many
 * nodes are intact. */
#include "leaking.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <locale.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <asm/prctl.h>
#include <ucontext.h>
#include <wchar.h>

enum { page = 4096, rw = PROT_READ | PROT_WRITE, places_count = 200, places_size = 64 };
enum { private = MAP_PRIVATE | MAP_ANONYMOUS, shared = MAP_SHARED | MAP_ANONYMOUS };

APART static void scrub(void) {
  volatile char dead[16 * 1024];
  for (size_t i = 0; i < sizeof dead; i += 8) *(volatile uint64_t *)&dead[i] = 0;
}

/* The complement of a new list's address. */
APART static uintptr_t make_hidden(void) { return ~(uintptr_t)list_new(places_count, places_size); }

APART static void root(void *volatile *place) { *place = (void *)~make_hidden(); }

APART static void churn_once(unsigned count, size_t size) {
  struct node *n = list_new(count, size);
  memset(n->more, 0xff, size - sizeof *n);
}

/* Collections, if there are any; and new blocks where the list would have been. */
APART static void churn(void) {
  long (*collect)(int generation, void *facts) = (long (*)(int, void *))dlsym(RTLD_DEFAULT, "GC_collect");
  scrub();
  for (int i = 0; i < 3 && collect; i++) collect(2, NULL);
  for (int i = 0; i < 60; i++) churn_once(1000, places_size);
  for (int i = 0; i < 3 && collect; i++) collect(2, NULL);
}

APART static void tell(const void *list) { printf("%u nodes\n", list_intact(list, places_count, places_size)); }

APART static void churn_and_tell(void *volatile *place) {
  churn();
  tell(*place);
}

APART static void **map(size_t bytes, int protection, int flags, int fd) {
  void *p = mmap(NULL, bytes, protection, flags, fd, 0);
  if (p == MAP_FAILED) abort();
  return p;
}

/* --- mappings --- */

static int memory_file(void) {
  int fd = memfd_create("places", MFD_CLOEXEC);
  if (fd < 0 || ftruncate(fd, 1024 * page)) abort();
  return fd;
}

/* Code that was written, then made executable and no longer writable. */
static void generated_code(void) {
  void **p = map(16 * page, rw | PROT_EXEC, private, -1);
  root(&p[1000]);
  if (mprotect(p, 16 * page, PROT_READ | PROT_EXEC)) abort();
  churn_and_tell(&p[1000]);
}

/* The only pointer is part of an instruction: mov $list, %rax, at an odd address. */
static void generated_instruction(void) {
  char *p = (char *)map(16 * page, rw | PROT_EXEC, private, -1);
  memcpy(p + 8001, (const char[]){0x48, (char)0xb8}, 2);
  root((void **)(p + 8003));
  churn_and_tell((void **)(p + 8003));
}

/* Written by one view of it, run by another. */
static void generated_shared(void) {
  int fd = memory_file();
  char *writing = (char *)map(16 * page, rw, MAP_SHARED, fd), *running = (char *)map(16 * page, PROT_READ | PROT_EXEC, MAP_SHARED, fd);
  root((void **)(writing + 8003));
  munmap(writing, 16 * page);
  close(fd);
  churn_and_tell((void **)(running + 8003));
}

/* A file in /dev is no device; without the right to make one there it is made elsewhere. */
static void file_in_dev(void) {
  char name[] = "/dev/gleaner-places.XXXXXX";
  int fd = mkstemp(name);
  bool here = fd >= 0;
  if (!here) fd = memory_file();
  if (ftruncate(fd, 16 * page)) abort();
  void **all = map(16 * page, rw, MAP_SHARED, fd), **mine = map(16 * page, rw, MAP_PRIVATE, fd);
  root(&all[1000]);
  root(&mine[2000]);
  churn();
  if (here) unlink(name);
  tell(all[1000]);
  tell(mine[2000]);
}

/* Not readable even by the program, until it wants it again. */
static void execute_only(void) {
  void **p = map(16 * page, rw, private, -1);
  root(&p[1000]);
  if (mprotect(p, 16 * page, PROT_EXEC)) abort();
  churn();
  if (mprotect(p, 16 * page, rw)) abort();
  tell(p[1000]);
}

/* The page tables know nothing of it any more. */
static void shared_forgotten(void) {
  void **p = map(4096 * page, rw, shared, -1);
  root(&p[100000]);
  if (madvise(p, 4096 * page, MADV_DONTNEED)) abort();
  churn_and_tell(&p[100000]);
}

/* Never written through the mapping. */
static void shared_written(void) {
  int fd = memory_file();
  void **p = map(1024 * page, rw, MAP_SHARED, fd);
  uintptr_t list = ~make_hidden();
  if (pwrite(fd, &list, sizeof list, 700 * page) != sizeof list) abort();
  list = 0;
  churn_and_tell(&p[700 * page / sizeof *p]);
}

static void shared_on_disk(void) {
  char name[] = "/var/tmp/places-XXXXXX";
  int fd = mkstemp(name);
  if (fd < 0 || ftruncate(fd, 64 * page)) abort();
  unlink(name);
  void **p = map(64 * page, rw, MAP_SHARED, fd);
  root(&p[20000]);
  churn_and_tell(&p[20000]);
}

/* In swap, if there is any. */
static void paged_out(void) {
  void **p = map(64 * page, rw, private, -1);
  root(&p[20000]);
  madvise(p, 64 * page, 21 /* MADV_PAGEOUT */);
  churn_and_tell(&p[20000]);
}

static void paged_out_shared(void) {
  void **p = map(1024 * page, rw, shared, -1);
  root(&p[20000]);
  madvise(p, 1024 * page, 21 /* MADV_PAGEOUT */);
  churn_and_tell(&p[20000]);
}

static void moved(void) {
  void **p = map(4 * page, rw, private, -1);
  root(&p[7]);
  p = mremap(p, 4 * page, 4096 * page, MREMAP_MAYMOVE);
  if (p == MAP_FAILED) abort();
  churn_and_tell(&p[7]);
}

/* --- modules and threads --- */

static void *volatile *(*module_place(int local))(int) {
  void *module = dlopen("tests/collect/places_module.so", RTLD_NOW);
  (void)local;
  if (!module) abort();
  return (void *volatile *(*)(int))(uintptr_t)dlsym(module, "places_module");
}

static void module_data(void) {
  void *volatile *place = module_place(0)(0);
  root(place);
  churn_and_tell(place);
}

/* The loader allocates the block, and only a table of the thread's leads to it. */
static void module_tls(void) {
  void *volatile *(*find)(int) = module_place(1);
  root(find(1));
  churn();
  tell(*find(1));
}

static _Atomic int step;
static void *volatile *(*thread_find)(int);

static void *module_tls_thread(void *arg) {
  root(thread_find(1));
  scrub();
  step = 1;
  while (step != 2) usleep(1000);
  tell(*thread_find(1));
  return arg;
}

static void module_tls_of_thread(void) {
  pthread_t thread;
  thread_find = module_place(1);
  if (pthread_create(&thread, NULL, module_tls_thread, NULL)) abort();
  while (step != 1) usleep(1000);
  churn();
  step = 2;
  pthread_join(thread, NULL);
}

static void on_alternate(int number) {
  (void)number;
  churn();
}

APART static void go_deeper(void) {
  void *volatile place;
  root(&place);
  scrub();
  raise(SIGUSR1);
  tell(place);
}

/* What the signal interrupted lies below the stack pointer, on the same stack. */
static void alternate_above(void) {
  char room[64 * 1024];
  stack_t stack = {.ss_sp = room, .ss_size = sizeof room};
  struct sigaction action = {.sa_handler = on_alternate, .sa_flags = SA_ONSTACK};
  if (sigaltstack(&stack, NULL) || sigaction(SIGUSR1, &action, NULL)) abort();
  go_deeper();
}

static ucontext_t home, away;
static void run_away(void) { churn(); }

APART static void call_away(void) {
  void *volatile place;
  root(&place);
  scrub();
  swapcontext(&home, &away);
  tell(place);
}

/* A coroutine's stack carved out of the thread's own, above the frames of who calls it. */
static void carved(void) {
  char room[64 * 1024];
  getcontext(&away);
  away.uc_stack.ss_sp = room;
  away.uc_stack.ss_size = sizeof room;
  away.uc_link = &home;
  makecontext(&away, run_away, 0);
  call_away();
}

/* Only the kernel knows the block. */
static void alternate_in_heap(void) {
  stack_t stack = {.ss_size = 64 * 1024}, now;
  stack.ss_sp = malloc(stack.ss_size);
  memset(stack.ss_sp, 0, stack.ss_size);
  root((void **)stack.ss_sp + 10);
  if (sigaltstack(&stack, NULL)) abort();
  memset(&stack, 0, sizeof stack);
  churn();
  sigaltstack(NULL, &now);
  tell(((void **)now.ss_sp)[10]);
}

static void *alternate_thread(void *arg) {
  stack_t stack = {.ss_size = 64 * 1024}, now;
  stack.ss_sp = malloc(stack.ss_size);
  memset(stack.ss_sp, 0, stack.ss_size);
  root((void **)stack.ss_sp + 10);
  if (sigaltstack(&stack, NULL)) abort();
  memset(&stack, 0, sizeof stack);
  scrub();
  step = 1;
  while (step != 2) usleep(1000);
  sigaltstack(NULL, &now);
  tell(((void **)now.ss_sp)[10]);
  return arg;
}

static void alternate_of_thread(void) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, alternate_thread, NULL)) abort();
  while (step != 1) usleep(1000);
  churn();
  step = 2;
  pthread_join(thread, NULL);
}

static void *gs_thread(void *arg) {
  uintptr_t list = 0;
  if (syscall(SYS_arch_prctl, ARCH_SET_GS, ~make_hidden())) abort();
  scrub();
  step = 1;
  while (step != 2) usleep(1000);
  syscall(SYS_arch_prctl, ARCH_GET_GS, &list);
  tell((void *)list);
  return arg;
}

static void gs_base(void) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, gs_thread, NULL)) abort();
  while (step != 1) usleep(1000);
  churn();
  step = 2;
  pthread_join(thread, NULL);
}

static void *small_thread(void *arg) {
  void *volatile place;
  root(&place);
  for (int i = 0; i < 20; i++) churn_once(1000, places_size);
  tell(place);
  return arg;
}

/* Collections begun by a thread with hardly any stack. */
static void small_stack(void) {
  pthread_t thread;
  pthread_attr_t small;
  pthread_attr_init(&small);
  if (pthread_attr_setstacksize(&small, PTHREAD_STACK_MIN) || pthread_create(&thread, &small, small_thread, NULL)) abort();
  pthread_join(thread, NULL);
}

static _Atomic(uintptr_t) vanished; /* where in the vanished thread's stack, hidden */
static void *vanishing_thread(void *arg) {
  void *volatile place;
  root(&place);
  vanished = ~(uintptr_t)&place;
  step = 1;
  for (;;) pause();
  return arg;
}

/* In a fork child only a stack whose thread is not there has the pointer. */
static void vanished_thread(void) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, vanishing_thread, NULL)) abort();
  while (step != 1) usleep(1000);
  pid_t child = fork();
  if (child == 0) {
    churn();
    tell(*(void **)~vanished);
    fflush(stdout);
    _exit(0);
  }
  int status;
  waitpid(child, &status, 0);
}

/* --- what others keep for the program --- */

APART static void put_environment(void) {
  char text[64] = "PLACES=";
  memset(text + 7, 'x', sizeof text - 8);
  text[63] = 0;
  if (putenv(strdup(text))) abort();
}

static void environment(void) {
  put_environment();
  for (int i = 0; i < 100; i++) {
    char name[32];
    snprintf(name, sizeof name, "PLACES%d", i);
    setenv(name, "a value of some length, so that it is a block of its own", 1);
  }
  churn();
  const char *value = getenv("PLACES"), *late = getenv("PLACES77");
  printf("%s %s\n", value ? value : "-", late ? late : "-");
}

static void on_end(int status, void *arg) {
  (void)status;
  tell(arg);
}

/* More exit handlers than the C library has room for at first. */
static void exit_handlers(void) {
  for (int i = 0; i < 100; i++) on_exit(on_end, (void *)~make_hidden());
  churn();
  exit(0);
}

static void library_state(void) {
  setlocale(LC_ALL, "C.UTF-8");
  locale_t other = newlocale(LC_ALL_MASK, "C.UTF-8", (locale_t)0);
  uselocale(other);
  void *module = dlopen("libm.so.6", RTLD_NOW);
  FILE *file = fopen("/proc/self/stat", "r");
  if (!module || !file || fgetc(file) == EOF) abort();
  churn();
  double (*root_of)(double) = (double (*)(double))(uintptr_t)dlsym(module, "sqrt");
  wchar_t wide[8];
  printf("%g %zu %d %s\n", root_of(2), mbstowcs(wide, "\xc3\xa4x", 8), fgetc(file) != EOF, localeconv()->decimal_point);
  fclose(file);
  dlclose(module);
  uselocale(LC_GLOBAL_LOCALE);
  freelocale(other);
}

/* A guard page in the midst of a small block, by advice where the kernel has it; else as ever. */
static void guarded(void) {
  enum { advice = 102 /* MADV_GUARD_INSTALL */, pages = 4 };
  static void *volatile *block;
  block = aligned_alloc(page, pages * page);
  memset((void *)block, 0, pages * page);
  root(block + 2 * page / sizeof *block);
  void *guard = (char *)block + page;
  if (madvise(guard, page, advice) != 0 && mprotect(guard, page, PROT_NONE) != 0) abort();
  churn_and_tell(block + 2 * page / sizeof *block);
  if (syscall(SYS_madvise, guard, (size_t)page, advice) != 0 && errno != EINVAL) abort();
  churn_and_tell(block + 2 * page / sizeof *block);
}

static void stream_buffer(void) {
  setvbuf(stdout, malloc(10000), _IOFBF, 10000);
  for (int i = 0; i < 100; i++) printf("%d ", i);
  churn();
  puts("said");
}

#define SCENARIO(name) {#name, name}
static const struct scenario table[] = {
    SCENARIO(generated_code), SCENARIO(generated_instruction), SCENARIO(generated_shared), SCENARIO(file_in_dev), SCENARIO(execute_only), SCENARIO(shared_forgotten), SCENARIO(shared_written), SCENARIO(shared_on_disk),
    SCENARIO(paged_out), SCENARIO(paged_out_shared), SCENARIO(moved), SCENARIO(module_data), SCENARIO(module_tls),
    SCENARIO(module_tls_of_thread), SCENARIO(alternate_above), SCENARIO(carved), SCENARIO(alternate_in_heap),
    SCENARIO(alternate_of_thread), SCENARIO(gs_base), SCENARIO(small_stack), SCENARIO(vanished_thread), SCENARIO(environment),
    SCENARIO(exit_handlers), SCENARIO(library_state), SCENARIO(stream_buffer), SCENARIO(guarded),
};

int main(int argc, char **argv) {
  alarm(120);
  for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
    if (argc < 2) puts(table[i].name);
    else if (strcmp(argv[1], table[i].name) == 0) table[i].run();
  }
  fflush(stdout);
  return 0;
}
