/* SPDX-License-Identifier: MIT
 * What Gleaner has beyond libgc.
 *
 * The rules of gc.h hold here as well. There are three generations: an object is born into generation 0, and moves on by
 * one with each collection that it survives. A collection of a generation looks at it and at the younger ones. */
#ifndef GC_EXT_H
#define GC_EXT_H

#include "gc.h"

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { GC_GENERATIONS = 3 };

/* --- Leaks --- */

/* Searches for leaks now, and writes the report as at the end of the program: to the same place, in the same
 * format, and nothing when nothing was lost. May be called again and again; each search starts afresh and
 * tells all that is lost by then. The report at exit still follows.
 *
 * Returns the number of blocks that are definitely or indirectly lost, suppressed ones included, or -1 with
 * errno when nothing could be searched: ENOTSUP when the process does not run in mode leaks, else what the
 * search met. Stops all other threads meanwhile. What only the caller's own registers and dead stack point to
 * may count as reachable, as in any conservative search. Not to be called from a signal handler. */
long GC_leak_check(void);

/* --- Collecting. What Python's gc module has, under its names. --- */

/* What is known of one collection. Times are nanoseconds, sizes bytes. */
struct GC_collection {
  unsigned long number;   /* from 1 */
  int generation;         /* 0 to 2 */
  int error;              /* 0, or the errno value of why nothing was reclaimed: EAGAIN, a thread could not be stopped */
  const char *reason;     /* why it ran: "asked", "young", "old", "grown", "memory" or "stress" */
  int concurrent;         /* not 0: it marked while the program ran, between two pauses */
  unsigned threads;       /* of the program, the calling one included */
  unsigned markers;       /* threads that marked */
  size_t collected;       /* objects reclaimed */
  size_t collected_bytes;
  size_t live_before, live_after; /* bytes in live objects, as far as is known; by the sweep live_after shrinks further */
  size_t pages_scanned, pages_skipped; /* of older objects, for pointers to younger ones; skipped: not written to since */
  uint64_t duration;      /* from its beginning to its end */
  uint64_t pause;         /* that the program stood still: the longer of two */
  uint64_t stop, roots, old, mark, weak, sweep; /* what the time went into */
  size_t uncollectable;   /* objects that were put on the list of garbage instead */
};

/* Collects the generation and the younger ones now, also while collections are disabled, and has swept when it returns.
 * collection may be NULL. Stops all other threads meanwhile.
 *
 * Returns the number of objects that were found to be unreachable, as Python's gc.collect does: reclaimed, or put on the list of garbage; or
 * -1 with errno: EINVAL, there is no such generation; ENOTSUP, in mode leaks; EBUSY, in a callback of a collection, or another thread has
 * been in one for a second; EPERM, something forbids every collection (there was no memory to note a root of the program's, or it let the kernel
 * kill it for a system call that one needs); EAGAIN, a thread could not be stopped; ENOMEM, or what else was met, when nothing could be reclaimed.
 *
 * Memory of malloc, in mode collect, is reclaimed by the second collection that finds it unreachable. */
long GC_collect(int generation, struct GC_collection *collection);

/* Whether collections come by themselves (gc.enable, gc.disable, gc.isenabled). Unlike GC_enable and GC_disable, which are libgc's, this does not
 * nest: they do, or do not, whatever was called how often before. Returns 1 if they did, 0 if they did not. GC_is_disabled tells of both. */
int GC_set_enabled(int enabled);

/* How much each generation collects of its own accord (gc.get_threshold, gc.set_threshold): the bytes after which
 * generation 0 is collected, the collections of generation 0 after which 1 is, and of 1 after which 2 is. As in Python a threshold of 0 for generation 0
 * lets no collections come by themselves, and for the others lets them be due each time. GC_THRESHOLD_DEFAULT: as the options say; of
 * generation 0, unless they say otherwise, as is best. */
