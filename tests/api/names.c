/* SPDX-License-Identifier: MIT
 * The table of names in gc_names(7): a test for each row, named after it. The depth is elsewhere: here is shown that what the row says does what
 * the other collector's name promises. */
#include "collect.h"

#include <unistd.h>

/* Row and claim. */
#define ROW(condition, row, claim) OK(condition, row ": " claim)

static void *(*volatile gc_malloc)(size_t) = GC_malloc;
static struct crowd crowd;

static bool list_has(void **list, const void *object) {
  for (; list && *list; list++)
    if (*list == object) return true;
  return false;
}

static struct GC_memory_info info_now(void) {
  struct GC_memory_info info;
  GC_get_memory_info(&info);
  return info;
}

static void make_lost(void) {
  crowd_make(&crowd, gc_malloc, 48, NULL);
  wipe();
}

/* Most of those that are made by it, with something that tells of their ends. */
static int told;

static void GC_CALLBACK tell_final(void *object, void *data) { told += object && data == &told; }
static void GC_CALLBACK tell_weak(struct GC_weak *weak, void *arg) { told += !GC_weak_get(weak) && arg == &told; }

/* Of an earlier crowd a few may come late. */
enum { crowd_few = crowd_size - crowd_nearly };
static bool most_told(void) { return told >= crowd_nearly && told <= crowd_size + crowd_few; }

typedef void make_told(void *object, int i);

__attribute__((noinline)) static void make_each(make_told *make) {
  for (int i = 0; i < crowd_size; i++) {
    void *object = gc_malloc(48);
    crowd.hidden[i] = ~(uintptr_t)object;
    make(object, i);
  }
  wipe();
}

/* Collects, and lets finalizers and callbacks be run. */
static bool ends_are_told(make_told *make) {
  told = 0;
  GC_disable();
  make_each(make);
  GC_enable();
  bool before = told == 0;
  for (int i = 0; i < 2; i++) {
    crowd_collect(2);
    GC_wait_for_finalizers(0);
  }
  return before && most_told();
}

/* --- Python --- */

static void test_python_control(void) {
  ROW(GC_set_enabled(0) == 1, "gc.disable", "no collection comes by itself");
  ROW(GC_is_disabled(), "gc.isenabled", "no");
  ROW(GC_set_enabled(1) == 0 && !GC_is_disabled(), "gc.enable", "they come again");
  GC_set_enabled(0);
  make_lost();
  ROW(GC_collect(2, NULL) >= crowd_nearly && crowd_lost(&crowd), "gc.collect", "returns how many were unreachable, also while disabled");
  GC_set_enabled(1);
  size_t before[3], got[3], count[3];
  GC_get_threshold(before);
  GC_set_threshold((const size_t[]){7 << 20, 5, 4});
  GC_get_threshold(got);
  ROW(got[0] == 7 << 20 && got[1] == 5 && got[2] == 4, "gc.set_threshold", "sets three");
  ROW(before[1] == 10 && before[2] == 10, "gc.get_threshold", "gets three");
  GC_set_threshold(before);
  GC_collect(2, NULL);
  GC_collect(1, NULL);
  GC_get_count(count);
  ROW(count[1] == 0 && count[2] == 1, "gc.get_count", "how far each generation is");
  struct GC_generation_stats stats;
  ROW(GC_get_stats(2, &stats) == 0 && stats.collections > 0 && stats.collected >= crowd_nearly, "gc.get_stats", "collections, collected, uncollectable");
}

static int phases[4];

static void count_phases(const struct GC_event *event, void *arg) { phases[event->phase] += arg == &phases; }

