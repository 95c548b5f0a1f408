/* SPDX-License-Identifier: MIT
 * Where the only pointer to a block may lie: each place keeps it, and when the place is cleared the block is lost.
 * Threads, coroutines and modules have programs of their own. */
#include "leaky.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>

enum { page = 4096, size = 64 };

/* Puts a new block's address into the place; in the control run takes it out again. */
APART static void root(void *volatile *place) {
  *place = make(size);
  if (scenario_drop) *place = NULL;
}

static void *volatile data_place = (void *)1, *volatile bss_place;

/* @ data root=64 -- initialised data */
static void data(void) { root(&data_place); }

/* @ bss root=64 -- zero-initialised data */
static void bss(void) { root(&bss_place); }

/* @ function_static root=64 -- a static variable of a function */
static void function_static(void) {
  static void *volatile place[100];
  root(&place[99]);
}

static void *volatile relro_place[2 * page / sizeof(void *)]
    __attribute__((section(".data.rel.ro"), aligned(page))) = {(void *)&bss_place};

/* @ relro root=64 -- data that the loader has made read-only */
static void relro(void) {
  void *start = (void *)(uintptr_t)relro_place;
  if (mprotect(start, sizeof relro_place, PROT_READ | PROT_WRITE)) abort();
  root(&relro_place[700]);
  if (mprotect(start, sizeof relro_place, PROT_READ)) abort();
}

static void *volatile guarded_place[4 * page / sizeof(void *)] __attribute__((aligned(page)));

/* @ guarded_globals root=64 -- globals with pages in their midst that cannot be read */
static void guarded_globals(void) {
  if (mprotect((char *)(uintptr_t)guarded_place + page, page, PROT_NONE)) abort();
  guarded_place[0] = make(size);
  root(&guarded_place[4 * page / sizeof(void *) - 1]);
}

APART static void **map(size_t bytes, int protection, int flags, int fd) {
  void *p = mmap(NULL, bytes, protection, flags, fd, 0);
  if (p == MAP_FAILED) abort();
  return p;
}

enum { rw = PROT_READ | PROT_WRITE };

/* @ mapped root=64 -- an anonymous mapping */
static void mapped(void) { root(&map(10 * page, rw, MAP_PRIVATE | MAP_ANONYMOUS, -1)[1000]); }

/* @ mapped_executable root=64 -- one that is executable as well */
static void mapped_executable(void) {
  root(&map(10 * page, rw | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1)[1000]);
}

/* @ mapped_shared root=64 -- a shared anonymous mapping */
static void mapped_shared(void) { root(&map(10 * page, rw, MAP_SHARED | MAP_ANONYMOUS, -1)[1000]); }

/* @ mapped_read_only root=64 -- a mapping that was written and then made read-only */
static void mapped_read_only(void) {
  void **p = map(10 * page, rw, MAP_PRIVATE | MAP_ANONYMOUS, -1);
  root(&p[1000]);
  if (mprotect(p, 10 * page, PROT_READ)) abort();
}

/* @ mapped_shared_read_only root=64 -- the same with a shared one */
static void mapped_shared_read_only(void) {
  void **p = map(10 * page, rw, MAP_SHARED | MAP_ANONYMOUS, -1);
  root(&p[1000]);
  if (mprotect(p, 10 * page, PROT_READ)) abort();
}

static int memory_file(void) {
  int fd = memfd_create("root", MFD_CLOEXEC);
  if (fd < 0 || ftruncate(fd, 10 * page)) abort();
  return fd;
}

/* @ mapped_file root=64 -- a private mapping of a file, written */
static void mapped_file(void) { root(&map(10 * page, rw, MAP_PRIVATE, memory_file())[1000]); }

/* @ mapped_file_read_only root=64 -- and made read-only */
static void mapped_file_read_only(void) {
  void **p = map(10 * page, rw, MAP_PRIVATE, memory_file());
  root(&p[1000]);
  if (mprotect(p, 10 * page, PROT_READ)) abort();
}

/* @ mapped_file_shared root=64 -- a shared mapping of a file */
static void mapped_file_shared(void) { root(&map(10 * page, rw, MAP_SHARED, memory_file())[1000]); }