#define GC_THRESHOLD_DEFAULT ((size_t)-1)
void GC_get_threshold(size_t threshold[GC_GENERATIONS]);
void GC_set_threshold(const size_t threshold[GC_GENERATIONS]);

/* How far each has come (gc.get_count): bytes since the last collection, collections of 0 since one of 1, of 1 since one
 * of 2. */
void GC_get_count(size_t count[GC_GENERATIONS]);

/* All that was collected of one generation (gc.get_stats). A forked child starts from zero. */
struct GC_generation_stats {
  unsigned long collections;   /* that were done */
  unsigned long given_up;      /* that reclaimed nothing, because something stood in the way */
  uint64_t collected;          /* objects */
  uint64_t uncollectable;      /* objects that were put on the list of garbage because they will never be finalized */
  uint64_t collected_bytes;
  uint64_t time;               /* nanoseconds, of all collections together */
  uint64_t pause;              /* that the program stood still, together */
  uint64_t pause_50, pause_99, pause_max; /* half of all pauses, 99 of 100, and all were this short; the first two within
                                             a sixteenth */
};
/* 0, or -1 with errno EINVAL when there is no such generation. */
int GC_get_stats(int generation, struct GC_generation_stats *stats);

/* Takes all objects that exist now out of all collections, until GC_unfreeze puts them back into the oldest generation
 * (gc.freeze, gc.unfreeze): before a fork, say, or after a start-up whose data stays. They may still be freed, and what
 * they point to stays. Stops all other threads meanwhile. 0, or -1 with errno as GC_collect. */
int GC_freeze(void);
int GC_unfreeze(void);
/* The objects that are frozen and were not freed (gc.get_freeze_count). Looks at the whole heap's states. */
size_t GC_get_freeze_count(void);

/* The bytes in objects that are not freed and were not reclaimed, malloc'ed ones too where the heap serves malloc. Looks at
 * the whole heap's states. */
size_t GC_get_live_bytes(void);

/* What GC_set_max_heap_size or the option max-heap has set; 0 is no limit. */
size_t GC_get_max_heap_size(void);

/* How old memory that was written is found: "uffd", "soft-dirty" or "scan"; why, if it is not NULL, is set to one
 * sentence on why that was chosen. "none" before the first collection. */
const char *GC_get_write_tracking(const char **why);

/* --- Explicit reference counts ---
 *
 * Every object of the heap has one reference when it is allocated. Counting is for objects that shall end at a known moment, not for keeping them
 * alive: what nothing reaches is reclaimed by the next collection whatever its count, so that cycles are no leaks; and what something reaches,
 * but whose last reference was given back, is freed. To hold an object from where no collector can look, pin it.
 *
 * p is where an object begins: of the functions of gc.h, or of malloc where the heap serves malloc. Anything else, a count that goes too high,
 * a reference given back too often, is reported as a wrong free is (the option misuse), and changes nothing. Any number of threads may call
 * at once; whoever counts up must have a reference, or know of one that stays meanwhile. Not for signal handlers. */

/* One more reference. Returns p, or NULL with errno: EINVAL, there is no such object, or it is at its end; EOVERFLOW, it has 33,554,432
 * references; ENOMEM, there is no memory to count in. A few nanoseconds, and four bytes for each object of the 64 KiB around. */
void *GC_ref(void *p);

/* One less. Returns how many are left. With the last one, short weak references are cleared, the finalizer is run, here and now, long weak
 * references are cleared, and the object is freed, before this returns; unless the finalizer has taken a reference of its own. While the finalizer
 * runs, the object has one reference, the finalizer's; also when a collection found it due, and the last one is given back then (where such a
 * finalizer has left by longjmp, which may not show at once, the object is left to the next collection). Finalizers may give back further
 * references; where more than 50 are inside each other, the rest is done when the first is done. NULL is ignored. */
size_t GC_unref(void *p);

