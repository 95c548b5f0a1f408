/* SPDX-License-Identifier: MIT
 * See graph.h. */
#include "config.h"

#include "graph.h"

#include "tap.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Keeps a pointer in a register or on the stack up to here: the shadow does not. */
#define GRAPH_KEEP(p) __asm__ volatile("" : : "r"(p) : "memory")

enum {
  graph_live = 1500,      /* nodes of a seat that are live, about */
  graph_entries_each = 2,  /* ambiguous words that each thread may leave on its stack */
  graph_entries_base = 8,
  graph_child_steps = 250,
  graph_parked_places = 6,
  graph_child_status = 42,
};

struct graph_thread {
  pthread_t thread;
  struct shadow_seat *seat;
  uint64_t random;
  unsigned steps, forks;
  bool here, leaves; /* there is one; it ends after this phase */
};

static const struct graph_setup *graph_setup;
static struct graph_thread graph_threads[shadow_most_seats];
static void *volatile graph_static_places[shadow_most_seats][shadow_static_places];
static __thread void *volatile graph_tls_places[shadow_tls_places];

/* Threads wait until the phase is another. */
static _Atomic int graph_phase, graph_parked;
static _Atomic uint64_t graph_id;
static _Atomic unsigned graph_collections, graph_refused, graph_forks;

/* In a quiet phase nothing is collected: what was born in it is young at the checkpoint. */
static bool graph_quiet;

/* --- choosing --- */

static uint64_t graph_random(struct graph_thread *t) { return tap_random(&t->random); }

static size_t graph_size(struct graph_thread *t) {
  uint64_t r = graph_random(t);
  unsigned kind = (unsigned)(r >> 40) % 1000;
  if (kind < 750) return r % 240 + 8;
  if (kind < 940) return r % 2000 + 8;
  if (kind < 990) return r % 30000 + 8;
  if (kind < 998) return r % 300000 + 8;
  return r % 2000000 + 8;
}

static const struct graph_kind *graph_choose_kind(struct graph_thread *t) {
  unsigned total = 0;
  for (unsigned i = 0; i < graph_setup->kind_count; i++) total += graph_setup->kinds[i].weight;
  unsigned pick = (unsigned)(graph_random(t) % total);
  for (unsigned i = 0;; i++) {
    if (pick < graph_setup->kinds[i].weight) return &graph_setup->kinds[i];
    pick -= graph_setup->kinds[i].weight;
  }
}

/* A place of this seat; full: one that holds something, or shadow_places when none was found soon. */
static unsigned graph_place(struct graph_thread *t, bool full) {
  for (int tries = 0; tries < 8; tries++) {
    unsigned k = (unsigned)(graph_random(t) % shadow_places);
    if (t->seat->place[k] && (!full || t->seat->root[k])) return k;
  }
  return full ? shadow_places : 0;
}

static bool graph_is_mine(const struct graph_thread *t, uint32_t ref) {
  return ref && shadow_owner(ref) == t->seat->number;
}

/* From a place along links, looking at all that is passed; the last node that is this seat's, or 0. */
SHADOW_APART static uint32_t graph_walk(struct graph_thread *t) {
  unsigned k = graph_place(t, true);
  if (k == shadow_places) return 0;
  shadow_place_intact(t->seat, k, "while the program runs");
  uint32_t ref = t->seat->root[k], mine = 0;
  for (unsigned steps = (unsigned)(graph_random(t) % 8); ref; steps--) {
    const struct shadow_node *n = shadow_node(ref);
    if (!shadow_intact(n, graph_is_mine(t, ref), "while the program runs")) return 0;
    if (!graph_is_mine(t, ref)) break;
    mine = ref;
    if (steps == 0 || n->links == 0) break;
    ref = n->link[graph_random(t) % n->links];
  }
  return mine;
}

/* --- what loses its last use --- */

static bool graph_is_certainly_dead(const struct graph_thread *t, uint32_t ref) {
  return graph_is_mine(t, ref) && shadow_node(ref)->uses == 0 && !shadow_node(ref)->shared;
}

