/* SPDX-License-Identifier: MIT
 * Programs that leak in every shape: each loses many times what it keeps. See leaking.h and leaking.sh. */
#include "leaking.h"

#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>

/* How many rounds of so many bytes make up what is to be lost. */
static unsigned rounds_of(size_t bytes) { return (unsigned)(leaking_bytes / bytes); }

/* --- shapes --- */

APART static unsigned list_once(unsigned count, size_t size) {
  return list_intact(list_new(count, size), count, size);
}

static void list(void) {
  unsigned sum = 0;
  for (unsigned i = rounds_of(1000 * 64); i > 0; i--) sum += list_once(1000, 64);
  printf("%u nodes\n", sum);
}

static void long_list(void) {
  unsigned sum = 0;
  for (unsigned i = rounds_of(50000 * 48); i > 0; i--) sum += list_once(50000, 48);
  printf("%u nodes\n", sum);
}

APART static unsigned ring_once(unsigned count, size_t size) {
  struct node *first = node_new(0, size), *last = first;
  for (unsigned i = 1; i < count; i++) {
    last->next = node_new(i, size);
    last->next->other = last;
    last = last->next;
  }
  last->next = first;
  first->other = last;
  return list_intact(first, count, size);
}

static void doubly_linked(void) {
  unsigned sum = 0;
  for (unsigned i = rounds_of(500 * 96); i > 0; i--) sum += ring_once(500, 96);
  printf("%u nodes\n", sum);
}

static void cycles(void) {
  unsigned sum = 0;
  for (unsigned i = rounds_of(32 + 2 * 40 + 3 * 128); i > 0; i--) sum += ring_once(1, 32) + ring_once(2, 40) + ring_once(3, 128);
  printf("%u nodes\n", sum);
}

APART static unsigned tree_once(unsigned depth, size_t size) {
  return tree_intact(tree_new(depth, 1, size), depth, 1, size);
}

static void trees(void) {
  unsigned sum = 0;
  for (unsigned i = rounds_of(1023 * 56); i > 0; i--) sum += tree_once(10, 56);
  printf("%u nodes\n", sum);
}

APART static unsigned char large_once(uint64_t *random) {
  size_t size = (1 << 20) + leaking_random(random) % (3 << 20);
  unsigned char *p = malloc(size);
  if (!p) abort();
  memset(p, (int)size, size);
  return p[size / 2];
}

static void large(void) {
  uint64_t random = 1;
  unsigned sum = 0;
  for (unsigned i = 2 * rounds_of(5 << 19); i > 0; i--) sum += large_once(&random);
  printf("sum %u\n", sum);
}

APART static size_t sizes_once(uint64_t *random) {
  static const unsigned most[] = {16, 64, 256, 1024, 4096, 20000, 70000, 200000};
  size_t size = leaking_random(random) % most[leaking_random(random) % 8] + 1;
  unsigned char *p = malloc(size);
  if (!p) abort();
  memset(p, (int)size, size);
  return p[0] == p[size - 1] ? size : 0;
}

static void sizes(void) {
  uint64_t random = 2;
  size_t sum = 0;
  while (sum < leaking_bytes) sum += sizes_once(&random);
  printf("%zu bytes\n", sum);
}

APART static size_t aligned_once(uint64_t *random) {
  size_t align = (size_t)16 << leaking_random(random) % 9, size = leaking_random(random) % 3000 + 1;
  void *p = NULL;
  if (posix_memalign(&p, align, size) || (uintptr_t)p % align) abort();
  memset(p, 1, size);
  return size;
}

static void aligned(void) {
  uint64_t random = 3;
  size_t sum = 0;
  while (sum < leaking_bytes) sum += aligned_once(&random);
  printf("%zu bytes\n", sum);
}