/* How many there are; 0 when no object begins there. */
size_t GC_refcount(const void *p);

/* The object lives, and does not move, until it was unpinned as often, though nothing reaches it: for pointers that the kernel, a device or another
 * process holds, or that are encoded. What it points to lives as well. Freeing it, or giving its last reference back, takes effect
 * with the last unpin; GC_realloc and realloc return NULL with errno EBUSY when it would have to move. 0, or -1 with errno: EINVAL, there is no
 * such object, or it is not pinned; ENOMEM. Pins survive a fork, in both processes. */
int GC_pin(void *p);
int GC_unpin(void *p);

/* --- A window on the heap. What Python's gc module has, under its names. --- */

/* Whether the collector looks after the object that begins there (gc.is_tracked): it was allocated by GC_malloc or GC_malloc_atomic, or by malloc
 * in mode collect. 0 also for what is not a live object's beginning. */
int GC_is_tracked(const void *object);

/* Whether the object's finalizer has been run, or is about to be, and it was not registered again since (gc.is_finalized). */
int GC_is_finalized(const void *object);

/* Whether GC_freeze has taken the object out of all collections. */
int GC_is_frozen(const void *object);

/* The generation in which the object is, 0 to 2 (.NET's GC.GetGeneration); what is frozen counts as oldest. -1 with errno EINVAL when no
 * live object begins there. */
int GC_get_generation(const void *object);

/* The three below return a list: an array of the beginnings of objects, and NULL behind the last. It is a collected object like any other: what is in
 * it lives as long as it is held; GC_free may give it back at once. Their number is put into *count, unless that is NULL. NULL with errno:
 * ENOMEM; ENOTSUP, in mode leaks; EBUSY, in a callback of a collection; EAGAIN, a thread could not be stopped; or what else was met.
 *
 * All threads are stopped meanwhile. A list is what was true at that moment: by the time it is returned other threads may have freed objects (with GC_free,
 * free or GC_unref), and the list does not keep them from it; who goes through it must know that they have not. An object may be in it that was just
 * allocated, and whose address nobody has been given yet; or one that nothing leads to, and which was not collected yet. */

/* All objects for which GC_is_tracked holds (gc.get_objects), of one generation, or, for -1, of any; but not the list itself, and nothing that
 * is frozen. EINVAL: there is no such generation. */
void **GC_get_objects(int generation, size_t *count);

/* All objects in which some word points to, or into, one of these n objects (gc.get_referrers), each once; but not the list itself. It is not known which
 * words are pointers: an integer that looks like one counts, as it does for the collector. Objects that are not collected are told as well; roots are
 * not, see GC_why. Of an address in objects that is in no live object, those that hold exactly this value. Looks at the whole heap. */
void **GC_get_referrers(void *const *objects, size_t n, size_t *count);

/* All objects to which, or into which, the words of these n objects point (gc.get_referents), in this order, and each as often as it is pointed to.
 * None for what never holds pointers (GC_malloc_atomic), and for an address in objects that is in no live object. */
void **GC_get_referents(void *const *objects, size_t n, size_t *count);

/* --- Weak references ---
 *
 * A weak reference is an object of the heap that knows another one, its target, and does not keep it. When the target has been found unreachable, or
 * is freed, or its last reference given back, the weak reference is cleared. A short one is cleared before finalizers are run, a long one
 * when the target is really gone: it still knows a target whose finalizer has brought it back (.NET's short and long ones, Python's
 * weakref, Java's WeakReference and, as a long one with a queue, PhantomReference). All weak references to an object are cleared at once,
 * and so are those to all objects that died with it.
 *
 * The target may be any object of the heap: of the functions of gc.h, and where libgleaner.so is preloaded also of malloc; then free
 * clears, as does a realloc that moves the object. A weak reference itself is reclaimed when nothing leads to it. It is opaque, and is not
 * to be copied. Any thread may call at any time; none of them may be called by a signal handler, or under GC_call_with_alloc_lock. */

