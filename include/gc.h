/* SPDX-License-Identifier: MIT
 * Gleaner's part of the libgc interface: names, types and meaning are libgc's (8.2, its gc.h), as far as they are
 * declared here. Where Gleaner differs, it says so. Link with -lgc; in a program that runs with libgleaner.so preloaded
 * the same heap serves malloc, too.
 *
 * What is allocated here is collected: an object is reclaimed once no pointer to it, or into it, is left in any root or
 * in any object that is reachable. Roots are the registers and stacks of all threads (they need not be registered), their
 * thread-local storage, the data of the program and of its libraries, and what GC_add_roots adds; in a program that runs
 * with libgleaner.so preloaded all memory that it can write, malloc'ed objects too. In a program that is merely linked
 * with -lgc, memory of malloc and of mmap is not looked into, as under libgc. In mode=leaks nothing is collected: what is
 * allocated here and lost is reported as leaks are.
 *
 * Rules for all: any thread may call at any time, and no preparation is needed: the collector begins with the first
 * allocation. A forked child may go on calling. None of them may be called from a signal handler. Sizes are bytes.
 * GLEANER_OPTIONS is read by linked programs as well; see gleaner(1). */
#ifndef GC_H
#define GC_H

#include "gc_version.h"

#include "gc_config_macros.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef unsigned long GC_word;
typedef long GC_signed_word;
typedef void *GC_PTR; /* libgc's old name */

/* --- Allocation. All return NULL, with errno ENOMEM, when there is no memory: see GC_set_oom_fn. --- */

/* size bytes, zeroed, aligned for any type (16 bytes from a size of 16 on), searched for pointers. The memory is
 * distinct for each call, also for size 0. */
void *GC_malloc(size_t size) GC_ATTR_MALLOC GC_ATTR_ALLOC_SIZE(1);

/* The same for memory that never holds pointers: not zeroed, and never searched for them. */
void *GC_malloc_atomic(size_t size) GC_ATTR_MALLOC GC_ATTR_ALLOC_SIZE(1);

/* As GC_malloc, but a root: never reclaimed, and searched for pointers even if nothing leads to it. GC_free gives it
 * back. */
void *GC_malloc_uncollectable(size_t size) GC_ATTR_MALLOC GC_ATTR_ALLOC_SIZE(1);

/* As GC_malloc_atomic, but never reclaimed. */
void *GC_malloc_atomic_uncollectable(size_t size) GC_ATTR_MALLOC GC_ATTR_ALLOC_SIZE(1);

/* Makes the object at old size bytes long, moving it where it must; its contents up to the smaller of both sizes stay,
 * what is added is zeroed (but for objects that never hold pointers), and the object is of the same kind afterwards. old
 * NULL: as GC_malloc. size 0: as GC_free, and returns NULL. On failure it returns NULL with errno ENOMEM, and old is as
 * it was. old must be what an allocation returned, or it is reported as a misuse. */
void *GC_realloc(void *old, size_t size) GC_ATTR_ALLOC_SIZE(2);

/* Gives the object back, at once. NULL is allowed. Anything else that is not a live object's beginning (freed before, an
 * interior pointer, any other word) is reported as a misuse, after which the program aborts or goes on, as the option
 * misuse says. Keeps errno. */
void GC_free(void *object);

/* A copy of the text, at most size bytes of it, in memory without pointers. GC_strdup(NULL) is NULL. */
char *GC_strdup(const char *text) GC_ATTR_MALLOC;
char *GC_strndup(const char *text, size_t size) GC_ATTR_MALLOC GC_ATTR_NONNULL(1);

#define GC_MALLOC(size) GC_malloc(size)
#define GC_MALLOC_ATOMIC(size) GC_malloc_atomic(size)
#define GC_MALLOC_UNCOLLECTABLE(size) GC_malloc_uncollectable(size)
#define GC_MALLOC_ATOMIC_UNCOLLECTABLE(size) GC_malloc_atomic_uncollectable(size)
#define GC_REALLOC(old, size) GC_realloc(old, size)
#define GC_FREE(object) GC_free(object)
#define GC_STRDUP(text) GC_strdup(text)
#define GC_STRNDUP(text, size) GC_strndup(text, size)
#define GC_NEW(type) ((type *)GC_MALLOC(sizeof(type)))
#define GC_NEW_ATOMIC(type) ((type *)GC_MALLOC_ATOMIC(sizeof(type)))
#define GC_NEW_UNCOLLECTABLE(type) ((type *)GC_MALLOC_UNCOLLECTABLE(sizeof(type)))

/* Called when memory is refused, or the largest heap is reached, and a last full collection has not helped: with the size
 * that was asked for, by the thread that asked, with no lock held. What it returns is returned by the allocation: NULL, or
 * an object that was allocated before. It may allocate, end the program, or leave by longjmp. By default it returns NULL.
 * It is not called for malloc. The function must not be NULL. */
