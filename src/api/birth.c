/* SPDX-License-Identifier: MIT
 * From the first call of the process to its end: start-up in two steps, threads' caches, fork, exit.
 *
 * The first call to malloc may come from the loader, before any constructor, before libc knows its environment: the
 * first step (birth_ensure) uses the kernel alone. The second (the constructor) may use libc. */
#include "config.h"

#include "api/collector.h"
#include "api/gc_dump.h"
#include "api/hooks.h"
#include "base/print.h"
#include "gc/concurrent.h"
#include "gc/leaks.h"
#include "gc/watch.h"
#include "gc/world.h"
#include "heap/heap.h"
#include "os/filter.h"
#include "os/memory.h"
#include "os/process.h"
#include "os/threads.h"
#include "site/modules.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

extern int __cxa_atexit(void (*function)(void *), void *arg, void *dso);

enum { birth_none, birth_begun, birth_done, birth_failed };

struct options birth_options;
struct birth_libc birth_libc;

static _Atomic int birth_stage;
static bool birth_recording;
static _Atomic bool birth_forks_seen; /* the fork handlers are registered */
static pid_t birth_pid;
static pthread_key_t birth_key;
static bool birth_key_made;

static THREAD_LOCAL struct cache *birth_mine;
static THREAD_LOCAL unsigned char birth_rounds; /* of this thread's destructors */
static THREAD_LOCAL bool birth_beyond;          /* its destructors are over */

static void birth_complain(const char *line, void *arg) {
  (void)arg;
  print_fd(STDERR_FILENO, "gleaner: %s\n", line);
}

