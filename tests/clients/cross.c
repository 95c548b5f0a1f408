/* SPDX-License-Identifier: MIT
 * A wide part of libgc's interface, used as a program does that knows only what libgc promises: compiled against our headers and against
 * Debian's, run on either library, it says the same. Prints facts, no addresses and no amounts that are a collector's own choice. */
#define GC_THREADS
#include <gc/gc.h>
#include <gc/gc_mark.h>
#include <gc/gc_typed.h>

#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SAY(what) printf("%s: %d\n", #what, (int)(what))

enum { many = 2000, most = many / 2 };

static void constants(void) {
  SAY(GC_NO_MEMORY), SAY(GC_DUPLICATE), SAY(GC_SUCCESS), SAY(GC_NOT_FOUND), SAY(GC_UNIMPLEMENTED);
  SAY(GC_EVENT_START), SAY(GC_EVENT_MARK_START), SAY(GC_EVENT_MARK_END), SAY(GC_EVENT_RECLAIM_START), SAY(GC_EVENT_RECLAIM_END);
  SAY(GC_EVENT_END), SAY(GC_EVENT_PRE_STOP_WORLD), SAY(GC_EVENT_POST_START_WORLD), SAY(GC_EVENT_THREAD_SUSPENDED);
  SAY(GC_TIME_UNLIMITED), SAY(sizeof(GC_word)), SAY(sizeof(GC_descr)), SAY(sizeof(struct GC_stack_base));
  SAY(sizeof(struct GC_prof_stats_s) / sizeof(GC_word)), SAY(offsetof(struct GC_prof_stats_s, gc_no)), SAY(offsetof(struct GC_prof_stats_s, markers_m1));
  SAY(GC_DS_LENGTH), SAY(GC_DS_BITMAP), SAY(GC_DS_PROC), SAY(GC_DS_PER_OBJECT), SAY(GC_LOG_MAX_MARK_PROCS);
  SAY(GC_MAKE_PROC(5, 6)), SAY(GC_WORD_LEN(int) + GC_WORD_OFFSET(struct GC_prof_stats_s, gc_no)), SAY(GC_BITMAP_SIZE(struct GC_prof_stats_s));
  SAY(GC_get_version() >> 16 == GC_VERSION_MAJOR);
}

static void allocation(void) {
  char *p = GC_MALLOC(100), *q = GC_MALLOC_ATOMIC(5000), *u = GC_MALLOC_UNCOLLECTABLE(64);
  int zero = 0;
  for (int i = 0; i < 100; i++) zero |= p[i];
  SAY(zero), SAY(GC_base(p + 50) == p), SAY(GC_size(p) >= 100), SAY(GC_is_heap_ptr(q)), SAY(GC_is_heap_ptr(&zero)), SAY(GC_base(&zero) == NULL);
  strcpy(p, "text");
  p = GC_REALLOC(p, 3000);
  SAY(strcmp(p, "text")), SAY(strcmp(GC_STRDUP("copy"), "copy")), SAY(strcmp(GC_strndup("copied", 4), "copi"));
  SAY(strcmp(GC_debug_strdup("debug", GC_EXTRAS), "debug") + (GC_debug_malloc(10, GC_EXTRAS) == NULL));
  GC_FREE(u);
  GC_FREE(NULL);
  SAY(GC_malloc_ignore_off_page(200000) != NULL), SAY(GC_malloc_atomic_ignore_off_page(200000) != NULL), SAY(GC_memalign(256, 10) != NULL);
  void *list = GC_malloc_many(32), *each = list;
  int count = 0, clear = 1;
  for (; each; each = GC_NEXT(each), count++) clear = clear && GC_base(each) == each && ((void **)each)[1] == NULL;
  SAY(count > 1), SAY(clear);
  SAY(GC_same_obj(p, p + 10) == p), SAY(GC_is_visible(&list) == (void *)&list);
}

static int ran, reached[many];
static void GC_CALLBACK note(void *object, void *data) {
  (void)object;
  reached[(size_t)data]++;
  ran++;
}

static void *links[many];

static __attribute__((noinline)) void make(void) {
  for (size_t i = 0; i < many; i++) {
    void **object = GC_MALLOC(48);
    GC_REGISTER_FINALIZER(object, note, (void *)i, NULL, NULL);
    void *hidden = GC_MALLOC(32);
    links[i] = (void *)GC_HIDE_POINTER(hidden);
    GC_general_register_disappearing_link(&links[i], hidden);
  }
}

static __attribute__((noinline)) void wipe(void) {
  volatile char stack[20000];
  memset((char *)stack, 0, sizeof stack);
}

static void finalizers(void) {
  make();
  wipe();
  for (int i = 0; i < 4; i++) {
    GC_gcollect();
    GC_invoke_finalizers();
    wipe();
  }
  int gone = 0, twice = 0;
  for (int i = 0; i < many; i++) gone += links[i] == NULL, twice += reached[i] > 1;
  SAY(ran > most), SAY(gone > most), SAY(twice);
  void **kept = GC_MALLOC(32);
  GC_finalization_proc old = NULL;
  void *old_data = NULL;
  GC_REGISTER_FINALIZER_NO_ORDER(kept, note, kept, NULL, NULL);
  GC_REGISTER_FINALIZER_IGNORE_SELF(kept, NULL, NULL, &old, &old_data);
  SAY(old == note), SAY(old_data == (void *)kept), SAY(GC_should_invoke_finalizers());
  void *link = kept;
  SAY(GC_general_register_disappearing_link(&link, kept)), SAY(GC_general_register_disappearing_link(&link, kept));
  SAY(GC_unregister_disappearing_link(&link)), SAY(GC_unregister_disappearing_link(&link));
}