typedef void *(GC_CALLBACK *GC_oom_func)(size_t size);
void GC_set_oom_fn(GC_oom_func function) GC_ATTR_NONNULL(1);
GC_oom_func GC_get_oom_fn(void);

/* --- Objects --- */

/* The beginning of the object that p points to or into; NULL when it points into none. One past the end is
 * outside. */
void *GC_base(void *p);

/* The bytes that may be used of the object that begins at object, at least those asked for; 0 when none
 * begins there. */
size_t GC_size(const void *object);

/* Not 0 when p points into the heap, wherever, also into what was freed. With libgleaner.so preloaded the heap holds
 * malloc'ed memory, too. */
int GC_is_heap_ptr(const void *p);

/* --- Collecting --- */

/* Readies the collector, as the first allocation does. May be called again and again. */
void GC_init(void);

/* Collects all generations now, and has swept when it returns. Nothing happens while collections are disabled, or in mode
 * leaks, or when it is called by a callback of a collection. Stops all other threads meanwhile. */
void GC_gcollect(void);

/* Until GC_enable was called as often as GC_disable, nothing is collected but by GC_collect of gc_ext.h. The heap then
 * grows as it must; if memory runs out, allocations fail. GC_enable without a GC_disable before it does nothing.
 *
 * A collection that another thread is about to begin comes to nothing; a marking that goes on beside the program may go on, but comes to
 * nothing unless GC_enable is called soon. From any thread, also in a callback; from a signal handler. */
void GC_disable(void);
void GC_enable(void);
int GC_is_disabled(void); /* not 0 while it is */

/* --- Sizes and counts. Cheap unless said otherwise; each is right for itself, taken together they need not agree. --- */

/* The bytes of the heap: blocks with their objects and their free room, and free memory that was not given back to the
 * kernel yet. */
size_t GC_get_heap_size(void);

/* A lower bound of how much of the heap is free. Looks at each block of 64 KiB. */
size_t GC_get_free_bytes(void);

/* The bytes handed out to threads since the last collection began, or the program. What a thread was handed for the next
 * objects of a size counts at once. */
size_t GC_get_bytes_since_gc(void);

/* The bytes of all objects ever allocated through the functions above, each as large as GC_size tells; what GC_realloc adds
 * to an object where it stands is not counted. Never shrinks; wraps around. */
size_t GC_get_total_bytes(void);

/* How many collections were begun, of all generations. A forked child goes on counting. */
GC_word GC_get_gc_no(void);

/* From now on the heap has at most so many bytes, beyond which memory is refused after a last full collection; 0 is no
 * limit. What is larger already stays. */
void GC_set_max_heap_size(GC_word bytes);

/* Makes sure that the heap can grow by so many bytes, and lets it grow by them before the next collection that comes by
 * itself. 1, or 0 when memory is refused or the largest heap is exceeded. */
int GC_expand_hp(size_t bytes);

/* --- Links: words that become NULL when an object dies ---
 *
 * A link is a word of the program's that is to hold a pointer to an object and yet not keep it: it lies where nothing looks for pointers (in an
 * object of GC_malloc_atomic), or it holds the pointer in disguise (GC_HIDE_POINTER). When the object has been found unreachable, *link becomes
 * NULL, eight bytes and no more, while the program stands still: a link before the finalizers of that collection are chosen, so that one in
 * an object does not count for their order; a long link once nothing can bring the object back, that is after its finalizer. Also when the
 * object is freed by GC_free, or its last reference given back. A link that lies in an object is forgotten when that one dies, or is freed.
 *
 * *link, whether it is hidden or not, may be read as a pointer only under GC_call_with_alloc_lock, or by who holds the object anyway: else it may
 * become NULL between being read and being used. GC_weak_get of gc_ext.h needs no lock. */

typedef GC_word GC_hidden_pointer;
#define GC_HIDE_POINTER(p) (~(GC_hidden_pointer)(p))
#define GC_REVEAL_POINTER(p) ((void *)GC_HIDE_POINTER(p))

/* *link waits for the object from now on. Returns GC_SUCCESS; GC_DUPLICATE when it waited for some object before, and now waits for this one;
 * GC_NO_MEMORY; GC_UNIMPLEMENTED in mode leaks, where nothing is collected. object may also be a pointer into an object; what is no object
 * of the heap never dies. */
int GC_general_register_disappearing_link(void **link, const void *object) GC_ATTR_NONNULL(1) GC_ATTR_NONNULL(2);
int GC_register_long_link(void **link, const void *object) GC_ATTR_NONNULL(1) GC_ATTR_NONNULL(2);
/* The same for the object that the link itself lies in. GC_NOT_FOUND, with errno EINVAL, when it lies in none, for which libgc aborts. */
int GC_register_disappearing_link(void **link) GC_ATTR_NONNULL(1);