/* @ mapped_past_end root=64 -- one that reaches beyond the end of its file, where reading kills */
static void mapped_past_end(void) {
  root(&map(20 * page, rw, MAP_SHARED, memory_file())[1000]);
  map(20 * page, rw, MAP_PRIVATE, memory_file())[3] = NULL;
}

/* @ mapped_with_holes root=64 -- a mapping with guard pages inside */
static void mapped_with_holes(void) {
  char *p = (char *)map(64 * page, rw, MAP_PRIVATE | MAP_ANONYMOUS, -1);
  for (int i = 1; i < 64; i += 2)
    if (mprotect(p + i * page, page, PROT_NONE)) abort();
  root((void **)(void *)(p + 62 * page));
}

/* @ mapped_sparse root=64 -- a mapping of 256 GiB in which one page was written */
static void mapped_sparse(void) {
  size_t words = ((size_t)256 << 30) / sizeof(void *);
  root(&map(words * sizeof(void *), rw, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1)[words / 3]);
}

/* @ mapped_huge_page root=64 -- a mapping that may consist of huge pages */
static void mapped_huge_page(void) {
  void **p = map(8 << 20, rw, MAP_PRIVATE | MAP_ANONYMOUS, -1);
  madvise(p, 8 << 20, MADV_HUGEPAGE);
  root(&p[(5 << 20) / sizeof *p]);
}

/* @ mapped_locked root=64 -- pages with special flags: not dumped, wiped on fork */
static void mapped_locked(void) {
  void **p = map(10 * page, rw, MAP_PRIVATE | MAP_ANONYMOUS, -1);
  madvise(p, 10 * page, MADV_DONTDUMP);
  madvise(p, 10 * page, MADV_WIPEONFORK);
  root(&p[1000]);
}

/* @ broken root=64 -- memory from sbrk */
static void broken(void) {
  char *p = sbrk(8 * page);
  if (p == (char *)-1) abort();
  root((void **)(void *)(((uintptr_t)p + 5000) & ~(uintptr_t)7));
}

static __thread void *volatile tls_place;
static __thread void *volatile tls_data[300] = {(void *)1};

/* @ tls root=64 -- a thread-local variable */
static void tls(void) { root(&tls_place); }

/* @ tls_initialised root=64 -- one with an initial value */
static void tls_initialised(void) { root(&tls_data[299]); }

APART static void fill_keys(int count) {
  for (int i = 0; i < count; i++) {
    pthread_key_t key;
    if (pthread_key_create(&key, NULL) || pthread_setspecific(key, make(size))) abort();
    if (scenario_drop) pthread_setspecific(key, NULL);
  }
}

/* @ key root=64 -- a thread-specific value */
static void key(void) { fill_keys(1); }

/* @ keys -- 64 of them, of which glibc keeps half in a block of its own
 * @ keys+drop definite 64 4096 rows=1 -- the control */
static void keys(void) { fill_keys(64); }

/* @ keys_late root=64 -- only the thousandth */
static void keys_late(void) {
  pthread_key_t key = 0;
  for (int i = 0; i < 1000; i++)
    if (pthread_key_create(&key, NULL)) abort();
  if (pthread_setspecific(key, make(size))) abort();
  if (scenario_drop) pthread_setspecific(key, NULL);
}

/* @ environment root=12 -- a string given to putenv */
static void environment(void) {
  if (putenv(strdup("LEAKY=value"))) abort();
  if (scenario_drop) unsetenv("LEAKY");
}

/* @ setenv_many -- what setenv keeps */
static void setenv_many(void) {
  char name[32];
  for (int i = 0; i < 200; i++) {
    snprintf(name, sizeof name, "LEAKY%d", i);
    if (setenv(name, "some value", 1)) abort();
  }
}

/* @ open_file -- a FILE that was never closed is known to libc */
static void open_file(void) {
  FILE *file = fopen("/proc/self/stat", "r");
  if (!file || fgetc(file) == EOF) abort();
}

/* @ own_buffer root=1000 -- stdout's buffer */
static void own_buffer(void) {
  static FILE *file;
  if (!scenario_drop) file = fopen("/dev/null", "w");
  char *buffer = make(1000);
  if (file) setvbuf(file, buffer, _IOFBF, 1000);
}