static void test_python_heap(void) {
  void **p = gc_malloc(64), **q = gc_malloc(64);
  size_t count;
  *q = p;
  ROW(list_has(GC_get_objects(-1, NULL), p) && list_has(GC_get_objects(0, NULL), q), "gc.get_objects", "all, or of a generation");
  void **list = GC_get_referrers((void *[]){p}, 1, &count);
  ROW(list_has(list, q), "gc.get_referrers", "who points to it");
  list = GC_get_referents((void *[]){q}, 1, &count);
  ROW(count == 1 && *list == p, "gc.get_referents", "to whom it points");
  void *kept = GC_malloc_uncollectable(10);
  ROW(GC_is_tracked(p) && !GC_is_tracked(kept), "gc.is_tracked", "what is collected is");
  GC_free(kept);
  ROW(GC_freeze() == 0 && GC_is_frozen(p), "gc.freeze", "out of all generations");
  ROW(GC_get_freeze_count() >= 2, "gc.get_freeze_count", "counts them");
  ROW(GC_unfreeze() == 0 && !GC_is_frozen(p) && GC_get_freeze_count() == 0, "gc.unfreeze", "into the oldest");
  GC_add_callback(count_phases, &phases);
  GC_collect(0, NULL);
  GC_remove_callback(count_phases, &phases);
  ROW(phases[GC_PHASE_START] == 1 && phases[GC_PHASE_STOP] == 1, "gc.callbacks", "start and stop");
}

static void *revived[crowd_size];
static int finalized;

static void GC_CALLBACK revive(void *object, void *data) {
  (void)data;
  revived[told++ % crowd_size] = object;
  finalized += GC_is_finalized(object) != 0;
}

static void make_reviving(void *object, int i) {
  (void)i;
  GC_register_finalizer_no_order(object, revive, NULL, NULL, NULL);
}

static void make_final(void *object, int i) {
  (void)i;
  GC_register_finalizer(object, tell_final, &told, NULL, NULL);
}

static void make_detached(void *object, int i) {
  GC_finalization_proc old;
  make_final(object, i);
  GC_register_finalizer(object, NULL, NULL, &old, NULL);
  told += old != tell_final;
}

/* A cycle: each object leads to itself. */
static void make_cycle(void *object, int i) {
  (void)i;
  *(void **)object = object;
  GC_register_finalizer_no_order(object, tell_final, &told, NULL, NULL);
}

static struct GC_weak *weak[crowd_size];

static void make_weak_told(void *object, int i) { weak[i] = GC_weak_new(object, GC_WEAK_SHORT, tell_weak, &told); }

static int weak_alive(void) {
  int alive = 0;
  for (int i = 0; i < crowd_size; i++) alive += GC_weak_get(weak[i]) != NULL;
  return alive;
}

static void test_python_ends(void) {
  void *volatile held = gc_malloc(48);
  struct GC_weak *one = GC_weak_new(held, GC_WEAK_SHORT, NULL, NULL);
  GC_collect(2, NULL);
  ROW(GC_weak_get(one) == held, "weakref.ref()", "its object as long as it lives");
  ROW(ends_are_told(make_weak_told), "weakref callback", "called when it died");
  ROW(weak_alive() <= crowd_size - crowd_nearly, "weakref.ref", "does not keep it, and is cleared");
  ROW(ends_are_told(make_final), "weakref.finalize", "called when nothing leads to it");
  ROW(!ends_are_told(make_detached) && told <= crowd_few, "weakref.finalize.detach", "or not");
  GC_set_finalize_at_exit(1);
  bool on = GC_get_finalize_at_exit();
  GC_set_finalize_at_exit(0);
  ROW(on && !GC_get_finalize_at_exit(), "weakref.finalize.atexit", "at exit if wanted");
  ROW(ends_are_told(make_cycle), "object.__del__", "also of a cycle");
  ROW(ends_are_told(make_reviving) && finalized == told, "gc.is_finalized", "of an object that its finalizer has brought back");
  memset(revived, 0, sizeof revived);
  void *p = gc_malloc(48);
  ROW(GC_ref(p) == p && GC_refcount(p) == 2, "Py_INCREF", "one reference more");
  ROW(GC_refcount(p) == 2, "sys.getrefcount", "how many");
  ROW(GC_unref(p) == 1 && GC_unref(p) == 0 && !GC_base(p), "Py_DECREF", "and the last one frees");
}