/* *link waits no longer. 1, or 0 when it did not. */
int GC_unregister_disappearing_link(void **link);
int GC_unregister_long_link(void **link);

/* *to waits in the place of *link; neither is changed. Returns GC_SUCCESS; GC_NOT_FOUND when *link did not wait; GC_DUPLICATE when *to, another
 * one, waits already, and all is as it was; GC_NO_MEMORY, and neither waits. */
int GC_move_disappearing_link(void **link, void **to) GC_ATTR_NONNULL(2);
int GC_move_long_link(void **link, void **to) GC_ATTR_NONNULL(2);

/* Calls the function, and returns what it returns, while no link can become NULL: it may reveal pointers. It may allocate, which collects nothing
 * meanwhile; it must not free, nor call anything else of what is declared here but GC_base, GC_size and GC_is_heap_ptr, nor leave by longjmp. */
typedef void *(GC_CALLBACK *GC_fn_type)(void *arg);
void *GC_call_with_alloc_lock(GC_fn_type function, void *arg) GC_ATTR_NONNULL(1);

/* --- Roots: ranges of memory that are searched for pointers --- */

/* From lo on, below hi; incomplete words at the ends are left out. A range may be added more than once, and must be
 * readable as long as it is a root. When there is no memory to note it, nothing is collected from then on. */
void GC_add_roots(void *lo, void *hi);

/* Each range that was added and lies inside [lo, hi) as a whole is no root any more. As in libgc one that lies there in part stays as it is, and data
 * segments stay roots (GC_exclude_static_roots). */
void GC_remove_roots(void *lo, void *hi);

/* So are all ranges that were added: from now on stacks, registers, thread-local storage, the data segments of loaded modules, and what is added
 * then are roots. Nothing changes in a program that runs with libgleaner.so preloaded, where all memory is searched. */
void GC_clear_roots(void);

/* The range holds no pointers to objects, and is not searched. */
void GC_exclude_static_roots(void *lo, void *hi);

/* --- Threads. All are found and searched, however they were made, and none needs to be registered: these calls exist
 * for programs that were written for libgc, and merely note what they are told. --- */

#define GC_SUCCESS 0
#define GC_DUPLICATE 1
#define GC_NO_THREADS 2
#define GC_NO_MEMORY 2
#define GC_UNIMPLEMENTED 3
#define GC_NOT_FOUND 4

struct GC_stack_base {
  void *mem_base; /* the cold end of the stack: all its frames lie below */
};

/* The stack that this thread began with. Returns GC_SUCCESS. */
int GC_get_stack_base(struct GC_stack_base *base) GC_ATTR_NONNULL(1);

void GC_allow_register_threads(void);

/* GC_SUCCESS; GC_DUPLICATE when this thread was registered before, which the main thread always is. */
int GC_register_my_thread(const struct GC_stack_base *base) GC_ATTR_NONNULL(1);

/* GC_SUCCESS; GC_NOT_FOUND when this thread is not registered. */
int GC_unregister_my_thread(void);
int GC_thread_is_registered(void); /* not 0 when it is */

/* --- Finalizers --- */

/* What is to be done when nothing leads to an object any more: called with the object and data, by a thread of the program, with no lock held.
 * It may do anything: allocate, collect, register finalizers, keep the object (which then lives on), leave by longjmp or an exception. */
typedef void(GC_CALLBACK *GC_finalization_proc)(void *object, void *data);

/* From now on the object, which an allocation returned, has this finalizer; NULL: none. It had one at most before, which is told through
 * old_function and old_data, where these are not NULL (NULL and NULL: none). It is run once, and is not registered any more from the moment the
 * collector found it to be due. data is a root until then: if it leads to the object, that never happens. Where no live object begins at the
 * address, nothing is done, and told are NULL and NULL. When there is no memory, errno is ENOMEM, nothing was changed, and nothing is told.
 * Whatever ends the object itself (GC_free, GC_realloc that moves it) ends the registration. In mode leaks nothing becomes due by itself:
 * finalizers are run by GC_unref, GC_finalize_all, and at exit if that is asked for.
 *
 * The order: of unreachable objects with finalizers those come first to which no other one leads. What these lead to lives, and its turn
 * comes with a later collection. An object that leads to itself, by any way, is never due: see GC_get_garbage. */
void GC_register_finalizer(void *object, GC_finalization_proc function, void *data, GC_finalization_proc *old_function, void **old_data);

/* The same, but pointers from the object right to itself do not count. */
void GC_register_finalizer_ignore_self(void *object, GC_finalization_proc function, void *data, GC_finalization_proc *old_function,
                                       void **old_data);

/* The same, but nothing waits for what leads to it: all of a cycle are due at once. It waits itself for those with an order. */
void GC_register_finalizer_no_order(void *object, GC_finalization_proc function, void *data, GC_finalization_proc *old_function, void **old_data);

