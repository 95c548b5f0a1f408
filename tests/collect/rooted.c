/* SPDX-License-Identifier: MIT
 * Where the only pointer to a list may lie: each place keeps the list, through collections and whatever is then put where
 * the list would have been. rooted SCENARIO says how many of the nodes are intact; rooted SCENARIO drop clears the place and says
 * whether the list is gone, where that can be asked. */
#include "leaking.h"

#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>

enum { page = 4096, rw = PROT_READ | PROT_WRITE, rooted_count = 300, rooted_size = 64 };

static bool rooted_drop;
static uintptr_t rooted_first; /* complement of the list's first node */

/* Clears the dead stack and the registers that a call may change. */
APART static void scrub(void) {
  volatile char dead[32 * 1024];
  for (size_t i = 0; i < sizeof dead; i += 8) *(volatile uint64_t *)&dead[i] = 0;
  __asm__ volatile("xor %%eax, %%eax\n\txor %%ecx, %%ecx\n\txor %%edx, %%edx\n\txor %%esi, %%esi\n\txor %%edi, %%edi\n\t"
                   "xor %%r8d, %%r8d\n\txor %%r9d, %%r9d\n\txor %%r10d, %%r10d\n\txor %%r11d, %%r11d\n\t"
                   "pxor %%xmm0, %%xmm0\n\tpxor %%xmm1, %%xmm1\n\tpxor %%xmm2, %%xmm2\n\tpxor %%xmm3, %%xmm3\n\t"
                   "pxor %%xmm4, %%xmm4\n\tpxor %%xmm5, %%xmm5\n\tpxor %%xmm6, %%xmm6\n\tpxor %%xmm7, %%xmm7"
                   :
                   :
                   : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4",
                     "xmm5", "xmm6", "xmm7", "memory");
}

/* The complement of a new list's address. */
APART static uintptr_t make_hidden(void) {
  uintptr_t p = (uintptr_t)list_new(rooted_count, rooted_size);
  rooted_first = ~p;
  return ~p;
}

APART static void root(void *volatile *place) {
  *place = (void *)~make_hidden();
  if (rooted_drop) *place = NULL;
}

APART static void churn_once(unsigned count, size_t size) {
  struct node *n = list_new(count, size);
  memset(n->more, 0xff, size - sizeof *n);
}

/* One that comes to nothing, because a thread did not answer in time on a loaded machine, does not count. */
APART static void collect_thrice(long (*collect)(int generation, void *facts)) {
  for (int tries = 0, done = 0; tries < 60 && done < 3; tries++) {
    if (collect(2, NULL) >= 0) done++;
    else usleep(1000);
  }
}

/* Collections, if there are any; and new blocks of the same size where the list was, if it is gone. */
APART static void churn(void) {
  long (*collect)(int generation, void *facts) = (long (*)(int, void *))dlsym(RTLD_DEFAULT, "GC_collect");
  scrub();
  if (collect) collect_thrice(collect);
  for (int i = 0; i < (collect ? 20 : 700); i++) churn_once(1000, rooted_size);
  if (collect) collect_thrice(collect);
}

/* What the scenario says in the end. */
APART static void tell(void) {
  void *(*base)(void *p) = (void *(*)(void *))dlsym(RTLD_DEFAULT, "GC_base");
  const struct node *first = (const struct node *)~rooted_first;
  if (!rooted_drop) printf("%u nodes\n", list_intact(first, rooted_count, rooted_size));
  else if (!base) printf("gone\n");
  else printf("%s\n", base((void *)~rooted_first) != (void *)~rooted_first || !list_intact(first, 1, rooted_size) ? "gone" : "kept");
}

static void *volatile data_place = (void *)1, *volatile bss_place;
static void data(void) { root(&data_place); }
static void bss(void) { root(&bss_place); }

static void *volatile relro_place[2 * page / sizeof(void *)]
    __attribute__((section(".data.rel.ro"), aligned(page))) = {(void *)&bss_place};

/* Data that the loader has made read-only. */
static void relro(void) {
  void *start = (void *)(uintptr_t)relro_place;
  if (mprotect(start, sizeof relro_place, rw)) abort();
  root(&relro_place[700]);
  if (mprotect(start, sizeof relro_place, PROT_READ)) abort();
}

APART static void **map(size_t bytes, int protection, int flags, int fd) {
  void *p = mmap(NULL, bytes, protection, flags, fd, 0);
  if (p == MAP_FAILED) abort();
  return p;
}