/* Whether anything was written to standard error meanwhile. */
static bool says(int flags, void (*make)(void)) {
  char name[] = "/tmp/gleaner-names.XXXXXX";
  int file = mkstemp(name), before = dup(2);
  dup2(file, 2);
  GC_set_debug(flags);
  make();
  crowd_collect(2);
  crowd_collect(2);
  GC_set_debug(0);
  dup2(before, 2);
  off_t said = lseek(file, 0, SEEK_END);
  close(before);
  close(file);
  unlink(name);
  return said > 0;
}

static void make_nothing(void) {}

/* Cycles of objects whose finalizers have an order. */
static void make_uncollectable(void) {
  for (int i = 0; i < 50; i++) {
    void **p = gc_malloc(48);
    *p = p;
    GC_register_finalizer(p, tell_final, &told, NULL, NULL);
  }
  wipe();
}

static void test_python_debug(void) {
  ROW(says(GC_DEBUG_STATS, make_nothing), "gc.DEBUG_STATS", "a line for each collection");
  ROW(says(GC_DEBUG_COLLECTABLE, make_lost), "gc.DEBUG_COLLECTABLE", "a line for each object that was lost");
  ROW(GC_get_garbage_count() == 0 && GC_get_garbage(0) == NULL && says(GC_DEBUG_UNCOLLECTABLE, make_uncollectable), "gc.DEBUG_UNCOLLECTABLE",
      "a line for each that cannot be collected");
  size_t garbage = GC_get_garbage_count();
  bool listed = garbage >= 1 && garbage <= 50 && GC_base(GC_get_garbage(garbage - 1)) && !GC_get_garbage(garbage);
  tap_note("%zu", garbage);
  for (size_t i = 0; i < garbage; i++) GC_register_finalizer(GC_get_garbage(i), NULL, NULL, NULL, NULL);
  GC_clear_garbage();
  ROW(listed && GC_get_garbage_count() == 0, "gc.garbage", "lists these, until it is cleared");
  GC_set_debug(GC_DEBUG_SAVEALL);
  ROW(GC_get_debug() == GC_DEBUG_SAVEALL, "gc.set_debug", "flags");
  ROW(GC_get_debug() != GC_DEBUG_LEAK && (GC_DEBUG_LEAK & GC_get_debug()), "gc.get_debug", "the same");
  make_lost();
  crowd_collect(2);
  crowd_collect(2);
  ROW(crowd_kept(&crowd) && GC_get_garbage_count() >= crowd_nearly, "gc.DEBUG_SAVEALL", "what would be collected is listed instead");
  GC_set_debug(0);
  GC_clear_garbage();
  crowd_collect(2);
  ROW(says(GC_DEBUG_LEAK, make_lost) && GC_get_garbage_count() >= crowd_nearly, "gc.DEBUG_LEAK", "and told");
  GC_clear_garbage();
  crowd_collect(2);
}

static struct GC_weak_map *map;

static void make_keys(void *object, int i) { GC_weak_map_set(map, object, (void *)(intptr_t)(i + 1)); }

static bool map_keeps_no_keys(void) {
  map = GC_weak_map_new();
  GC_disable();
  make_each(make_keys);
  GC_enable();
  size_t before = GC_weak_map_count(map);
  crowd_collect(2);
  return before == crowd_size && GC_weak_map_count(map) <= crowd_size - crowd_nearly;
}