/* Frees a node, and what only it led to. The caller keeps a pointer to it: what nothing points to may not be freed. */
SHADOW_APART static void graph_release(struct graph_thread *t, uint32_t ref, unsigned depth) {
  struct shadow_node *n = shadow_node(ref);
  shadow_intact(n, true, "before it is freed");
  for (unsigned i = 0; i < n->links; i++) {
    uint32_t to = n->link[i];
    void *kept = ((void *volatile *)shadow_address(n))[1 + i];
    shadow_set_link(ref, i, 0);
    if (depth < 500 && graph_is_certainly_dead(t, to)) graph_release(t, to, depth + 1);
    GRAPH_KEEP(kept);
  }
  graph_setup->release((void *)shadow_address(n));
  shadow_forget(ref);
}

static void graph_lost(struct graph_thread *t, uint32_t ref, unsigned percent) {
  if (!graph_is_certainly_dead(t, ref)) return;
  if (shadow_node(ref)->kind == SHADOW_UNCOLLECTABLE) percent = 100;
  if (graph_random(t) % 100 < percent) graph_release(t, ref, 0);
}

static void graph_put(struct graph_thread *t, unsigned k, uint32_t ref) {
  uint32_t old = t->seat->root[k];
  void *kept = *t->seat->place[k];
  shadow_set_root(t->seat, k, ref);
  if (old != ref) graph_lost(t, old, graph_setup->release_percent);
  GRAPH_KEEP(kept);
}

static void graph_join(struct graph_thread *t, uint32_t from, unsigned i, uint32_t ref) {
  uint32_t old = shadow_node(from)->link[i];
  void *kept = ((void *volatile *)shadow_address(shadow_node(from)))[1 + i];
  shadow_set_link(from, i, ref);
  if (old != ref) graph_lost(t, old, graph_setup->release_percent);
  GRAPH_KEEP(kept);
}

/* --- steps --- */

static bool graph_is_zero(const unsigned char *p, size_t size) {
  for (size_t i = 0; i < size; i = i < 512 || i > size - 512 ? i + 1 : i + 509)
    if (p[i]) return false;
  return true;
}

/* A new object that nothing leads to yet. The caller keeps *object. */
SHADOW_APART static uint32_t graph_make(struct graph_thread *t, const struct graph_kind *kind, size_t size, void **object) {
  void *p = *object = kind->allocate(size);
  if (!p) {
    shadow_error("no memory", NULL);
    return 0;
  }
  if (kind->zeroed && !graph_is_zero(p, size)) shadow_error("a new object is not zero", NULL);
  unsigned links = kind->kind == SHADOW_POINTER_FREE ? 0 : (unsigned)(graph_random(t) % (shadow_most_links + 1));
  if (links > size / 8 - 1) links = (unsigned)(size / 8 - 1);
  if (links > 0) memset((uint64_t *)p + 1, 0, links * 8);
  uint32_t ref = shadow_new(t->seat, p, size, kind->kind, links, ++graph_id * 0x9e3779b97f4a7c15u);
  if (!ref) graph_setup->release(p);
  return ref;
}

SHADOW_APART static void graph_new(struct graph_thread *t) {
  void *p;
  uint32_t ref = graph_make(t, graph_choose_kind(t), graph_size(t), &p);
  if (!ref) return;
  uint32_t from = graph_random(t) % 2 ? graph_walk(t) : 0;
  if (from && shadow_node(from)->links) graph_join(t, from, (unsigned)(graph_random(t) % shadow_node(from)->links), ref);
  else graph_put(t, graph_place(t, false), ref);
  GRAPH_KEEP(p);
}

/* A list or a ring: deep for a marker. */
SHADOW_APART static void graph_new_chain(struct graph_thread *t) {
  void *first, *p;
  const struct graph_kind *kind = &graph_setup->kinds[0];
  uint32_t head = graph_make(t, kind, 80 + graph_random(t) % 80, &first), last = head;
  if (!head) return;
  unsigned k = graph_place(t, false);
  graph_put(t, k, head);
  for (unsigned length = (unsigned)(graph_random(t) % 200); length > 0; length--) {
    if (shadow_node(last)->links == 0) break;
    uint32_t next = graph_make(t, kind, 24 + graph_random(t) % 100, &p);
    if (!next) break;
    graph_join(t, last, shadow_node(last)->links - 1u, next);
    GRAPH_KEEP(p);
    last = next;
  }
  if (graph_random(t) % 2 && shadow_node(last)->links) graph_join(t, last, 0, head);
  GRAPH_KEEP(first);
}