APART static unsigned realloc_once(uint64_t *random) {
  unsigned char *p = NULL;
  unsigned size = 0, sum = 0;
  while (size < 100000) {
    unsigned old = size;
    size += size / 2 + (unsigned)(leaking_random(random) % 100) + 1;
    p = realloc(p, size);
    if (!p) abort();
    for (unsigned i = old; i < size; i++) p[i] = (unsigned char)i;
  }
  for (unsigned i = 0; i < size; i++) sum += p[i] == (unsigned char)i;
  return sum;
}

static void realloc_chains(void) {
  uint64_t random = 4;
  size_t sum = 0;
  while (sum < leaking_bytes) sum += realloc_once(&random);
  printf("%zu bytes\n", sum);
}

/* Reclaimed memory that calloc hands out again. */
APART static unsigned zeroed_once(size_t size) {
  unsigned bad = 0;
  unsigned char *p = calloc(1, size);
  for (size_t i = 0; i < size; i++) bad += p[i] != 0;
  memset(p, 0xff, size);
  return bad;
}

static void zeroed(void) {
  unsigned bad = 0;
  for (unsigned i = 0; i < rounds_of(4000); i++) bad += zeroed_once(i % 8000 + 1);
  printf("%u bytes not zero\n", bad);
}

APART static size_t text_once(unsigned i) {
  char *p = NULL, *copy;
  if (asprintf(&p, "%u is a number, and this text is to be lost after a while: %0100u", i, i) < 0) abort();
  copy = strdup(p);
  return strlen(copy) + strlen(strndup(copy + 20, 50));
}

static void text(void) {
  size_t sum = 0;
  for (unsigned i = 0; i < rounds_of(400); i++) sum += text_once(i);
  printf("%zu characters\n", sum);
}

/* --- programs that free some --- */

APART static unsigned some_freed_once(uint64_t *random) {
  struct node *p[100];
  unsigned sum = 0;
  for (unsigned i = 0; i < 100; i++) p[i] = node_new(i, 24 + leaking_random(random) % 500);
  for (unsigned i = 0; i < 100; i++) sum += (unsigned)p[i]->value;
  for (unsigned i = 0; i < 100; i++)
    if (leaking_random(random) % 10) free(p[i]);
  return sum;
}

static void most_freed(void) {
  uint64_t random = 5;
  unsigned sum = 0;
  for (unsigned i = rounds_of(10 * 274); i > 0; i--) sum += some_freed_once(&random);
  printf("sum %u\n", sum);
}

APART static unsigned heads_once(void) {
  struct node *first = list_new(50, 100);
  unsigned n = list_intact(first, 50, 100);
  free(first); /* and forgets the others */
  return n;
}

static void freed_heads(void) {
  unsigned sum = 0;
  for (unsigned i = rounds_of(50 * 100); i > 0; i--) sum += heads_once();
  printf("%u nodes\n", sum);
}

/* --- old memory that points to young --- */

enum { table_size = 10000, table_node = 200 };

APART static void table_replace(struct node **table, unsigned k, uint64_t value) {
  if (table[k] && !node_intact(table[k], table_node)) abort();
  table[k] = node_new(value * table_size + k, table_node); /* what was there is lost */
}

APART static unsigned table_check(struct node **table) {
  unsigned sum = 0;
  for (unsigned k = 0; k < table_size; k++) sum += table[k] && table[k]->value % table_size == k && node_intact(table[k], table_node);
  return sum;
}

static void replaced(void) {
  static struct node **volatile table;
  uint64_t random = 6;
  table = calloc(table_size, sizeof *table);
  for (unsigned i = rounds_of(table_node); i > 0; i--) table_replace(table, (unsigned)(leaking_random(&random) % table_size), i);
  printf("%u entries\n", table_check(table));
}

