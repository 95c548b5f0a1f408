/* SPDX-License-Identifier: MIT
 * Kinds of objects that a program adds, and procedures that mark them. Names, types and meaning are libgc's (8.2, its gc_mark.h); for programs that
 * know what a collector is.
 *
 * A descriptor tells where the pointers of an object are. Its two lowest bits are a tag. */
#ifndef GC_MARK_H
#define GC_MARK_H

#include "gc.h"

#ifdef __cplusplus
extern "C" {
#endif

/* --- Descriptors --- */

#define GC_DS_TAG_BITS 2
#define GC_DS_TAGS ((1 << GC_DS_TAG_BITS) - 1)
#define GC_DS_LENGTH 0     /* so many bytes from the beginning may hold pointers */
#define GC_DS_BITMAP 1     /* 62 bits, the uppermost for the first word */
#define GC_DS_PROC 2       /* see GC_MAKE_PROC */
#define GC_DS_PER_OBJECT 3 /* the descriptor is in the object, so many bytes from its beginning; negative: in what its first word points to, from
                              there so many bytes on as GC_INDIR_PER_OBJ_BIAS is greater than it */
#define GC_INDIR_PER_OBJ_BIAS 0x10

/* --- Mark procedures --- */

struct GC_ms_entry;

/* Marks what the object points to, by GC_MARK_AND_PUSH. Returns the top that the last of these returned, or the one it was given. It is called by
 * the thread that collects, with the program standing still: it must not allocate, lock, or wait. Objects that are allocated and not yet filled
 * are zero. */
typedef struct GC_ms_entry *(*GC_mark_proc)(GC_word *object, struct GC_ms_entry *top, struct GC_ms_entry *limit, GC_word environment);

#define GC_PROC_BYTES 100
#define GC_LOG_MAX_MARK_PROCS 6
#define GC_MAX_MARK_PROCS (1 << GC_LOG_MAX_MARK_PROCS)
#define GC_RESERVED_MARK_PROCS 8
#define GC_GCJ_RESERVED_MARK_PROC_INDEX 0
#define GC_MAKE_PROC(number, environment) (((((environment) << GC_LOG_MAX_MARK_PROCS) | (number)) << GC_DS_TAG_BITS) | GC_DS_PROC)

/* The number of the procedure, for GC_MAKE_PROC; 0 when there are too many (55). */
unsigned GC_new_proc(GC_mark_proc procedure);
unsigned GC_new_proc_inner(GC_mark_proc procedure);

/* Whatever the word is: if it points to an object, or into one as words of objects may (GC_set_all_interior_pointers), that is reached. from is not looked
 * at. Outside of a procedure that marks, or pushes roots, nothing is done. */
struct GC_ms_entry *GC_mark_and_push(void *object, struct GC_ms_entry *top, struct GC_ms_entry *limit, void **from);
/* The bounds of the heap's address space: what lies outside points to no object. */
extern void *GC_least_plausible_heap_addr, *GC_greatest_plausible_heap_addr;
#define GC_MARK_AND_PUSH(object, top, limit, from) GC_mark_and_push(object, top, limit, from)

/* --- Kinds --- */

#ifndef GC_I_PTRFREE
#define GC_I_PTRFREE 0
#define GC_I_NORMAL 1
#endif

/* Merely names the kind: free objects are kept elsewhere. NULL when memory is refused, which does no harm. */
void **GC_new_free_list(void);
void **GC_new_free_list_inner(void);

/* The number of a new kind, whose objects have this descriptor; adjust not 0: plus their size, in bytes. All objects are zeroed, whatever clear
 * is. Where there are too many kinds (59), GC_I_NORMAL, whose objects are searched as a whole. */
unsigned GC_new_kind(void **list, GC_word descriptor, int adjust, int clear);
unsigned GC_new_kind_inner(void **list, GC_word descriptor, int adjust, int clear);

/* As GC_malloc, of a kind: one of these, or GC_I_PTRFREE, GC_I_NORMAL, 2 (uncollectable) or 3 (uncollectable and pointer-free). */
void *GC_generic_malloc(size_t size, int kind) GC_ATTR_MALLOC GC_ATTR_ALLOC_SIZE(1);
void *GC_generic_malloc_ignore_off_page(size_t size, int kind) GC_ATTR_MALLOC GC_ATTR_ALLOC_SIZE(1);
void *GC_generic_or_special_malloc(size_t size, int kind) GC_ATTR_MALLOC GC_ATTR_ALLOC_SIZE(1);
void *GC_malloc_kind(size_t size, int kind) GC_ATTR_MALLOC GC_ATTR_ALLOC_SIZE(1);
void *GC_malloc_kind_global(size_t size, int kind) GC_ATTR_MALLOC GC_ATTR_ALLOC_SIZE(1);
/* Never reclaimed, and searched as a whole unless of a kind without pointers. */
void *GC_generic_malloc_uncollectable(size_t size, int kind) GC_ATTR_MALLOC GC_ATTR_ALLOC_SIZE(1);

/* Some objects at once, linked through their first words, the last of which is NULL, into *list: at least one, or NULL when there is no
 * memory. What holds no pointers, or not in the first word, holds not the next one either: then take all before the next allocation. */
void GC_generic_malloc_many(size_t size, int kind, void **list);

/* The kind (those of GC_new_kind are told as GC_I_NORMAL), and the bytes that may be used, if size is not NULL; 0 bytes when no object begins there. */
int GC_get_kind_and_size(const void *object, size_t *size);

/* --- Roots of the program's own --- */

/* Called in every collection, by the thread that collects, with the program standing still: it must not allocate, lock or wait. It tells more
 * roots by GC_push_all, whose range must be readable. It should call the function that was set before, which is never NULL. */
typedef void (GC_CALLBACK *GC_push_other_roots_proc)(void);
void GC_set_push_other_roots(GC_push_other_roots_proc function);
GC_push_other_roots_proc GC_get_push_other_roots(void);
extern GC_push_other_roots_proc GC_push_other_roots;

/* In such a function what the words of [lo, hi) point to is reached; elsewhere nothing is done. */
void GC_push_all(void *lo, void *hi);
void GC_push_conditional(void *lo, void *hi, int all);
/* The same for a stack: pointers into objects always count. */
void GC_push_all_eager(void *lo, void *hi);
void GC_push_finalizer_structures(void); /* they always are */

/* --- Debug objects (gc.h) --- */

/* Mark procedures, and whoever else knows of whole objects alone, find the program's pointer so. */
size_t GC_get_debug_header_size(void) __attribute__((const));
/* The same. */
extern size_t GC_debug_header_size;
#define GC_USR_PTR_FROM_BASE(p) ((void *)((char *)(p) + GC_get_debug_header_size()))

/* Of a kind, as GC_generic_or_special_malloc. Descriptors and mark procedures see the whole object: the header is first. */
void *GC_debug_generic_or_special_malloc(size_t size, int kind, GC_EXTRA_PARAMS) __attribute__((malloc, alloc_size(1)));
#ifdef GC_DEBUG
#define GC_GENERIC_OR_SPECIAL_MALLOC(size, kind) GC_debug_generic_or_special_malloc(size, kind, GC_EXTRAS)
#else
#define GC_GENERIC_OR_SPECIAL_MALLOC(size, kind) GC_generic_or_special_malloc(size, kind)
#endif

/* libgc, built to do so, notes here what its collector does. Gleaner counts: tells on standard error how many collections there were since that
 * number, and of all so far what they reclaimed. Both are the same. */
void GC_print_trace(GC_word since);
void GC_print_trace_inner(GC_word since);

/* Describes the object at p, a debug object of this kind which is alive, in at most GC_TYPE_DESCR_LEN characters: for the lines that tell of it, in
 * the place of the kind's name. Called with the program running, after a collection, or when the object is freed. NULL: nobody. */
typedef void(GC_CALLBACK *GC_describe_type_fn)(void *p, char *text);
#define GC_TYPE_DESCR_LEN 40
void GC_register_describe_type_fn(int kind, GC_describe_type_fn function);
/* Not 0 when the address lies in the data of a library, which is a root as long as that is loaded. */
int GC_is_tmp_root(void *p);

/* --- Marks ---
 *
 * Within a collection, that is in the functions above and in mark procedures, these are about what it has reached so far. Elsewhere an object is
 * marked as long as it is alive, which the last collection decided, and the other two do nothing. None takes a lock; the object begins at the
 * address, which GC_base tells. */

int GC_is_marked(const void *object); /* 1 or 0 */
/* It is reached, and with it what it leads to, which libgc leaves to the caller. */
void GC_set_mark_bit(const void *object);
/* As if it had not been reached yet: it is reclaimed, unless something leads to it that is looked at later. */
void GC_clear_mark_bit(const void *object);

/* Calls the function for each object that is alive, uncollectable ones included, malloc'ed memory not: with its beginning, its bytes and data. Call it
 * under GC_call_with_alloc_lock, so that nothing is collected meanwhile; other threads may allocate and free, and what they do so may be told or not. After
 * GC_gcollect only what was reachable is told, and what is new. The function must not call GC_call_with_alloc_lock. */
typedef void(GC_CALLBACK *GC_reachable_object_proc)(void *object, size_t bytes, void *data);
void GC_enumerate_reachable_objects_inner(GC_reachable_object_proc function, void *data) __attribute__((nonnull(1)));

#ifdef __cplusplus
}
#endif

#endif