struct pair {
  size_t number;
  struct pair *next;
};

static struct pair *chain;
static unsigned kind;
static int marked;

static struct GC_ms_entry *mark_pair(GC_word *start, struct GC_ms_entry *top, struct GC_ms_entry *limit, GC_word environment) {
  struct pair *pair = (struct pair *)start;
  marked += (int)environment;
  return GC_MARK_AND_PUSH(pair->next, top, limit, (void **)&pair->next);
}

static void typed(void) {
  GC_word bitmap[GC_BITMAP_SIZE(struct pair)] = {0};
  GC_set_bit(bitmap, GC_WORD_OFFSET(struct pair, next));
  GC_descr layout = GC_make_descriptor(bitmap, GC_WORD_LEN(struct pair));
  struct pair *first = NULL;
  for (size_t i = 0; i < many; i++) {
    struct pair *pair = GC_MALLOC_EXPLICITLY_TYPED(sizeof *pair, layout);
    pair->number = i;
    pair->next = first;
    first = pair;
  }
  GC_gcollect();
  size_t sum = 0;
  for (struct pair *p = first; p; p = p->next) sum += p->number;
  SAY(sum);
  kind = GC_new_kind(GC_new_free_list(), GC_MAKE_PROC(GC_new_proc(mark_pair), 1), 0, 1);
  for (size_t i = 0; i < many; i++) {
    struct pair *pair = GC_generic_malloc(sizeof *pair, (int)kind);
    pair->number = i;
    pair->next = chain;
    GC_END_STUBBORN_CHANGE(pair);
    chain = pair;
  }
  GC_gcollect();
  sum = 0;
  for (struct pair *p = chain; p; p = p->next) sum += p->number;
  SAY(sum), SAY(marked >= many);
  struct pair *several = GC_CALLOC_EXPLICITLY_TYPED(10, sizeof *several, layout);
  SAY(several[9].next == NULL);
}

static void *work(void *arg) {
  size_t sum = 0;
  for (size_t i = 0; i < 20000; i++) {
    size_t *p = GC_MALLOC(32);
    *p = i;
    sum += *p % 7;
  }
  *(size_t *)arg = sum;
  return GC_MALLOC(16);
}
static void *blocked(void *arg) { return (char *)arg + 1; }
static void *based(struct GC_stack_base *base, void *arg) { return base->mem_base ? arg : NULL; }

static void threads(void) {
  enum { count = 4 };
  pthread_t thread[count];
  size_t sums[count];
  void *result;
  for (int i = 0; i < count; i++) pthread_create(&thread[i], NULL, work, &sums[i]);
  for (int i = 0; i < count; i++) {
    pthread_join(thread[i], &result);
    SAY(sums[i]), SAY(GC_is_heap_ptr(result));
  }
  char here;
  struct GC_stack_base base;
  SAY(GC_do_blocking(blocked, &here) == &here + 1), SAY(GC_call_with_gc_active(blocked, &here) == &here + 1);
  SAY(GC_call_with_stack_base(based, &here) == &here), SAY(GC_call_with_alloc_lock(blocked, &here) == &here + 1);
  SAY(GC_get_stack_base(&base)), SAY((char *)base.mem_base > &here), SAY(GC_thread_is_registered());
}

static GC_word warnings;
static void GC_CALLBACK warned(char *text, GC_word arg) { warnings += text && arg; }
static void *GC_CALLBACK no_memory(size_t size) { return size ? NULL : &warnings; }

static void settings(void) {
  SAY(GC_java_finalization), SAY(GC_no_dls), SAY(GC_dont_expand), SAY(GC_finalize_on_demand), SAY(GC_all_interior_pointers), SAY(GC_find_leak);
  SAY(GC_least_plausible_heap_addr < (void *)chain && (void *)chain < GC_greatest_plausible_heap_addr), SAY(GC_stackbottom != NULL);
  GC_set_finalize_on_demand(1);
  SAY(GC_get_finalize_on_demand()), SAY(GC_finalize_on_demand);
  GC_java_finalization = 1;
  SAY(GC_get_java_finalization());
  GC_set_free_space_divisor(5);
  SAY(GC_get_free_space_divisor()), SAY(GC_free_space_divisor);
  GC_set_max_retries(2), GC_set_full_freq(7), GC_set_time_limit(33), GC_set_oom_fn(no_memory), GC_set_warn_proc(warned);
  SAY(GC_get_max_retries()), SAY(GC_get_full_freq()), SAY(GC_get_time_limit()), SAY(GC_get_oom_fn() == no_memory), SAY(GC_get_warn_proc() == warned);
  GC_word before = GC_get_gc_no();
  GC_disable();
  SAY(GC_is_disabled());
  for (int i = 0; i < 10000; i++) GC_MALLOC(100);
  SAY(GC_get_gc_no() == before);
  GC_enable();
  GC_gcollect();
  SAY(GC_get_gc_no() > before), SAY(GC_gc_no == GC_get_gc_no()), SAY(GC_expand_hp(1 << 20));
  struct GC_prof_stats_s stats;
  SAY(GC_get_prof_stats(&stats, sizeof stats) == sizeof stats), SAY(stats.gc_no == GC_get_gc_no()), SAY(stats.heapsize_full >= stats.free_bytes_full);
  size_t heap, free_bytes, unmapped, since, total;
  GC_get_heap_usage_safe(&heap, &free_bytes, &unmapped, &since, &total);
  SAY(heap >= free_bytes), SAY(total > 1000000), SAY(GC_get_total_bytes() >= total), SAY(GC_get_heap_size() > 0);
}

int main(void) {
  GC_INIT();
  constants();
  allocation();
  finalizers();
  typed();
  threads();
  settings();
  return 0;
}