static jmp_buf jump;

/* Calls setjmp with a pointer in rbp alone, which glibc stores in a mangled form. */
__attribute__((naked)) static int jump_with(uintptr_t cell __attribute__((unused)),
                                           struct __jmp_buf_tag *buffer __attribute__((unused))) {
  __asm__("push %rbp\n\tmov %rdi, %rbp\n\tnot %rbp\n\tmov %rsi, %rdi\n\tcall _setjmp@plt\n\tpop %rbp\n\tret");
}

/* @ mangled root=64 -- a frame pointer in a jmp_buf, as coroutines keep it that are switched by longjmp */
static void mangled(void) {
  uintptr_t cell = make_hidden(size);
  jump_with(scenario_drop ? ~(uintptr_t)0 : cell, jump);
}

static void on_signal(int number) { (void)number; }

APART static void alternate(void *stack) {
  stack_t ss = {.ss_sp = stack, .ss_size = 64 * 1024};
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK};
  if (sigaltstack(&ss, NULL) || sigaction(SIGUSR1, &action, NULL) || raise(SIGUSR1)) abort();
}

/* @ alternate_stack root=65536 -- the alternate signal stack itself, which only the kernel knows */
static void alternate_stack(void) {
  alternate(make(64 * 1024));
  if (scenario_drop) sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, NULL);
}

/* @ alternate_mapped root=64 -- a pointer in an alternate signal stack that is mapped */
static void alternate_mapped(void) {
  void **stack = map(16 * page, rw, MAP_PRIVATE | MAP_ANONYMOUS, -1);
  alternate(stack);
  root(&stack[16]);
}

/* @ own_allocator root=64 -- an allocator of the program's own, in mappings with a guard before each */
static void own_allocator(void) {
  char *p = (char *)map(32 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
  for (int i = 1; i < 32; i += 2)
    if (mprotect(p + i * page, page, rw)) abort();
  root((void **)(void *)(p + 31 * page + 16));
}

/* @ remapped root=64 -- a mapping that was moved */
static void remapped(void) {
  void **p = map(4 * page, rw, MAP_PRIVATE | MAP_ANONYMOUS, -1);
  root(&p[7]);
  if (mremap(p, 4 * page, 4096 * page, MREMAP_MAYMOVE) == MAP_FAILED) abort();
}

/* @ unmapped definite 1 64 -- a mapping that is gone keeps nothing */
static void unmapped(void) {
  void **p = map(4 * page, rw, MAP_PRIVATE | MAP_ANONYMOUS, -1);
  root(&p[7]);
  munmap(p, 4 * page);
}

/* @ discarded definite 1 64 -- nor do pages given back to the kernel */
static void discarded(void) {
  void **p = map(4 * page, rw, MAP_PRIVATE | MAP_ANONYMOUS, -1);
  root(&p[7]);
  madvise(p, 4 * page, MADV_DONTNEED);
}

static const struct scenario table[] = {
    SCENARIO(data), SCENARIO(bss), SCENARIO(function_static), SCENARIO(relro), SCENARIO(guarded_globals),
    SCENARIO(mapped), SCENARIO(mapped_executable), SCENARIO(mapped_shared), SCENARIO(mapped_read_only),
    SCENARIO(mapped_shared_read_only), SCENARIO(mapped_file), SCENARIO(mapped_file_read_only),
    SCENARIO(mapped_file_shared), SCENARIO(mapped_past_end), SCENARIO(mapped_with_holes),
    SCENARIO(mapped_sparse),
    SCENARIO(mapped_huge_page), SCENARIO(mapped_locked), SCENARIO(broken), SCENARIO(tls),
    SCENARIO(tls_initialised),
    SCENARIO(key), SCENARIO(keys), SCENARIO(keys_late), SCENARIO(environment), SCENARIO(setenv_many),
    SCENARIO(open_file), SCENARIO(own_buffer), SCENARIO(alternate_stack), SCENARIO(alternate_mapped),
    SCENARIO(own_allocator), SCENARIO(remapped), SCENARIO(mangled), SCENARIO(unmapped), SCENARIO(discarded),
};

SCENARIO_MAIN(table)