struct GC_weak;
struct GC_ref_queue;
enum { GC_WEAK_SHORT, GC_WEAK_LONG };

/* Called once for each time that the collector, or a free, has cleared the weak reference: some time after, as finalizers are, with no lock held.
 * Of those cleared at once the newest comes first. It may do anything. It is not called for a weak reference that is itself
 * garbage by the time when its target's end is found, nor for one that was freed since. */
typedef void (GC_CALLBACK *GC_weak_proc)(struct GC_weak *weak, void *arg);

/* A weak reference to the target, or to none if that is NULL. callback may be NULL; arg lives as long as the weak reference does. What the
 * target is found by later is the pointer given here, also one into the object. NULL with errno: EINVAL, the target is no live object, or no
 * such kind; ENOMEM. */
struct GC_weak *GC_weak_new(void *target, int kind, GC_weak_proc callback, void *arg);

/* The same, without a callback: when it is cleared it is put into the queue, which keeps it until it is taken out. It keeps the queue. */
struct GC_weak *GC_weak_new_queued(void *target, int kind, struct GC_ref_queue *queue, void *arg) __attribute__((nonnull(3)));

/* The target, which the caller holds from then on, or NULL once it was cleared. Without a lock: a few nanoseconds. Who may free the target
 * explicitly in another thread needs GC_weak_get_ref. */
void *GC_weak_get(const struct GC_weak *weak) __attribute__((nonnull(1)));

/* The same with one reference more (GC_ref), to be given back with GC_unref: for objects that end with their last reference. NULL also for an object
 * at its end; with errno EOVERFLOW for one that has as many references as can be counted. */
void *GC_weak_get_ref(const struct GC_weak *weak) __attribute__((nonnull(1)));

void *GC_weak_arg(const struct GC_weak *weak) __attribute__((nonnull(1)));

/* Another target, or none: nobody is told. 0, or -1 with errno as GC_weak_new; then it has no target. */
int GC_weak_set(struct GC_weak *weak, void *target) __attribute__((nonnull(1)));
void GC_weak_clear(struct GC_weak *weak) __attribute__((nonnull(1)));

/* Ends the weak reference at once; it also leaves its queue. GC_free does the same. NULL is ignored. */
void GC_weak_free(struct GC_weak *weak);

/* A queue of weak references that were cleared (Java's ReferenceQueue), the one cleared first in front. It is reclaimed when neither the program nor
 * a weak reference leads to it, and must not be freed while one does. NULL with errno ENOMEM. */
struct GC_ref_queue *GC_ref_queue_new(void);

/* Takes the first one out; NULL when there is none. Any number of threads. */
struct GC_weak *GC_ref_queue_poll(struct GC_ref_queue *queue) __attribute__((nonnull(1)));

/* The same, and waits for one, at most for so many nanoseconds: then NULL with errno ETIMEDOUT. It may take a moment longer. */
#define GC_FOREVER UINT64_MAX
struct GC_weak *GC_ref_queue_wait(struct GC_ref_queue *queue, uint64_t nanoseconds) __attribute__((nonnull(1)));

/* --- Weak hash maps and ephemerons ---
 *
 * A map from objects to values. It does not keep its keys; it keeps a value as long as both the key and the map live, and no longer, even if the value
 * leads to the key (Java's WeakHashMap does not end then). Entries of dead keys vanish by themselves. Keys are compared by their addresses, and
 * are any objects of the heap, as the targets of weak references; an object that is moved by realloc is another key. Values are any pointers.
 *
 * Any thread may call at any time, each call is one step for the others. Each takes the one lock of all maps, for some 50 ns. The map is an object of
 * the heap, opaque; GC_free may be called for it. Its memory is used again for other maps, though never given back to the kernel. */

struct GC_weak_map;
struct GC_ephemeron;