/* The variable from /proc, for calls before libc has its environment. */
static bool birth_environment_early(char *buffer, size_t size) {
  static const char name[] = "GLEANER_OPTIONS=";
  int fd = open("/proc/self/environ", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  size_t matched = 0, length = 0;
  bool at_start = true, inside = false;
  char chunk[512];
  for (ssize_t n; (n = read(fd, chunk, sizeof chunk)) > 0;)
    for (ssize_t i = 0; i < n; i++) {
      char c = chunk[i];
      if (inside) {
        if (c == '\0' || length + 1 >= size) goto out;
        buffer[length++] = c;
        continue;
      }
      if (c == '\0') {
        at_start = true;
        matched = 0;
      } else if (at_start && c == name[matched]) {
        inside = name[++matched] == '\0';
      } else {
        at_start = false;
      }
    }
out:
  close(fd);
  buffer[length] = '\0';
  return inside;
}

static void birth_read_options(void) {
  static char early[2048];
  options_init(&birth_options);
  if (getauxval(AT_SECURE)) return;
  const char *text = environ ? getenv("GLEANER_OPTIONS") : NULL;
  if (!environ && birth_environment_early(early, sizeof early)) text = early;
  if (text) options_parse(&birth_options, text, birth_complain, NULL);
}

static bool birth_begin(void) {
  int saved = errno;
  os_memory_init();
  birth_read_options();
  bool sites = birth_options.sites || (birth_options.mode == MODE_COLLECT && birth_options.poison);
  birth_recording = birth_options.mode == MODE_LEAKS || sites;
  bool good = heap_init(birth_recording) == 0;
  region.extra = birth_options.mode == MODE_COLLECT;
  region.collected_extra = 1;
  heap_set_limit(birth_options.max_heap);
  if (birth_options.mode == MODE_LEAKS) region.live_mask = 0xff; /* see alloc_live_slow */
  if (good && birth_recording) site_init((unsigned)birth_options.max_frames);
  birth_pid = getpid();
  errno = saved;
  return good;
}

static void birth_fork_child(void) {
  watch_fork_child();
  birth_pid = getpid();
  os_arena_fork_child();
  heap_fork_child(birth_mine);
  concurrent_fork_child();
  if (birth_recording) {
    site_fork_child();
    modules_fork_child();
  }
  if (birth_options.mode == MODE_LEAKS) leaks_fork_child();
  if (world_signal) world_fork_child();
  collector_fork_child();
  leak_report_fork_child();
  gc_dump_fork_child();
}

/* As early as libc can take it: handlers run in the order of their registration, and others' may allocate. */
static void birth_watch_forks(void) {
  bool seen = false;
  if (!environ || !atomic_compare_exchange_strong(&birth_forks_seen, &seen, true)) return;
  pthread_atfork(watch_before_fork, watch_after_fork, birth_fork_child);
}

bool birth_ensure(void) {
  int stage = atomic_load_explicit(&birth_stage, memory_order_acquire);
  if (likely(stage == birth_done)) return true;
  if (stage == birth_none && atomic_compare_exchange_strong(&birth_stage, &stage, birth_begun)) {
    bool good = birth_begin();
    atomic_store(&birth_stage, good ? birth_done : birth_failed);
    return good;
  }
  while ((stage = atomic_load(&birth_stage)) == birth_begun) sched_yield();
  return stage == birth_done;
}

bool birth_records(void) { return birth_recording; }
bool birth_is_mine(void) { return getpid() == birth_pid; }
struct cache *birth_cache_if_any(void) { return birth_mine; }

/* A variable of another thread lies as far from its thread pointer as ours from our own. */
bool birth_knows(uintptr_t tcb) { return *(struct cache *volatile *)(tcb + (uintptr_t)&birth_mine - os_thread_pointer()) != NULL; }

static void birth_remember(struct cache *cache) {
  /* The value only has to be other than NULL, for the destructor to be called. */
  if (birth_key_made) pthread_setspecific(birth_key, cache);
}

struct cache *birth_cache(void) {
  if (likely(birth_mine != NULL)) return birth_mine;
  if (!birth_ensure()) return NULL;
  birth_mine = cache_acquire();
  if (!birth_mine || birth_beyond) return birth_mine;
  if (!birth_options.stress) cache_own = birth_mine;
  if (!birth_recording && !birth_options.stress) cache_fast = birth_mine;
  birth_watch_forks();
  birth_remember(birth_mine);
  return birth_mine;
}

static void birth_retire(void) {
  struct cache *cache = birth_mine;
  cache_fast = cache_own = &cache_none;
  birth_mine = NULL;
  if (cache) cache_retire(cache);
}

void birth_cache_done(void) {
  if (unlikely(birth_beyond) && birth_mine) birth_retire();
}

/* A thread's end. Destructors of other keys may allocate in every round: stay until the last. */
static void birth_thread_end(void *value) {
  if (++birth_rounds < PTHREAD_DESTRUCTOR_ITERATIONS) {
    pthread_setspecific(birth_key, value);
    return;
  }
  birth_beyond = true;
  collector_thread_end();
  if (birth_recording) {
    world_thread_exiting();
    site_thread_exit();
  }
  birth_retire();
}

static void birth_find_libc(void) {
  birth_libc.free = (void (*)(void *))dlsym(RTLD_NEXT, "free");
  birth_libc.realloc = (void *(*)(void *, size_t))dlsym(RTLD_NEXT, "realloc");
  birth_libc.usable_size = (size_t(*)(void *))dlsym(RTLD_NEXT, "malloc_usable_size");
}

__attribute__((constructor(101))) static void birth_constructor(void) {
  int saved = errno;
  if (birth_ensure()) {
    birth_find_libc();
    birth_watch_forks();
    birth_key_made = pthread_key_create(&birth_key, birth_thread_end) == 0;
    if (birth_cache()) birth_remember(birth_mine);
    if (birth_options.mode == MODE_LEAKS) leak_report_init();
    gc_dump_init();
    collector_begin();
  }
  errno = saved;
}

static void birth_end(void *arg) {
  (void)arg;
  if (!birth_is_mine()) return;
  gc_dump_exit();
  gc_events_exit();
  if (birth_options.mode != MODE_LEAKS) return;
  long lost = leak_report(false);
  if (lost <= 0 || birth_options.error_exitcode == 0 || leak_report_suppressed()) return;
  /* Goes on where the first exit was, with another status. Not fflush and _exit: fflush(NULL) waits for a stream that another
   * thread is reading from, which exit does not. */
  exit(birth_options.error_exitcode);
}

/* The loader runs this among the first of the destructors. A handler that is registered now runs after all of them; it must
 * belong to no module, or it would run as soon as this one's destructors are done. */
__attribute__((destructor)) static void birth_destructor(void) {
  if (birth_options.mode == MODE_LEAKS || collector_is_armed || birth_options.dump_at_exit) __cxa_atexit(birth_end, NULL, NULL);
}

void hook_before_dlclose(void) {
  if (birth_recording) modules_before_close();
}

void hook_after_dlclose(void) {
  if (birth_recording) modules_after_close();
}

void hook_before_limit(size_t limit) {
  if (!birth_ensure() || !birth_is_mine()) return;
  heap_limit_span(limit);
  if (birth_recording) site_limit_span();
}

void hook_before_filter(const void *program) {
  if (!birth_is_mine()) return; /* a vfork child's is its own */
  concurrent_cut_short(); /* it may be meant for all threads */
  os_filter_add(program);
  if (!os_filter_kills()) return;
  collector_forbid();
  collector_rest(); /* as long as what that takes is allowed */
}

/* Markers may be reading there while the program runs. */
int hook_before_mprotect(void *address, size_t size, int protection) {
  uintptr_t lo = (uintptr_t)address, hi = lo + size;
  block_note_protection(lo, size);
  if (protection & PROT_READ || hi < lo || hi <= region.base || lo >= region.base + region.span) return -1;
  return (int)concurrent_bar(lo, hi);
}

void hook_after_mprotect(int barred) {
  if (barred >= 0) concurrent_barred((unsigned)barred);
}

/* What a child does, of vfork or of a fork that nobody was told of, is its own business. */
void hook_before_alone(void) {
  if (birth_is_mine()) concurrent_cut_short();
}

int hook__exit(int status) {
  if (!birth_options.report_at__exit || !birth_is_mine()) return status;
  gc_dump_exit();
  gc_events_exit();
  if (birth_options.mode != MODE_LEAKS) return status;
  long lost = leak_report(false);
  return lost > 0 && birth_options.error_exitcode ? birth_options.error_exitcode : status;
}

bool hook_serves_malloc __attribute__((weak)) = false;

int hook_world_signal(void) { return world_signal; }