enum { private = MAP_PRIVATE | MAP_ANONYMOUS, shared = MAP_SHARED | MAP_ANONYMOUS };

static void mapped(void) { root(&map(10 * page, rw, private, -1)[1000]); }
static void mapped_shared(void) { root(&map(10 * page, rw, shared, -1)[1000]); }

static void mapped_then(int flags, int protection) {
  void **p = map(10 * page, rw, flags, -1);
  root(&p[1000]);
  if (mprotect(p, 10 * page, protection)) abort();
}
static void mapped_read_only(void) { mapped_then(private, PROT_READ); }
static void mapped_unreadable(void) { mapped_then(private, PROT_NONE); }
static void mapped_shared_read_only(void) { mapped_then(shared, PROT_READ); }

static int memory_file(void) {
  int fd = memfd_create("root", MFD_CLOEXEC);
  if (fd < 0 || ftruncate(fd, 10 * page)) abort();
  return fd;
}
static void mapped_file(void) { root(&map(10 * page, rw, MAP_PRIVATE, memory_file())[1000]); }
static void mapped_file_shared(void) { root(&map(10 * page, rw, MAP_SHARED, memory_file())[1000]); }
/* It reaches beyond the end of its file, where reading kills. */
static void mapped_past_end(void) { root(&map(20 * page, rw, MAP_SHARED, memory_file())[1000]); }

static void mapped_sparse(void) {
  size_t words = ((size_t)64 << 30) / sizeof(void *);
  root(&map(words * sizeof(void *), rw, private | MAP_NORESERVE, -1)[words / 3]);
}

/* Written through another mapping of the same file. */
static void mapped_twice(void) {
  int fd = memory_file();
  void **one = map(10 * page, rw, MAP_SHARED, fd);
  root(&one[1000]);
  map(10 * page, rw, MAP_SHARED, fd);
  munmap(one, 10 * page);
}

static void broken(void) {
  char *p = sbrk(8 * page);
  if (p == (char *)-1) abort();
  root((void **)(void *)(((uintptr_t)p + 5000) & ~(uintptr_t)7));
}

static __thread void *volatile tls_place;
static void tls(void) { root(&tls_place); }

APART static void set_key(unsigned count) {
  pthread_key_t key = 0;
  for (unsigned i = 0; i < count; i++)
    if (pthread_key_create(&key, NULL)) abort();
  if (pthread_setspecific(key, (void *)~make_hidden())) abort();
  if (rooted_drop) pthread_setspecific(key, NULL);
}
static void key(void) { set_key(1); }
static void late_key(void) { set_key(1000); }

/* In another block, which only a pointer to its end knows. */
static void end_of_block(void) {
  static void *volatile end;
  void **block = calloc(8, sizeof *block);
  root(&block[3]);
  end = block + 8;
  if (!end) abort();
}

static jmp_buf jump;
/* Calls setjmp with a pointer in rbp alone, which glibc stores in a mangled form. */
__attribute__((naked)) static int jump_with(uintptr_t cell __attribute__((unused)),
                                           struct __jmp_buf_tag *buffer __attribute__((unused))) {
  __asm__("push %rbp\n\tmov %rdi, %rbp\n\tnot %rbp\n\tmov %rsi, %rdi\n\tcall _setjmp@plt\n\tpop %rbp\n\tret");
}
static void mangled(void) {
  uintptr_t cell = make_hidden();
  jump_with(rooted_drop ? ~(uintptr_t)0 : cell, jump);
}

/* --- other threads --- */

/* Used by assembly. */
static _Atomic int ready __attribute__((used));
static uintptr_t cells[8] __attribute__((used));

APART static void start(void *(*function)(void *), bool detached) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, function, NULL)) abort();
  if (detached) pthread_detach(thread);
}

APART static _Noreturn void sleep_forever(void) {
  ready = 1;
  for (;;) pause();
}

static void *stack_holder(void *arg) {
  void *volatile place;
  root(&place);
  scrub();
  __asm__ volatile("" : : "r"(&place), "r"(arg) : "memory");
  sleep_forever();
}
static void thread_stack(void) {
  start(stack_holder, true);
  while (!ready) sched_yield();
}

static void *tls_holder(void *arg) {
  (void)arg;
  root(&tls_place);
  scrub();
  sleep_forever();
}
static void thread_tls(void) {
  start(tls_holder, true);
  while (!ready) sched_yield();
}