static void test_maps(void) {
  ROW(map_keeps_no_keys(), "weakref.WeakKeyDictionary", "entries end with their keys");
  ROW(map_keeps_no_keys(), "ConditionalWeakTable", "entries end with their keys");
  ROW(map_keeps_no_keys(), "WeakHashMap", "entries end with their keys");
  map = GC_weak_map_new();
  void *key = gc_malloc(30), *value = gc_malloc(30), *volatile held = NULL;
  ROW(GC_weak_map_set(map, key, value) == 0, "WeakHashMap.put", "a value for a key");
  ROW(GC_weak_map_get(map, key) == value && !GC_weak_map_get(map, value), "WeakHashMap.get", "found by it");
  ROW(GC_weak_map_count(map) == 1, "WeakHashMap.size", "one entry");
  ROW(GC_weak_map_remove(map, key) == 1 && GC_weak_map_count(map) == 0, "WeakHashMap.remove", "none");
  struct GC_ephemeron *ephemeron = GC_ephemeron_new(key, value);
  GC_collect(2, NULL);
  ROW(GC_ephemeron_get(ephemeron, (void **)&held) == key && held == value, "DependentHandle", "a value as long as its key lives");
}

/* --- .NET --- */

static void test_net_collecting(void) {
  void *p = gc_malloc(30);
  OK(GC_GENERATIONS == 3, "GC.MaxGeneration: is 2");
  ROW(GC_get_generation(p) == 0 && GC_collect(0, NULL) >= 0 && GC_get_generation(p) == 1, "GC.GetGeneration", "one older with each collection");
  make_lost();
  ROW(GC_collect(2, NULL) >= crowd_nearly, "GC.Collect()", "all generations");
  make_lost();
  ROW(GC_collect(0, NULL) >= crowd_nearly && GC_collect(3, NULL) == -1, "GC.Collect(generation)", "this one and the younger");
  struct GC_generation_stats before, after;
  GC_get_stats(1, &before);
  GC_collect(1, NULL);
  GC_get_stats(1, &after);
  ROW(after.collections == before.collections + 1, "GC.CollectionCount", "of a generation");
  ROW(after.collections == before.collections + 1, "GarbageCollectorMXBean.getCollectionCount", "of a generation");
  ROW(after.time > before.time, "GarbageCollectorMXBean.getCollectionTime", "nanoseconds");
  ROW(GC_try_start_no_gc_region(1 << 20) == 0, "GC.TryStartNoGCRegion", "a budget");
  ROW(GC_end_no_gc_region() == 0 && GC_end_no_gc_region() == -1, "GC.EndNoGCRegion", "once");
  ROW(GC_register_for_full_gc_notification(50) == 0, "GC.RegisterForFullGCNotification", "so many of a hundred before");
  ROW(GC_wait_for_full_gc_approach(0) == GC_NOTIFICATION_TIMEOUT, "GC.WaitForFullGCApproach", "none yet");
  GC_collect(2, NULL);
  ROW(GC_wait_for_full_gc_complete(0) == GC_NOTIFICATION_SUCCEEDED, "GC.WaitForFullGCComplete", "there was one");
  ROW(GC_cancel_full_gc_notification() == 0 && GC_wait_for_full_gc_complete(-1) == GC_NOTIFICATION_NOT_APPLICABLE, "GC.CancelFullGCNotification",
      "nobody waits");
}

