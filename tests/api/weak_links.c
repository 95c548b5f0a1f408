/* SPDX-License-Identifier: MIT
 * gc.h's links: words that become NULL when an object dies. */
#include "collect.h"

enum { many = 20000 };

/* Each between two words that nobody may touch. */
struct place {
  uintptr_t before;
  void *link;
  uintptr_t after;
};

static struct crowd crowd;
static struct place places[crowd_size];
static void *keep[crowd_size];
static const uintptr_t fence = 0x5a5a5a5a5a5a5a5a;

static void places_clear(void) {
  for (int i = 0; i < crowd_size; i++) places[i] = (struct place){fence, NULL, fence};
}

/* Objects of the size, and a hidden link to each. */
__attribute__((noinline)) static bool make(void *(*allocate)(size_t), size_t size, bool held,
                                           int (*add)(void **link, const void *object)) {
  bool good = true;
  places_clear();
  crowd_make(&crowd, allocate, size, keep);
  for (int i = 0; i < crowd_size; i++) {
    places[i].link = (void *)GC_HIDE_POINTER(crowd_get(&crowd, i));
    good = add(&places[i].link, crowd_get(&crowd, i)) == GC_SUCCESS && good;
  }
  if (!held) memset(keep, 0, sizeof keep);
  return good;
}

/* A link is NULL exactly when its object is no more, and nothing else was written. */
static bool exact(void) {
  for (int i = 0; i < crowd_size; i++) {
    bool there = GC_base(crowd_get(&crowd, i)) == crowd_get(&crowd, i);
    if (there != (places[i].link != NULL) || places[i].before != fence || places[i].after != fence) {
      tap_note("link %d is %p, its object is %s", i, places[i].link, there ? "there" : "gone");
      return false;
    }
    if (there && places[i].link != (void *)GC_HIDE_POINTER(crowd_get(&crowd, i))) return false;
  }
  return true;
}

static int unregister_all(int (*remove)(void **link)) {
  int registered = 0;
  for (int i = 0; i < crowd_size; i++) registered += remove(&places[i].link);
  return registered;
}

static void test_death(void *(*allocate)(size_t), size_t size, const char *what) {
  OK(make(allocate, size, true, GC_general_register_disappearing_link), "links to %s are registered", what);
  for (int generation = 0; generation < 3; generation++) crowd_collect(generation);
  OK(crowd_kept(&crowd) && exact(), "links to %s that are held stay", what);
  memset(keep, 0, sizeof keep);
  crowd_collect(2);
  OK(crowd_lost(&crowd) && exact(), "links to %s that are lost become NULL, and nothing else does", what);
  int alive = crowd_alive(&crowd);
  OK(unregister_all(GC_unregister_disappearing_link) == alive, "then they are no longer registered");
}

static void test_young(void) {
  for (int generation = 0; generation < 2; generation++) {
    make(GC_malloc, 64, false, GC_general_register_disappearing_link);
    crowd_collect(generation);
    OK(crowd_lost(&crowd) && exact(), "a collection of generation %d clears links to the young", generation);
    unregister_all(GC_unregister_disappearing_link);
    make(GC_malloc, 64, true, GC_general_register_disappearing_link);
    crowd_collect(1);
    crowd_collect(1);
    crowd_collect(1);
    memset(keep, 0, sizeof keep);
    crowd_collect(generation);
    OK(crowd_kept(&crowd) && exact(), "and not those to the old");
    crowd_collect(2);
    OK(crowd_lost(&crowd) && exact(), "which a full one clears");
    unregister_all(GC_unregister_disappearing_link);
  }
}