SHADOW_APART static void graph_link(struct graph_thread *t) {
  uint32_t from = graph_walk(t), to = graph_walk(t);
  unsigned k = graph_place(t, true);
  if (!to && k < shadow_places) to = t->seat->root[k]; /* perhaps of another seat */
  if (from && shadow_node(from)->links) graph_join(t, from, (unsigned)(graph_random(t) % shadow_node(from)->links), to);
}

SHADOW_APART static void graph_unlink(struct graph_thread *t) {
  uint32_t from = graph_walk(t);
  if (from && shadow_node(from)->links) graph_join(t, from, (unsigned)(graph_random(t) % shadow_node(from)->links), 0);
}

/* Takes a pointer out of an object, allocates while nothing but a register knows it, and puts it elsewhere: what a
 * marker that runs meanwhile may lose. */
SHADOW_APART static void graph_move(struct graph_thread *t) {
  uint32_t from = graph_walk(t);
  if (!from || !shadow_node(from)->links) return;
  unsigned i = (unsigned)(graph_random(t) % shadow_node(from)->links);
  uint32_t ref = shadow_node(from)->link[i];
  if (!ref) return;
  void *p = ((void *volatile *)shadow_address(shadow_node(from)))[1 + i];
  shadow_set_link(from, i, 0);
  for (unsigned n = (unsigned)(graph_random(t) % 8); n > 0; n--) {
    void *q = graph_setup->kinds[0].allocate(16 + graph_random(t) % 600);
    if (graph_random(t) % 100 < graph_setup->release_percent) graph_setup->release(q);
  }
  if (graph_random(t) % 64 == 0) sched_yield();
  uint32_t to = graph_walk(t);
  if (to && shadow_node(to)->links) graph_join(t, to, 0, ref);
  else graph_put(t, graph_place(t, false), ref);
  GRAPH_KEEP(p);
}

SHADOW_APART static void graph_copy(struct graph_thread *t) {
  unsigned from = graph_place(t, true), to = graph_place(t, false);
  if (from < shadow_places) graph_put(t, to, t->seat->root[from]);
}

SHADOW_APART static void graph_drop(struct graph_thread *t) {
  unsigned k = graph_place(t, true);
  if (k < shadow_places) graph_put(t, k, 0);
}

SHADOW_APART static void graph_free(struct graph_thread *t) {
  unsigned k = graph_place(t, true);
  if (k == shadow_places) return;
  uint32_t ref = t->seat->root[k];
  void *kept = *t->seat->place[k];
  shadow_set_root(t->seat, k, 0);
  graph_lost(t, ref, 100);
  GRAPH_KEEP(kept);
}

/* What an object holds after it was resized: the words that were looked at before, as far as both sizes reach. */
static bool graph_is_kept(struct shadow_node *n, void *p, size_t size) {
  struct shadow_node as = *n;
  as.hidden = ~(uintptr_t)p;
  if (size >= n->size || n->size > 2048) return size < n->size || shadow_intact(&as, true, "after it was resized");
  as.size = size;
  return shadow_intact(&as, true, "after it was resized");
}

SHADOW_APART static void graph_resize(struct graph_thread *t) {
  unsigned k = graph_place(t, true);
  uint32_t ref = k < shadow_places ? t->seat->root[k] : 0;
  struct shadow_node *n = shadow_node(ref);
  if (!graph_is_mine(t, ref) || n->shared || n->uses != 1 || !shadow_intact(n, true, "before it is resized")) return;
  size_t size = graph_size(t), least = 8 * (n->links + 2u);
  if (size < least) size = least;
  void *p = graph_setup->resize((void *)shadow_address(n), size);
  if (!p) {
    shadow_error("no memory", NULL);
    return;
  }
  graph_is_kept(n, p, size);
  n->hidden = ~(uintptr_t)p;
  bool was_small = n->kind == SHADOW_POINTER_FREE && n->size < 16;
  n->size = size;
  if (was_small) ((uint64_t *)p)[1] = n->decoy = 0;
  shadow_fill(n);
  *t->seat->place[k] = (void *)shadow_root_word(n);
  GRAPH_KEEP(p);
}