/* The nodes of the tree that is kept have others appended now and then, and lose them again. */
static void appended(void) {
  uint64_t random = 7;
  unsigned sum = 0;
  struct node **leaf = calloc(1000, sizeof *leaf);
  for (unsigned i = 0; i < 1000; i++) {
    leaf[i] = kept;
    for (unsigned d = 1; d < kept_depth; d++) leaf[i] = leaking_random(&random) % 2 ? leaf[i]->next : leaf[i]->other;
  }
  for (unsigned i = rounds_of(20 * 80); i > 0; i--) {
    struct node *n = leaf[leaking_random(&random) % 1000];
    if (n->next) sum += list_intact(n->next, 20, 80);
    n->next = list_new(20, 80);
  }
  for (unsigned i = 0; i < 1000; i++) leaf[i]->next = NULL;
  printf("%u nodes\n", sum);
}

/* First in, first out: what is taken out still points to what is in. */
static void queue(void) {
  static struct node *volatile head, *volatile tail;
  uint64_t sum = 0;
  head = tail = node_new(0, 100);
  for (unsigned i = 1; i < rounds_of(100); i++) {
    tail->next = node_new(i, 100);
    tail = tail->next;
    if (i <= 1000) continue;
    sum += node_intact(head, 100) ? head->value : 0;
    head = head->next;
  }
  printf("sum %llu\n", (unsigned long long)sum);
}

/* --- threads --- */

static void *thread_leaks(void *arg) {
  uintptr_t sum = 0;
  for (unsigned i = 0; i < (unsigned)(uintptr_t)arg; i++) sum += list_once(100, 72);
  return (void *)sum;
}

APART static size_t thread_join_all(pthread_t *thread, unsigned count) {
  size_t sum = 0;
  for (unsigned i = 0; i < count; i++) {
    void *result;
    if (pthread_join(thread[i], &result)) abort();
    sum += (uintptr_t)result;
  }
  return sum;
}

APART static size_t threads_once(unsigned count, unsigned lists) {
  pthread_t thread[32];
  for (unsigned i = 0; i < count; i++)
    if (pthread_create(&thread[i], NULL, thread_leaks, (void *)(uintptr_t)lists)) abort();
  return thread_join_all(thread, count);
}

/* Many that come and go, and leave what they leaked. */
static void threads_come_and_go(void) {
  size_t sum = 0;
  for (unsigned i = rounds_of(4 * 50 * 7200); i > 0; i--) sum += threads_once(4, 50);
  printf("%zu nodes\n", sum);
}

static void threads_at_once(void) { printf("%zu nodes\n", threads_once(16, rounds_of(16 * 7200))); }

static pthread_key_t thread_key;
static __thread struct node *thread_local_list;

static void *thread_holds(void *arg) {
  thread_local_list = list_new(200, 100);
  pthread_setspecific(thread_key, list_new(200, 100));
  size_t sum = (uintptr_t)thread_leaks(arg);
  sum += list_intact(thread_local_list, 200, 100) + list_intact(pthread_getspecific(thread_key), 200, 100);
  return (void *)sum;
}

/* What their thread-local variables hold lives as long as they do. */
static void threads_hold(void) {
  size_t sum = 0;
  pthread_key_create(&thread_key, NULL);
  for (unsigned i = rounds_of(3 * (10 * 7200 + 40000)); i > 0; i--) {
    pthread_t thread[3];
    for (unsigned k = 0; k < 3; k++)
      if (pthread_create(&thread[k], NULL, thread_holds, (void *)10)) abort();
    sum += thread_join_all(thread, 3);
  }
  printf("%zu nodes\n", sum);
}

/* A thread blocked in the kernel, whose stack alone knows a list. */
static int thread_pipe[2];
static void *thread_sleeps(void *arg) {
  char c;
  struct node *mine = list_new(1000, 64);
  if (read(thread_pipe[0], &c, 1) != 1) abort();
  (void)arg;
  return (void *)(uintptr_t)list_intact(mine, 1000, 64);
}

static void threads_sleep(void) {
  pthread_t thread[8];
  if (pipe(thread_pipe)) abort();
  for (unsigned i = 0; i < 8; i++)
    if (pthread_create(&thread[i], NULL, thread_sleeps, NULL)) abort();
  list();
  if (write(thread_pipe[1], "12345678", 8) != 8) abort();
  printf("%zu nodes\n", thread_join_all(thread, 8));
}