static void test_codes(void) {
  void **object = GC_malloc(32), *link = NULL, *other = NULL;
  OK(GC_unregister_disappearing_link(&link) == 0 && GC_unregister_long_link(&link) == 0, "what was not registered is told so");
  OK(GC_move_disappearing_link(&link, &other) == GC_NOT_FOUND && GC_move_long_link(&link, &other) == GC_NOT_FOUND,
     "and cannot be moved");
  OK(GC_general_register_disappearing_link(&link, object) == GC_SUCCESS, "a link is registered");
  OK(GC_general_register_disappearing_link(&link, object) == GC_DUPLICATE, "twice is once");
  OK(GC_register_long_link(&link, object) == GC_SUCCESS && GC_register_long_link(&link, object) == GC_DUPLICATE,
     "a word may be a link and a long link");
  OK(GC_move_disappearing_link(&link, &link) == GC_SUCCESS, "moved to where it is");
  OK(GC_general_register_disappearing_link(&other, object) == GC_SUCCESS &&
         GC_move_disappearing_link(&link, &other) == GC_DUPLICATE,
     "a link does not move over another one");
  OK(GC_unregister_disappearing_link(&other) == 1 && GC_move_disappearing_link(&link, &other) == GC_SUCCESS &&
         GC_unregister_disappearing_link(&link) == 0,
     "but over none");
  OK(GC_unregister_disappearing_link(&other) == 1 && GC_unregister_disappearing_link(&other) == 0, "unregistered once");
  OK(GC_move_long_link(&link, &other) == GC_SUCCESS && GC_unregister_long_link(&other) == 1, "long links likewise");
  static int outside;
  link = &outside;
  OK(GC_general_register_disappearing_link(&link, &outside) == GC_SUCCESS, "what is not in the heap may be waited for");
  crowd_collect(2);
  OK(link == &outside && GC_unregister_disappearing_link(&link) == 1, "but never dies");
  OK(GC_register_disappearing_link(&link) == GC_NOT_FOUND, "a link in no object has no object");
  OK(GC_HIDE_POINTER(object) != (GC_hidden_pointer)object && GC_REVEAL_POINTER(GC_HIDE_POINTER(object)) == object,
     "what is hidden can be revealed");
}

/* The last one registered counts. */
static void test_again(void) {
  make(GC_malloc, 48, true, GC_general_register_disappearing_link);
  void *stays = GC_malloc(48);
  bool twice = true;
  for (int i = 0; i < crowd_size; i++) twice = GC_general_register_disappearing_link(&places[i].link, stays) == GC_DUPLICATE && twice;
  memset(keep, 0, sizeof keep);
  crowd_collect(2);
  bool all = true;
  for (int i = 0; i < crowd_size; i++) all = places[i].link && all;
  OK(twice && all && crowd_lost(&crowd), "a link that is registered with another object waits for that one");
  unregister_all(GC_unregister_disappearing_link);
  __asm__ volatile("" ::"r"(stays));
}

static void test_moved(void) {
  static void *to[crowd_size];
  make(GC_malloc, 48, true, GC_general_register_disappearing_link);
  for (int i = 0; i < crowd_size; i++) {
    to[i] = places[i].link;
    GC_move_disappearing_link(&places[i].link, &to[i]);
  }
  memset(keep, 0, sizeof keep);
  crowd_collect(2);
  int cleared = 0, left = 0;
  for (int i = 0; i < crowd_size; i++) {
    cleared += !to[i];
    left += places[i].link != NULL;
    GC_unregister_disappearing_link(&to[i]);
  }
  OK(left == crowd_size && cleared >= crowd_nearly, "a link that was moved becomes NULL where it is now (%d), and not where it was (%d)",
     cleared, left);
}