/* NULL with errno ENOMEM. */
struct GC_weak_map *GC_weak_map_new(void);

/* The value of the key, which the caller then holds; NULL when it has none. */
void *GC_weak_map_get(struct GC_weak_map *map, const void *key) __attribute__((nonnull(1)));

/* The key has this value from now on, and no longer another. 0, or -1 with errno: EINVAL, no object begins at key, or it is at its end; ENOMEM. */
int GC_weak_map_set(struct GC_weak_map *map, void *key, void *value) __attribute__((nonnull(1)));

/* 1, or 0 when the key had no value. */
int GC_weak_map_remove(struct GC_weak_map *map, const void *key) __attribute__((nonnull(1)));

/* Keys that were not yet found dead. */
size_t GC_weak_map_count(struct GC_weak_map *map) __attribute__((nonnull(1)));

/* Calls the function for each key, with its value, as the map was at the beginning: the function may change the map, and all keys and
 * values stay meanwhile. The newest key comes first. 0, or -1 with errno ENOMEM, and it was not called. */
int GC_weak_map_each(struct GC_weak_map *map, void (*function)(void *key, void *value, void *arg), void *arg) __attribute__((nonnull(1, 2)));

/* An ephemeron: a map of a single key. NULL with errno as GC_weak_map_set. */
struct GC_ephemeron *GC_ephemeron_new(void *key, void *value);
/* The key, and its value in *value (which may be NULL, for nowhere); NULL, and a value of NULL, once the key is dead. */
void *GC_ephemeron_get(struct GC_ephemeron *ephemeron, void **value) __attribute__((nonnull(1)));
/* Another value. 0, or -1 with errno EINVAL when the key is dead. */
int GC_ephemeron_set(struct GC_ephemeron *ephemeron, void *value) __attribute__((nonnull(1)));

/* --- Finalizers (.NET's names in brackets). gc.h registers them. --- */

/* The object's finalizer is not run, also when it is due already, but it stays registered (GC.SuppressFinalize). 0, or -1 with errno ENOENT: it has
 * none. */
int GC_suppress_finalizer(void *object);

/* What was suppressed, or has been run, is to be run (again) when nothing leads to the object (GC.ReRegisterForFinalize), with the same data. Also
 * from the finalizer itself. 0, or -1 with errno ENOENT: it had none. */
int GC_reregister_finalizer(void *object);

/* From now on a thread of its own runs finalizers and callbacks of weak references, with all signals blocked, and nobody else does but
 * GC_invoke_finalizers, GC_finalize_all and GC_unref. A forked child has no such thread until it asks for one. 0, also when there is one; or -1
 * with errno of pthread_create(3), or ENOTSUP in mode leaks. */
int GC_start_finalizer_thread(void);

/* Returns when it has ended what it was running. What is due then is run as without a thread. 0, also when there is none; or -1 with errno EDEADLK
 * when that thread calls. */
int GC_stop_finalizer_thread(void);

/* Returns when none is due and none is being run (GC.WaitForPendingFinalizers). Without a finalizer thread, and unless they are run on demand, the
 * calling thread runs them. After so many nanoseconds, unless they are 0, it gives up. Of one that has left by longjmp or an exception it may take a
 * while until that shows. 0, or -1 with errno: ETIMEDOUT; EDEADLK in a finalizer, or in a callback of a collection. */
int GC_wait_for_finalizers(uint64_t timeout);

/* Not 0, or with the option finalize-at-exit: at exit(3), after the functions that the program has registered with atexit(3) since, all
 * finalizers that are registered are run as GC_finalize_all does, but for those that are registered then. */
void GC_set_finalize_at_exit(int on);
int GC_get_finalize_at_exit(void);

/* --- Garbage that is not reclaimed (gc.garbage, gc.set_debug) --- */