/* As GC_register_finalizer, and it waits for those without an order as well, which might make it reachable again. */
void GC_register_finalizer_unreachable(void *object, GC_finalization_proc function, void *data, GC_finalization_proc *old_function,
                                       void **old_data);

#define GC_REGISTER_FINALIZER(object, function, data, old_function, old_data) \
  GC_register_finalizer(object, function, data, old_function, old_data)
#define GC_REGISTER_FINALIZER_IGNORE_SELF(object, function, data, old_function, old_data) \
  GC_register_finalizer_ignore_self(object, function, data, old_function, old_data)
#define GC_REGISTER_FINALIZER_NO_ORDER(object, function, data, old_function, old_data) \
  GC_register_finalizer_no_order(object, function, data, old_function, old_data)
#define GC_REGISTER_FINALIZER_UNREACHABLE(object, function, data, old_function, old_data) \
  GC_register_finalizer_unreachable(object, function, data, old_function, old_data)

/* Finalizers are run at the end of GC_gcollect and its like, and of allocations of this header now and then; never inside malloc and its family,
 * and by no allocation while another one is running in the same thread. With finalize on demand they are run by GC_invoke_finalizers alone, or by
 * the thread of gc_ext.h. */

/* Runs those that are due, and returns how many that were. Also from a finalizer, some levels deep. */
int GC_invoke_finalizers(void);
/* Not 0 when some are due. */
int GC_should_invoke_finalizers(void);

extern int GC_finalize_on_demand;
void GC_set_finalize_on_demand(int on);
int GC_get_finalize_on_demand(void);

/* With finalize on demand: called at most once for each collection that found some to be due, where they would be run otherwise. NULL: nobody. */
typedef void(GC_CALLBACK *GC_finalizer_notifier_proc)(void);
extern GC_finalizer_notifier_proc GC_finalizer_notifier;
void GC_set_finalizer_notifier(GC_finalizer_notifier_proc notifier);
GC_finalizer_notifier_proc GC_get_finalizer_notifier(void);

/* Not 0, as it is at first: GC_register_finalizer_unreachable does what it says; 0: as GC_register_finalizer. Unlike in libgc, what an object
 * leads to is always there still when its finalizer is run. */
extern int GC_java_finalization;
void GC_set_java_finalization(int on);
int GC_get_java_finalization(void);

/* At most so many finalizers are run by one call or at one of these places, the others next time; 0, as it is at first: all. */
void GC_set_interrupt_finalizers(unsigned most);
unsigned GC_get_interrupt_finalizers(void);

/* Called for each object whose finalizer became due, after the collection, before it can be run; under the rules of callbacks (gc_ext.h).
 * NULL: nobody. */
typedef void(GC_CALLBACK *GC_await_finalize_proc)(void *object);
void GC_set_await_finalize_proc(GC_await_finalize_proc function);
GC_await_finalize_proc GC_get_await_finalize_proc(void);

/* Toggle references: references from outside of all that is searched, which are strong or weak as the function tells. It is asked for each of them
 * before each collection, under the rules of callbacks (gc_ext.h): strong ones keep their objects, weak ones are dropped with them. */
typedef enum { GC_TOGGLE_REF_DROP, GC_TOGGLE_REF_STRONG, GC_TOGGLE_REF_WEAK } GC_ToggleRefStatus;
typedef GC_ToggleRefStatus(GC_CALLBACK *GC_toggleref_func)(void *object);
void GC_set_toggleref_func(GC_toggleref_func function);
GC_toggleref_func GC_get_toggleref_func(void);

/* GC_SUCCESS, also when there is no function and so nothing is done; GC_NO_MEMORY. */
int GC_toggleref_add(void *object, int is_strong);

/* Runs all finalizers that are registered, also those of objects that can still be reached, and of these that they register, until there are
 * none. */
void GC_finalize_all(void);

/* --- Being told of collections. gc_ext.h has callbacks with figures. --- */

/* Called before each collection, by the thread that collects, with no lock held and the program running. It may allocate,
 * which collects nothing meanwhile. NULL: nobody is called. */
typedef void (GC_CALLBACK *GC_start_callback_proc)(void);
void GC_set_start_callback(GC_start_callback_proc function);
GC_start_callback_proc GC_get_start_callback(void);

typedef enum {
  GC_EVENT_START,
  GC_EVENT_MARK_START,
  GC_EVENT_MARK_END,
  GC_EVENT_RECLAIM_START,
  GC_EVENT_RECLAIM_END,
  GC_EVENT_END,
  GC_EVENT_PRE_STOP_WORLD,
  GC_EVENT_POST_STOP_WORLD,
  GC_EVENT_PRE_START_WORLD,
  GC_EVENT_POST_START_WORLD,
  GC_EVENT_THREAD_SUSPENDED,
  GC_EVENT_THREAD_UNSUSPENDED
} GC_EventType;