/* Exchanges what a place holds with what the table holds that all threads share. */
SHADOW_APART static void graph_exchange(struct graph_thread *t) {
  struct shadow_shared *shared = &shadow_table[graph_random(t) % shadow_shared_places];
  unsigned k = graph_place(t, false);
  uint32_t mine = t->seat->root[k];
  if (mine && shadow_node(mine)->kind == SHADOW_UNCOLLECTABLE) return;
  if (shared->busy || atomic_exchange_explicit(&shared->busy, true, memory_order_acquire)) return;
  void *kept = *t->seat->place[k];
  uint32_t theirs = shared->root;
  if (mine) shadow_node(mine)->shared = true;
  shadow_set_root(t->seat, k, theirs);
  shared->root = mine;
  shared->place = kept;
  atomic_store_explicit(&shared->busy, false, memory_order_release);
  if (theirs) shadow_intact(shadow_node(theirs), false, "handed over");
}

SHADOW_APART static void graph_decoy(struct graph_thread *t) {
  unsigned k = graph_place(t, true);
  uint32_t ref = k < shadow_places ? t->seat->root[k] : 0;
  if (!graph_is_mine(t, ref) || shadow_node(ref)->kind != SHADOW_POINTER_FREE || shadow_node(ref)->size < 16) return;
  shadow_set_decoy(shadow_node(ref), graph_walk(t));
}

static void graph_collect(unsigned generation) {
  if (graph_setup->collect(generation)) graph_collections++;
  else graph_refused++;
}

static void graph_step(struct graph_thread *t) {
  bool full = shadow_is_full(t->seat) || (t->seat->live > graph_live && t->random % 2);
  unsigned what = (unsigned)(graph_random(t) % 64);
  if (what < 20) full ? graph_drop(t) : graph_new(t);
  else if (what < 21) full ? graph_unlink(t) : graph_new_chain(t);
  else if (what < 29) graph_link(t);
  else if (what < 35) graph_unlink(t);
  else if (what < 42) graph_move(t);
  else if (what < 45) graph_copy(t);
  else if (what < 49) graph_drop(t);
  else if (what < 51) graph_free(t);
  else if (what < 53) graph_resize(t);
  else if (what < 57) graph_exchange(t);
  else if (what < 59) graph_decoy(t);
  else graph_walk(t);
}

/* --- fork --- */

/* The child knows this seat; what other threads were at is not known. */
SHADOW_APART _Noreturn static void graph_child(struct graph_thread *t) {
  alarm(120);
  unsigned before = shadow_errors;
  for (unsigned i = 0; i < graph_child_steps; i++) {
    graph_step(t);
    if (i % 100 == 50) graph_setup->collect(i / 100);
  }
  graph_setup->collect(2);
  shadow_trace_seat(t->seat);
  shadow_check_mine(t->seat, "in a forked child");
  fflush(stdout);
  _exit(shadow_errors == before ? graph_child_status : 1);
}

SHADOW_APART static void graph_fork(struct graph_thread *t) {
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) graph_child(t);
  int status = 0;
  graph_forks++;
  if (pid < 0 || waitpid(pid, &status, 0) != pid || status != graph_child_status << 8) {
    shadow_error("a child ended badly", NULL);
    tap_note("its status was %#x", (unsigned)status);
  }
}

/* --- threads --- */

/* Clears the dead stack and the registers that a call may change. */
SHADOW_APART static void graph_scrub(void) {
  volatile char dead[24 * 1024];
  for (size_t i = 0; i < sizeof dead; i += 8) *(volatile uint64_t *)&dead[i] = 0;
  __asm__ volatile("xor %%eax, %%eax\n\txor %%ecx, %%ecx\n\txor %%edx, %%edx\n\txor %%esi, %%esi\n\t"
                   "xor %%edi, %%edi\n\txor %%r8d, %%r8d\n\txor %%r9d, %%r9d\n\txor %%r10d, %%r10d\n\txor %%r11d, %%r11d\n\t"
                   "pxor %%xmm0, %%xmm0\n\tpxor %%xmm1, %%xmm1\n\tpxor %%xmm2, %%xmm2\n\tpxor %%xmm3, %%xmm3\n\t"
                   "pxor %%xmm4, %%xmm4\n\tpxor %%xmm5, %%xmm5\n\tpxor %%xmm8, %%xmm8\n\tpxor %%xmm9, %%xmm9"
                   :
                   :
                   : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4",
                     "xmm5", "xmm8", "xmm9", "memory");
}

/* Waits while *word is value, asleep or spinning, with six pointers in registers that are nowhere else: they are taken out
 * of place[] and put back. The thread counts as parked in between. */