enum {
  GC_DEBUG_STATS = 1,          /* a line on each collection, as in the log */
  GC_DEBUG_COLLECTABLE = 2,    /* a line on each object that is reclaimed, or would be */
  GC_DEBUG_UNCOLLECTABLE = 4,  /* a line on each object that cannot be, because of its finalizer */
  GC_DEBUG_SAVEALL = 32,       /* what would be reclaimed is put on the list of garbage instead, and lives */
  GC_DEBUG_LEAK = GC_DEBUG_COLLECTABLE | GC_DEBUG_UNCOLLECTABLE | GC_DEBUG_SAVEALL
};

/* From now on; what is told goes into the log of the option gc-log, or to standard error. Many lines, and slow: for debugging. */
void GC_set_debug(int flags);
int GC_get_debug(void);

/* The list: objects with an ordered finalizer (gc.h) that are unreachable and lead to themselves, and all such that these lead to, which can never
 * be finalized; and what GC_DEBUG_SAVEALL has saved. An object is put there by the first collection that finds it, or by the second if others
 * were due at the first. It is said once on standard error, and each time in the log. The list is a root. GC_get_garbage returns object n, from 0 on;
 * NULL beyond the end. Cleared, the list forgets them: what can be reclaimed then is, what cannot is found anew. An object on it that was
 * saved must not be freed before. */
size_t GC_get_garbage_count(void);
void *GC_get_garbage(size_t n);
void GC_clear_garbage(void);

/* --- Callbacks (gc.callbacks) --- */

enum GC_phase {
  GC_PHASE_START, /* before a collection: number, generation and reason are set */
  GC_PHASE_STOP,  /* after it: all is set. Of generation 2, collected counts follow with GC_PHASE_SWEPT */
  GC_PHASE_SWEPT, /* what the last collection of generation 2 left to be swept while the program went on, has been: number,
                     generation, collected, collected_bytes and live_after are set */
  GC_PHASE_LOW_MEMORY /* see GC_set_low_memory_threshold: memory, and, of the collection that noticed it, what is known of it by now, are set */
};

/* What bounds the memory of this process. */
enum GC_memory_limit {
  GC_LIMIT_HEAP,          /* the largest heap (GC_set_max_heap_size, the option max-heap), against all that is in blocks */
  GC_LIMIT_CONTROL_GROUP, /* the kernel's limit on a control group, against what it uses and the kernel could not take back at once */
  GC_LIMIT_ADDRESS_SPACE, /* RLIMIT_AS, against the process' address space */
  GC_LIMIT_DATA,          /* RLIMIT_DATA, against its data */
  GC_LIMIT_MACHINE        /* the machine's memory, against what is not available of it */
};

struct GC_low_memory {
  enum GC_memory_limit limit;
  size_t used, most; /* bytes */
};

struct GC_event {
  enum GC_phase phase;
  struct GC_collection collection;
  struct GC_low_memory memory;
};

/* From now on the function is called with arg before and after each collection, in the order in which they were added, by the
 * thread that collects, with no lock held and the program running. It may allocate and free, which collects nothing
 * meanwhile. If it leaves by longjmp, an exception or the end of its thread, others behind it are not called. event is gone when it returns. arg is a root. The same function may be added
 * with several args. 0, or -1 with errno: ENOMEM when there are too many (some 250), EINVAL when function is NULL. */
int GC_add_callback(void (*function)(const struct GC_event *event, void *arg), void *arg);

/* 0, or -1 with errno ENOENT when it was not added with this arg. Also from a callback. Another thread may be in the function
 * still when this returns. */
int GC_remove_callback(void (*function)(const struct GC_event *event, void *arg), void *arg);

/* From now on the callbacks are called with GC_PHASE_LOW_MEMORY when so many of a hundred bytes of some limit are in use: after a collection, and after the
 * sweep of one of generation 2; so also when memory was refused, which collects everything first, but not while nothing is collected. Once, and again when it was
 * less meanwhile (as the JVM's collection usage threshold). 0, which it is at first: never. Costs some system calls, of which most are for files
 * in /proc, after each collection. 0, or -1 with errno EINVAL. */