/* Called as above with GC_EVENT_START before each collection and with GC_EVENT_END after it. The others name what
 * happens while the program stands still, when no code of the program can run: unlike libgc, Gleaner never calls with
 * them. */
typedef void (GC_CALLBACK *GC_on_collection_event_proc)(GC_EventType event);
void GC_set_on_collection_event(GC_on_collection_event_proc function);
GC_on_collection_event_proc GC_get_on_collection_event(void);

/* --- Threads again: see gc_pthread_redirects.h --- */

void *GC_dlopen(const char *path, int mode);

/* The signal that stops threads; -1 before the collector begins. Nothing is needed to let them go on: the second tells the same. */
int GC_get_suspend_signal(void);
int GC_get_thr_restart_signal(void);

/* Forks are always handled: these do nothing. */
void GC_set_handle_fork(int value);
void GC_atfork_prepare(void);
void GC_atfork_parent(void);
void GC_atfork_child(void);

/* Threads that mark are made when they are needed: this does nothing. */
void GC_start_mark_threads(void);

/* --- Stacks --- */

/* Calls the function with this thread's stack, and returns what it returns. */
typedef void *(GC_CALLBACK *GC_stack_base_func)(struct GC_stack_base *base, void *arg);
void *GC_call_with_stack_base(GC_stack_base_func function, void *arg) GC_ATTR_NONNULL(1);

/* Call the function, and return what it returns. Libgc does not wait for a thread in the first; Gleaner stops threads anywhere. */
void *GC_do_blocking(GC_fn_type function, void *arg) GC_ATTR_NONNULL(1);
void *GC_call_with_gc_active(GC_fn_type function, void *arg) GC_ATTR_NONNULL(1);

/* For who switches stacks. Where a thread's stack lies is seen from its stack pointer, so nothing need be told; what was told of the calling thread
 * (NULL, or what the first returns, names it) is told again. What other stacks hold must be roots, or reachable. */
void *GC_get_my_stackbottom(struct GC_stack_base *base) GC_ATTR_NONNULL(1);
void GC_set_stackbottom(void *thread, const struct GC_stack_base *base) GC_ATTR_NONNULL(2);
void GC_register_altstack(void *stack, GC_word stack_size, void *alternative, GC_word alternative_size); /* does nothing */

/* As GC_malloc and GC_malloc_atomic, by who promises to have a pointer to the first 256 bytes as long as the object is in use. Gleaner has no need of
 * the promise: a pointer to any byte keeps the object. */
void *GC_malloc_ignore_off_page(size_t size) __attribute__((malloc, alloc_size(1)));
void *GC_malloc_atomic_ignore_off_page(size_t size) __attribute__((malloc, alloc_size(1)));
#ifndef GC_DEBUG
#define GC_MALLOC_IGNORE_OFF_PAGE(size) GC_malloc_ignore_off_page(size)
#define GC_MALLOC_ATOMIC_IGNORE_OFF_PAGE(size) GC_malloc_atomic_ignore_off_page(size)
#endif

/* --- Threads that stand still. What is named by a thread is its pthread_t, as a pointer. ---
 *
 * The thread runs no further until it is resumed; where it has all signals blocked, as soon as it has not. It holds none of the collector's locks then,
 * but may have others, of the C library's, say: who waits for these waits for ever. Collections go on meanwhile, and what the thread holds is found. A
 * thread may suspend itself. Suspended twice, it is resumed by the first call; other threads than those of pthread_create are left alone. */
void GC_suspend_thread(void *thread);
void GC_resume_thread(void *thread);
int GC_is_thread_suspended(void *thread);

/* Every other thread stands still until this one calls the second. In between nothing may be called that allocates, or waits for a thread, and no
 * signals come. Where a thread does not answer, it runs on. */
void GC_stop_world_external(void);
void GC_start_world_external(void);

/* --- Telling what is written ---
 *
 * For programs that tell the collector which objects they change. Gleaner finds that by itself and takes nobody's word, so that a store that was not told
 * does no harm: the first two set and tell a number, and the next two do nothing but hold their argument up to there. */

void GC_set_manual_vdb_allowed(int on);
int GC_get_manual_vdb_allowed(void);
void GC_change_stubborn(const void *object);
void GC_end_stubborn_change(const void *object);
/* *(void **)p = q, and q is held until then. */
void GC_ptr_store_and_dirty(void *p, const void *q);
#ifndef GC_DEBUG
#define GC_CHANGE_STUBBORN(object) GC_change_stubborn(object)
#define GC_END_STUBBORN_CHANGE(object) GC_end_stubborn_change(object)
#define GC_PTR_STORE_AND_DIRTY(p, q) GC_ptr_store_and_dirty(p, q)
#endif

/* --- Pointers into objects --- */