/* Links in objects of their own: when these die first, whatever is at their place later must not be touched. */
static void test_holders(void *(*end)(void *), const char *how) {
  static uintptr_t holders[crowd_size];
  static void *after[20 * crowd_size];
  make(GC_malloc, 48, true, GC_general_register_disappearing_link);
  unregister_all(GC_unregister_disappearing_link);
  for (int i = 0; i < crowd_size; i++) {
    void **holder = GC_malloc_atomic(80);
    holder[3] = (void *)GC_HIDE_POINTER(crowd_get(&crowd, i));
    GC_general_register_disappearing_link(&holder[3], crowd_get(&crowd, i));
    holders[i] = ~(uintptr_t)holder;
    if (end) end(holder);
  }
  crowd_collect(2);
  for (int i = 0; i < 20 * crowd_size; i++) memset(after[i] = GC_malloc_atomic(80), 0x77, 80);
  memset(keep, 0, sizeof keep);
  crowd_collect(2);
  bool whole = true;
  for (int i = 0; i < 20 * crowd_size; i++)
    for (int j = 0; j < 10; j++) whole = ((uintptr_t *)after[i])[j] == 0x7777777777777777 && whole;
  OK(crowd_lost(&crowd) && whole, "a link is forgotten with the object that it lies in, which was %s", how);
  int left = 0;
  for (int i = 0; i < crowd_size; i++) left += GC_unregister_disappearing_link((void **)~holders[i] + 3);
  OK(left <= crowd_size - crowd_nearly, "and is no longer registered (%d)", left);
  memset(after, 0, sizeof after);
}

static void *free_it(void *p) { return GC_free(p), NULL; }

/* Links in live objects of all ages to objects of all ages. */
static void test_ages(void) {
  static void **holder[crowd_size];
  for (int way = 0; way < 4; way++) {
    bool old_holder = way & 1, old_target = way & 2;
    memset(keep, 0, sizeof keep);
    if (old_holder) for (int i = 0; i < crowd_size; i++) holder[i] = GC_malloc_atomic(32);
    if (old_holder) crowd_collect(1), crowd_collect(1);
    crowd_make(&crowd, GC_malloc, 48, keep);
    if (old_target) crowd_collect(1), crowd_collect(1);
    if (!old_holder) for (int i = 0; i < crowd_size; i++) holder[i] = GC_malloc_atomic(32);
    for (int i = 0; i < crowd_size; i++) {
      holder[i][1] = keep[i];
      GC_general_register_disappearing_link(&holder[i][1], keep[i]);
    }
    memset(keep, 0, sizeof keep);
    crowd_collect(old_target ? 2 : 0);
    bool right = true;
    for (int i = 0; i < crowd_size; i++)
      right = (holder[i][1] != NULL) == (GC_base(crowd_get(&crowd, i)) == crowd_get(&crowd, i)) && right;
    OK(crowd_lost(&crowd) && right, "a link in %s object to %s one", old_holder ? "an old" : "a young", old_target ? "an old" : "a young");
    for (int i = 0; i < crowd_size; i++) GC_unregister_disappearing_link(&holder[i][1]);
  }
}

/* In the object itself, and in the midst of a cycle. */
static void test_self(void) {
  static uintptr_t hidden[crowd_size];
  bool good = true;
  for (int i = 0; i < crowd_size; i++) {
    void **object = GC_malloc(64), **next = GC_malloc(64);
    object[0] = next;
    next[0] = object;
    object[3] = object;
    hidden[i] = ~(uintptr_t)object;
    good = GC_register_disappearing_link(&object[3]) == GC_SUCCESS && good;
  }
  crowd_collect(2);
  int gone = 0;
  for (int i = 0; i < crowd_size; i++) gone += !GC_base((void *)~hidden[i]);
  OK(good && gone >= crowd_nearly, "a link in the object that it waits for does not keep it (%d of %d)", gone, crowd_size);
}

static void test_free(void) {
  make(GC_malloc, 64, true, GC_general_register_disappearing_link);
  for (int i = 0; i < crowd_size; i++) GC_free(keep[i]);
  bool all = true;
  for (int i = 0; i < crowd_size; i++) all = !places[i].link && places[i].after == fence && places[i].before == fence && all;
  OK(all, "a link to an object that is freed becomes NULL at once");
  OK(unregister_all(GC_unregister_disappearing_link) == 0, "and is forgotten");
  memset(keep, 0, sizeof keep);
  void *large = GC_malloc(3 << 20), *link = large, *longer = large;
  GC_general_register_disappearing_link(&link, large);
  GC_register_long_link(&longer, large);
  GC_free(large);
  OK(!link && !longer, "also one to a large object, and a long one");
  large = GC_malloc(300000);
  link = (void *)GC_HIDE_POINTER(large);
  GC_general_register_disappearing_link(&link, large);
  void *moved = GC_realloc(large, 300 << 20);
  if (moved == large || !moved) OK(link != NULL, "an object that stays where it is stays");
  else OK(!link, "an object that was moved is no more where it was");
  GC_unregister_disappearing_link(&link);
  GC_free(moved);
}