int GC_set_low_memory_threshold(int percent);
int GC_get_low_memory_threshold(void);

/* --- Full collections, that is of generation 2 (.NET's notifications, with its results) --- */

enum GC_notification {
  GC_NOTIFICATION_SUCCEEDED,
  GC_NOTIFICATION_FAILED,        /* never */
  GC_NOTIFICATION_CANCELED,      /* by GC_cancel_full_gc_notification */
  GC_NOTIFICATION_TIMEOUT,
  GC_NOTIFICATION_NOT_APPLICABLE /* nobody registered */
};

/* From now on threads may wait for full collections. One approaches when no more than so many of a hundred bytes are missing of what must grow old until one
 * is due, which is looked at after each collection; or when it begins. percent: 1 to 99; the more, the earlier. 0, or -1 with errno:
 * EINVAL; ENOTSUP, in mode leaks. To call it again begins anew. */
int GC_register_for_full_gc_notification(int percent);

/* Nobody waits any more; who does is told so. 0, or -1 with errno EINVAL when nobody registered. */
int GC_cancel_full_gc_notification(void);

/* Waits for so many milliseconds, below 0 for ever, until a full collection approaches; or until one is complete, but for its sweep. Returns at once from the
 * approach until it is complete; or from then to the next approach. No cancellation point. */
enum GC_notification GC_wait_for_full_gc_approach(long milliseconds);
enum GC_notification GC_wait_for_full_gc_complete(long milliseconds);

/* --- What the program knows of its memory (.NET) --- */

/* The program holds so many bytes beside the heap, for objects in it (GC.AddMemoryPressure): they count as bytes that were allocated, so that collections come in
 * time, and this one may be due at once. To be taken back when they are given back; never falls below 0. What GC_get_count tells
 * contains them. Not to be called with a lock held that a callback takes, as an allocation. */
void GC_add_memory_pressure(size_t bytes);
void GC_remove_memory_pressure(size_t bytes);

/* From now on no collection comes by itself until so many bytes more are in use, or until the end. Room for them is made sure of first, if need be by a
 * full collection; what is freed meanwhile may be allocated once more. 0, or -1 with errno: EINVAL, bytes is 0; ENOMEM, there is no such room: the
 * largest heap, or what the kernel grants; EALREADY, there is such a time already; ENOTSUP, in mode leaks. (GC.TryStartNoGCRegion) */
int GC_try_start_no_gc_region(size_t bytes);

/* Collections come by themselves again. 0, or -1 with errno: EINVAL, there was no such time; EOVERFLOW, more bytes than that came into use, so that
 * collections came again; ECANCELED, one was asked for, or memory was refused, which ended it. (GC.EndNoGCRegion) */
int GC_end_no_gc_region(void);

/* --- How much there is --- */

/* The bytes in live objects, as GC_get_live_bytes; if collect is not 0 after full collections, until they make little difference
 * (GC.GetTotalMemory). */
size_t GC_get_total_memory(int collect);

/* The bytes that this thread has allocated by the functions of gc.h so far, each object as large as GC_size tells (of large ones: as was asked for). Does
 * not look at other threads. (GC.GetAllocatedBytesForCurrentThread) */
size_t GC_get_allocated_bytes_for_current_thread(void);

struct GC_memory_info {
  size_t heap;       /* bytes: blocks, and free memory that was not given back to the kernel */
  size_t used;       /* of these, in live objects */
  size_t fragmented; /* and the rest */
  size_t most;       /* that the heap may have: the largest heap, or all that can be addressed */
  size_t initial;    /* until there were as many, nothing is collected by itself */
  size_t pressure;   /* beside the heap: GC_add_memory_pressure */
  size_t limit, limit_used; /* of all limits of the kernel's the one that leaves least room, and how much of it is in use; 0: there is none */
  size_t objects[GC_GENERATIONS], bytes[GC_GENERATIONS]; /* of each generation, but for frozen ones */
  size_t pinned;     /* pinned objects */
  size_t pending;    /* finalizers that wait to be run */
  unsigned long number, collections; /* of the last collection; how many were done */
  uint64_t pause;    /* nanoseconds that the program stood still */
  double pause_percent; /* and of the time since it began, or was forked */
};