static volatile pid_t result_id;
static void *result_maker(void *arg) {
  (void)arg;
  uintptr_t p = ~make_hidden();
  result_id = (pid_t)syscall(SYS_gettid);
  ready = 1;
  return rooted_drop ? NULL : (void *)p;
}
/* The result of a thread that has ended and was not joined. */
static void thread_result(void) {
  start(result_maker, false);
  while (!ready) sched_yield();
  while (syscall(SYS_tgkill, getpid(), result_id, 0) == 0) usleep(1000); /* the kernel still has it */
}

#define HOLD(name, load, wait)                                                                               \
  __attribute__((naked)) static void *name(void *arg __attribute__((unused))) {                              \
    __asm__("lea cells(%rip), %rdi\n\tmov (%rdi), %rax\n\tnot %rax\n\t" load "\n\txor %eax, %eax\n\txor %edi, %edi\n\t" \
            "movl $1, ready(%rip)\n\t" wait);                                                                \
  }
#define SPIN "1: pause\n\tjmp 1b"
#define SLEEP "1: mov $34, %eax\n\tsyscall\n\tjmp 1b"
HOLD(general_spins, "mov %rax, %r9", SPIN)
HOLD(general_sleeps, "mov %rax, %r13", SLEEP)
HOLD(vector_spins, "movq %rax, %xmm9", SPIN)
HOLD(vector_sleeps, "movq %rax, %xmm12", SLEEP)
HOLD(red_zone_sleeps, "mov %rax, -24(%rsp)", SLEEP)

APART static void in_thread(void *(*function)(void *)) {
  cells[0] = make_hidden();
  if (rooted_drop) cells[0] = ~(uintptr_t)0;
  scrub();
  start(function, true);
  while (!ready) sched_yield();
}
static void register_running(void) { in_thread(general_spins); }
static void register_asleep(void) { in_thread(general_sleeps); }
static void vector_running(void) { in_thread(vector_spins); }
static void vector_asleep(void) { in_thread(vector_sleeps); }
static void red_zone(void) { in_thread(red_zone_sleeps); }

/* A thread that libc does not know, on a stack of its own. */
static int raw_main(void *arg) {
  void *volatile place;
  root(&place);
  __asm__ volatile("" : : "r"(&place), "r"(arg) : "memory");
  ready = 1;
  for (;;) syscall(SYS_pause);
  return 0;
}
static void raw_thread(void) {
  char *stack = (char *)map(64 * page, rw, private, -1);
  if (clone(raw_main, stack + 64 * page, CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM, NULL) < 0)
    abort();
  while (!ready) sched_yield();
}

static void on_signal(int number) { (void)number; }
/* An alternate signal stack, below what is in use of it. */
static void alternate_stack(void) {
  void **stack = map(16 * page, rw, private, -1);
  stack_t ss = {.ss_sp = stack, .ss_size = 16 * page};
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK};
  if (sigaltstack(&ss, NULL) || sigaction(SIGUSR1, &action, NULL) || raise(SIGUSR1)) abort();
  root(&stack[16]);
}

#define SCENARIO(name) {#name, name}
static const struct scenario table[] = {
    SCENARIO(data), SCENARIO(bss), SCENARIO(relro), SCENARIO(mapped), SCENARIO(mapped_shared), SCENARIO(mapped_read_only),
    SCENARIO(mapped_unreadable), SCENARIO(mapped_shared_read_only), SCENARIO(mapped_file), SCENARIO(mapped_file_shared),
    SCENARIO(mapped_past_end), SCENARIO(mapped_sparse), SCENARIO(mapped_twice), SCENARIO(broken), SCENARIO(tls), SCENARIO(key),
    SCENARIO(late_key), SCENARIO(end_of_block), SCENARIO(mangled), SCENARIO(thread_stack), SCENARIO(thread_tls),
    SCENARIO(thread_result), SCENARIO(register_running), SCENARIO(register_asleep), SCENARIO(vector_running),
    SCENARIO(vector_asleep), SCENARIO(red_zone), SCENARIO(raw_thread), SCENARIO(alternate_stack),
};

/* In frames that are gone when the search begins. */
APART static bool run(const char *name) {
  for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
    if (strcmp(name, table[i].name) == 0) {
      table[i].run();
      return true;
    }
  return false;
}

int main(int argc, char **argv) {
  for (size_t i = 0; argc < 2 && i < sizeof table / sizeof table[0]; i++) puts(table[i].name);
  if (argc < 2) return 0;
  rooted_drop = argc > 2;
  alarm(120);
  if (!run(argv[1])) return 70;
  churn();
  tell();
  fflush(stdout);
  _exit(0);
}