static void *reveal(void *arg) {
  void **link = arg;
  return *link ? GC_REVEAL_POINTER(*link) : NULL;
}

static void *allocate(void *arg) {
  uintptr_t sum = 0;
  for (int i = 0; i < 100000; i++) sum += (uintptr_t)GC_malloc(64);
  *(uintptr_t *)arg = sum;
  return NULL;
}

static void test_lock(void) {
  void **object = GC_malloc(64), *link = (void *)GC_HIDE_POINTER(object);
  GC_general_register_disappearing_link(&link, object);
  OK(GC_call_with_alloc_lock(reveal, &link) == object, "a function under the lock reveals a pointer");
  uintptr_t sum = 0;
  GC_call_with_alloc_lock(allocate, &sum);
  OK(sum != 0, "and may allocate");
  OK(GC_call_with_alloc_lock(reveal, &link) == object, "which collects nothing");
  GC_unregister_disappearing_link(&link);
}

static void test_many(void) {
  static void *links[many];
  void *object = GC_malloc(64);
  for (int round = 0; round < 3; round++) {
    int good = 0;
    for (int i = 0; i < many; i++) good += GC_general_register_disappearing_link(&links[i], object) == GC_SUCCESS;
    for (int i = 0; i < many; i++) links[i] = object;
    if (round == 1) GC_collect(2, NULL);
    if (round == 2) GC_free(object);
    for (int i = 0; i < many && round < 2; i++) good += GC_unregister_disappearing_link(&links[i * 7919 % many]);
    for (int i = 0; i < many && round == 2; i++) good += !links[i];
    OK(good == 2 * many, "%d links to one object", many);
  }
}

static void *allocate_malloc(size_t size) {
  void *(*volatile allocate)(size_t) = malloc;
  return allocate(size);
}

/* Where the heap serves malloc. */
static void test_malloc(void) {
  if (!heap_serves_malloc()) return;
  make(allocate_malloc, 64, true, GC_general_register_disappearing_link);
  crowd_collect(2);
  OK(exact(), "links to malloc'ed objects stay");
  for (int i = 0; i < crowd_size; i++) free(keep[i]);
  bool all = true;
  for (int i = 0; i < crowd_size; i++) all = !places[i].link && all;
  OK(all, "until they are freed");
  memset(keep, 0, sizeof keep);
  make(allocate_malloc, 64, false, GC_general_register_disappearing_link);
  for (int i = 0; i < 3; i++) crowd_collect(2);
  OK(exact(), "or collected");
  unregister_all(GC_unregister_disappearing_link);
}

int main(void) {
  GC_disable(); /* ages are to be what the tests say */
  test_young();
  test_ages();
  GC_enable();
  test_codes();
  test_death(GC_malloc, 64, "objects");
  test_death(GC_malloc_atomic, 24, "small objects without pointers");
  test_death(GC_malloc, 100000, "large objects");
  test_again();
  test_moved();
  test_holders(NULL, "lost");
  test_holders(free_it, "freed");
  test_self();
  test_free();
  test_lock();
  test_many();
  test_malloc();
  make(GC_malloc, 64, true, GC_register_long_link);
  memset(keep, 0, sizeof keep);
  crowd_collect(2);
  OK(crowd_lost(&crowd) && exact(), "long links to objects without finalizers become NULL with the others");
  return tap_end();
}