/* Signals come meanwhile. */
static volatile sig_atomic_t signals_seen;
static void on_alarm(int number) {
  (void)number;
  signals_seen++;
}

static void signals(void) {
  struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
  struct itimerval often = {{0, 2000}, {0, 2000}}, never = {{0, 0}, {0, 0}};
  sigaction(SIGALRM, &action, NULL);
  setitimer(ITIMER_REAL, &often, NULL);
  trees();
  setitimer(ITIMER_REAL, &never, NULL);
  printf("signals came: %d\n", signals_seen > 0);
}

/* --- processes --- */

APART static void fork_child(const char *name) {
  list();
  tell_kept();
  tell_peak(name);
  fflush(stdout);
  _exit(23);
}

APART static void fork_once(const char *name) {
  int status;
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) fork_child(name);
  if (pid < 0 || waitpid(pid, &status, 0) != pid) abort();
  printf("child: status %d\n", status);
}

static void fork_in_the_middle(void) {
  size_t all = leaking_bytes;
  leaking_bytes = all / 2;
  trees();
  fork_once("fork_in_the_middle.child");
  leaking_bytes = all;
  trees();
}

static void *fork_thread(void *arg) {
  (void)arg;
  fork_once("fork_from_a_thread.child");
  return NULL;
}

static void fork_from_a_thread(void) {
  pthread_t thread[3], forker;
  for (unsigned i = 0; i < 3; i++)
    if (pthread_create(&thread[i], NULL, thread_leaks, (void *)(uintptr_t)rounds_of(3 * 7200))) abort();
  usleep(20000);
  if (pthread_create(&forker, NULL, fork_thread, NULL)) abort();
  thread_join_all(&forker, 1);
  printf("%zu nodes\n", thread_join_all(thread, 3));
}

/* --- modules --- */

/* A module keeps a list in its data as long as it is loaded, and leaks. */
APART static unsigned module_once(const char *name) {
  void *module = dlopen(name, RTLD_NOW | RTLD_LOCAL);
  if (!module) abort();
  void (*begin)(void) = (void (*)(void))dlsym(module, "leaking_module_begin");
  unsigned (*end)(void) = (unsigned (*)(void))dlsym(module, "leaking_module_end");
  begin();
  unsigned sum = 0;
  for (unsigned i = 0; i < 10; i++) sum += list_once(1000, 64);
  sum += end();
  dlclose(module);
  return sum;
}

static void modules(void) {
  char name[4096];
  ssize_t length = readlink("/proc/self/exe", name, sizeof name - 64);
  unsigned sum = 0;
  if (length < 0) abort();
  name[length] = '\0';
  strcpy(strrchr(name, '/'), "/leaking_module.so");
  for (unsigned i = rounds_of(12 * 64000); i > 0; i--) sum += module_once(name);
  printf("%u nodes\n", sum);
}

#define SCENARIO(name) {#name, name}
static const struct scenario table[] = {
    SCENARIO(list), SCENARIO(long_list), SCENARIO(doubly_linked), SCENARIO(cycles), SCENARIO(trees), SCENARIO(large),
    SCENARIO(sizes), SCENARIO(aligned), SCENARIO(realloc_chains), SCENARIO(zeroed), SCENARIO(text), SCENARIO(most_freed),
    SCENARIO(freed_heads), SCENARIO(replaced), SCENARIO(appended), SCENARIO(queue), SCENARIO(threads_come_and_go),
    SCENARIO(threads_at_once), SCENARIO(threads_hold), SCENARIO(threads_sleep), SCENARIO(signals),
    SCENARIO(fork_in_the_middle), SCENARIO(fork_from_a_thread), SCENARIO(modules),
};

LEAKING_MAIN(table)
