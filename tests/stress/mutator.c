/* SPDX-License-Identifier: MIT
 * A seeded random mutator that keeps a shadow of its heap: of each block its address, size, alignment and contents. Each
 * thread has blocks of its own, takes and leaves others in a table that all share, and the threads of one round leave
 * what they have to those of the next. Meanwhile a thread forks, and the child goes on with what it knows.
 *
 * mutator [THREADS [OPERATIONS [ROUNDS [FORKS]]]]; GLEANER_SEED repeats a run as far as threads can be repeated. */
#include "config.h"

#include "tap.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { mutator_own = 300, mutator_shared = 400, mutator_most_threads = 32, mutator_whole = 4096 };

/* What is known of one block. The bytes are a function of the fill and the offset. */
struct shadow {
  unsigned char *p;
  size_t size, usable, align;
  unsigned char fill;
};

struct shared {
  atomic_flag busy;
  struct shadow block;
};

struct mutator {
  pthread_t thread;
  uint64_t random;
  unsigned operations, forks;
  struct shadow own[mutator_own];
};

static struct shared mutator_table[mutator_shared];
static _Atomic unsigned mutator_errors, mutator_live;

/* Tells the first few errors. */
static void mutator_bad(const char *what, const struct shadow *s) {
  if (atomic_fetch_add(&mutator_errors, 1) < 8)
    tap_note("%s: block %p of %zu bytes, aligned to %zu", what, (void *)s->p, s->size, s->align);
}

static unsigned char shadow_byte(const struct shadow *s, size_t i) { return (unsigned char)(s->fill + i * 31); }

/* Large blocks are sampled: both ends, and a byte a page. */
static size_t shadow_next(const struct shadow *s, size_t i) {
  if (s->size <= mutator_whole || i < 64 || i + 65 > s->size) return i + 1;
  size_t next = i + 1021;
  return next < s->size - 64 ? next : s->size - 64;
}

static void shadow_write(struct shadow *s, unsigned char fill) {
  s->fill = fill;
  for (size_t i = 0; i < s->size; i = shadow_next(s, i)) s->p[i] = shadow_byte(s, i);
}

static void shadow_check(const struct shadow *s, const char *when) {
  for (size_t i = 0; i < s->size; i = shadow_next(s, i))
    if (s->p[i] != shadow_byte(s, i)) {
      mutator_bad(when, s);
      return;
    }
  if (malloc_usable_size(s->p) != s->usable) mutator_bad("the usable size changed", s);
}

static size_t mutator_size(uint64_t *random) {
  uint64_t r = tap_random(random);
  unsigned kind = (unsigned)(r >> 40) % 1000;
  if (kind < 5) return 0;
  if (kind < 700) return r % 256 + 1;
  if (kind < 930) return r % 4096 + 1;
  if (kind < 990) return r % 40000 + 1;
  if (kind < 998) return r % 300000 + 1;
  return r % 5000000 + 1;
}

static void *mutator_allocate(uint64_t *random, struct shadow *s) {
  static const unsigned char shifts[] = {0, 4, 5, 6, 7, 8, 12, 16};
  unsigned how = (unsigned)(tap_random(random) % 10);
  size_t align = (size_t)1 << shifts[tap_random(random) % sizeof shifts];
  void *p = NULL;
  s->align = 16;
  if (how < 5) return malloc(s->size);
  if (how < 7) return calloc(1, s->size);
  s->align = align < 16 ? 16 : align;
  if (how == 7) return memalign(align, s->size);
  if (how == 8) return aligned_alloc(align, s->size);
  return posix_memalign(&p, s->align, s->size) == 0 ? p : NULL;
}

static void mutator_new(uint64_t *random, struct shadow *s) {
  s->size = mutator_size(random);
  if (tap_random(random) % 8 == 0) { /* calloc, to look at its zeros */
    s->align = 16;
    s->p = calloc(s->size, 1);
    s->fill = 0;
    for (size_t i = 0; s->p && i < s->size; i = shadow_next(s, i))
      if (s->p[i]) {
        mutator_bad("calloc gave what is not zero", s);
        break;
      }
  } else {
    s->p = mutator_allocate(random, s);
  }
  if (!s->p) {
    mutator_bad("no memory", s);
    return;
  }
  if ((uintptr_t)s->p % s->align) mutator_bad("misaligned", s);
  s->usable = malloc_usable_size(s->p);
  if (s->usable < s->size) mutator_bad("too small", s);
  shadow_write(s, (unsigned char)tap_random(random));
  atomic_fetch_add(&mutator_live, 1);
}

static void mutator_free(struct shadow *s) {
  shadow_check(s, "overwritten before free");
  errno = 77;
  free(s->p);
  if (errno != 77) mutator_bad("free changed errno", s);
  s->p = NULL;
  atomic_fetch_sub(&mutator_live, 1);
}