static void test_net_memory(void) {
  size_t total = GC_get_total_bytes(), mine = GC_get_allocated_bytes_for_current_thread();
  GC_add_memory_pressure(5000);
  ROW(info_now().pressure == 5000, "GC.AddMemoryPressure", "counts");
  GC_remove_memory_pressure(5000);
  ROW(info_now().pressure == 0, "GC.RemoveMemoryPressure", "no longer");
  char *volatile bytes = GC_malloc_atomic(100000);
  ROW(GC_size(bytes) >= 100000, "GC.AllocateUninitializedArray", "no pointers, not zeroed");
  ROW(GC_get_total_bytes() >= total + 100000, "GC.GetTotalAllocatedBytes", "ever");
  ROW(GC_get_allocated_bytes_for_current_thread() >= mine + 100000, "GC.GetAllocatedBytesForCurrentThread", "by this thread");
  ROW(GC_get_allocated_bytes_for_current_thread() >= mine + 100000, "ThreadMXBean.getThreadAllocatedBytes", "by this thread");
  GC_disable();
  make_lost();
  size_t before = GC_get_total_memory(0);
  ROW(GC_get_total_memory(1) < before, "GC.GetTotalMemory", "less after collections");
  GC_enable();
  struct GC_memory_info info = info_now();
  ROW(info.heap >= info.used && info.number > 0, "GC.GetGCMemoryInfo", "all that is known");
  ROW(info.pause > 0, "GC.GetTotalPauseDuration", "nanoseconds");
  ROW(info.used + info.fragmented == info.heap && info.most > info.heap, "MemoryMXBean.getHeapMemoryUsage", "init, used, committed, max");
  ROW(info.pending == 0, "MemoryMXBean.getObjectPendingFinalizationCount", "none");
  ROW(GC_is_tracked(bytes) && info.bytes[0] + info.bytes[1] + info.bytes[2] >= 100000, "MemoryPoolMXBean.getUsage", "of each generation");
  GC_set_max_heap_size((size_t)1 << 40);
  ROW(info_now().most == (size_t)1 << 40, "GC.RefreshMemoryLimit", "from now on");
  ROW(GC_get_max_heap_size() == (size_t)1 << 40, "Runtime.maxMemory", "the limit");
  GC_set_max_heap_size(0);
}

static void make_suppressed(void *object, int i) {
  make_final(object, i);
  GC_suppress_finalizer(object);
}

static void make_registered_again(void *object, int i) {
  make_suppressed(object, i);
  GC_reregister_finalizer(object);
}

static void make_weak_short_of_reviving(void *object, int i) {
  make_reviving(object, i);
  weak[i] = GC_weak_new(object, GC_WEAK_SHORT, NULL, NULL);
}

static void make_weak_long_of_reviving(void *object, int i) {
  make_reviving(object, i);
  weak[i] = GC_weak_new(object, GC_WEAK_LONG, NULL, NULL);
}

static void test_net_ends(void) {
  ROW(!ends_are_told(make_suppressed) && told <= crowd_few, "GC.SuppressFinalize", "not run");
  ROW(ends_are_told(make_registered_again), "GC.ReRegisterForFinalize", "run after all");
  ROW(ends_are_told(make_final) && GC_wait_for_finalizers(0) == 0, "GC.WaitForPendingFinalizers", "until all were run");
  ends_are_told(make_weak_short_of_reviving);
  ROW(weak_alive() <= crowd_size - crowd_nearly, "WeakReference", "does not know what its finalizer brought back");
  ends_are_told(make_weak_long_of_reviving);
  ROW(weak_alive() >= crowd_nearly, "WeakReference(trackResurrection)", "does");
  memset(revived, 0, sizeof revived);
  void *p = gc_malloc(30), *q = gc_malloc(30);
  struct GC_weak *one = GC_weak_new(p, GC_WEAK_SHORT, NULL, NULL);
  ROW(GC_weak_get(one) == p, "WeakReference.TryGetTarget", "its target");
  ROW(GC_weak_set(one, q) == 0 && GC_weak_get(one) == q, "WeakReference.SetTarget", "another one");
  GC_disable();
  crowd_make(&crowd, gc_malloc, 48, NULL);
  int pinned = 0, unpinned = 0;
  for (int i = 0; i < crowd_size; i++) pinned += GC_pin(crowd_get(&crowd, i)) == 0;
  GC_enable();
  crowd_collect(2);
  ROW(pinned == crowd_size && crowd_kept(&crowd), "GCHandle.Alloc", "lives, though nothing leads to it");
  for (int i = 0; i < crowd_size; i++) unpinned += GC_unpin(crowd_get(&crowd, i)) == 0;
  crowd_collect(2);
  ROW(unpinned == crowd_size && crowd_lost(&crowd), "GCHandle.Free", "no longer");
}

/* --- the JVM --- */

static struct GC_ref_queue *queue;

static void make_phantom(void *object, int i) {
  weak[i] = GC_weak_new_queued(object, GC_WEAK_LONG, queue, NULL);
}