/* All that is known (.NET's GC.GetGCMemoryInfo, the JVM's MemoryMXBean). Looks at the whole heap's states, and at some files of the kernel's. 0, or -1
 * with errno ENOMEM. */
int GC_get_memory_info(struct GC_memory_info *info);

/* --- Looking at the heap --- */

/* Writes a heap dump to the file, as gleaner dump does (see gleaner(1), gleaner-dump(5)): every object alive, what leads to what, the roots, and
 * where objects were allocated if that is recorded; no contents. The program stands still only for a fork; a child process without any of
 * its descriptors writes, the calling thread waits for it, and the others go on. The program's wait functions never see that child (but
 * those with __WCLONE or __WALL do), and no SIGCHLD comes. The file is made with mode 0600, or cut to nothing if it exists; after an
 * error what is in it is not a whole dump, and those who read dumps say so.
 *
 * 0, or -1 with errno: what open or write met; EAGAIN or ENOMEM, the fork was refused or there is no memory for it; EPERM, the program has put
 * itself under a filter of system calls; EINTR, the child was killed; EINVAL, path is NULL. Not from a signal handler. */
int GC_dump_heap(const char *path);

/* What kind of memory a root is. */
enum GC_root {
  GC_ROOT_REGISTERS,  /* of a thread */
  GC_ROOT_STACK,      /* of a thread, from its stack pointer up */
  GC_ROOT_TLS,        /* of a thread: thread-local variables, and what the C library keeps there */
  GC_ROOT_GLOBAL,     /* a variable of the program or of a library; dladdr(3) may know its name */
  GC_ROOT_MAPPING,    /* memory from mmap and its like */
  GC_ROOT_DECLARED,   /* given to GC_add_roots */
  GC_ROOT_KEPT,       /* what was handed to this library: a pinned object, a value of a weak map, the argument of a callback */
  GC_ROOT_KERNEL,     /* what the kernel will give back: epoll, timers, signals */
  GC_ROOT_DEAD_STACK, /* below a thread's stack pointer: left there by calls that have returned */
  GC_ROOT_OWNED       /* no memory: the first object may not be reclaimed: uncollectable, frozen, or malloc'ed where that is not collected */
};

struct GC_why_step {
  int index;          /* from 0, at the root */
  enum GC_root root;  /* where the path begins: the same in all its steps */
  long thread;        /* whose that is, as gettid(2) tells it; 0: no thread's */
  const void *from;   /* the address of the word that leads on: in the root, then in the object before. NULL: root is OWNED */
  const void *object; /* the beginning of the object that it leads to */
  size_t size;        /* of it, as far as is known what was asked for */
};

/* Who keeps this object alive? Calls step (may be NULL) for each step of the shortest path from a root to the object, which may be
 * given by any address inside of it. What the calling thread's own stack and registers lead to is told only if no other root
 * leads there, since whoever asks has the address; dead stacks only if nothing else does.
 *
 * Returns the number of steps (of which at most 1024 are told), 0 when nothing leads to the object, or -1 with errno: EINVAL, it is no object
 * alive; else as GC_dump_heap. The path is as it was when this was called; it is searched in a copy of the process while the other
 * threads go on, which takes 8 bytes for each object and the time to look at all that is reachable. The callback may allocate. Not from a signal
 * handler. */
long GC_why(const void *object, void (*step)(const struct GC_why_step *step, void *arg), void *arg);

#ifdef __cplusplus
}
#endif

#endif
