/* SPDX-License-Identifier: MIT
 * libgc's settings, figures and errands of the whole library: the second half of gc.h, which includes it.
 *
 * Gleaner's own measured choices hold as long as nothing is set: a generation for the young, marking beside the program where that pays, a heap that
 * grows with what is live. What is set means what libgc says, on this collector; gc_libgc(3) tells where that differs. A variable may be set without
 * a call, at any time: that is seen when the next slow path of an allocation looks, a call is obeyed at once. Environment variables (gc_libgc(3))
 * are read when the collector begins, and change what was set before. */
#ifndef GC_SETTINGS_H
#define GC_SETTINGS_H

#ifdef __cplusplus
extern "C" {
#endif

/* The version of libgc whose interface this is: major, minor and micro, a byte each. */
unsigned GC_get_version(void);

/* --- When, and how much --- */

/* As GC_get_gc_no. To be read only. */
extern GC_word GC_gc_no;

/* Not 0: GC_is_disabled. A counter, which GC_disable and GC_enable change. */
extern int GC_dont_gc;

/* Not 0: only what is asked for is collected, or what must be when memory runs out. */
void GC_set_disable_automatic_collection(int on);
int GC_get_disable_automatic_collection(void);

/* How much room there is for garbage: half as much for twice the number, and so more collections of all generations. 3 at first, which is what
 * Gleaner finds best; 0 counts as 1. An option threshold0 or GC_set_threshold decides about the youngest generation alone. */
extern GC_word GC_free_space_divisor;
void GC_set_free_space_divisor(GC_word divisor);
GC_word GC_get_free_space_divisor(void);

/* At least so many bytes are allocated between two collections that come by themselves. 1 at first. */
void GC_set_min_bytes_allocd(size_t bytes);
size_t GC_get_min_bytes_allocd(void);

/* Where finalizers are registered fast: each of them counts as so many bytes allocated since the last collection. 10000 at first, which is as 0:
 * they do not count. */
void GC_set_allocd_bytes_per_finalizer(GC_word bytes);
GC_word GC_get_allocd_bytes_per_finalizer(void);

/* Not 0: rather than grow, collect everything, unless less than an eighth of the heap is new. */
extern int GC_dont_expand;
void GC_set_dont_expand(int on);
int GC_get_dont_expand(void);

/* Not 0: nothing is collected by itself while an eighth of what the heap ever had is free. */
extern int GC_use_entire_heap;

/* Bytes that are no candidates for collection. Those of uncollectable objects are added by themselves (what the heap has noticed when somebody
 * looks); what a program adds, and takes away, is not taken for new bytes that make a collection due. */
extern GC_word GC_non_gc_bytes;
void GC_set_non_gc_bytes(GC_word bytes);
GC_word GC_get_non_gc_bytes(void);

/* More full collections that are tried before memory is refused: one, or two where that spared something, are in any case. 0 at first. */
extern GC_word GC_max_retries;
void GC_set_max_retries(GC_word count);
GC_word GC_get_max_retries(void);

/* --- Generations and short pauses. Both are there without being asked for. --- */

/* Begins the collector, and what is said below of incremental mode is obeyed from now on. Nothing while collections are disabled. */
void GC_enable_incremental(void);
int GC_is_incremental_mode(void);

/* In incremental mode: after so many collections of the younger generations one is full, whatever has grown. 19 at first, which is what Gleaner
 * finds best: when the old ones have grown by a quarter. */
extern int GC_full_freq;
void GC_set_full_freq(int collections);
int GC_get_full_freq(void);

/* In incremental mode: so long a pause should take, in milliseconds (and nanoseconds). Then full collections mark while the program runs, and the
 * youngest generation becomes smaller until its collections take no longer. No promise. GC_TIME_UNLIMITED at first: as Gleaner finds best. */
#define GC_TIME_UNLIMITED 999999
extern unsigned long GC_time_limit;
void GC_set_time_limit(unsigned long milliseconds);
unsigned long GC_get_time_limit(void);
struct GC_timeval_s {
  unsigned long tv_ms;
  unsigned long tv_nsec; /* below 1000000 */
};
void GC_set_time_limit_tv(struct GC_timeval_s limit);
struct GC_timeval_s GC_get_time_limit_tv(void);

/* In incremental mode: begins a full collection that marks while the program runs, if none is under way. */
void GC_start_incremental_collection(void);

/* Does some of what is to be done: a collection that is due, the end of one, some sweeping. 0: nothing is left to do. */
int GC_collect_a_little(void);
/* How many blocks of 64 KiB GC_collect_a_little sweeps. 10 at first. */
void GC_set_rate(int blocks);
int GC_get_rate(void);
/* How often marking may be broken off; here it never is. */
void GC_set_max_prior_attempts(int attempts);
int GC_get_max_prior_attempts(void);

/* What may be write-protected: the kernel reports writes, and no program sees a fault, so GC_PROTECTS_NONE. */
#define GC_PROTECTS_NONE 0
#define GC_PROTECTS_POINTER_HEAP 1
#define GC_PROTECTS_PTRFREE_HEAP 2
#define GC_PROTECTS_STATIC_DATA 4
#define GC_PROTECTS_STACK 8
int GC_incremental_protection_needs(void);

/* --- Collecting --- */

/* A full collection, as GC_gcollect, with a function that breaks it off when it returns not 0. It is called again and again, by the collecting
 * thread, at times with the program standing still: it must not allocate, lock, or wait. 1, or 0 when it was broken off, or nothing was done. */
typedef int(GC_CALLBACK *GC_stop_func)(void);
int GC_try_to_collect(GC_stop_func stop) GC_ATTR_NONNULL(1);
/* The function for GC_gcollect, which never breaks off at first. */
void GC_set_stop_func(GC_stop_func stop) GC_ATTR_NONNULL(1);
GC_stop_func GC_get_stop_func(void);

/* As GC_gcollect, never broken off, and all free pages are given back to the kernel. */
void GC_gcollect_and_unmap(void);
/* Not 0: GC_gcollect gives them back, too. */
void GC_set_force_unmap_on_gcollect(int on);
int GC_get_force_unmap_on_gcollect(void);

/* --- Beginning and ending --- */

/* Not 0 once the collector has begun. */
int GC_is_init_called(void);
/* Ends what goes on in the background. The heap stays, and may be used. */
void GC_deinit(void);

/* Only before the collector begins; afterwards nothing happens. Threads that mark, this one included; 0: as many as is best. Told is how many
 * there are besides this one for a large heap. */
void GC_set_markers_count(unsigned count);
extern int GC_parallel;
int GC_get_parallel(void);

/* Do nothing: the signal that stops threads has been chosen when the library was loaded, a real-time one without a handler, as GC_get_suspend_signal
 * tells. The same lets them go on. */
void GC_set_suspend_signal(int number);
void GC_set_thr_restart_signal(int number);

/* Before the collector begins, and only told again: objects are never executable. */
void GC_set_pages_executable(int on);
int GC_get_pages_executable(void);

/* Told again. Nothing is collected when the collector begins. */
extern int GC_dont_precollect;
void GC_set_dont_precollect(int on);
int GC_get_dont_precollect(void);

void GC_use_threads_discovery(void); /* all threads are found in any case: begins the collector */

/* --- Roots --- */

/* Not 0: the data segments of libraries are no roots, only the program's own. As all that is said here nothing changes in a program that runs
 * with libgleaner.so preloaded. */
extern int GC_no_dls;
void GC_set_no_dls(int on);
int GC_get_no_dls(void);

/* Asked in each collection for each writable segment of the program (whose name is empty) and of the libraries: 0 when it is no root. The program
 * stands still meanwhile: it must not allocate, lock, or wait. NULL: all are. */
typedef int(GC_CALLBACK *GC_has_static_roots_func)(const char *name, void *start, size_t size);
void GC_register_has_static_roots_callback(GC_has_static_roots_func function);

/* Nothing is excluded any more (GC_exclude_static_roots). */
void GC_clear_exclusion_table(void);

/* Where the main thread's stack begins. What is written there changes nothing: where a stack lies is seen from its stack pointer. */
extern char *GC_stackbottom;

/* --- Being told --- */

extern GC_oom_func GC_oom_fn; /* as GC_set_oom_fn */

/* Called when the bytes of the heap (GC_get_heap_size) have changed, with the new number: by the thread that notices, on a slow path of an
 * allocation, with no lock held and the program running. It may do anything. NULL: nobody. */
typedef void(GC_CALLBACK *GC_on_heap_resize_proc)(GC_word size);
extern GC_on_heap_resize_proc GC_on_heap_resize;
void GC_set_on_heap_resize(GC_on_heap_resize_proc function);
GC_on_heap_resize_proc GC_get_on_heap_resize(void);

/* Called for each thread that was stopped for a collection, or let go again: with the event, and its pthread_t; unlike in libgc when the program
 * runs again, so that both are told one after the other. By the thread that collected, under the rules of callbacks (gc_ext.h). NULL: nobody. */
typedef void(GC_CALLBACK *GC_on_thread_event_proc)(GC_EventType event, void *thread);
void GC_set_on_thread_event(GC_on_thread_event_proc function);
GC_on_thread_event_proc GC_get_on_thread_event(void);

/* Called when something is wrong that the program survives: with a format of one unsigned long, and that number; with no lock held. At first they
 * are written to the log or, if there is none, to standard error. */
typedef void(GC_CALLBACK *GC_warn_proc)(char *format, GC_word value);
void GC_set_warn_proc(GC_warn_proc function) GC_ATTR_NONNULL(1);
GC_warn_proc GC_get_warn_proc(void);
void GC_CALLBACK GC_ignore_warn_proc(char *format, GC_word value); /* does nothing */

/* Called before the process is ended because of an error: with what is wrong, or with NULL before GC_abort_on_oom exits. By default it does nothing,
 * for what is wrong has been told already. */
typedef void(GC_CALLBACK *GC_abort_func)(const char *message);
extern GC_abort_func GC_on_abort;
void GC_set_abort_func(GC_abort_func function) GC_ATTR_NONNULL(1);
GC_abort_func GC_get_abort_func(void);

/* Says that there is no memory, and exits with status 1. */
void GC_abort_on_oom(void);

/* Lines of the log (options gc-log, GC_PRINT_STATS) go to this descriptor, which is the program's. */
void GC_set_log_fd(int fd);

/* --- Figures --- */

/* Bytes of the heap's address space whose memory was given back to the kernel. */
size_t GC_get_unmapped_bytes(void);
/* All that the heap and its tables ever took from the kernel. */
size_t GC_get_obtained_from_os_bytes(void);
/* The bytes of all blocks with objects. */
size_t GC_get_memory_use(void);
/* The bytes that were freed by the program since the last collection, as far as the heap has noticed. */
size_t GC_get_expl_freed_bytes_since_gc(void);
/* The room that an object of i bytes gets; (size_t)-1 beyond 32 KiB. */
size_t GC_get_size_map_at(int i);

/* Five figures at once, as the calls of gc.h and GC_get_unmapped_bytes tell them; those that are NULL are left out. */
void GC_get_heap_usage_safe(GC_word *heap_size, GC_word *free_bytes, GC_word *unmapped_bytes, GC_word *bytes_since_gc, GC_word *total_bytes);

struct GC_prof_stats_s {
  GC_word heapsize_full;             /* with what was given back */
  GC_word free_bytes_full;           /* likewise */
  GC_word unmapped_bytes;
  GC_word bytes_allocd_since_gc;
  GC_word allocd_bytes_before_gc;    /* before the last collection */
  GC_word non_gc_bytes;
  GC_word gc_no;
  GC_word markers_m1;                /* threads that mark, besides the collecting one */
  GC_word bytes_reclaimed_since_gc;  /* by the last collection */
  GC_word reclaimed_bytes_before_gc; /* by those before */
  GC_word expl_freed_bytes_since_gc;
  GC_word obtained_from_os_bytes;
};
/* Fills in as many of size bytes as are known here, and the rest with ones. Returns how many are known. The second is the same. */
size_t GC_get_prof_stats(struct GC_prof_stats_s *stats, size_t size);
size_t GC_get_prof_stats_unsafe(struct GC_prof_stats_s *stats, size_t size);

/* From now on the time of full collections is added up; told in milliseconds, from their beginning to their end; 0 if it never began. */
void GC_start_performance_measurement(void);
unsigned long GC_get_full_gc_total_time(void);

/* Write what the heap looks like to standard output, for a person: the heap and its blocks, and who waits for the end of objects; under a name,
 * NULL: the number of the last collection. The others write parts of that. gleaner dump shows more. */
void GC_dump(void);
void GC_dump_named(const char *name);
void GC_dump_regions(void);
void GC_dump_finalization(void);

/* The first address from start on, upwards, that cannot be read; or downwards the last from which on all up to start can be. */
void *GC_find_limit(void *start, int up);

/* --- Allocating --- */

/* As GC_malloc, at a multiple of align: a power of two, or the next one above. */
void *GC_memalign(size_t align, size_t size) GC_ATTR_MALLOC GC_ATTR_ALLOC_SIZE(2);
/* 0, EINVAL when align is no power of two or less than a pointer's size, or ENOMEM; *object is only set with 0. Keeps errno. */
int GC_posix_memalign(void **object, size_t align, size_t size) GC_ATTR_NONNULL(1);
/* As GC_malloc. */
void *GC_malloc_stubborn(size_t size) GC_ATTR_MALLOC GC_ATTR_ALLOC_SIZE(1);

#define GC_MALLOC_STUBBORN(size) GC_MALLOC(size)
#define GC_NEW_STUBBORN(type) GC_NEW(type)

#ifdef GC_REQUIRE_WCSDUP
/* A copy in memory without pointers. */
wchar_t *GC_wcsdup(const wchar_t *text) GC_ATTR_MALLOC GC_ATTR_NONNULL(1);
#ifndef GC_DEBUG
#define GC_WCSDUP(text) GC_wcsdup(text)
#endif
#endif

/* p is alive up to here. */
#define GC_reachable_here(p) __asm__ __volatile__("" : : "X"(p) : "memory")
void GC_noop1(GC_word value); /* does nothing with it */

/* The lock of GC_call_with_alloc_lock, between two calls: the same thread gives it back. It must not be taken twice. */
void GC_alloc_lock(void);
void GC_alloc_unlock(void);

#if defined(I_HIDE_POINTERS) || defined(GC_I_HIDE_POINTERS)
#define HIDE_POINTER(p) GC_HIDE_POINTER(p)
#define REVEAL_POINTER(p) GC_REVEAL_POINTER(p)
#endif

/* --- GC_INIT: what a program defines before it includes gc.h is set before the collector begins, or just after. --- */

#ifdef GC_DONT_EXPAND
#define GC_INIT_CONF_DONT_EXPAND GC_set_dont_expand(1)
#else
#define GC_INIT_CONF_DONT_EXPAND
#endif
#ifdef GC_FORCE_UNMAP_ON_GCOLLECT
#define GC_INIT_CONF_FORCE_UNMAP_ON_GCOLLECT GC_set_force_unmap_on_gcollect(1)
#else
#define GC_INIT_CONF_FORCE_UNMAP_ON_GCOLLECT
#endif
#ifdef GC_DONT_GC
#define GC_INIT_CONF_MAX_RETRIES (void)(GC_dont_gc = 1)
#elif defined(GC_MAX_RETRIES)
#define GC_INIT_CONF_MAX_RETRIES GC_set_max_retries(GC_MAX_RETRIES)
#else
#define GC_INIT_CONF_MAX_RETRIES
#endif
#ifdef GC_ALLOCD_BYTES_PER_FINALIZER
#define GC_INIT_CONF_ALLOCD_BYTES_PER_FINALIZER GC_set_allocd_bytes_per_finalizer(GC_ALLOCD_BYTES_PER_FINALIZER)
#else
#define GC_INIT_CONF_ALLOCD_BYTES_PER_FINALIZER
#endif
#ifdef GC_FREE_SPACE_DIVISOR
#define GC_INIT_CONF_FREE_SPACE_DIVISOR GC_set_free_space_divisor(GC_FREE_SPACE_DIVISOR)
#else
#define GC_INIT_CONF_FREE_SPACE_DIVISOR
#endif
#ifdef GC_FULL_FREQ
#define GC_INIT_CONF_FULL_FREQ GC_set_full_freq(GC_FULL_FREQ)
#else
#define GC_INIT_CONF_FULL_FREQ
#endif
#ifdef GC_TIME_LIMIT
#define GC_INIT_CONF_TIME_LIMIT GC_set_time_limit(GC_TIME_LIMIT)
#else
#define GC_INIT_CONF_TIME_LIMIT
#endif
#ifdef GC_MARKERS
#define GC_INIT_CONF_MARKERS GC_set_markers_count(GC_MARKERS)
#else
#define GC_INIT_CONF_MARKERS
#endif
#ifdef GC_SIG_SUSPEND
#define GC_INIT_CONF_SUSPEND_SIGNAL GC_set_suspend_signal(GC_SIG_SUSPEND)
#else
#define GC_INIT_CONF_SUSPEND_SIGNAL
#endif
#ifdef GC_SIG_THR_RESTART
#define GC_INIT_CONF_THR_RESTART_SIGNAL GC_set_thr_restart_signal(GC_SIG_THR_RESTART)
#else
#define GC_INIT_CONF_THR_RESTART_SIGNAL
#endif
#ifdef GC_MAXIMUM_HEAP_SIZE
#define GC_INIT_CONF_MAXIMUM_HEAP_SIZE GC_set_max_heap_size(GC_MAXIMUM_HEAP_SIZE)
#else
#define GC_INIT_CONF_MAXIMUM_HEAP_SIZE
#endif
#ifdef GC_IGNORE_WARN
#define GC_INIT_CONF_IGNORE_WARN GC_set_warn_proc(GC_ignore_warn_proc)
#else
#define GC_INIT_CONF_IGNORE_WARN
#endif
#ifdef GC_INITIAL_HEAP_SIZE
#define GC_INIT_CONF_INITIAL_HEAP_SIZE \
  if (GC_get_heap_size() < (GC_INITIAL_HEAP_SIZE)) (void)GC_expand_hp((GC_INITIAL_HEAP_SIZE)-GC_get_heap_size())
#else
#define GC_INIT_CONF_INITIAL_HEAP_SIZE
#endif
#define GC_INIT_CONF_ROOTS

/* A block, as in libgc: it may be followed by a semicolon, or by none. */
#define GC_INIT()                                                                                                                        \
  {                                                                                                                                      \
    GC_INIT_CONF_DONT_EXPAND;                                                                                                            \
    GC_INIT_CONF_FORCE_UNMAP_ON_GCOLLECT;                                                                                                \
    GC_INIT_CONF_MAX_RETRIES;                                                                                                            \
    GC_INIT_CONF_ALLOCD_BYTES_PER_FINALIZER;                                                                                             \
    GC_INIT_CONF_FREE_SPACE_DIVISOR;                                                                                                     \
    GC_INIT_CONF_FULL_FREQ;                                                                                                              \
    GC_INIT_CONF_TIME_LIMIT;                                                                                                             \
    GC_INIT_CONF_MARKERS;                                                                                                                \
    GC_INIT_CONF_SUSPEND_SIGNAL;                                                                                                         \
    GC_INIT_CONF_THR_RESTART_SIGNAL;                                                                                                     \
    GC_INIT_CONF_MAXIMUM_HEAP_SIZE;                                                                                                      \
    GC_init();                                                                                                                           \
    GC_INIT_CONF_ROOTS;                                                                                                                  \
    GC_INIT_CONF_IGNORE_WARN;                                                                                                            \
    GC_INIT_CONF_INITIAL_HEAP_SIZE;                                                                                                      \
  }

#ifdef __cplusplus
}
#endif

#endif