static void count_low(const struct GC_event *event, void *arg) {
  *(int *)arg += event->phase == GC_PHASE_LOW_MEMORY && event->memory.limit == GC_LIMIT_HEAP;
}

static void test_jvm(void) {
  make_lost();
  GC_gcollect();
  ROW(crowd_lost(&crowd), "System.gc", "collects");
  ROW(ends_are_told(make_final), "System.runFinalization", "runs finalizers");
  ROW(GC_get_heap_size() >= GC_get_live_bytes(), "Runtime.totalMemory", "all of the heap");
  ROW(GC_get_free_bytes() <= GC_get_heap_size(), "Runtime.freeMemory", "what is free of it");
  memset(phases, 0, sizeof phases);
  GC_add_callback(count_phases, &phases);
  GC_collect(1, NULL);
  GC_remove_callback(count_phases, &phases);
  ROW(phases[GC_PHASE_STOP] == 1, "GarbageCollectionNotificationInfo", "told after a collection");

  int low = 0;
  ROW(GC_set_low_memory_threshold(80) == 0 && GC_get_low_memory_threshold() == 80, "MemoryPoolMXBean.setCollectionUsageThreshold", "so many of a hundred");
  GC_add_callback(count_low, &low);
  void *volatile large = gc_malloc(40 << 20);
  GC_set_max_heap_size((48 << 20) + info_now().used - (40 << 20));
  GC_collect(2, NULL);
  GC_remove_callback(count_low, &low);
  GC_set_low_memory_threshold(0);
  GC_set_max_heap_size(0);
  ROW(low == 1, "MemoryNotificationInfo", "told when so much is in use");
  GC_free(large);

  ROW(ends_are_told(make_weak_told) && weak_alive() <= crowd_size - crowd_nearly, "WeakReference (Java)", "cleared when its object dies");
  void *p = gc_malloc(30);
  struct GC_weak *one = GC_weak_new(p, GC_WEAK_SHORT, NULL, NULL);
  ROW(GC_weak_get(one) == p, "Reference.get", "the object");
  GC_weak_clear(one);
  ROW(!GC_weak_get(one), "Reference.clear", "none");
  queue = GC_ref_queue_new();
  ROW(queue && !GC_ref_queue_poll(queue), "ReferenceQueue", "is empty at first");
  ends_are_told(make_phantom);
  ROW(GC_ref_queue_poll(queue) != NULL, "ReferenceQueue.poll", "one that was cleared");
  ROW(GC_ref_queue_wait(queue, 1000) != NULL, "ReferenceQueue.remove", "another one");
  int more = 2;
  while (GC_ref_queue_poll(queue)) more++;
  ROW(more >= crowd_nearly, "PhantomReference", "comes into its queue when the object is gone");
  ROW(ends_are_told(make_final), "Cleaner.register", "called when nothing leads to it");
  GC_finalization_proc old = NULL;
  GC_register_finalizer_unreachable(p, tell_final, &told, NULL, NULL);
  GC_register_finalizer(p, NULL, NULL, &old, NULL);
  ROW(old == tell_final, "Object.finalize", "registered");
}

/* --- libgc: what has another name --- */

static bool dumps(void) {
  char name[] = "/tmp/gleaner-names.XXXXXX";
  int file = mkstemp(name);
  bool done = GC_dump_heap(name) == 0 && lseek(file, 0, SEEK_END) > 100;
  close(file);
  unlink(name);
  return done;
}

static void test_libgc(void) {
  struct GC_generation_stats stats;
  ROW(GC_get_stats(0, &stats) == 0 && stats.collections > 0, "GC_get_prof_stats", "figures");
  ROW(GC_get_stats(2, &stats) == 0 && stats.time > 0, "GC_get_full_gc_total_time", "nanoseconds");
  static void *volatile p;
  p = gc_malloc(10);
  ROW(dumps(), "GC_dump", "the heap into a file");
  ROW(dumps(), "HotSpotDiagnosticMXBean.dumpHeap", "the heap into a file");
  ROW(list_has(GC_get_objects(-1, NULL), p), "GC_enumerate_reachable_objects_inner", "objects");
  ROW(strcmp(GC_get_write_tracking(NULL), "none") != 0, "GC_incremental_protection_needs", "how written memory is found");
}