static void mutator_resize(uint64_t *random, struct shadow *s) {
  struct shadow old = *s;
  shadow_check(s, "overwritten before realloc");
  size_t size = mutator_size(random);
  if (size == 0) size = 1;
  unsigned char *p = realloc(s->p, size);
  if (!p) {
    mutator_bad("realloc failed", s);
    return;
  }
  s->p = p;
  /* Compare what both sizes have, at the places where the old one was written. */
  for (size_t i = 0; i < old.size && i < size; i = shadow_next(&old, i))
    if (p[i] != shadow_byte(&old, i)) {
      mutator_bad("realloc lost contents", s);
      break;
    }
  s->size = size;
  s->align = 16;
  s->usable = malloc_usable_size(p);
  if (s->usable < size || (uintptr_t)p % 16) mutator_bad("realloc gave too little", s);
  shadow_write(s, (unsigned char)tap_random(random));
}

/* Exchanges a block with the shared table: this is how memory passes between threads. */
static void mutator_exchange(uint64_t *random, struct shadow *s) {
  struct shared *place = &mutator_table[tap_random(random) % mutator_shared];
  if (atomic_flag_test_and_set_explicit(&place->busy, memory_order_acquire)) return;
  struct shadow block = place->block;
  place->block = *s;
  *s = block;
  atomic_flag_clear_explicit(&place->busy, memory_order_release);
  if (s->p) shadow_check(s, "overwritten in passing");
}

static void mutator_step(struct mutator *m) {
  struct shadow *s = &m->own[tap_random(&m->random) % mutator_own];
  unsigned what = (unsigned)(tap_random(&m->random) % 16);
  if (what < 4) mutator_exchange(&m->random, s);
  else if (!s->p) mutator_new(&m->random, s);
  else if (what < 7) mutator_resize(&m->random, s);
  else if (what < 8) shadow_check(s, "overwritten while it lay");
  else mutator_free(s);
}

/* The child knows this thread's blocks; of the others it knows nothing certain, as they may be in the middle of a step. */
static void mutator_fork(struct mutator *m) {
  pid_t pid = fork();
  if (pid == 0) {
    alarm(120);
    unsigned before = mutator_errors;
    for (unsigned i = 0; i < 300; i++) {
      struct shadow *s = &m->own[tap_random(&m->random) % mutator_own];
      if (!s->p) mutator_new(&m->random, s);
      else if (i % 3) mutator_free(s);
      else mutator_resize(&m->random, s);
    }
    _exit(mutator_errors == before ? 42 : 1);
  }
  int status = 0;
  if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 42 << 8) {
    atomic_fetch_add(&mutator_errors, 1);
    tap_note("a child ended with status 0x%x", (unsigned)status);
  }
}

static void *mutator_run(void *arg) {
  struct mutator *m = arg;
  for (unsigned i = 0; i < m->operations; i++) {
    mutator_step(m);
    if (m->forks && i % (m->operations / m->forks + 1) == 0) mutator_fork(m);
    if (i % 1000 == 0) sched_yield();
  }
  return NULL;
}

static unsigned mutator_argument(int argc, char **argv, int i, unsigned initial) {
  return argc > i ? (unsigned)strtoul(argv[i], NULL, 10) : initial;
}

int main(int argc, char **argv) {
  static struct mutator mutators[mutator_most_threads];
  unsigned threads = mutator_argument(argc, argv, 1, 4), operations = mutator_argument(argc, argv, 2, 20000);
  unsigned rounds = mutator_argument(argc, argv, 3, 4), forks = mutator_argument(argc, argv, 4, 3);
  uint64_t seed = tap_seed();
  if (threads > mutator_most_threads) threads = mutator_most_threads;
  for (unsigned round = 0; round < rounds; round++) {
    /* What one thread left, another thread of the next round has: its maker is gone. */
    struct mutator first = mutators[0];
    for (unsigned i = 0; i < threads; i++) {
      struct mutator *m = &mutators[i];
      memcpy(m->own, i + 1 < threads ? mutators[i + 1].own : first.own, sizeof m->own);
      m->random = seed + round * 1000 + i;
      m->operations = operations;
      m->forks = i == round % threads ? forks : 0;
      if (pthread_create(&m->thread, NULL, mutator_run, m) != 0) return 1;
    }
    for (unsigned i = 0; i < threads; i++) pthread_join(mutators[i].thread, NULL);
  }
  OK(mutator_errors == 0, "%u threads, %u operations each, %u times: blocks are aligned, apart and intact", threads,
     operations, rounds);
  for (unsigned i = 0; i < threads; i++)
    for (unsigned k = 0; k < mutator_own; k++)
      if (mutators[i].own[k].p) mutator_free(&mutators[i].own[k]);
  for (unsigned k = 0; k < mutator_shared; k++)
    if (mutator_table[k].block.p) mutator_free(&mutator_table[k].block);
  OK(mutator_errors == 0 && mutator_live == 0, "and all were freed by the main thread");
  return tap_end();
}