/* Not 0, as it is at first: a pointer to any byte of an object keeps it, wherever the pointer is. 0: in objects, and in data (the variables of
 * modules, what GC_add_roots added), only a pointer to an object's beginning does, or one to so many bytes behind it as were registered below; on stacks,
 * in registers and thread-local storage all do as before. Objects that are allocated then take a byte less: so many as GC_malloc was asked for, and
 * nothing for pointers to their ends.
 *
 * May be changed at any time, and holds from the next collection on; whoever changes it to 0 has no other pointers in objects any more. Old
 * programs set the variable, which must be before the first allocation. The environment variable GC_ALL_INTERIOR_POINTERS, whatever it is set to, has it
 * on when the collector begins. Where libgleaner.so is preloaded all pointers count, whatever is set: its programs point anywhere. */
extern int GC_all_interior_pointers;
void GC_set_all_interior_pointers(int all);
int GC_get_all_interior_pointers(void);

/* A pointer to so many bytes behind an object's beginning counts as one to the beginning, from now on: what a tag in the lowest bits needs. Libgc
 * aborts from 4096 bytes on; here one of these stands for all that are greater. */
void GC_register_displacement(size_t bytes);
#define GC_REGISTER_DISPLACEMENT(bytes) GC_register_displacement(bytes)

/* Returns p. Libgc clears dead parts of the stack. */
void *GC_clear_stack(void *p);

/* --- Many at once --- */

/* Some objects of size bytes as by GC_malloc, linked through their first words, the last of which is NULL; NULL when there is no memory. */
void *GC_malloc_many(size_t size);
#define GC_NEXT(object) (*(void **)(object))

/* --- Debug objects: who allocated them, and does anybody write where he should not? ---
 *
 * With GC_DEBUG defined before this is included, the macros above make them. Each has a header before it, which GC_base tells (its size:
 * GC_get_debug_header_size of gc_mark.h), with file and line of the call, and guards before and behind its bytes. These are looked at when the object is
 * freed or resized, in each full collection, and when it is reclaimed; what was written is told on standard error, in one line with the object's
 * address, file, line, size and kind, and the program goes on.
 *
 * GC_debug_free fills what may be collected with 0xdeadbeef and keeps it until nothing leads to it any more: so a second free is always seen, and
 * a collection tells whether somebody has written there. Uncollectable ones are given back at once, and so are all in mode leaks. What waits for
 * the end of an object is told in GC_debug_free.
 *
 * GC_free, GC_realloc and GC_size may be given such an object, and do what is done here. All else that wants the beginning of an object
 * wants what GC_base tells. GC_debug_free and GC_debug_realloc of an object that is no debug object say so, and do what they are to. */

#define GC_EXTRAS __FILE__, __LINE__
#define GC_EXTRA_PARAMS const char *file, int line

/* As those without debug; and a line tells where memory was refused. file may be NULL, and must stay where it is as long as the object. */
void *GC_debug_malloc(size_t size, GC_EXTRA_PARAMS) GC_ATTR_MALLOC GC_ATTR_ALLOC_SIZE(1);
void *GC_debug_malloc_atomic(size_t size, GC_EXTRA_PARAMS) GC_ATTR_MALLOC GC_ATTR_ALLOC_SIZE(1);
void *GC_debug_malloc_uncollectable(size_t size, GC_EXTRA_PARAMS) GC_ATTR_MALLOC GC_ATTR_ALLOC_SIZE(1);
void *GC_debug_malloc_atomic_uncollectable(size_t size, GC_EXTRA_PARAMS) GC_ATTR_MALLOC GC_ATTR_ALLOC_SIZE(1);
void *GC_debug_malloc_ignore_off_page(size_t size, GC_EXTRA_PARAMS) GC_ATTR_MALLOC GC_ATTR_ALLOC_SIZE(1);
void *GC_debug_malloc_atomic_ignore_off_page(size_t size, GC_EXTRA_PARAMS) GC_ATTR_MALLOC GC_ATTR_ALLOC_SIZE(1);
void *GC_debug_malloc_stubborn(size_t size, GC_EXTRA_PARAMS) GC_ATTR_MALLOC GC_ATTR_ALLOC_SIZE(1);
char *GC_debug_strdup(const char *text, GC_EXTRA_PARAMS) GC_ATTR_MALLOC;
char *GC_debug_strndup(const char *text, size_t size, GC_EXTRA_PARAMS) GC_ATTR_MALLOC GC_ATTR_NONNULL(1);
wchar_t *GC_debug_wcsdup(const wchar_t *text, GC_EXTRA_PARAMS) GC_ATTR_MALLOC GC_ATTR_NONNULL(1);
/* The object always moves, and the old one is freed; it stays of its kind. */
void *GC_debug_realloc(void *old, size_t size, GC_EXTRA_PARAMS) GC_ATTR_ALLOC_SIZE(2);
void GC_debug_free(void *object);