/* --- names of libgc's own, as far as no other test calls them --- */

static void GC_CALLBACK notify(void) {}
static void GC_CALLBACK await(void *object) { (void)object; }

static void test_gc_h_settings(void) {
  GC_set_finalize_on_demand(1);
  OK(GC_get_finalize_on_demand() == 1 && GC_finalize_on_demand == 1, "gc.h: finalizers on demand");
  GC_set_finalizer_notifier(notify);
  OK(GC_get_finalizer_notifier() == notify && GC_finalizer_notifier == notify, "gc.h: who is notified of them");
  GC_set_finalizer_notifier(NULL);
  told = 0;
  make_each(make_final);
  crowd_collect(2);
  OK(told == 0 && GC_should_invoke_finalizers(), "gc.h: then they wait");
  OK(GC_invoke_finalizers() >= crowd_nearly && most_told() && !GC_should_invoke_finalizers(), "gc.h: until they are invoked");
  GC_set_finalize_on_demand(0);
  int java = GC_get_java_finalization();
  GC_set_java_finalization(0);
  OK(java == 1 && GC_get_java_finalization() == 0 && GC_java_finalization == 0, "gc.h: Java's order");
  GC_set_java_finalization(java);
  GC_set_interrupt_finalizers(5);
  OK(GC_get_interrupt_finalizers() == 5, "gc.h: how many at once");
  GC_set_interrupt_finalizers(0);
  GC_set_await_finalize_proc(await);
  OK(GC_get_await_finalize_proc() == await, "gc.h: who awaits them");
  GC_set_await_finalize_proc(NULL);
}

static void test_gc_h_finalizers(void) {
  typedef void registers(void *, GC_finalization_proc, void *, GC_finalization_proc *, void **);
  static registers *const ways[] = {GC_register_finalizer_ignore_self, GC_debug_register_finalizer, GC_debug_register_finalizer_ignore_self,
                                    GC_debug_register_finalizer_no_order, GC_debug_register_finalizer_unreachable};
  void *volatile p = gc_malloc(30);
  bool good = true;
  for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
    GC_finalization_proc old = NULL;
    void *data = NULL;
    ways[i](p, tell_final, &told, NULL, NULL);
    ways[i](p, NULL, NULL, &old, &data);
    good = good && old == tell_final && data == &told;
  }
  OK(good, "gc.h: each way to register a finalizer");
  told = 0;
  GC_register_finalizer(p, tell_final, &told, NULL, NULL);
  GC_finalize_all();
  OK(told >= 1 && GC_base(p) == p, "gc.h: all can be finalized, though they live");
}

static GC_ToggleRefStatus GC_CALLBACK toggle(void *object) {
  (void)object;
  return GC_TOGGLE_REF_STRONG;
}

static void test_gc_h_toggle(void) {
  GC_set_toggleref_func(toggle);
  OK(GC_get_toggleref_func() == toggle, "gc.h: who decides on toggle references");
  GC_disable();
  crowd_make(&crowd, gc_malloc, 48, NULL);
  int added = 0;
  for (int i = 0; i < crowd_size; i++) added += GC_toggleref_add(crowd_get(&crowd, i), 1) == GC_SUCCESS;
  GC_enable();
  crowd_collect(2);
  OK(added == crowd_size && crowd_kept(&crowd), "gc.h: strong ones keep");
}

int main(void) {
  test_python_control();
  test_python_heap();
  test_python_ends();
  test_python_debug();
  test_maps();
  test_net_collecting();
  test_net_memory();
  test_net_ends();
  test_jvm();
  test_libgc();
  test_gc_h_settings();
  test_gc_h_finalizers();
  test_gc_h_toggle();
  return tap_end();
}