SHADOW_APART static void graph_wait_in_registers(void *volatile *place, _Atomic int *word, int value, bool spin) {
  register long spins __asm__("r8") = spin;
  register _Atomic int *parked __asm__("r9") = &graph_parked; /* then it keeps rdi */
  __asm__ volatile("mov (%[place]), %%rbx\n\tmov 8(%[place]), %%r12\n\tmov 16(%[place]), %%r13\n\t"
                   "mov 24(%[place]), %%r14\n\tmov 32(%[place]), %%r15\n\tmov 40(%[place]), %%rax\n\t"
                   "movq %%rax, %%xmm7\n\txor %%eax, %%eax\n\t"
                   "mov %%rax, (%[place])\n\tmov %%rax, 8(%[place])\n\tmov %%rax, 16(%[place])\n\t"
                   "mov %%rax, 24(%[place])\n\tmov %%rax, 32(%[place])\n\tmov %%rax, 40(%[place])\n\t"
                   "lock incl (%[parked])\n\t"
                   "1: cmp %[value], (%[word])\n\tjne 3f\n\t"
                   "test %[spin], %[spin]\n\tjz 2f\n\tpause\n\tjmp 1b\n\t"
                   "2: mov %[number], %%eax\n\txor %%r10d, %%r10d\n\tmov %%rdi, %%r9\n\tmov %[word], %%rdi\n\t"
                   "mov %[operation], %%esi\n\tsyscall\n\tmov %%rdi, %[word]\n\tmov %%r9, %%rdi\n\tjmp 1b\n\t"
                   "3: mov %%rbx, (%[place])\n\tmov %%r12, 8(%[place])\n\tmov %%r13, 16(%[place])\n\t"
                   "mov %%r14, 24(%[place])\n\tmov %%r15, 32(%[place])\n\tmovq %%xmm7, %%rax\n\tmov %%rax, 40(%[place])\n\t"
                   "pxor %%xmm7, %%xmm7\n\txor %%eax, %%eax"
                   : [word] "+S"(word), [parked] "+r"(parked)
                   : [place] "D"(place), [value] "d"(value), [spin] "r"(spins), [number] "i"(SYS_futex),
                     [operation] "i"(FUTEX_WAIT | FUTEX_PRIVATE_FLAG)
                   : "rax", "rbx", "rcx", "r10", "r11", "r12", "r13", "r14", "r15", "xmm7", "memory", "cc");
}

/* The first places on the stack are emptied into registers meanwhile. */
SHADOW_APART static void graph_park(struct graph_thread *t, void *volatile *here, int phase) {
  for (unsigned i = 0; i < graph_parked_places; i++) t->seat->place[shadow_lasting_places + i] = NULL;
  graph_scrub();
  graph_wait_in_registers(here, &graph_phase, phase, t->seat->number == 1);
  for (unsigned i = 0; i < graph_parked_places; i++) t->seat->place[shadow_lasting_places + i] = &here[i];
}

SHADOW_APART static void graph_work(struct graph_thread *t) {
  for (unsigned i = 0; i < t->steps; i++) {
    graph_step(t);
    if (t->forks && i % (t->steps / t->forks + 1) == 7) graph_fork(t);
    if (!graph_quiet && graph_random(t) % 4096 == 0) graph_collect((unsigned)(graph_random(t) % 3));
  }
}

/* What the places of a thread that goes hold is left in places that stay, or lost. */
SHADOW_APART static void graph_leave(struct graph_thread *t) {
  for (unsigned k = shadow_lasting_places; k < shadow_places; k++) {
    unsigned to = (unsigned)(graph_random(t) % shadow_static_places);
    if (t->seat->root[k] && !t->seat->root[to]) graph_put(t, to, t->seat->root[k]);
    graph_put(t, k, 0);
    t->seat->place[k] = NULL;
  }
}

static void *graph_run(void *arg) {
  struct graph_thread *t = arg;
  void *volatile here[shadow_stack_places] = {NULL};
  for (unsigned i = 0; i < shadow_stack_places; i++) t->seat->place[shadow_lasting_places + i] = &here[i];
  for (unsigned i = 0; i < shadow_tls_places; i++)
    t->seat->place[shadow_lasting_places + shadow_stack_places + i] = &graph_tls_places[i];
  for (;;) {
    int phase = graph_phase;
    graph_work(t);
    graph_scrub();
    graph_park(t, here, phase);
    if (t->leaves) break;
  }
  graph_leave(t);
  graph_scrub();
  GRAPH_KEEP(here);
  return NULL;
}