/* In the place of malloc and realloc: file and line are not known. */
void *GC_debug_malloc_replacement(size_t size) GC_ATTR_MALLOC GC_ATTR_ALLOC_SIZE(1);
void *GC_debug_realloc_replacement(void *old, size_t size) GC_ATTR_ALLOC_SIZE(2);

/* As those without debug; the function is given the pointer that the program has. An object that is no debug object is registered likewise. */
void GC_debug_register_finalizer(void *object, GC_finalization_proc function, void *data, GC_finalization_proc *old_function, void **old_data);
void GC_debug_register_finalizer_ignore_self(void *object, GC_finalization_proc function, void *data, GC_finalization_proc *old_function,
                                             void **old_data);
void GC_debug_register_finalizer_no_order(void *object, GC_finalization_proc function, void *data, GC_finalization_proc *old_function,
                                          void **old_data);
void GC_debug_register_finalizer_unreachable(void *object, GC_finalization_proc function, void *data, GC_finalization_proc *old_function,
                                             void **old_data);

/* As GC_register_displacement, by the pointer that the program has; of plain objects as well. */
void GC_debug_register_displacement(size_t offset);
/* Do nothing: who writes where is found by itself. */
void GC_debug_change_stubborn(const void *object);
void GC_debug_end_stubborn_change(const void *object);
/* *(void **)p = q, after both were checked as below. */
void GC_debug_ptr_store_and_dirty(void *p, const void *q);

#ifdef GC_DEBUG
#undef GC_MALLOC
#undef GC_REALLOC
#undef GC_MALLOC_ATOMIC
#undef GC_MALLOC_UNCOLLECTABLE
#undef GC_MALLOC_ATOMIC_UNCOLLECTABLE
#undef GC_MALLOC_IGNORE_OFF_PAGE
#undef GC_MALLOC_ATOMIC_IGNORE_OFF_PAGE
#undef GC_REGISTER_DISPLACEMENT
#undef GC_STRDUP
#undef GC_STRNDUP
#undef GC_WCSDUP
#undef GC_FREE
#undef GC_REGISTER_FINALIZER
#undef GC_REGISTER_FINALIZER_IGNORE_SELF
#undef GC_REGISTER_FINALIZER_NO_ORDER
#undef GC_REGISTER_FINALIZER_UNREACHABLE
#define GC_MALLOC(size) GC_debug_malloc(size, GC_EXTRAS)
#define GC_REALLOC(old, size) GC_debug_realloc(old, size, GC_EXTRAS)
#define GC_MALLOC_ATOMIC(size) GC_debug_malloc_atomic(size, GC_EXTRAS)
#define GC_MALLOC_UNCOLLECTABLE(size) GC_debug_malloc_uncollectable(size, GC_EXTRAS)
#define GC_MALLOC_ATOMIC_UNCOLLECTABLE(size) GC_debug_malloc_atomic_uncollectable(size, GC_EXTRAS)
#define GC_MALLOC_IGNORE_OFF_PAGE(size) GC_debug_malloc_ignore_off_page(size, GC_EXTRAS)
#define GC_MALLOC_ATOMIC_IGNORE_OFF_PAGE(size) GC_debug_malloc_atomic_ignore_off_page(size, GC_EXTRAS)
#define GC_STRDUP(text) GC_debug_strdup(text, GC_EXTRAS)
#define GC_STRNDUP(text, size) GC_debug_strndup(text, size, GC_EXTRAS)
#define GC_WCSDUP(text) GC_debug_wcsdup(text, GC_EXTRAS)
#define GC_FREE(object) GC_debug_free(object)
#define GC_REGISTER_FINALIZER(object, function, data, old_function, old_data) \
  GC_debug_register_finalizer(object, function, data, old_function, old_data)
#define GC_REGISTER_FINALIZER_IGNORE_SELF(object, function, data, old_function, old_data) \
  GC_debug_register_finalizer_ignore_self(object, function, data, old_function, old_data)
#define GC_REGISTER_FINALIZER_NO_ORDER(object, function, data, old_function, old_data) \
  GC_debug_register_finalizer_no_order(object, function, data, old_function, old_data)
#define GC_REGISTER_FINALIZER_UNREACHABLE(object, function, data, old_function, old_data) \
  GC_debug_register_finalizer_unreachable(object, function, data, old_function, old_data)
#define GC_GENERAL_REGISTER_DISAPPEARING_LINK(link, object) GC_general_register_disappearing_link(link, GC_base((void *)(object)))
#define GC_REGISTER_LONG_LINK(link, object) GC_register_long_link(link, GC_base((void *)(object)))
#define GC_REGISTER_DISPLACEMENT(offset) GC_debug_register_displacement(offset)
#define GC_CHANGE_STUBBORN(object) GC_debug_change_stubborn(object)
#define GC_END_STUBBORN_CHANGE(object) GC_debug_end_stubborn_change(object)
#define GC_PTR_STORE_AND_DIRTY(p, q) GC_debug_ptr_store_and_dirty(p, q)
#else
#define GC_GENERAL_REGISTER_DISAPPEARING_LINK(link, object) GC_general_register_disappearing_link(link, object)
#define GC_REGISTER_LONG_LINK(link, object) GC_register_long_link(link, object)
#define GC_CHANGE_STUBBORN(object) GC_change_stubborn(object)
#define GC_END_STUBBORN_CHANGE(object) GC_end_stubborn_change(object)
#define GC_PTR_STORE_AND_DIRTY(p, q) GC_ptr_store_and_dirty(p, q)
#endif

#ifdef GC_DEBUG_REPLACEMENT
#undef GC_MALLOC
#undef GC_REALLOC
#define GC_MALLOC(size) GC_debug_malloc_replacement(size)
#define GC_REALLOC(old, size) GC_debug_realloc_replacement(old, size)
#endif

/* --- Checked pointers: for compilers and macros that put these around what a program computes ---
 *
 * Each returns its first argument, or what is said. Where a check fails, one of the variables is called, which tells and aborts (GC_set_abort_func), unless the
 * program sets another, which may return. */

/* p and q are in the same object, or one past its end; of a debug object the program's bytes count. Where neither is in an object of the heap
 * all is well. */
void *GC_same_obj(void *p, void *q);

/* *p += bytes, which is to stay in the object. The new value; the old one. */
void *GC_pre_incr(void **p, ptrdiff_t bytes) GC_ATTR_NONNULL(1);
void *GC_post_incr(void **p, ptrdiff_t bytes) GC_ATTR_NONNULL(1);

/* A pointer that is stored at p would be found, and keep its object: p is aligned, and not in an object without pointers, nor in a part of the
 * heap that is no object. Outside of the heap it is enough that there is memory. */
void *GC_is_visible(void *p);

/* p, if it is in the heap at all, is in an object that is allocated; where pointers into objects do not count (GC_set_all_interior_pointers), at its
 * beginning or a registered displacement. */
void *GC_is_valid_displacement(void *p);

typedef void(GC_CALLBACK *GC_pointer_print_proc)(void *p);
typedef void(GC_CALLBACK *GC_pointers_print_proc)(void *p, void *q);
extern GC_pointers_print_proc GC_same_obj_print_proc;
extern GC_pointer_print_proc GC_is_visible_print_proc;
extern GC_pointer_print_proc GC_is_valid_displacement_print_proc;

/* Pointer arithmetic and stores, checked with GC_DEBUG alone. x may be looked at more than once. */
#if defined(GC_DEBUG) && defined(__GNUC__)
#define GC_PTR_ADD3(x, n, type) ((type)GC_same_obj((void *)((x) + (n)), (void *)(x)))
#define GC_PRE_INCR3(x, n, type) ((type)GC_pre_incr((void **)&(x), (ptrdiff_t)((n) * (ptrdiff_t)sizeof *(x))))
#define GC_POST_INCR3(x, n, type) ((type)GC_post_incr((void **)&(x), (ptrdiff_t)((n) * (ptrdiff_t)sizeof *(x))))
#define GC_PTR_ADD(x, n) GC_PTR_ADD3(x, n, __typeof__(x))
#define GC_PRE_INCR(x, n) GC_PRE_INCR3(x, n, __typeof__(x))
#define GC_POST_INCR(x) GC_POST_INCR3(x, 1, __typeof__(x))
#define GC_POST_DECR(x) GC_POST_INCR3(x, -1, __typeof__(x))
#else
#define GC_PTR_ADD(x, n) ((x) + (n))
#define GC_PRE_INCR(x, n) ((x) += (n))
#define GC_POST_INCR(x) ((x)++)
#define GC_POST_DECR(x) ((x)--)
#endif
#ifdef GC_DEBUG
#define GC_PTR_STORE(p, q) (*(void **)GC_is_visible((void *)(p)) = GC_is_valid_displacement((void *)(q)))
#else
#define GC_PTR_STORE(p, q) (*(void **)(p) = (void *)(q))
#endif

/* --- Finding leaks ---
 *
 * For programs that free what they allocate: with this on, what a collection finds unreachable was forgotten, and is told, in one line each, on
 * standard error: debug objects with file and line. Then it is given up. There are no finalizers, and no links (GC_UNIMPLEMENTED). At exit there
 * is one more collection. In mode leaks GC_gcollect reports what is lost so far instead, as GC_leak_check of gc_ext.h does.
 *
 * The variable is to be set before the first use of anything here; the environment variable GC_FIND_LEAK sets it. leak_detector.h makes a program's
 * malloc such an allocation. */
extern int GC_find_leak;
void GC_set_find_leak(int on);
int GC_get_find_leak(void);

#ifdef __cplusplus
}
#endif

#include "gc_settings.h"

#ifdef GC_PTHREADS
#include "gc_pthread_redirects.h"
#endif

#endif