/* --- ballast: a long list that never changes, so that marking takes its time --- */

struct graph_ballast {
  struct graph_ballast *next;
  uint64_t number;
  char room[48];
};
static struct graph_ballast *volatile graph_ballast;
static unsigned graph_ballast_count;

SHADOW_APART static void graph_make_ballast(unsigned count) {
  for (graph_ballast_count = 0; graph_ballast_count < count; graph_ballast_count++) {
    struct graph_ballast *b = graph_setup->kinds[0].allocate(sizeof *b);
    if (!b) abort();
    memset(b, 0, sizeof *b);
    b->number = graph_ballast_count;
    b->next = graph_ballast;
    graph_ballast = b;
  }
}

SHADOW_APART static void graph_check_ballast(void) {
  unsigned left = graph_ballast_count;
  const struct graph_ballast *b = graph_ballast;
  for (; b && left > 0 && b->number == left - 1; b = b->next) left--;
  if (left || b) shadow_error("the ballast is not intact", NULL);
}

/* --- checkpoints --- */

static struct shadow_left graph_total;
static size_t graph_most_live, graph_young;

SHADOW_APART static void graph_check(const char *when) { shadow_check(when); }

static bool graph_tables_fill(void) {
  for (unsigned s = 0; s < shadow_seat_count; s++)
    if (shadow_is_full(shadow_seats[s])) return true;
  return false;
}

/* What nobody uses and nobody could collect. */
static void graph_release_held(void) {
  for (unsigned s = 0; s < shadow_seat_count; s++)
    for (uint32_t i = 0; i < shadow_seats[s]->used; i++) {
      uint32_t ref = s * shadow_seat_nodes + i + 1;
      const struct shadow_node *n = shadow_node(ref);
      if (n->hidden && n->kind == SHADOW_UNCOLLECTABLE && n->uses == 0) graph_release(&graph_threads[s], ref, 500);
    }
}

static void graph_judge(const struct shadow_left *left, unsigned threads, const char *what) {
  if (left->entries <= graph_entries_base + graph_entries_each * threads) return;
  shadow_error(what, NULL);
  tap_note("checkpoint %u: of %zu dead objects %zu are there, for %zu reasons", shadow_checkpoint, left->dead, left->left,
           left->entries);
  for (unsigned i = 0; i < shadow_told_left; i++) shadow_tell("still there", &left->told[i]);
}

/* A collection of whatever generation takes what is young and dead. */
SHADOW_APART static void graph_bury_young(unsigned threads) {
  struct shadow_left left = shadow_bury(graph_setup->is_object, shadow_checkpoint - 1);
  graph_young += left.dead;
  graph_judge(&left, threads, "too much of what is young and dead is still there");
}

SHADOW_APART static void graph_bury(unsigned threads) {
  unsigned refused = graph_refused;
  for (unsigned i = 0; i < graph_setup->full_collections; i++) {
    graph_scrub();
    graph_collect(2);
    graph_check("after a full collection");
  }
  struct shadow_left left = shadow_bury(graph_setup->is_object, 0);
  graph_total.dead += left.dead;
  graph_total.left += left.left;
  graph_total.entries += left.entries;
  graph_total.dead_bytes += left.dead_bytes;
  if (refused == graph_refused) graph_judge(&left, threads, "too much of what is dead is still there");
  shadow_recount();
  graph_release_held();
}

SHADOW_APART static void graph_checkpoint(uint64_t *random, unsigned threads) {
  static const char *const when[] = {"after a collection of generation 0", "after a collection of generation 1",
                                     "after a collection of generation 2"};
  shadow_checkpoint++;
  size_t live = shadow_trace();
  if (live > graph_most_live) graph_most_live = live;
  graph_check_ballast();
  graph_check("before a checkpoint");
  unsigned generation = (unsigned)(tap_random(random) % 3);
  graph_scrub();
  unsigned refused = graph_refused;
  graph_collect(generation);
  graph_check(when[generation]);
  if (graph_quiet && refused == graph_refused) graph_bury_young(threads);
  if (graph_tables_fill() || tap_random(random) % 3 == 0) graph_bury(threads);
}

/* The next phase begins: those that are to go go, and others take their seats. */
static void graph_go_on(unsigned threads, unsigned steps, unsigned forks, uint64_t *random) {
  graph_parked = 0;
  for (unsigned i = 0; i < threads; i++) {
    graph_threads[i].steps = steps / threads;
    graph_threads[i].forks = i == shadow_checkpoint % threads ? forks : 0;
    graph_threads[i].leaves = graph_threads[i].here && tap_random(random) % 4 == 0;
  }
  graph_phase++;
  syscall(SYS_futex, &graph_phase, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1 << 30, NULL, NULL, 0);
  for (unsigned i = 0; i < threads; i++) {
    struct graph_thread *t = &graph_threads[i];
    if (t->here && !t->leaves) continue;
    if (t->here) pthread_join(t->thread, NULL);
    t->leaves = false;
    t->here = true;
    t->random = tap_random(random);
    if (pthread_create(&t->thread, NULL, graph_run, t) != 0) abort();
  }
}

static void graph_end(unsigned threads) {
  for (unsigned i = 0; i < threads; i++) graph_threads[i].leaves = true;
  graph_phase++;
  syscall(SYS_futex, &graph_phase, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1 << 30, NULL, NULL, 0);
  for (unsigned i = 0; i < threads; i++) pthread_join(graph_threads[i].thread, NULL);
}

static void graph_seat(unsigned i) {
  struct shadow_seat *seat = shadow_seats[i];
  unsigned k = 0;
  void *volatile *mapped = shadow_map(4096);
  void *volatile *held = graph_setup->hold ? graph_setup->hold(shadow_held_places * sizeof *held) : NULL;
  if (graph_setup->add_root) graph_setup->add_root((void *)(uintptr_t)mapped, (void *)(uintptr_t)(mapped + shadow_mapped_places));
  for (unsigned n = 0; n < shadow_static_places; n++) seat->place[k++] = &graph_static_places[i][n];
  for (unsigned n = 0; n < shadow_mapped_places; n++) seat->place[k++] = &mapped[n];
  for (unsigned n = 0; n < shadow_held_places; n++) seat->place[k++] = held ? &held[n] : NULL;
  graph_threads[i].seat = seat;
}

static double graph_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static unsigned graph_argument(int argc, char **argv, int i, unsigned initial) {
  return argc > i ? (unsigned)strtoul(argv[i], NULL, 10) : initial;
}

struct graph_facts graph_main(int argc, char **argv, const struct graph_setup *setup) {
  unsigned threads = graph_argument(argc, argv, 1, 4), checkpoints = graph_argument(argc, argv, 2, 12);
  unsigned operations = graph_argument(argc, argv, 3, 20000), forks = graph_argument(argc, argv, 4, 1);
  double end = graph_now() + (argc > 5 ? strtod(argv[5], NULL) : 3600);
  uint64_t random = tap_seed();
  graph_setup = setup;
  if (threads > shadow_most_seats) threads = shadow_most_seats;
  shadow_begin(threads);
  for (unsigned i = 0; i < threads; i++) graph_seat(i);
  graph_make_ballast(graph_argument(argc, argv, 6, 0));
  do {
    graph_quiet = setup->disable && tap_random(&random) % 2;
    if (graph_quiet) setup->disable();
    graph_go_on(threads, operations, forks, &random);
    while (graph_parked < (int)threads) usleep(500);
    graph_checkpoint(&random, threads);
    if (graph_quiet) setup->enable();
  } while (shadow_checkpoint <= checkpoints && graph_now() < end);
  graph_quiet = false;
  graph_end(threads);
  shadow_trace();
  graph_bury(threads);
  OK(shadow_errors == 0, "%u threads, %u checkpoints, %u operations, %u forks: what is live is intact, what is dead is gone", threads,
     shadow_checkpoint - 1, operations, (unsigned)graph_forks);
  tap_note("%u collections were asked for, %u not done; of %zu dead objects %zu stayed, for %zu reasons; %zu died young", (unsigned)graph_collections,
           (unsigned)graph_refused, graph_total.dead, graph_total.left, graph_total.entries, graph_young);
  return (struct graph_facts){graph_most_live + graph_ballast_count * sizeof(struct graph_ballast), graph_total.dead_bytes, graph_collections};
}
